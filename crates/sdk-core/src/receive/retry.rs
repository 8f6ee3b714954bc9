//! Tries envelopes again that could not be processed because of a fault on this side.

use std::time::Duration;

use tokio::time::sleep;

use super::batch::{Finished, in_batch};
use super::envelope::AnyEnvelope;
use super::inbox::wake;
use crate::context::Context;
use crate::error::Result;
use crate::fault::{self, Station};
use crate::store::{Deferred, Tx, UNSEEN_MS, VERSION};
use crate::thread::queue_delivery_receipt;

/// Tries the deferred envelopes when the client starts, and whenever something has changed for some of them.
pub(crate) async fn run(ctx: Context) {
    let mut elsewhere = ctx.events.elsewhere();
    if let Err(error) = begin(&ctx).await {
        tracing::warn!(%error, "the deferred envelopes could not be read");
    }
    loop {
        elsewhere.borrow_and_update();
        if let Err(error) = retry(&ctx).await {
            tracing::warn!(%error, "deferred envelopes could not be tried again");
        }
        let until_shown = until_shown(&ctx).await;
        tokio::select! {
            () = ctx.upkeep.to_retry.notified() => {}
            () = sleep(until_shown.unwrap_or_default()), if until_shown.is_some() => {}
            // Another process may have stored the session that some wait for.
            Ok(()) = elsewhere.changed() => {}
        }
    }
}

/// How long it takes until what waits unseen is shown; none if nothing waits so.
async fn until_shown(ctx: &Context) -> Option<Duration> {
    let oldest_ms = match ctx.store.glance(|rows| rows.oldest_unseen()).await {
        Ok(oldest_ms) => oldest_ms?,
        Err(error) => {
            tracing::debug!(%error, "it could not be read what waits for its chain");
            ctx.server_now_ms()
        }
    };
    let waited_ms = ctx.server_now_ms().abs_diff(oldest_ms);
    Some(Duration::from_millis(UNSEEN_MS.saturating_sub(waited_ms).max(100)))
}

async fn begin(ctx: &Context) -> Result<()> {
    if !ctx.store.glance(|rows| rows.has_deferred()).await? {
        return Ok(());
    }
    let now_ms = ctx.server_now_ms();
    ctx.store.write(move |tx| tx.retry_deferred(VERSION, now_ms)).await
}

/// Tries each envelope that is due in a transaction of its own.
pub(crate) async fn retry(ctx: &Context) -> Result<()> {
    let now_ms = ctx.server_now_ms();
    let oldest_ms = ctx.store.glance(|rows| rows.oldest_unseen()).await?;
    if oldest_ms.is_some_and(|oldest_ms| now_ms.abs_diff(oldest_ms) >= UNSEEN_MS) {
        ctx.store.write(move |tx| tx.end_unseen(now_ms)).await?;
    }
    while ctx.store.glance(|rows| rows.has_due_deferred()).await? {
        let now_ms = ctx.server_now_ms();
        let claimed = ctx.store.write(move |tx| tx.claim_deferred(now_ms)).await?;
        let Some(deferred) = claimed else { return Ok(()) };
        fault::at(Station::RetryBeforeOpen);
        let ctx_in_tx = ctx.clone();
        let work = move |tx: &mut Tx<'_>| {
            let finished = try_again(&ctx_in_tx, tx, &deferred)?;
            fault::at(Station::RetryBeforeCommit);
            Ok(finished)
        };
        let finished = ctx.store.write(work).await?;
        fault::at(Station::RetryAfterCommit);
        wake(ctx, finished);
    }
    Ok(())
}

fn try_again(ctx: &Context, tx: &mut Tx<'_>, deferred: &Deferred) -> Result<Finished> {
    let mut rng = ctx.env.rng();
    let envelope = AnyEnvelope::from_kept(ctx, deferred.bytes.clone());
    in_batch(ctx, tx, (queue_delivery_receipt, false), |work| {
        work.try_again(deferred, envelope.as_ref(), &mut rng)
    })
}
