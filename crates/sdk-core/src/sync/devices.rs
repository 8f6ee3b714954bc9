//! Finishes in the background what was begun about the devices of our account, and asks the relay about them: at each connection, and
//! when something was begun.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::account::device_upkeep;
use crate::context::Context;

const PERIOD: Duration = Duration::from_secs(6 * 3600);
const FIRST_PAUSE_MS: u64 = 1_000;
const LONGEST_PAUSE_MS: u64 = 300_000;

pub(super) async fn run(ctx: Context) {
    let mut pause_ms = FIRST_PAUSE_MS;
    loop {
        ctx.transport.online().await;
        let wait = match device_upkeep::keep_up(&ctx).await {
            Ok(()) => {
                pause_ms = FIRST_PAUSE_MS;
                PERIOD
            }
            Err(error) => {
                tracing::debug!(%error, "something about our devices is still to be done");
                let wait_ms = pause_ms.saturating_add(ctx.env.jitter(pause_ms));
                pause_ms = pause_ms.saturating_mul(2).min(LONGEST_PAUSE_MS);
                sleep(Duration::from_millis(wait_ms)).await;
                continue;
            }
        };
        // Woken or not, it is time to look again.
        let _ = timeout(wait, ctx.upkeep.devices.notified()).await;
    }
}
