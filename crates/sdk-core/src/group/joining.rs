//! Joins a group by its link. The relay shows the roster to whoever has the link; nothing of it is stored before we are a member.

use std::collections::BTreeMap;
use std::time::Duration;

use sealpost_protocol::group::GroupLink;
use sealpost_wire as wire;
use sealpost_wire::roster::{Entry, Roster};
use tokio::time::sleep;
use zeroize::Zeroizing;

use super::details::GroupDetails;
use super::entries::{EntryPlace, Follower};
use super::sign;
use super::validity::{self, Judged};
use crate::account::tokens;
use crate::context::Context;
use crate::error::{Error, Offline, Result};
use crate::id::{ThreadId, UserId};
use crate::transport::Posted;

/// How often joining is attempted while others change the roster.
const TRIES: u64 = 8;
/// The pause before the next attempt is up to this, more with each.
const PAUSE_MS: u64 = 200;

/// Where a link leads.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GroupPreview {
    /// The group.
    pub thread: ThreadId,
    /// Title and description; none if the secret of the group has changed since the link was shown.
    pub details: Option<GroupDetails>,
    /// How many members it has.
    pub members: u32,
    /// Whether we are one of them.
    pub is_member: bool,
}

/// What the relay shows to somebody who has the link: the whole chain, every entry of which was judged.
struct Shown {
    roster: Roster,
    rows: Vec<(Entry, EntryPlace)>,
}

/// The chain, entry by entry.
#[derive(Default)]
struct Chain {
    roster: Option<Roster>,
    lists: BTreeMap<UserId, Vec<u8>>,
}

impl Chain {
    /// Returns false if it is not the next entry.
    fn take(&mut self, entry: &Entry) -> bool {
        let author = entry.content().author.user;
        let (roster, judged) = match self.roster.take() {
            None => match validity::begin(entry) {
                Ok(begun) => begun,
                Err(_) => return false,
            },
            Some(roster) => {
                match validity::judge(&roster, self.lists.get(&author).map(Vec::as_slice), entry) {
                    Ok(judged) => (roster.take(&judged.effect), judged),
                    Err(_) => return false,
                }
            }
        };
        let Judged { effect, list, .. } = judged;
        for (user, member) in &effect.members {
            if member.is_none_or(|member| member.list_version == 0) {
                self.lists.remove(user);
            }
        }
        self.lists.extend(list.map(|list| (author, list)));
        self.roster = Some(roster);
        true
    }
}

/// Shows where a link leads.
pub(crate) async fn preview(ctx: &Context, link: &GroupLink) -> Result<GroupPreview> {
    let shown = fetch(ctx, link).await?;
    let us = us(ctx).await?;
    let state = shown.roster.state();
    let newest = shown.rows.iter().find(|(entry, _)| entry.version() == state.details_version);
    let details = newest.zip(link.group_secret.as_ref());
    let details =
        details.and_then(|((entry, _), secret)| sign::open_details(secret, &state.commitment, entry));
    Ok(GroupPreview {
        thread: state.thread,
        details,
        members: u32::try_from(shown.roster.members().len()).unwrap_or(u32::MAX),
        is_member: shown.roster.member(us).is_some(),
    })
}

/// Joins. We are a member afterwards, and the group is here.
pub(crate) async fn join(ctx: &Context, link: &GroupLink) -> Result<ThreadId> {
    let thread = ThreadId::from_bytes(link.group);
    let us = us(ctx).await?;
    for number in 1..=TRIES {
        let shown = fetch(ctx, link).await?;
        if shown.roster.member(us).is_some() {
            // An earlier attempt has succeeded, or somebody has invited us.
            keep(ctx, link, shown.rows).await?;
            return Ok(thread);
        }
        let (secret, mut rng) = (copy(link)?, ctx.env.rng());
        let roster = shown.roster;
        let signed = ctx.store.glance(move |rows| sign::join(rows, &roster, &secret.secret, &mut rng));
        let Ok(entry) = signed.await? else { return Err(Error::WrongState) };
        let (bytes, token) = (entry.as_bytes().to_vec(), digits(link));
        let posted = tokens::with_access(ctx, |http, access| {
            let (bytes, token) = (bytes.clone(), token.clone());
            async move { http.post_entry(&access, Some(thread), (bytes, Some(&token))).await }
        });
        match posted.await? {
            Posted::Taken(wire::Group { epoch, server_seq, hlc, .. }) => {
                let place = EntryPlace { epoch, server_seq, now_ms: ctx.time_of_hlc(hlc) };
                let mut rows = shown.rows;
                rows.push((entry, place));
                keep(ctx, link, rows).await?;
                return Ok(thread);
            }
            Posted::Stale => {
                sleep(Duration::from_millis(ctx.env.jitter(PAUSE_MS.saturating_mul(number)))).await
            }
            Posted::Refused => return Err(Error::WrongState),
        }
    }
    Err(Offline::Busy(Duration::from_millis(PAUSE_MS.saturating_mul(TRIES))).into())
}

