//! Stations 3, 4 and 6 to 8 in one transaction: seals the next entries of a thread and stores them.

use rand::RngExt as _;
use rand::rngs::StdRng;
use sealpost_protocol::UnixSeconds;

use super::group;
use super::plan::{Addressed, Recipients, ToMeet, address as address_members};
use super::seal::{Sealing, Sender, seal};
use crate::account::registration::address;
use crate::content::{Content, Header, MAX_SEEN_EXCEPTIONS, Mark, NamedLists, Number, Post, RosterHead, Run};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::fault::{self, Station};
use crate::id::{ClientMsgId, ThreadId};
use crate::message::FailReason;
use crate::store::{
    Account, Durable, Entry, Outgoing, OutgoingId, OwnNumbers, Parcel, Registered, Settlement, Thread, Tx,
};
use crate::waiting::WaitReason;

/// How many bytes are sealed in one transaction, unless a single entry is larger.
const BATCH_BYTES: usize = 128 << 10;
/// After this many refusals, each followed by sealing it anew, an entry is given up. The lane pauses after a few of them, so this takes
/// hours.
const MAX_REFUSALS: u32 = 1_000;
/// How many parcels are looked up at a time.
const LOOKUPS: u32 = 128;

/// What to do next for a thread.
pub(crate) enum Prepared {
    /// Nothing is waiting.
    Nothing,
    /// Nothing can be submitted now, but something may be waiting.
    NothingNow,
    /// Nothing is sent while the recipient is blocked.
    Held,
    /// Our chain in the group is distributed first, and the lane was put off.
    Distributing,
    /// Submit these entries, in this order.
    Submit(Vec<Sealed>),
    /// First ask the relay which of these entries it has stored, because that is unknown. An entry before them must be
    /// sealed again, and then those that are not stored must be sealed again, too.
    Lookup(Vec<Sealed>),
    /// Start these sessions first, for this entry.
    Meet { entry: OutgoingId, attempts: u32, to_meet: Vec<ToMeet> },
    /// This entry waits for another device list of a recipient, or for the roster of the group.
    Await { entry: OutgoingId, attempts: u32, reason: WaitReason },
}

/// A sealed entry, ready to be sent.
pub(crate) struct Sealed {
    pub(crate) id: OutgoingId,
    pub(super) attempts: u32,
    /// Whether it may have been submitted before, with an answer that was not received.
    pub(super) may_be_stored: bool,
    /// Whether its answer is to be stored soon, because something may wait for it.
    pub(super) is_awaited: bool,
    pub(crate) parcel: Durable<Parcel>,
}

/// Seals up to `limit` of the oldest entries of a thread that come after the given one.
pub(crate) async fn prepare(
    ctx: &Context,
    thread: ThreadId,
    after: Option<OutgoingId>,
    limit: u32,
) -> Result<Prepared> {
    let ctx_in_tx = ctx.clone();
    let mut rng = ctx.env.rng();
    let work = move |tx: &mut Tx<'_>| {
        let prepared = seal_next(&ctx_in_tx, tx, thread, (after, limit), &mut rng)?;
        fault::at(Station::SealBeforeCommit);
        Ok(prepared)
    };
    let prepared = ctx.store.write_repeatable(work).await?;
    fault::at(Station::SealAfterCommit);
    Ok(prepared)
}

