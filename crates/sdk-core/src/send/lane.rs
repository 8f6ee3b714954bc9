//! Stations 3 to 10 for one lane: entries are sealed, submitted and settled at the same time, in their order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt as _};
use sealpost_wire::{SendAck, SendMode};

use super::answer::{
    Correction, Flow, Left, Moment, ToSettle, asked_ms, correct, is_about_time, judge, settle,
};
use super::backoff_ms;
use super::meet::{NotMet, meet_all};
use super::plan::ToMeet;
use super::prepare::{Prepared, Sealed, prepare};
use super::time::ask_time;
use super::window::{Stopped, Window};
use crate::context::{Context, HandedOver};
use crate::error::{Error, Offline, Result};
use crate::fault::{self, Station};
use crate::id::ThreadId;
use crate::message::FailReason;
use crate::store::{Durable, OutgoingId, Parcel, Settlement};
use crate::transport::{self, Socket};
use crate::waiting::WaitReason;

/// The maximum number of entries that are sealed in one transaction.
const BATCH: u32 = 256;
/// The number of entries that are sealed in the first transaction. It is small, so that they are sent soon, however many
/// lanes there are. Each further transaction seals twice as many.
const FIRST_BATCH: u32 = 16;

/// How often the relay may refuse what was sealed for other devices or another roster than it knows, before the lane pauses.
const MAX_CORRECTIONS: u32 = 4;

/// How serving a lane has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Served {
    /// The lane was empty.
    Emptied,
    /// Something may wait in it.
    Stopped,
}

/// Empties the lane, or stops at an entry that cannot be sent now. `first` is its first entry, if that was
/// handed over.
///
/// # Errors
/// Those of the store.
pub(super) async fn empty(
    ctx: &Context,
    thread: ThreadId,
    first: Option<HandedOver>,
    busy_lanes: &AtomicUsize,
) -> Result<Served> {
    let mut begin = match first {
        Some(first) => Begin::HandedOver(first),
        None => Begin::Read,
    };
    let mut corrections = 0_u32;
    // On another connection, it starts again with the oldest entry.
    while let Some(socket) = ctx.transport.live() {
        let begin_with = std::mem::replace(&mut begin, Begin::Read);
        let flow = match send(ctx, thread, &socket, begin_with, busy_lanes).await? {
            Sent::All => {
                ctx.wait_reasons.forget(thread);
                return Ok(Served::Emptied);
            }
            Sent::AllThatCanBe => {
                ctx.wait_reasons.forget(thread);
                return Ok(Served::Stopped);
            }
            Sent::UpToBlock => {
                ctx.wait_reasons.put_off(thread, Some(WaitReason::Blocked));
                return Ok(Served::Stopped);
            }
            Sent::UpToDistribution => {
                ctx.wait_reasons.put_off(thread, None);
                return Ok(Served::Stopped);
            }
            Sent::LookedUp => Flow::Again,
            Sent::UpToLookup(unknown) => {
                begin = Begin::Lookup(unknown);
                Flow::Again
            }
            Sent::UpTo(Stopped { correction: Some((entry, attempts, correction)), flow, .. }) => {
                corrections = corrections.saturating_add(1);
                let met = learn(ctx, thread, (entry, attempts), correction).await?;
                if met == Flow::Stop {
                    met
                } else if corrections >= MAX_CORRECTIONS {
                    // The relay contradicts itself. Other threads go on.
                    put_off(ctx, thread, (entry, attempts), 0, WaitReason::NoKeys).await?
                } else {
                    flow
                }
            }
            Sent::UpTo(Stopped { flow, reason, .. }) => {
                ctx.wait_reasons.put_off(thread, reason);
                flow
            }
            Sent::UpToMeeting { entry, attempts, to_meet } => {
                make_sessions(ctx, thread, (entry, attempts), to_meet).await?
            }
            Sent::UpToWait { entry, attempts, reason } => {
                put_off(ctx, thread, (entry, attempts), 0, reason).await?
            }
        };
        if flow == Flow::Stop {
            return Ok(Served::Stopped);
        }
    }
    Ok(Served::Stopped)
}

/// The pending answers to sends.
type Submitted = Vec<BoxFuture<'static, transport::Result<SendAck>>>;

