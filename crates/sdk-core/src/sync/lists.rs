//! Fetches the device lists that somebody has named and that are not known: of others from the relay, while our own is replaced by a later
//! one. It ends for a user when a list is known that settles it.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::account::{device_list, tokens};
use crate::contact::devices;
use crate::contact::named_lists::TRIES;
use crate::context::Context;
use crate::error::{Error, Offline, Result};
use crate::event::Event;
use crate::send::{backoff_ceiling_ms, backoff_ms};
use crate::store::{DueList, Rows};

/// The longest interval between two requests for the list of a user, in milliseconds.
const LONGEST_MS: u64 = 6 * 3_600_000;
/// The minimum interval between two lists of ours that are signed because somebody has named another one.
const BETWEEN_OURS: Duration = Duration::from_secs(600);
/// The maximum interval between checks, because a changed clock could delay what is due.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

pub(crate) async fn run(ctx: Context) {
    let (mut failures, mut surpassed, mut elsewhere) = (0, None, ctx.events.elsewhere());
    loop {
        ctx.transport.online().await;
        elsewhere.borrow_and_update();
        let pause = match step(&ctx, &mut surpassed).await {
            Ok(Step::Done) => {
                failures = 0;
                continue;
            }
            Ok(Step::Nothing { next_due_ms }) => next_due_ms.map(|due_ms| {
                LONGEST_PAUSE.min(Duration::from_millis(due_ms.saturating_sub(ctx.env.now_ms()).max(1)))
            }),
            Err(error) => {
                tracing::debug!(%error, "a device list could not be fetched");
                failures = u32::saturating_add(failures, 1);
                sleep(Duration::from_millis(backoff_ms(&ctx.env, failures).saturating_add(1_000))).await;
                continue;
            }
        };
        tokio::select! {
            () = ctx.upkeep.lists.notified() => {}
            // Another process may have received something that names a list.
            Ok(()) = elsewhere.changed() => {}
            () = sleep(pause.unwrap_or(LONGEST_PAUSE)), if pause.is_some() => {}
        }
    }
}

enum Step {
    /// The relay was asked for a list.
    Done,
    Nothing {
        next_due_ms: Option<u64>,
    },
}

async fn step(ctx: &Context, surpassed: &mut Option<Instant>) -> Result<Step> {
    let look = |rows: &Rows<'_>| {
        let Some(due) = rows.next_due_list()? else { return Ok(None) };
        let us = rows.our_account()?.1;
        Ok(Some((due, due.user == us.user && rows.holds_account_key()?)))
    };
    let Some((due, is_ours)) = ctx.store.glance(look).await? else {
        return Ok(Step::Nothing { next_due_ms: None });
    };
    let now_ms = ctx.env.now_ms();
    // If it is due later than ever, the clock was set back.
    if due.due_ms > now_ms && due.due_ms <= now_ms.saturating_add(LONGEST_MS) {
        return Ok(Step::Nothing { next_due_ms: Some(due.due_ms) });
    }
    let outcome = match is_ours {
        true => surpass(ctx, surpassed, due).await,
        false => fetch(ctx, due).await,
    };
    if let Err(error) = outcome {
        if error.stops_everything() {
            return Err(error);
        }
        tracing::debug!(%error, "a device list could not be fetched");
        put_off(ctx, due, backoff_ceiling_ms(8, u64::MAX)).await?;
    }
    Ok(Step::Done)
}

/// Signs a later list of ours than any that was named, now and then.
async fn surpass(ctx: &Context, surpassed: &mut Option<Instant>, due: DueList) -> Result<()> {
    if surpassed.is_some_and(|at| at.elapsed() < BETWEEN_OURS) {
        return put_off(ctx, due, u64::try_from(BETWEEN_OURS.as_millis()).unwrap_or(u64::MAX)).await;
    }
    *surpassed = Some(Instant::now());
    device_list::surpass(ctx).await?;
    ctx.store.write(move |tx| tx.forget_due_list(due.user)).await
}

/// The list is fetched later, so that no other waits for it.
async fn put_off(ctx: &Context, DueList { user, tries, .. }: DueList, ceiling_ms: u64) -> Result<()> {
    let due_ms = ctx.env.now_ms().saturating_add(1_000).saturating_add(ctx.env.jitter(ceiling_ms));
    ctx.store.write(move |tx| tx.put_list_off(user, tries, due_ms)).await
}

/// Asks the relay for the list of a user, and takes it if it is a later one.
async fn fetch(ctx: &Context, DueList { user, .. }: DueList) -> Result<()> {
    let asked = tokens::with_access(ctx, |http, token| async move { http.device_list(&token, user).await });
    let shown = match asked.await {
        Ok(shown) => Some(shown.list),
        Err(Error::NotFound | Error::Offline(Offline::Refused(_) | Offline::NotARelay)) => None,
        Err(Error::RecipientDeleted) => {
            return ctx.store.write(move |tx| tx.forget_due_list(user)).await;
        }
        Err(error) => return Err(error),
    };
    let ctx_in_tx = ctx.clone();
    let work = ctx.store.write(move |tx| {
        let Some(before) = tx.due_list(user)? else { return Ok(()) };
        let examined = devices::examine_again(tx, user, shown.as_deref(), before.tries == 0)?;
        examined.store(tx, true)?;
        // It may have been settled, or another one may be due now.
        let Some(due) = tx.due_list(user)? else { return tx.retry_deferred_for_list(user) };
        let tries = due.tries.saturating_add(1);
        let half_ms = backoff_ceiling_ms(tries.saturating_add(2), LONGEST_MS) / 2;
        let wait_ms = half_ms.saturating_add(ctx_in_tx.env.jitter(half_ms));
        tx.put_list_off(user, tries, ctx_in_tx.env.now_ms().saturating_add(wait_ms))?;
        if tries < TRIES {
            return Ok(());
        }
        if due.named.is_none() && due.at_least == 0 {
            tx.forget_due_list(user)?;
        } else if tries == TRIES && !due.contradicts {
            tracing::warn!("the relay hides a device list");
            tx.emit(Event::DeviceListHidden(user));
        }
        // What came from a device that is not on the list is given up.
        tx.retry_deferred_for_list(user)
    });
    work.await?;
    ctx.outbox.notify_one();
    ctx.upkeep.to_retry.notify_one();
    Ok(())
}