/// Stores the chain, which says that we are a member, and what the link contains.
async fn keep(ctx: &Context, link: &GroupLink, rows: Vec<(Entry, EntryPlace)>) -> Result<()> {
    let (link, thread) = (copy(link)?, ThreadId::from_bytes(link.group));
    let work = ctx.store.write(move |tx| {
        let mut follower = Follower::of(tx, thread)?;
        for (entry, place) in rows {
            follower.take(tx, entry.as_bytes(), place)?;
        }
        // What was stored before may contradict what was shown now.
        let state = tx.roster_state(thread)?.ok_or(Error::WrongState)?;
        if let Some(secret) = link.group_secret.filter(|secret| secret.is_meant_by(&state.commitment)) {
            tx.put_group_secret(thread, state.secret_version, &secret)?;
        }
        tx.put_group_link(thread, &link.secret)
    });
    work.await?;
    ctx.outbox.notify_one();
    ctx.upkeep.rosters.notify_one();
    Ok(())
}

/// Fetches the whole chain with the access token of the link.
///
/// # Errors
/// [`Error::NotFound`] if the link leads nowhere (any more).
async fn fetch(ctx: &Context, link: &GroupLink) -> Result<Shown> {
    let (thread, token) = (ThreadId::from_bytes(link.group), digits(link));
    let (mut chain, mut rows) = (Chain::default(), Vec::<(Entry, EntryPlace)>::new());
    loop {
        let after = rows.last().map_or(0, |(entry, _)| entry.version());
        let page = tokens::with_access(ctx, |http, access| {
            let token = token.clone();
            async move { http.roster(&access, (thread, after), Some(&token)).await }
        });
        let page = page.await?;
        let count = page.rows.len();
        for row in page.rows {
            let entry = Entry::parse(&row.entry).ok().filter(|entry| entry.thread() == thread);
            let Some(entry) = entry.filter(|entry| chain.take(entry)) else {
                return Err(Offline::NotARelay.into());
            };
            let now_ms = ctx.time_of_hlc(row.hlc);
            rows.push((entry, EntryPlace { epoch: page.epoch, server_seq: row.server_seq, now_ms }));
        }
        if page.more && count > 0 {
            continue;
        }
        let roster = chain.roster.filter(|_| !page.more).ok_or(Offline::NotARelay)?;
        // The relay also shows it to members and invited people, whatever link they have.
        return match roster.state().link {
            Some(current) if current.public_key == link.secret.public_key() => Ok(Shown { roster, rows }),
            _ => Err(Error::NotFound),
        };
    }
}

async fn us(ctx: &Context) -> Result<UserId> {
    ctx.store.glance(|rows| rows.our_user()).await?.ok_or(Error::Misuse("not registered yet"))
}

/// The access token as the relay takes it.
fn digits(link: &GroupLink) -> Zeroizing<String> {
    let token = link.secret.access_token();
    let mut digits = Zeroizing::new(String::with_capacity(64));
    for byte in token.expose() {
        for half in [byte >> 4, byte & 15] {
            digits.extend(char::from_digit(u32::from(half), 16));
        }
    }
    digits
}

/// For another thread.
fn copy(link: &GroupLink) -> Result<GroupLink> {
    link.to_text().parse().map_err(|_| Error::Bug("a link that cannot be read"))
}
