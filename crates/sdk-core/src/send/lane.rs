//! Stations 3 to 10 for one lane: entries are sealed, submitted and settled at the same time, in their order.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;

use super::answer::{Correction, Flow, Moment, asked_ms, correct, is_about_time, judge, settle};
use super::backoff_ms;
use super::dispatch::ask_time;
use super::meet::meet;
use super::prepare::{Prepared, prepare};
use super::window::{Stopped, Window};
use crate::context::Context;
use crate::error::{Error, Offline, Result};
use crate::fault::{self, Station};
use crate::id::{DeviceId, ThreadId, UserId};
use crate::store::{OutgoingId, Settlement};
use crate::transport::{self, Socket};

/// Empties the lane, or stops where it cannot go on now.
///
/// # Errors
/// Those of the store.
pub(super) async fn empty(ctx: &Context, thread: ThreadId) -> Result<()> {
    // On another connection it begins with the oldest again.
    while let Some(socket) = ctx.transport.live() {
        let flow = match send(ctx, thread, &socket).await? {
            Sent::All => return Ok(()),
            Sent::UpTo(Stopped { correction: Some((entry, attempts, correction)), flow, .. }) => {
                let met = learn(ctx, thread, (entry, attempts), correction).await?;
                if met == Flow::Stop { met } else { flow }
            }
            Sent::UpTo(Stopped { flow, .. }) => flow,
            Sent::UpToMeeting { entry, attempts, user, device } => {
                make_session(ctx, (entry, attempts), user, device).await?
            }
        };
        if flow == Flow::Stop {
            return Ok(());
        }
    }
    Ok(())
}

/// How far the entries of a lane were sent.
enum Sent {
    All,
    UpTo(Stopped),
    /// First a session with this user's device (or all of them) is needed, for this entry.
    UpToMeeting {
        entry: OutgoingId,
        attempts: u32,
        user: UserId,
        device: Option<DeviceId>,
    },
}

/// Sends the entries of a lane over one connection, until there are no more or one of them stops it.
async fn send(ctx: &Context, thread: ThreadId, socket: &Arc<Socket>) -> Result<Sent> {
    let mut window = Window::default();
    // What is under way, at most one of each kind.
    let mut sealing: Option<BoxFuture<'_, Result<Prepared>>> = Some(Box::pin(prepare(ctx, thread, None)));
    let mut submitting: Option<BoxFuture<'_, transport::Result<_>>> = None;
    let mut settling: Option<BoxFuture<'_, Result<()>>> = None;
    let mut answers = FuturesOrdered::new();
    // Behind which entry more may wait, and what ends the lane when all else is answered.
    let (mut last, mut end) = (None, None);
    loop {
        if sealing.is_none() && end.is_none() && window.wants_more() {
            sealing = Some(Box::pin(prepare(ctx, thread, last)));
        }
        if submitting.is_none()
            && let Some((parcel, resume)) = window.next()
        {
            submitting = Some(Box::pin(async move { socket.submit(&parcel, resume).await }));
        }
        if settling.is_none()
            && let Some(settled) = window.take_settled()
        {
            settling = Some(Box::pin(settle(ctx, settled)));
        }
        tokio::select! {
            submitted = next(&mut submitting), if submitting.is_some() => answers.push_back(async move { submitted?.await }),
            Some(answer) = answers.next(), if !answers.is_empty() => {
                fault::at(Station::SubmitAnswered);
                take_answer(ctx, &mut window, answer).await;
            }
            prepared = next(&mut sealing), if sealing.is_some() => match prepared? {
                Prepared::Submit(sealed) => {
                    last = sealed.last().map(|entry| entry.id).or(last);
                    window.add(sealed);
                }
                Prepared::Nothing => end = Some(Sent::All),
                Prepared::Meet { entry, attempts, user, device } => {
                    end = Some(Sent::UpToMeeting { entry, attempts, user, device });
                }
            },
            settled = next(&mut settling), if settling.is_some() => settled?,
            // Nothing is under way, and nothing more begins.
            else => break,
        }
    }
    Ok(window.into_stopped().map_or(end.unwrap_or(Sent::All), Sent::UpTo))
}

/// Waits for what is under way, if anything is.
async fn next<T>(under_way: &mut Option<BoxFuture<'_, T>>) -> T {
    let Some(future) = under_way else { return std::future::pending().await };
    let done = future.await;
    *under_way = None;
    done
}

async fn take_answer(ctx: &Context, window: &mut Window, answer: transport::Result<sealpost_wire::SendAck>) {
    let Some(entry) = window.oldest() else { return };
    if let Err(transport::Error::Refused(refusal)) = &answer
        && is_about_time(refusal)
        && let Err(error) = ask_time(ctx).await
    {
        tracing::debug!(%error, "the relay does not say what time it is");
        window.put_aside();
        return;
    }
    let verdict = judge(&Moment::now(ctx, entry.attempts), entry, answer);
    window.answered(verdict);
}

/// Acts on what a refusal taught, so that the next attempt differs.
async fn learn(
    ctx: &Context,
    thread: ThreadId,
    entry: (OutgoingId, u32),
    correction: Correction,
) -> Result<Flow> {
    let (user, devices) = correct(ctx, thread, correction).await?;
    for device in devices {
        if make_session(ctx, entry, user, Some(device)).await? == Flow::Stop {
            return Ok(Flow::Stop);
        }
    }
    Ok(Flow::Again)
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
