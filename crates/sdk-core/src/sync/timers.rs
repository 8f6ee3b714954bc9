//! Starts the timers of messages that have been read, and deletes the messages whose time has come.
//!
//! What is deleted cannot be brought back, and our clock can be wrong, so only a time counts that the relay has stated since this process
//! began. Until the first connection, nothing disappears.

use std::time::Duration;

use tokio::time::sleep;

use crate::context::Context;
use crate::error::Result;

/// How many messages are changed in one transaction.
const BATCH: u32 = 100;
/// The longest pause while a timer runs. The clock that pauses are measured with can stop while the device is asleep.
const LONGEST: Duration = Duration::from_secs(60);
/// The pause until the relay has stated the time, right after a connection was established.
const SOON: Duration = Duration::from_secs(1);
/// The pause after a failure.
const RETRY: Duration = Duration::from_secs(30);

pub(crate) async fn run(ctx: Context) {
    let mut elsewhere = ctx.events.elsewhere();
    loop {
        elsewhere.borrow_and_update();
        if ctx.stated_now_ms().is_none() {
            ctx.transport.online().await;
        }
        let pause = match work(&ctx).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::warn!(%error, "messages whose time has come are still there");
                sleep(RETRY).await;
                continue;
            }
        };
        tokio::select! {
            () = ctx.upkeep.timers.notified() => {}
            // Another process may have marked messages as read.
            Ok(()) = elsewhere.changed() => {}
            () = sleep(pause.unwrap_or_default()), if pause.is_some() => {}
        }
    }
}

/// Does what is due, and returns how long to wait for the next message; none if no timer runs.
async fn work(ctx: &Context) -> Result<Option<Duration>> {
    let Some(now_ms) = ctx.stated_now_ms() else { return Ok(Some(SOON)) };
    while ctx.store.glance(|rows| rows.are_timers_due()).await? {
        ctx.store.write(move |tx| tx.start_timers(now_ms, BATCH)).await?;
    }
    loop {
        let Some(next_ms) = ctx.store.glance(|rows| rows.next_expiry()).await? else { return Ok(None) };
        if let Some(left_ms) = next_ms.checked_sub(now_ms).filter(|left_ms| *left_ms > 0) {
            return Ok(Some(Duration::from_millis(left_ms).min(LONGEST)));
        }
        ctx.store.write(move |tx| tx.delete_expired(now_ms, BATCH)).await?;
    }
}