/// Station 9, Submit: passes these sends to the connection together.
async fn submit(socket: &Socket, run: Vec<(Durable<Parcel>, SendMode)>) -> Submitted {
    match socket.submit(&run).await {
        Ok(answers) => answers.into_iter().map(FutureExt::boxed).collect(),
        // The connection has ended.
        Err(error) => run.iter().map(|_| std::future::ready(Err(error.clone())).boxed()).collect(),
    }
}

/// Where the sends of a lane on one connection start.
enum Begin {
    /// With the oldest entries in the outbox.
    Read,
    /// With the only entry of the lane, which has not been submitted yet.
    HandedOver(HandedOver),
    /// With a lookup of these entries, after which nothing else is sent.
    Lookup(Vec<Sealed>),
}

/// How far the entries of a lane were sent.
enum Sent {
    All,
    /// All that could be sealed now.
    AllThatCanBe,
    /// The rest waits until the recipient is no longer blocked.
    UpToBlock,
    /// The rest waits until others have our chain in the group.
    UpToDistribution,
    /// Nothing was sent, but it is known now which entries the relay has stored.
    LookedUp,
    UpTo(Stopped),
    /// The relay must be asked about these entries first.
    UpToLookup(Vec<Sealed>),
    /// This entry first needs these sessions.
    UpToMeeting {
        entry: OutgoingId,
        attempts: u32,
        to_meet: Vec<ToMeet>,
    },
    /// This entry waits for another device list of a recipient, or for the roster of the group.
    UpToWait {
        entry: OutgoingId,
        attempts: u32,
        reason: WaitReason,
    },
}

/// Sends the entries of a lane over one connection, until there are no more or one of them stops the lane. If it starts with a
/// lookup, it only asks the relay which of the entries are stored.
async fn send(
    ctx: &Context,
    thread: ThreadId,
    socket: &Arc<Socket>,
    begin: Begin,
    busy_lanes: &AtomicUsize,
) -> Result<Sent> {
    // The running operations, at most one of each kind.
    let mut sealing: Option<BoxFuture<'_, Result<Prepared>>> = None;
    let mut submitting: Option<BoxFuture<'_, Submitted>> = None;
    let mut settling: Option<BoxFuture<'_, Result<Left>>> = None;
    let mut answers = FuturesOrdered::new();
    // The last entry that was sealed, and the result to return once everything has been answered.
    let (mut last, mut batch, mut end) = (None, FIRST_BATCH, None);
    // After a message that was the only one, the outbox is read only if its settlement shows that there are others.
    let mut may_have_more = true;
    let mut window = match begin {
        Begin::Lookup(unknown) => {
            end = Some(Sent::LookedUp);
            Window::lookup(unknown)
        }
        Begin::HandedOver(first)
            if first.is_for(socket)
                && first.is_as_of(ctx.handover.blocks(&ctx.events))
                && ctx.take_fresh(&first.name()) =>
        {
            let HandedOver { entry: id, is_awaited, parcel, .. } = first;
            (last, may_have_more) = (Some(id), false);
            let mut window = Window::default();
            window.add(vec![Sealed { id, attempts: 0, may_be_stored: false, is_awaited, parcel }]);
            window
        }
        Begin::Read | Begin::HandedOver(_) => Window::default(),
    };
    loop {
        if sealing.is_none() && end.is_none() && may_have_more && window.wants_more() {
            sealing = Some(Box::pin(prepare(ctx, thread, last, batch)));
            batch = batch.saturating_mul(2).min(BATCH);
        }
        if submitting.is_none() {
            let run = window.next_run(busy_lanes.load(Ordering::Relaxed));
            submitting = (!run.is_empty()).then(|| submit(socket, run).boxed());
        }
        if settling.is_none()
            && let Some(settled) = window.take_settled()
        {
            settling = Some(Box::pin(settle(ctx, thread, settled)));
        }
        tokio::select! {
            submitted = next(&mut submitting), if submitting.is_some() => answers.extend(submitted),
            Some(answer) = answers.next(), if !answers.is_empty() => {
                // Answers that have arrived together are stored together.
                let mut next = Some(answer);
                while let Some(answer) = next {
                    fault::at(Station::SubmitAnswered);
                    take_answer(ctx, &mut window, answer).await;
                    next = answers.next().now_or_never().flatten();
                }
            }
            prepared = next(&mut sealing), if sealing.is_some() => match prepared? {
                Prepared::Submit(sealed) => {
                    last = sealed.last().map(|entry| entry.id).or(last);
                    window.add(sealed);
                }
                Prepared::Nothing => end = Some(Sent::All),
                Prepared::NothingNow => end = Some(Sent::AllThatCanBe),
                Prepared::Held => end = Some(Sent::UpToBlock),
                Prepared::Distributing => end = Some(Sent::UpToDistribution),
                Prepared::Lookup(unknown) => end = Some(Sent::UpToLookup(unknown)),
                Prepared::Meet { entry, attempts, to_meet } => {
                    end = Some(Sent::UpToMeeting { entry, attempts, to_meet });
                }
                Prepared::Await { entry, attempts, reason } => {
                    end = Some(Sent::UpToWait { entry, attempts, reason });
                }
            },
            left = next(&mut settling), if settling.is_some() => match left? {
                Left::Nothing if sealing.is_none() => {
                    end.get_or_insert(Sent::All);
                }
                _ => may_have_more = true,
            },
            // Nothing is running, and nothing more will be started.
            else => break,
        }
    }
    ctx.note_fresh(window.take_fresh());
    Ok(window.into_stopped().map_or(end.unwrap_or(Sent::All), Sent::UpTo))
}

