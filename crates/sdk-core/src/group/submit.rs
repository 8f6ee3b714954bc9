//! Makes the changes of rosters that are queued: signs each for the newest entry, submits it until the relay has answered, and takes it.
//!
//! Of two changes for one version, one wins. The other is signed anew once, if it is still allowed; otherwise the person is told. What concerns nobody
//! else, such as accepting an invitation, is signed anew until it is made: hundreds of people may accept at the same time.

use std::time::Duration;

use sealpost_wire::roster::{ChainError, Change, Entry, Refusal};
use tokio::time::sleep;

use super::entries::{EntryPlace, Follower};
use super::fetch::fetch;
use super::sign;
use crate::account::tokens;
use crate::context::Context;
use crate::error::{Offline, Result};
use crate::event::Event;
use crate::id::{ThreadId, UserId};
use crate::store::DueChange;
use crate::transport::Posted;

/// How often a change that concerns others is signed at most.
const TIMES: u32 = 2;
/// The first and the longest wait, at most, before a change is signed again that was overtaken several times, in milliseconds.
const FIRST_MS: u64 = 100;
const LONGEST_MS: u64 = 10_000;

/// Makes the next change. Returns false if there is none in a group after this one.
///
/// # Errors
/// The relay cannot be reached, or [`Error::Storage`](crate::Error::Storage): it is still to be made.
pub(crate) async fn step(ctx: &Context, after: &mut Option<ThreadId>) -> Result<bool> {
    let place = *after;
    let Some(due) = ctx.store.glance(move |rows| rows.next_change(place)).await? else { return Ok(false) };
    *after = Some(due.thread);
    let (id, thread, times) = (due.id, due.thread, due.times);
    let Some(entry) = signed(ctx, due).await? else { return Ok(true) };
    let bytes = entry.as_bytes().to_vec();
    let is_first = entry.version() == 1;
    let posted = tokens::with_access(ctx, |http, token| {
        let bytes = bytes.clone();
        async move { http.post_entry(&token, (!is_first).then_some(thread), (bytes, None)).await }
    });
    match posted.await? {
        Posted::Taken(place) => {
            let now_ms = ctx.time_of_hlc(place.hlc);
            let work = ctx.store.write(move |tx| {
                let place = EntryPlace { epoch: place.epoch, server_seq: place.server_seq, now_ms };
                Follower::of(tx, thread)?.take(tx, entry.as_bytes(), place)?;
                tx.finish_change(id, thread, entry.version())
            });
            work.await?;
            // Others may have changed it before.
            ctx.outbox.notify_one();
        }
        // Another change has won, or ours was taken and its answer lost: the chain says which.
        Posted::Stale => {
            fetch(ctx, thread).await?;
            let hash = *entry.hash();
            let work = ctx.store.write(move |tx| {
                let found = tx.roster_hash(thread, entry.version())?;
                if found == Some(hash) {
                    tx.finish_change(id, thread, entry.version())?;
                }
                Ok(found.is_some())
            });
            if !work.await? {
                // It refuses an entry because of another one, which it does not show.
                return Err(Offline::NotARelay.into());
            }
            // Many change it at the same time, and come one after another.
            if times > 0 {
                let most_ms = FIRST_MS.saturating_mul(1 << times.min(10)).min(LONGEST_MS);
                sleep(Duration::from_millis(ctx.env.jitter(most_ms))).await;
            }
        }
        Posted::Refused => {
            tracing::warn!("the relay has refused a change of a group");
            give_up(ctx, id, thread).await?;
        }
    }
    Ok(true)
}

/// The entry that is to be submitted: the one that was signed, unless another one has taken its version. None if the change was given up.
async fn signed(ctx: &Context, due: DueChange) -> Result<Option<Entry>> {
    let mut rng = ctx.env.rng();
    let work = ctx.store.write(move |tx| {
        let state = tx.roster_state(due.thread)?;
        let next = state.map_or(1, |state| state.version.saturating_add(1));
        if let Some(entry) = due.entry {
            if entry.version() == next {
                return Ok(Some(entry));
            }
            if tx.roster_hash(due.thread, entry.version())? == Some(*entry.hash()) {
                tx.finish_change(due.id, due.thread, entry.version())?;
                return Ok(None);
            }
        }
        let may_sign = due.times < TIMES || is_own(&due.change, tx.our_user()?);
        let signed = match may_sign && next > 1 {
            true => sign::change(tx, due.thread, &due.change, &mut rng)?,
            false => Err(Refusal::Chain(ChainError::Version)),
        };
        let signed = match signed {
            Ok(signed) => signed,
            Err(reason) => {
                tx.drop_change(due.id)?;
                if !is_settled(&due.change, reason) {
                    tx.emit(Event::GroupChangeFailed(due.thread));
                }
                return Ok(None);
            }
        };
        tx.set_change_signed(due.id, &signed.entry, signed.secret.as_ref())?;
        Ok(Some(signed.entry))
    });
    work.await
}

/// Whether a change is about nobody but ourselves. It means the same after any changes of others, as long as it is allowed.
fn is_own(change: &Change, us: Option<UserId>) -> bool {
    match change {
        Change::Accept | Change::Join { .. } | Change::Leave | Change::Devices { .. } => true,
        Change::Withdraw(users) => us.is_some_and(|us| users[..] == [us]),
        _ => false,
    }
}

/// Whether the refusal says that there is nothing left to be done: another device of ours, or somebody else, has done it, or the invitation that was
/// to be accepted has ended.
const fn is_settled(change: &Change, reason: Refusal) -> bool {
    match change {
        Change::Accept => {
            matches!(reason, Refusal::AlreadyMember | Refusal::NotInvited | Refusal::Dissolved)
        }
        Change::Devices { .. } => true,
        _ => matches!(reason, Refusal::NoChange),
    }
}

async fn give_up(ctx: &Context, id: i64, thread: ThreadId) -> Result<()> {
    let work = ctx.store.write(move |tx| {
        tx.drop_change(id)?;
        tx.emit(Event::GroupChangeFailed(thread));
        Ok(())
    });
    work.await
}
