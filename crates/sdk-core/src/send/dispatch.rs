//! Station 3, Next: the loop that empties the outbox, with a lane for each thread.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep;

use super::time::set_clock;
use super::{backoff_ms, lane};
use crate::context::Context;
use crate::health::Part;
use crate::id::ThreadId;

/// Maximum number of threads that are served at the same time.
const MAX_LANES: usize = 64;
/// The delay after a disk failure.
const STORAGE_PAUSE: Duration = Duration::from_secs(1);
/// The maximum interval between checks of the outbox, because a changed clock could delay what is due.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Serves the outbox for as long as it is polled. It can be dropped at any time, because its state is on disk.
pub(crate) async fn run(ctx: Context) {
    let mut lanes = FuturesUnordered::new();
    let mut busy = HashSet::new();
    let mut elsewhere = ctx.events.elsewhere();
    let mut failures = 0;
    loop {
        tokio::select! {
            () = ctx.transport.online() => {}
            // Running lanes continue meanwhile, because others may wait for their results.
            Some(thread) = lanes.next() => {
                busy.remove(&thread);
                continue;
            }
        }
        if let Err(error) = set_clock(&ctx).await {
            tracing::debug!(%error, "the relay does not say what time it is");
            failures = u32::saturating_add(failures, 1);
            // A dead connection is closed within seconds, and the next one states the time.
            let wait_ms = backoff_ms(&ctx.env, failures.min(3));
            sleep(STORAGE_PAUSE.saturating_add(Duration::from_millis(wait_ms))).await;
            continue;
        }
        failures = 0;
        let now_ms = ctx.env.now_ms();
        let looked = ctx
            .store
            .read(move |rows| Ok((rows.due_lanes(now_ms, 2 * MAX_LANES)?, rows.next_due(now_ms)?)))
            .await;
        let (due, next_due) = match looked {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "the outbox cannot be read");
                ctx.health.report::<()>(Part::Sending, &Err(error));
                sleep(STORAGE_PAUSE).await;
                continue;
            }
        };
        for thread in due {
            if busy.len() < MAX_LANES && busy.insert(thread) {
                lanes.push(serve(ctx.clone(), thread));
            }
        }
        // A due lane that does not run yet is started when another one ends.
        let wait_ms = next_due.map(|due| due.saturating_sub(now_ms));
        tokio::select! {
            Some(thread) = lanes.next() => {
                busy.remove(&thread);
            }
            () = ctx.outbox.notified() => {}
            // Another process may have queued something.
            Ok(()) = elsewhere.changed() => {}
            () = sleep(LONGEST_PAUSE.min(Duration::from_millis(wait_ms.unwrap_or(u64::MAX)))) => {}
        }
    }
}

/// Empties the outbox of one thread, or stops if it cannot continue now. Returns the thread.
async fn serve(ctx: Context, thread: ThreadId) -> ThreadId {
    let emptied = lane::empty(&ctx, thread).await;
    ctx.health.report(Part::Sending, &emptied);
    if let Err(error) = emptied {
        tracing::warn!(%error, "sending is interrupted");
        sleep(STORAGE_PAUSE).await;
    }
    thread
}