/// Like [`prepare`], but inside the caller's transaction.
pub(super) fn seal_next(
    ctx: &Context,
    tx: &mut Tx<'_>,
    thread: ThreadId,
    (after, limit): (Option<OutgoingId>, u32),
    rng: &mut StdRng,
) -> Result<Prepared> {
    let mut entries = tx.entries(thread, after, (limit, BATCH_BYTES))?;
    // If the clock was set while this lane was working, the dispatcher asks the relay for the time before it
    // continues.
    if entries.is_empty() {
        return Ok(Prepared::Nothing);
    }
    if ctx.clock_has_jumped() {
        return Ok(Prepared::NothingNow);
    }
    let thread_row = tx.thread(thread)?.ok_or(Error::Bug("an outbox without a thread"))?;
    if tx.is_peer_blocked(&thread_row)? {
        tx.hold_lane(thread)?;
        return Ok(Prepared::Held);
    }
    let to_seal = entries.iter().enumerate().find_map(|(place, entry)| match entry {
        Entry::ToSeal(outgoing) => Some((place, outgoing.id)),
        Entry::Sealed { .. } => None,
    });
    if let Some((place, first)) = to_seal {
        match unseal_behind(ctx, tx, thread, first)? {
            Behind::Nothing => {}
            Behind::Unsealed => entries = tx.entries(thread, after, (limit, BATCH_BYTES))?,
            Behind::Unknown(unknown) if place == 0 => return Ok(Prepared::Lookup(unknown)),
            // Those before it are sent first.
            Behind::Unknown(_) => entries.truncate(place),
        }
    }
    let (account, us) = tx.our_account()?;
    Work { ctx, tx, thread: thread_row, account: &account, us, ready: None, heading: None }.run(entries, rng)
}

/// The entries that were sealed behind an entry that is to be sealed.
enum Behind {
    Nothing,
    /// All of them must be sealed again.
    Unsealed,
    /// The relay may have stored some of them.
    Unknown(Vec<Sealed>),
}

/// The entries of a lane are sealed in the order in which the relay stores them. Otherwise, the recipient would receive
/// older ratchet steps after newer ones, and it opens those only within limits. If an entry is to be sealed, the entries that
/// were sealed behind it are therefore sealed again, unless the relay has stored them.
fn unseal_behind(ctx: &Context, tx: &mut Tx<'_>, thread: ThreadId, first: OutgoingId) -> Result<Behind> {
    let mut behind = Behind::Nothing;
    loop {
        let sealed = tx.sealed_behind(thread, first, (LOOKUPS, BATCH_BYTES))?;
        if sealed.is_empty() {
            return Ok(behind);
        }
        let mut unknown = Vec::new();
        for (id, attempts, parcel) in sealed {
            let client_msg_id = parcel.get().client_msg_id;
            if take_fresh(ctx, tx, client_msg_id) {
                tx.settle(id, Some(client_msg_id), Settlement::Requeue { refused: false })?;
            } else {
                unknown.push(Sealed { id, attempts, may_be_stored: true, is_awaited: true, parcel });
            }
        }
        if !unknown.is_empty() {
            return Ok(Behind::Unknown(unknown));
        }
        behind = Behind::Unsealed;
    }
}

/// Whether the relay has certainly not stored this parcel. After the commit, this is not known any longer, because the parcel is
/// then submitted or dropped.
fn take_fresh(ctx: &Context, tx: &mut Tx<'_>, parcel: ClientMsgId) -> bool {
    let is_fresh = ctx.is_fresh(&parcel);
    if is_fresh {
        let ctx = ctx.clone();
        tx.after_commit(move || {
            ctx.take_fresh(&parcel);
        });
    }
    is_fresh
}

struct Work<'w, 'c> {
    ctx: &'w Context,
    tx: &'w mut Tx<'c>,
    thread: Thread,
    account: &'w Account,
    us: Registered,
    /// The recipients, once they have been found to be ready.
    ready: Option<Recipients>,
    /// What the headers state, once a post is sealed.
    heading: Option<Heading>,
}

/// What the headers of the posts of one transaction state.
struct Heading {
    /// The number that was given last; the count is 0 if none was.
    last: Number,
    is_changed: bool,
    after: Option<Post>,
    seen: Option<Mark>,
    lists: NamedLists,
}

impl Heading {
    fn load(tx: &Tx<'_>, thread: &Thread, us: Registered, rng: &mut StdRng) -> Result<Self> {
        let lists = tx.named_lists(us.user, thread.peer)?;
        let OwnNumbers { run, count, newest } = tx.own_numbers(thread.id)?;
        let run = run.unwrap_or_else(|| Run(rng.random()));
        // Our own devices have what others may not have; they are told in the note to self, where there is nobody else.
        let heard = tx.heard_last(thread.id, thread.peer == Some(us.user))?;
        let seen = heard
            .map(|mark| Mark { counts: mark.counts.before_many_exceptions(MAX_SEEN_EXCEPTIONS), ..mark });
        Ok(Self { last: Number { run, count }, is_changed: false, after: newest, seen, lists })
    }

