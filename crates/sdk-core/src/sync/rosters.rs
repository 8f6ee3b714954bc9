//! Fetches the chains of groups of which an entry, or a content, has shown that there is more than here, and makes the changes of rosters that
//! are queued.

use std::time::Duration;

use sealpost_wire::roster::Change;
use tokio::time::sleep;

use crate::context::Context;
use crate::error::{Error, Offline, Result};
use crate::group::fetch::{Fetched, fetch};
use crate::group::submit;
use crate::send::{backoff_ceiling_ms, backoff_ms};
use crate::store::ShownTo;

/// The longest interval between two requests for the chain of a group, in milliseconds.
const LONGEST_MS: u64 = 6 * 3_600_000;
/// After so many answers without the chain, it is given up until something else shows that it is missing.
const TRIES: u32 = 12;
/// The maximum interval between checks, because a changed clock could delay what is due.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

pub(crate) async fn run(ctx: Context) {
    let (mut failures, mut elsewhere) = (0, ctx.events.elsewhere());
    loop {
        ctx.transport.online().await;
        elsewhere.borrow_and_update();
        let pause = match make_changes(&ctx).await.and(step(&ctx).await) {
            Ok(Step::Done) => {
                failures = 0;
                continue;
            }
            Ok(Step::Nothing { next_due_ms }) => next_due_ms.map(|due_ms| {
                LONGEST_PAUSE.min(Duration::from_millis(due_ms.saturating_sub(ctx.env.now_ms()).max(1)))
            }),
            Err(error) => {
                tracing::debug!(%error, "the chain of a group could not be fetched");
                failures = u32::saturating_add(failures, 1);
                sleep(Duration::from_millis(backoff_ms(&ctx.env, failures).saturating_add(1_000))).await;
                continue;
            }
        };
        tokio::select! {
            () = ctx.upkeep.rosters.notified() => {}
            // Another process may have received something that shows it.
            Ok(()) = elsewhere.changed() => {}
            () = sleep(pause.unwrap_or(LONGEST_PAUSE)), if pause.is_some() => {}
        }
    }
}

enum Step {
    /// The relay was asked for a chain.
    Done,
    Nothing {
        next_due_ms: Option<u64>,
    },
}

/// Makes one change in each group that has one. Our device list is one, too, once it is another than the roster knows.
async fn make_changes(ctx: &Context) -> Result<()> {
    let old = ctx.store.glance(|rows| rows.groups_with_old_list()).await?;
    if !old.is_empty() {
        let work = ctx.store.write(move |tx| {
            old.into_iter().try_for_each(|thread| {
                // What is a removal is decided when it is signed.
                tx.queue_change(thread, &Change::Devices { is_removal: false }).map(drop)
            })
        });
        work.await?;
    }
    loop {
        let (mut after, mut is_any, mut failed) = (None, false, None);
        loop {
            let before = after;
            match submit::step(ctx, &mut after).await {
                Ok(true) => is_any = true,
                Ok(false) => break,
                // What the relay says about one group does not keep the changes of the others.
                Err(error) if after != before && is_about_one(&error) => failed = Some(error),
                Err(error) => return Err(error),
            }
        }
        match failed {
            Some(error) => return Err(error),
            None if !is_any => return Ok(()),
            None => {}
        }
    }
}

/// How long it takes at least until the relay is asked again, and at most twice as long; none if it is not, because the chain is here, or it
/// has shown something else, or nothing, too often.
fn wait_ms(fetched: Fetched, tries: u32) -> Option<u64> {
    let is_worth_it = fetched != Fetched::All && tries < TRIES;
    is_worth_it.then(|| backoff_ceiling_ms(tries.saturating_add(2), LONGEST_MS) / 2)
}

/// Whether an error is the relay's answer to one request, so that it may answer another one.
const fn is_about_one(error: &Error) -> bool {
    matches!(
        error,
        Error::NotFound | Error::Bug(_) | Error::Offline(Offline::NotARelay | Offline::Refused(_))
    )
}

async fn step(ctx: &Context) -> Result<Step> {
    let Some((thread, due_ms, tries)) = ctx.store.glance(|rows| rows.next_due_roster()).await? else {
        return Ok(Step::Nothing { next_due_ms: None });
    };
    let now_ms = ctx.env.now_ms();
    if due_ms > now_ms && due_ms.saturating_sub(now_ms) <= LONGEST_MS {
        return Ok(Step::Nothing { next_due_ms: Some(due_ms) });
    }
    let fetched = match fetch(ctx, thread).await {
        Ok(fetched) => Some(fetched),
        // It answers with something that cannot be used. Other groups are asked for nevertheless.
        Err(error) if is_about_one(&error) => None,
        Err(error) => return Err(error),
    };
    let named = ctx.upkeep.named_rosters.latest(thread);
    let after = |wait: Option<u64>| {
        wait.map(|half_ms| now_ms.saturating_add(half_ms).saturating_add(ctx.env.jitter(half_ms)))
    };
    let if_short = after(wait_ms(Fetched::Hidden, tries));
    let otherwise = after(wait_ms(fetched.unwrap_or(Fetched::Hidden), tries));
    let work = ctx.store.write(move |tx| {
        let known = tx.roster_state(thread)?.map_or(0, |state| state.version);
        // A member was shown entries that the relay does not show here.
        let is_short = known < named;
        if is_short && matches!(fetched, Some(Fetched::All | Fetched::Hidden)) {
            tracing::warn!("the relay hides entries of a group that a member has named");
            tx.contradict_roster(thread, ShownTo::Us)?;
        }
        if let Some(until_ms) = if is_short { if_short } else { otherwise } {
            tx.put_roster_off(thread, until_ms)?;
            return Ok(false);
        }
        tx.settle_roster_due(thread)?;
        tx.retry_deferred_of_group(thread)?;
        Ok(true)
    });
    if work.await? {
        ctx.upkeep.named_rosters.forget(thread);
    }
    // What waited for the roster can be opened, or sent.
    ctx.upkeep.to_retry.notify_one();
    ctx.outbox.notify_one();
    Ok(Step::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_that_is_not_shown_is_asked_for_more_and_more_rarely_and_not_for_ever() {
        for fetched in [Fetched::Hidden, Fetched::Contradicts] {
            let waits: Vec<_> = (0..TRIES).map(|tries| wait_ms(fetched, tries).unwrap()).collect();
            assert!(waits.is_sorted() && waits[0] > 0 && waits[0] < 10_000, "{waits:?}");
            assert!(waits.iter().all(|wait| *wait <= LONGEST_MS / 2));
            let last = waits[waits.len() - 1];
            assert!(last > 60 * waits[0], "{waits:?}");
            assert_eq!(wait_ms(fetched, TRIES), None);
        }
        assert_eq!(wait_ms(Fetched::All, 0), None);
    }
}
