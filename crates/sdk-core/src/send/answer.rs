//! Station 10, Settle: what the relay's answer means for an entry.

use std::time::Duration;

use sealpost_wire as wire;
use sealpost_wire::reason;

use super::backoff_ms;
use super::prepare::Sealed;
use crate::context::Context;
use crate::error::{Offline, Result};
use crate::fault::{self, Station};
use crate::id::{DeviceId, MessageId, ThreadId, UserId};
use crate::message::FailReason;
use crate::store::{Settlement, Thread};
use crate::transport;

/// What the lane of the thread does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// The next entry may follow.
    GoOn,
    /// This one first: it is sealed anew at once.
    Again,
    /// Not now.
    Stop,
}

/// What an answer leads to; and, for a refusal, what is to be learnt from it first.
pub(super) struct Verdict {
    pub(super) settlement: Settlement,
    pub(super) lesson: Option<Lesson>,
    pub(super) flow: Flow,
}

/// What a refusal teaches.
pub(super) enum Lesson {
    /// The roster has changed.
    Roster(u64),
    /// The devices have changed.
    Devices(Vec<wire::DeviceMismatch>),
}

pub(super) fn judge(ctx: &Context, entry: &Sealed, answer: transport::Result<wire::SendAck>) -> Verdict {
    let settled = |settlement, flow| Verdict { settlement, lesson: None, flow };
    let later = |wait_ms: u64| {
        let due_ms = ctx.env.now_ms().saturating_add(wait_ms);
        settled(Settlement::Later { due_ms }, Flow::Stop)
    };
    match answer {
        Ok(ack) => settled(Settlement::Accepted { epoch: ack.epoch, server_seq: ack.server_seq }, Flow::GoOn),
        Err(transport::Error::Refused(refusal)) => judge_refusal(*refusal),
        Err(transport::Error::Offline(Offline::Busy(wait))) => {
            later(u64::try_from(wait.min(Duration::from_secs(3600)).as_millis()).unwrap_or(0))
        }
        // The outcome is unknown: the same bytes are submitted again.
        Err(transport::Error::Offline(_) | transport::Error::Unauthorized) => {
            later(backoff_ms(&ctx.env, entry.attempts.saturating_add(1)))
        }
    }
}

fn judge_refusal(refusal: wire::Error) -> Verdict {
    let anew = |lesson| Verdict { settlement: Settlement::Requeue, lesson, flow: Flow::Again };
    let failed = |reason| Verdict { settlement: Settlement::Failed(reason), lesson: None, flow: Flow::GoOn };
    match refusal.reason.as_str() {
        reason::STALE_ROSTER => anew(Some(Lesson::Roster(refusal.current_roster_version))),
        reason::MISMATCHED_DEVICES | reason::STALE_DEVICES => anew(Some(Lesson::Devices(refusal.mismatches))),
        // The clock was wrong when the id was made; by now it is right.
        reason::CLOCK_SKEW => anew(None),
        reason::TOO_OLD => failed(FailReason::TooOld),
        reason::NOT_FOUND => failed(FailReason::NotAMember),
        reason::TOO_LARGE => failed(FailReason::TooLarge),
        _ => failed(FailReason::Refused),
    }
}

/// Writes the answers down.
pub(super) async fn settle(ctx: &Context, settled: Vec<(MessageId, Settlement)>) -> Result<()> {
    if settled.is_empty() {
        return Ok(());
    }
    let work = ctx.store.write(move |tx| {
        for (id, settlement) in settled {
            tx.settle(id, settlement)?;
        }
        fault::at(Station::SettleBeforeCommit);
        Ok(())
    });
    work.await?;
    fault::at(Station::SettleAfterCommit);
    Ok(())
}

/// Acts on what a refusal taught, so that the next attempt differs.
pub(super) async fn learn(ctx: &Context, thread: ThreadId, lesson: Lesson) -> Result<()> {
    match lesson {
        Lesson::Roster(roster_version) => {
            let now_ms = ctx.server_now_ms();
            let work = ctx.store.write(move |tx| match tx.thread(thread)? {
                Some(known) => tx.put_thread(Thread { roster_version, ..known }, now_ms),
                None => Ok(()),
            });
            work.await
        }
        Lesson::Devices(mismatches) => {
            for mismatch in mismatches {
                learn_devices(ctx, mismatch).await?;
            }
            Ok(())
        }
    }
}

async fn learn_devices(ctx: &Context, mismatch: wire::DeviceMismatch) -> Result<()> {
    let Ok(user) = UserId::from_slice(&mismatch.user_id) else { return Ok(()) };
    let gone: Vec<u32> = mismatch.extra.iter().chain(&mismatch.stale).copied().collect();
    let forgetting = ctx.store.write(move |tx| {
        for device in gone {
            if let Ok(device) = DeviceId::new(device) {
                tx.forget_device(user, device)?;
            }
        }
        Ok(())
    });
    forgetting.await?;
    for device in mismatch.missing.into_iter().chain(mismatch.stale) {
        if let Ok(device) = DeviceId::new(device) {
            // A device with bad keys is found out again, with a reason, when the entry is next sealed.
            let _ = super::meet::meet(ctx, user, Some(device)).await?;
        }
    }
    Ok(())
}