    /// The header of a content that is not a post.
    fn of_mail(&self) -> Header {
        Header { lists: self.lists, ..Header::default() }
    }

    /// The header of a post, which has this number if it was sealed before.
    fn header(&self, number: Option<Number>) -> Header {
        let next = Number { count: self.last.count.saturating_add(1), ..self.last };
        let (number, seen) = (Some(number.unwrap_or(next)), self.seen.clone());
        Header { number, after: self.after, seen, devices: None, peer: None, lists: self.lists, roster: None }
    }

    /// A post with this number was sealed.
    fn sealed(&mut self, number: Number) {
        if number.run == self.last.run && number.count > self.last.count {
            (self.last, self.is_changed) = (number, true);
        }
    }
}

impl Work<'_, '_> {
    fn run(mut self, entries: Vec<Entry>, rng: &mut StdRng) -> Result<Prepared> {
        let mut sealed = Vec::with_capacity(entries.len());
        let mut stopped = None;
        for entry in entries {
            match entry {
                Entry::Sealed { id, attempts, parcel } => {
                    // Unless it is known not to have been, it counts as submitted before.
                    let may_be_stored = !take_fresh(self.ctx, self.tx, parcel.get().client_msg_id);
                    sealed.push(Sealed { id, attempts, may_be_stored, is_awaited: true, parcel });
                }
                Entry::ToSeal(outgoing) => {
                    let (entry, attempts) = (outgoing.id, outgoing.attempts);
                    match self.seal(outgoing, rng)? {
                        Step::Sealed(entry) => sealed.push(entry),
                        Step::Settled => {}
                        Step::Meet(to_meet) => {
                            stopped = Some(Prepared::Meet { entry, attempts, to_meet });
                            break;
                        }
                        Step::Distributing => {
                            stopped = Some(Prepared::Distributing);
                            break;
                        }
                        Step::Await(reason) => {
                            stopped = Some(Prepared::Await { entry, attempts, reason });
                            break;
                        }
                    }
                }
            }
        }
        for (_, sessions) in self.ready.iter_mut().flat_map(|recipients| &mut recipients.ready) {
            self.tx.store_sessions(sessions)?;
        }
        if let Some(heading) = self.heading.filter(|heading| heading.is_changed) {
            self.tx.set_own_number(self.thread.id, heading.last)?;
        }
        Ok(match sealed.is_empty() {
            false => Prepared::Submit(sealed),
            true => stopped.unwrap_or(Prepared::NothingNow),
        })
    }

    fn seal(&mut self, outgoing: Outgoing, rng: &mut StdRng) -> Result<Step> {
        let now = UnixSeconds(self.ctx.server_now_ms() / 1000);
        if outgoing.refusals >= MAX_REFUSALS {
            return self.fail(outgoing.id, FailReason::Refused);
        }
        if self.thread.peer.is_none() {
            return self.seal_for_group(outgoing, rng);
        }
        if self.ready.is_none() {
            let of_thread = (self.thread.id, self.us);
            match address_members(self.tx, of_thread, &self.ctx.skipped, self.ctx.policy, now)? {
                Addressed::Ready(recipients) => self.ready = Some(recipients),
                Addressed::Meet(to_meet) => return Ok(Step::Meet(to_meet)),
                Addressed::Blocked(reason) => return self.fail(outgoing.id, reason),
                Addressed::Contradicted => return Ok(Step::Await(WaitReason::DeviceListRefused)),
            }
        }
        let (id, attempts) = (outgoing.id, outgoing.attempts);
        let now_ms = self.ctx.server_now_ms();
        let content = self.content(outgoing, (now_ms, None), rng)?;
        let number = content.header.number;
        let client_msg_id = self.ctx.new_client_msg_id();
        let our_address = address(self.us.user, self.us.device)?;
        let recipients = self.ready.as_mut().ok_or(Error::Bug("no recipients were prepared"))?;
        let from = Sender::new(self.tx, (self.account, self.us, &our_address), &recipients.ready)?;
        match seal(client_msg_id, &content, &self.thread, recipients, &from, now, rng)? {
            Sealing::Sealed { send: bytes, skipped } => {
                for ((device, _), changes) in recipients.ready.iter().zip(skipped) {
                    self.tx.store_skipped(device.user, device.device, changes)?;
                }
                if let (Some(heading), Some(number)) = (&mut self.heading, number) {
                    heading.sealed(number);
                }
                let parcel = Parcel { client_msg_id, bytes };
                let parcel = self.tx.set_sealed(id, parcel, number, now_ms)?;
                Ok(Step::Sealed(Sealed { id, attempts, may_be_stored: false, is_awaited: true, parcel }))
            }
            Sealing::TooLarge => self.fail(id, FailReason::TooLarge),
            Sealing::SpentSession(to_meet) => Ok(Step::Meet(vec![to_meet])),
        }
    }

