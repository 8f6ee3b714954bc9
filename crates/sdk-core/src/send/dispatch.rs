//! Station 3, Next: the loop that empties the outbox, with a lane for each thread.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::{Instant, sleep};

use super::backoff_ms;
use super::lane::{self, Served};
use super::time::set_clock;
use crate::context::{Context, HandedOver, Handover};
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
    let _serving = ctx.handover.serve();
    let mut lanes = Lanes::default();
    let mut elsewhere = ctx.events.elsewhere();
    let mut failures = 0;
    // Lanes without a row are looked for, because the process that sends their entries may have ended.
    let mut scanned = Instant::now();
    loop {
        // Running lanes always continue, because others may wait for their results.
        lanes.beside(ctx.transport.online()).await;
        if let Err(error) = lanes.beside(set_clock(&ctx)).await {
            tracing::debug!(%error, "the relay could not be asked for the time");
            failures = u32::saturating_add(failures, 1);
            // A dead connection is closed within seconds, and the next one states the time.
            let wait_ms = backoff_ms(&ctx.env, failures.min(3));
            lanes.beside(sleep(STORAGE_PAUSE.saturating_add(Duration::from_millis(wait_ms)))).await;
            continue;
        }
        failures = 0;
        lanes.must_look = false;
        lanes.start_handed_over(&ctx);
        let now_ms = ctx.env.now_ms();
        let must_scan = scanned.elapsed() >= LONGEST_PAUSE;
        let look = ctx.store.read(move |rows| {
            let mut due = rows.due_lanes(now_ms, 2 * MAX_LANES)?;
            if must_scan {
                due.extend(rows.unlisted_lanes(2 * MAX_LANES)?);
            }
            Ok((due, rows.next_due(now_ms)?))
        });
        let (due, next_due) = match lanes.beside(look).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "the outbox cannot be read");
                ctx.health.report::<()>(Part::Sending, &Err(error));
                lanes.beside(sleep(STORAGE_PAUSE)).await;
                continue;
            }
        };
        if must_scan {
            scanned = Instant::now();
        }
        // Messages that were handed over in the meantime need not be read again.
        lanes.start_handed_over(&ctx);
        for thread in due {
            lanes.start(&ctx, thread, None);
        }
        // A due lane that does not run yet is started when another one ends.
        let wait_ms = next_due.map(|due| due.saturating_sub(now_ms));
        let until_scan = LONGEST_PAUSE.saturating_sub(scanned.elapsed());
        let mut pause = pin!(sleep(until_scan.min(Duration::from_millis(wait_ms.unwrap_or(u64::MAX)))));
        loop {
            tokio::select! {
                () = ctx.handover.filled() => lanes.start_handed_over(&ctx),
                Some(()) = lanes.ended() => {
                    if lanes.must_look || ctx.clock_has_jumped() {
                        break;
                    }
                    lanes.start_handed_over(&ctx);
                }
                () = ctx.outbox.notified() => break,
                // Another process may have queued something.
                Ok(()) = elsewhere.changed() => break,
                () = &mut pause => break,
            }
        }
    }
}

/// The lanes that are served at present.
#[derive(Default)]
struct Lanes {
    running: FuturesUnordered<BoxFuture<'static, (ThreadId, Served)>>,
    busy: HashSet<ThreadId>,
    /// Whether something may be due that none of the running lanes will send: a lane could not be started, or has stopped.
    must_look: bool,
    /// The number of busy lanes, which the lanes read.
    count: Arc<AtomicUsize>,
}

impl Lanes {
    /// Serves a lane, unless it is served already or too many are.
    fn start(&mut self, ctx: &Context, thread: ThreadId, only: Option<HandedOver>) {
        if self.busy.len() < MAX_LANES && self.busy.insert(thread) {
            self.count.store(self.busy.len(), Ordering::Relaxed);
            self.running.push(serve(ctx.clone(), thread, only, Arc::clone(&self.count)).boxed());
        } else {
            self.must_look = true;
        }
    }

    /// Serves the lanes whose only message was sealed when it was queued. If a lane is still busy, or as many are as may be, its
    /// message waits until one has ended: the lane may have no row by which it could be found.
    fn start_handed_over(&mut self, ctx: &Context) {
        for (thread, only) in self.take_handed_over(&ctx.handover) {
            self.start(ctx, thread, Some(only));
        }
    }

    fn take_handed_over(&self, handover: &Handover) -> Vec<(ThreadId, HandedOver)> {
        let room = MAX_LANES.saturating_sub(self.busy.len());
        handover.take(room, |thread| !self.busy.contains(thread))
    }

    /// Waits for something else while the lanes continue.
    async fn beside<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = pin!(other);
        loop {
            tokio::select! {
                done = &mut other => return done,
                Some(()) = self.ended() => {}
            }
        }
    }

    /// Waits until a lane has ended. Returns `None` immediately if none is running.
    async fn ended(&mut self) -> Option<()> {
        let (thread, served) = self.running.next().await?;
        self.must_look |= served == Served::Stopped;
        self.busy.remove(&thread);
        self.count.store(self.busy.len(), Ordering::Relaxed);
        Some(())
    }
}

/// Empties the outbox of one thread, or stops if it cannot continue now. Returns the thread and how that has ended.
async fn serve(
    ctx: Context,
    thread: ThreadId,
    only: Option<HandedOver>,
    busy_lanes: Arc<AtomicUsize>,
) -> (ThreadId, Served) {
    let was_handed_over = only.is_some();
    let mut served = lane::empty(&ctx, thread, only, &busy_lanes).await;
    if was_handed_over && !matches!(served, Ok(Served::Emptied)) {
        // From now on, the lane is found by its row.
        let listed = ctx.store.write(move |tx| tx.list_lane(thread)).await;
        served = served.and_then(|served| listed.map(|()| served));
    }
    ctx.health.report(Part::Sending, &served);
    match served {
        Ok(served) => (thread, served),
        Err(error) => {
            tracing::warn!(%error, "sending is interrupted");
            sleep(STORAGE_PAUSE).await;
            (thread, Served::Stopped)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ClientMsgId;
    use crate::store::{Durable, OutgoingId, Parcel};

    fn thread(number: usize) -> ThreadId {
        ThreadId::from_bytes([u8::try_from(number).unwrap(); 16])
    }

    #[test]
    fn a_handed_over_message_waits_until_a_lane_is_free() {
        let (handover, mut lanes) = (Handover::default(), Lanes::default());
        let put = |number| {
            let parcel = Parcel { client_msg_id: ClientMsgId::from_bytes([1; 16]), bytes: "sealed".into() };
            handover.put(
                thread(number),
                HandedOver::unconnected(OutgoingId::numbered(1), Durable::assumed(parcel)),
            );
        };
        let start = |lanes: &mut Lanes| {
            let taken: Vec<_> = lanes.take_handed_over(&handover).into_iter().map(|(lane, _)| lane).collect();
            lanes.busy.extend(taken.iter().copied());
            taken.len()
        };
        (0..MAX_LANES + 5).for_each(put);
        assert_eq!(start(&mut lanes), MAX_LANES);
        assert_eq!(start(&mut lanes), 0);
        let ended: Vec<_> = lanes.busy.iter().copied().take(2).collect();
        for lane in ended {
            lanes.busy.remove(&lane);
        }
        assert_eq!(start(&mut lanes), 2);
        lanes.busy.clear();
        // The message of a busy lane waits for that lane.
        lanes.busy.insert(thread(200));
        put(200);
        assert_eq!(start(&mut lanes), 3);
        lanes.busy.remove(&thread(200));
        assert_eq!(start(&mut lanes), 1);
    }
}