/// Waits for a running operation, or forever if there is none.
async fn next<T>(under_way: &mut Option<BoxFuture<'_, T>>) -> T {
    let Some(future) = under_way else { return std::future::pending().await };
    let done = future.await;
    *under_way = None;
    done
}

async fn take_answer(ctx: &Context, window: &mut Window, answer: transport::Result<SendAck>) {
    let Some(entry) = window.oldest() else { return };
    if let Err(transport::Error::Refused(refusal)) = &answer
        && is_about_time(refusal)
        && !window.has_stopped()
        && let Err(error) = ask_time(ctx).await
    {
        tracing::debug!(%error, "the relay could not be asked for the time");
        window.put_aside();
        return;
    }
    let verdict = judge(&Moment::now(ctx, entry.attempts), entry, answer);
    window.answered(verdict);
}

/// Corrects the state that a refusal has shown to be outdated, so that the next attempt can succeed.
async fn learn(
    ctx: &Context,
    thread: ThreadId,
    entry: (OutgoingId, u32),
    correction: Correction,
) -> Result<Flow> {
    let to_meet = correct(ctx, thread, correction).await?;
    if to_meet.is_empty() { Ok(Flow::Again) } else { make_sessions(ctx, thread, entry, to_meet).await }
}

/// Tries an entry again later, which was postponed `attempts` times before, but not before the delay that the relay has asked for.
async fn put_off(
    ctx: &Context,
    thread: ThreadId,
    (entry, attempts): (OutgoingId, u32),
    asked_ms: u64,
    reason: WaitReason,
) -> Result<Flow> {
    let wait_ms = asked_ms.saturating_add(backoff_ms(&ctx.env, attempts.saturating_add(1)));
    let later = Settlement::Later { due_ms: ctx.env.now_ms().saturating_add(wait_ms) };
    settle(ctx, thread, ToSettle::now(entry, later)).await?;
    ctx.wait_reasons.put_off(thread, Some(reason));
    Ok(Flow::Stop)
}

/// Station 5, Meet: starts all these sessions at the same time, for an entry that was postponed `attempts` times.
async fn make_sessions(
    ctx: &Context,
    thread: ThreadId,
    (entry, attempts): (OutgoingId, u32),
    to_meet: Vec<ToMeet>,
) -> Result<Flow> {
    let settlement = match meet_all(ctx, thread, &to_meet).await {
        Ok(Ok(())) => return Ok(Flow::Again),
        Ok(Err(NotMet::For(reason))) => Settlement::Failed(reason),
        Ok(Err(NotMet::ListRefused)) => {
            return put_off(ctx, thread, (entry, attempts), 0, WaitReason::DeviceListRefused).await;
        }
        Err(Error::Offline(offline)) => {
            let asked_ms = match offline {
                Offline::Busy(wait) => asked_ms(wait),
                _ => 0,
            };
            return put_off(ctx, thread, (entry, attempts), asked_ms, WaitReason::NoKeys).await;
        }
        Err(error) => return Err(error),
    };
    // If the relay may soon know the user again, the entries behind this one wait too.
    let may_come_back = matches!(settlement, Settlement::Failed(FailReason::UnknownRecipient));
    settle(ctx, thread, ToSettle::now(entry, settlement)).await?;
    Ok(if may_come_back { Flow::Stop } else { Flow::Again })
}
