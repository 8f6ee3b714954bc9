//! Takes entries of rosters, in whatever order the relay shows them, and stores what they change.

use sealpost_protocol::device::{SignedDeviceList, Succession};
use sealpost_wire::roster::{ChainError, Change, Entry, Roster};

use super::validity::{self, Judged, Outcome};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::id::{DeviceId, ThreadId, UserId};
use crate::store::{EntryState, ShownTo, Tx};

/// What became of an entry that the relay has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is the next one, and stored.
    Next,
    /// It was here before.
    Known,
    /// Entries between the newest one here and this one are missing: the chain is to be fetched.
    Early,
    /// It cannot be part of the chain: it is no entry, of another group, or contradicts what is here. The relay, or the creator of the group, is not
    /// honest.
    Refused,
}

/// Where an entry is in its thread, and when it came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryPlace {
    pub(crate) epoch: u64,
    pub(crate) server_seq: u64,
    pub(crate) now_ms: u64,
}

/// The roster of one group, loaded for several entries.
pub(crate) struct Follower {
    thread: ThreadId,
    roster: Option<Roster>,
    /// The devices that members have removed, by lists that came with the entries.
    removed: Vec<(UserId, DeviceId)>,
}

impl Follower {
    pub(crate) fn of(tx: &Tx<'_>, thread: ThreadId) -> Result<Self> {
        Ok(Self { thread, roster: tx.roster(thread)?, removed: Vec::new() })
    }

    /// The devices whose sessions were deleted, because they are not on the later lists that came with the entries.
    pub(crate) fn into_removed(self) -> Vec<(UserId, DeviceId)> {
        self.removed
    }

    /// Takes one entry, which has this place in the thread. What is refused changes nothing, and is an event.
    pub(crate) fn take(&mut self, tx: &mut Tx<'_>, bytes: &[u8], place: EntryPlace) -> Result<Taken> {
        let taken = self.take_next(tx, bytes, place.now_ms)?;
        let is_new = taken == Taken::Next;
        let (Some(us), Some(roster)) = (tx.our_user()?, self.roster.as_ref()) else { return Ok(taken) };
        if is_new {
            settle_invitation(tx, roster, us)?;
        }
        let Some(member) = roster.member(us) else { return Ok(taken) };
        let (epoch, server_seq) = (place.epoch, place.server_seq);
        if is_new && (roster.state().version == member.since || takes_new_key(bytes, us)) {
            // What was before is not for us, and nothing of it is missing.
            tx.begin_places(self.thread, (epoch, server_seq))?;
        } else if server_seq > 0 {
            tx.account_for(self.thread, epoch, server_seq)?;
        }
        Ok(taken)
    }

    fn take_next(&mut self, tx: &mut Tx<'_>, bytes: &[u8], now_ms: u64) -> Result<Taken> {
        let Some(entry) = Entry::parse(bytes).ok().filter(|entry| entry.thread() == self.thread) else {
            tracing::warn!("the relay has shown something that is no entry of this group");
            tx.contradict_roster(self.thread, ShownTo::Us)?;
            return Ok(Taken::Refused);
        };
        let Some(roster) = self.roster.take() else { return self.begin(tx, &entry, now_ms) };
        let taken = self.continue_with(tx, roster, &entry, now_ms)?;
        if taken == Taken::Refused {
            tracing::warn!("two rosters of a group contradict each other");
            tx.contradict_roster(self.thread, ShownTo::Us)?;
        }
        Ok(taken)
    }

    fn begin(&mut self, tx: &mut Tx<'_>, entry: &Entry, now_ms: u64) -> Result<Taken> {
        if entry.version() > 1 {
            return Ok(Taken::Early);
        }
        let Ok((roster, judged)) = validity::begin(entry) else {
            tracing::warn!("the first entry of a group is not valid");
            return Ok(Taken::Refused);
        };
        self.store(tx, entry, &judged, now_ms)?;
        self.roster = Some(roster);
        Ok(Taken::Next)
    }

    fn continue_with(
        &mut self,
        tx: &mut Tx<'_>,
        roster: Roster,
        entry: &Entry,
        now_ms: u64,
    ) -> Result<Taken> {
        let (taken, roster) = if entry.version() <= roster.state().version {
            let known = tx.roster_hash(self.thread, entry.version())?;
            (if known == Some(*entry.hash()) { Taken::Known } else { Taken::Refused }, roster)
        } else {
            let list = tx.roster_list(self.thread, entry.content().author.user)?;
            match validity::judge(&roster, list.as_deref(), entry) {
                Ok(judged) => {
                    self.store(tx, entry, &judged, now_ms)?;
                    tx.settle_contradiction(self.thread, ShownTo::Us)?;
                    (Taken::Next, roster.take(&judged.effect))
                }
                Err(ChainError::Version) => (Taken::Early, roster),
                Err(ChainError::Previous | ChainError::Thread) => (Taken::Refused, roster),
                Err(_) => return Err(Error::Bug("an unknown error of a chain")),
            }
        };
        self.roster = Some(roster);
        Ok(taken)
    }

