//! The task that removes expired rows, in steps small enough not to delay sends.

use std::sync::Arc;

use tokio::time::MissedTickBehavior;

use crate::bus::WakeReason;
use crate::state::State;

/// Rows of each kind in one step. Each deletion writes up to 64 KiB to the log.
const BUDGET: u32 = 250;
/// Each has keys and a mailbox that are removed.
const UNLINKED_AT_ONCE: usize = 8;

/// Sweeps at intervals, until it is aborted.
pub(crate) async fn run(state: Arc<State>) {
    let mut tick = tokio::time::interval(state.timing.sweep);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        while let Ok(swept) = state.store.sweep(state.clock.unix_ms(), BUDGET).await {
            tracing::debug!(inbox = swept.inbox, dedupe = swept.dedupe, other = swept.other, "swept");
            if !swept.is_full(BUDGET) {
                break;
            }
        }
        state.links.sweep(state.clock.monotonic());
        while let Ok(unlinked) = state.store.unlink_unseen(state.clock.unix_ms(), UNLINKED_AT_ONCE).await {
            for device in &unlinked {
                tracing::info!("a device that was not connected for long was unlinked");
                state.bus.wake(*device, WakeReason::Revoked);
            }
            if unlinked.len() < UNLINKED_AT_ONCE {
                break;
            }
        }
    }
}
