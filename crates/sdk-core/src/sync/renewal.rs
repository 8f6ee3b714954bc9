//! Renews sessions in the background after this database turned out to be an older copy.
//!
//! The peers of the newest threads are told of new sessions at once. The others follow here in small batches, whose
//! progress is stored with each, so that a later process continues. Until then their messages cannot be opened, but
//! nothing is sealed in an old session.

use std::time::Duration;

use tokio::time::sleep;

use crate::context::Context;
use crate::error::Result;

/// The least pause between two batches, in milliseconds. A random part of up to as much again is added.
const PAUSE_MS: u64 = 1_000;
/// While so many threads have something to send, no more is added.
const BUSY_LANES: u32 = 40;

pub(crate) async fn run(ctx: Context) {
    let mut elsewhere = ctx.events.elsewhere();
    loop {
        ctx.transport.online().await;
        elsewhere.borrow_and_update();
        match renew(&ctx).await {
            Ok(true) => pause(&ctx).await,
            Ok(false) => tokio::select! {
                () = ctx.upkeep.to_renew.notified() => {}
                // Another process may have learnt that this database is a copy.
                Ok(()) = elsewhere.changed() => {}
            },
            Err(error) => {
                tracing::warn!(%error, "sessions are not renewed");
                pause(&ctx).await;
            }
        }
    }
}

async fn pause(ctx: &Context) {
    sleep(Duration::from_millis(PAUSE_MS.saturating_add(ctx.env.jitter(PAUSE_MS)))).await;
}

/// Renews one batch. Returns whether there may be more.
async fn renew(ctx: &Context) -> Result<bool> {
    let (up_to, lanes) = ctx.store.read(|rows| Ok((rows.renewed_up_to()?, rows.lanes()?))).await?;
    if up_to.is_none() || lanes >= BUSY_LANES {
        return Ok(up_to.is_some());
    }
    let (now_ms, in_tx) = (ctx.server_now_ms(), ctx.clone());
    let more = ctx.store.write(move |tx| tx.renew_some(now_ms, || in_tx.new_client_msg_id())).await?;
    ctx.outbox.notify_one();
    Ok(more)
}
