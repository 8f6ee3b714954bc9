//! Deletes messages that were deleted on this device once they can no longer be restored.

use std::time::Duration;

use tokio::time::sleep;

use crate::context::Context;
use crate::error::Result;
use crate::store::RESTORABLE_MS;
use crate::thread;

/// How many messages are deleted in one transaction.
const BATCH: u32 = 100;

pub(crate) async fn run(ctx: Context) {
    let mut elsewhere = ctx.events.elsewhere();
    loop {
        elsewhere.borrow_and_update();
        match purge(&ctx).await {
            Ok(false) => tokio::select! {
                () = ctx.upkeep.hidden.notified() => {}
                // Another process may have deleted messages, or a chat.
                Ok(()) = elsewhere.changed() => {}
            },
            Ok(true) => sleep(Duration::from_millis(RESTORABLE_MS)).await,
            Err(error) => {
                tracing::warn!(%error, "messages that were deleted on this device are still there");
                sleep(Duration::from_millis(RESTORABLE_MS)).await;
            }
        }
    }
}

/// Returns whether there are hidden messages left, which can still be restored.
async fn purge(ctx: &Context) -> Result<bool> {
    // The process may have ended while a history was being deleted.
    while let Some(thread) = ctx.store.glance(|rows| rows.thread_to_clear()).await? {
        thread::clear(ctx, thread).await?;
    }
    thread::continue_clean_up(ctx).await?;
    while ctx.store.glance(|rows| rows.has_hidden()).await? {
        let now_ms = ctx.server_now_ms();
        if ctx.store.write(move |tx| tx.purge_hidden(now_ms, BATCH)).await? == 0 {
            return Ok(true);
        }
    }
    Ok(false)
}