    fn store(&mut self, tx: &mut Tx<'_>, entry: &Entry, judged: &Judged, now_ms: u64) -> Result<()> {
        store(tx, entry, judged, now_ms)?;
        if let Some(list) = &judged.list {
            let user = entry.content().author.user;
            let removed = learn_list(tx, user, list)?;
            self.removed.extend(removed.into_iter().map(|device| (user, device)));
        }
        Ok(())
    }
}

/// The chain shows a list of a member. A later one than is known is taken here as everywhere, so that what is sent from now on is for the devices
/// that they have. Somebody who was never met is met first. Returns the devices that are gone.
fn learn_list(tx: &mut Tx<'_>, user: UserId, list: &[u8]) -> Result<Vec<DeviceId>> {
    if tx.is_us(user)? || tx.device_list_bytes(user)?.is_none_or(|known| known == list) {
        return Ok(Vec::new());
    }
    let known = match tx.device_list(user) {
        Ok(Some(known)) => known,
        Err(error) if error.stops_everything() => return Err(error),
        Ok(None) | Err(_) => return Ok(Vec::new()),
    };
    let Ok(list) = SignedDeviceList::parse(list)?.verify(user.as_bytes()) else { return Ok(Vec::new()) };
    if !matches!(known.known().succession(&list), Succession::Newer | Succession::Moved) {
        return Ok(Vec::new());
    }
    let removed = tx.adopt_list(user, Some(&known), &list)?;
    tx.retry_deferred_for_list(user)?;
    Ok(removed)
}

/// Whether an entry takes another account key of ours: what was before is not for it.
fn takes_new_key(bytes: &[u8], us: UserId) -> bool {
    let entry = Entry::parse(bytes).ok();
    entry.is_some_and(
        |entry| matches!(&entry.content().change, Change::RekeyMember(person) if person.user == us),
    )
}

/// We are invited: by somebody whom the person knows, it is accepted; otherwise it is a request. Or we are not any more.
fn settle_invitation(tx: &mut Tx<'_>, roster: &Roster, us: UserId) -> Result<()> {
    let (thread, version) = (roster.state().thread, roster.state().version);
    if let Some(invited) = roster.invitation(us) {
        if invited.since == version {
            tx.list_group(thread)?;
            match tx.accepts_invitations_of(invited.by)? {
                true => drop(tx.queue_change(thread, &Change::Accept)?),
                false => tx.set_request(thread)?,
            }
        }
    } else if roster.member(us).is_some_and(|member| member.since == version) {
        tx.accept_request(thread)?;
        tx.list_group(thread)?;
    } else if roster.member(us).is_none() {
        // A group that has nothing to do with us is in no list, whoever shows it.
        match version {
            1 => tx.unlist_group(thread)?,
            _ => tx.leave_requests(thread)?,
        }
    }
    Ok(())
}

fn store(tx: &mut Tx<'_>, entry: &Entry, judged: &Judged, now_ms: u64) -> Result<()> {
    let state = match judged.outcome {
        Outcome::Valid => EntryState::Valid,
        Outcome::Invalid(reason) => {
            tracing::warn!(?reason, "an entry of a group has no effect");
            let user = entry.content().author.user;
            tx.emit(Event::EntryRefused { thread: entry.thread(), user });
            EntryState::WithoutEffect
        }
        Outcome::NotUnderstood => EntryState::NotUnderstood,
    };
    tx.put_entry(entry, &judged.effect, (judged.list.as_deref(), state), now_ms)
}

/// A content of a member names the newest entry that its author had: version, and the beginning of the hash. Returns whether there are later
/// entries than here, which are to be fetched.
pub(crate) fn compare(
    tx: &mut Tx<'_>,
    (thread, author): (ThreadId, UserId),
    (version, digest): (u64, &[u8; 16]),
) -> Result<bool> {
    let Some(state) = tx.roster_state(thread)? else { return Ok(true) };
    if version > state.version {
        return Ok(true);
    }
    let known = tx.roster_hash(thread, version)?;
    if known.is_some_and(|known| known.starts_with(digest)) {
        tx.settle_contradiction(thread, ShownTo::Member(author))?;
    } else {
        tracing::warn!("a member was shown another roster of a group");
        tx.contradict_roster(thread, ShownTo::Member(author))?;
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