    /// The content of an entry, with its header.
    fn content(
        &mut self,
        outgoing: Outgoing,
        (now_ms, roster): (u64, Option<RosterHead>),
        rng: &mut StdRng,
    ) -> Result<Content> {
        if outgoing.sent_ms > now_ms {
            // The entry was written while the clock was wrong.
            self.tx.set_sent(outgoing.id, now_ms)?;
        }
        let heading = match self.heading.take() {
            Some(heading) => heading,
            None => Heading::load(self.tx, &self.thread, self.us, rng)?,
        };
        let heading = self.heading.insert(heading);
        let header = match outgoing.body.kind().is_post() {
            true => heading.header(outgoing.number),
            false => heading.of_mail(),
        };
        Ok(Content {
            thread: self.thread.id,
            id: outgoing.content_id,
            sent_ms: outgoing.sent_ms.min(now_ms),
            timer: outgoing.timer,
            header: Header { roster, ..header },
            body: outgoing.body,
        })
    }

    /// Seals an entry with our chain in the group, once others have it.
    fn seal_for_group(&mut self, outgoing: Outgoing, rng: &mut StdRng) -> Result<Step> {
        let (id, attempts) = (outgoing.id, outgoing.attempts);
        let (head, chain) = match group::prepare(self.ctx, self.tx, self.thread.id, self.us, rng)? {
            group::Ready::Yes(head, chain) => (head, chain),
            group::Ready::NoRoster => return Ok(Step::Await(WaitReason::RosterUnclear)),
            group::Ready::Refused(reason) => return self.fail(id, reason),
            group::Ready::Distributing => return Ok(Step::Distributing),
        };
        let now_ms = self.ctx.server_now_ms();
        let content = self.content(outgoing, (now_ms, Some(head.named())), rng)?;
        let (number, client_msg_id) = (content.header.number, self.ctx.new_client_msg_id());
        let Some((bytes, next)) = group::seal(client_msg_id, &content, &head, &chain, rng)? else {
            return self.fail(id, FailReason::TooLarge);
        };
        self.tx.advance_chain(self.thread.id, &next)?;
        if let (Some(heading), Some(number)) = (&mut self.heading, number) {
            heading.sealed(number);
        }
        self.tx.set_message_roster(id, head.version)?;
        let parcel = self.tx.set_sealed(id, Parcel { client_msg_id, bytes }, number, now_ms)?;
        Ok(Step::Sealed(Sealed { id, attempts, may_be_stored: false, is_awaited: true, parcel }))
    }

    fn fail(&mut self, id: OutgoingId, reason: FailReason) -> Result<Step> {
        self.tx.settle(id, None, Settlement::Failed(reason))?;
        Ok(Step::Settled)
    }
}

enum Step {
    Sealed(Sealed),
    Settled,
    Meet(Vec<ToMeet>),
    Await(WaitReason),
    /// Our chain in the group is distributed first, and the lane was put off.
    Distributing,
}
