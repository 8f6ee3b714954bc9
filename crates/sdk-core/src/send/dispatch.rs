//! Station 3, Next: the loop that empties the outbox, a lane for each thread.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep;

use super::answer::{Flow, asked_ms, correct, is_about_time, judge, settle};
use super::backoff_ms;
use super::meet::meet;
use super::prepare::{Prepared, Sealed, prepare};
use crate::context::Context;
use crate::error::{Error, Offline, Result};
use crate::fault::{self, Station};
use crate::health::Part;
use crate::id::{DeviceId, ThreadId, UserId};
use crate::store::{OutgoingId, Settlement};
use crate::transport;

/// Most threads that are served at the same time.
const MAX_LANES: usize = 8;
/// Pause after a failure of the disk.
const STORAGE_PAUSE: Duration = Duration::from_secs(1);
/// The outbox is looked at this often: a clock that was set could delay what is due.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Serves the outbox for as long as it is polled. It may be dropped at any time: all it knows is on disk.
pub(crate) async fn run(ctx: Context) {
    let mut lanes = FuturesUnordered::new();
    let mut busy = HashSet::new();
    let mut elsewhere = ctx.events.elsewhere();
    let mut failures = 0;
    loop {
        tokio::select! {
            () = ctx.transport.online() => {}
            // Those that are under way go on meanwhile: others may wait for what they have.
            Some(thread) = lanes.next() => {
                busy.remove(&thread);
                continue;
            }
        }
        if let Err(error) = set_clock(&ctx).await {
            tracing::debug!(%error, "the relay does not say what time it is");
            failures = u32::saturating_add(failures, 1);
            // A connection that is dead ends within seconds, and the next one says what time it is.
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
                lanes.push(lane(ctx.clone(), thread));
            }
        }
        // What is due and has no lane yet gets one when another ends.
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

/// When our clock was set, asks the relay for the time: what is sealed by a wrong one would be refused.
async fn set_clock(ctx: &Context) -> Result<()> {
    if ctx.clock_has_jumped() { ask_time(ctx).await } else { Ok(()) }
}

async fn ask_time(ctx: &Context) -> Result<()> {
    let offset = ctx.learn_server_time(ctx.transport.server_time().await?);
    let work = ctx.store.write(move |tx| {
        tx.set_clock_offset(offset)?;
        // What is due is written in the time of the clock as it was.
        tx.hurry_lanes()
    });
    work.await
}

/// Empties the outbox of one thread, or stops where it cannot go on now. Gives the thread back.
async fn lane(ctx: Context, thread: ThreadId) -> ThreadId {
    loop {
        let step = match prepare(&ctx, thread).await {
            Ok(Prepared::Nothing) => {
                ctx.health.recovered(Part::Sending);
                return thread;
            }
            Ok(Prepared::Submit(entries)) => submit(&ctx, thread, entries).await,
            Ok(Prepared::Meet { entry, attempts, user, device }) => {
                make_session(&ctx, (entry, attempts), user, device).await
            }
            Err(error) => Err(error),
        };
        ctx.health.report(Part::Sending, &step);
        match step {
            Ok(Flow::GoOn | Flow::Again) => {}
            Ok(Flow::Stop) => return thread,
            Err(error) => {
                tracing::warn!(%error, "sending is interrupted");
                sleep(STORAGE_PAUSE).await;
                return thread;
            }
        }
    }
}

/// Station 9, Submit: one after the other; the next leaves when the one before is answered.
async fn submit(ctx: &Context, thread: ThreadId, entries: Vec<Sealed>) -> Result<Flow> {
    let mut settled = Vec::with_capacity(entries.len());
    let mut refused = None;
    let mut flow = Flow::GoOn;
    for entry in entries {
        let answer = ctx.transport.submit(&entry.parcel).await;
        fault::at(Station::SubmitAnswered);
        if let Err(transport::Error::Refused(refusal)) = &answer
            && is_about_time(refusal)
            && let Err(error) = ask_time(ctx).await
        {
            tracing::debug!(%error, "the relay does not say what time it is");
            flow = Flow::Stop;
            break;
        }
        let verdict = judge(ctx, &entry, answer);
        settled.push((entry.id, Some(entry.parcel.get().client_msg_id), verdict.settlement));
        refused = verdict.correction.map(|correction| ((entry.id, entry.attempts), correction));
        flow = verdict.flow;
        if flow != Flow::GoOn {
            break;
        }
    }
    settle(ctx, settled).await?;
    let Some((entry, correction)) = refused else { return Ok(flow) };
    let (user, devices) = correct(ctx, thread, correction).await?;
    for device in devices {
        if make_session(ctx, entry, user, Some(device)).await? == Flow::Stop {
            return Ok(Flow::Stop);
        }
    }
    Ok(flow)
}

/// Station 5, Meet: a session for an entry that was put off this often, or the reason why there is none.
async fn make_session(
    ctx: &Context,
    (entry, attempts): (OutgoingId, u32),
    user: UserId,
    device: Option<DeviceId>,
) -> Result<Flow> {
    let (settlement, flow) = match meet(ctx, user, device).await {
        Ok(Ok(())) => return Ok(Flow::GoOn),
        Ok(Err(reason)) => (Settlement::Failed(reason), Flow::GoOn),
        Err(Error::Offline(offline)) => {
            let asked_ms = match offline {
                Offline::Busy(wait) => asked_ms(wait),
                _ => 0,
            };
            let wait_ms = asked_ms.saturating_add(backoff_ms(&ctx.env, attempts.saturating_add(1)));
            (Settlement::Later { due_ms: ctx.env.now_ms().saturating_add(wait_ms) }, Flow::Stop)
        }
        Err(error) => return Err(error),
    };
    settle(ctx, vec![(entry, None, settlement)]).await?;
    Ok(flow)
}
