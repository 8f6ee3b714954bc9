//! Station 10, Settle: what the relay's answer means for an entry.

use std::sync::Arc;
use std::time::Duration;

use sealpost_protocol::UnixSeconds;
use sealpost_wire as wire;
use sealpost_wire::limits::{DEDUPE_WINDOW_MS, MAX_COUNT};
use sealpost_wire::reason;

use super::backoff_ms;
use super::plan::ToMeet;
use super::prepare::Sealed;
use crate::context::{Context, SkippedDevices};
use crate::error::{Offline, Result};
use crate::fault::{self, Station};
use crate::id::{DeviceId, ThreadId, UserId};
use crate::message::FailReason;
use crate::store::{OutgoingId, Rows, Settled, Settlement, Tx};
use crate::transport;
use crate::waiting::WaitReason;

/// The age in milliseconds at which a parcel gets a new id, well before the relay refuses the old one (seven days).
const OUTDATED_MS: u64 = 5 * 24 * 3600 * 1000;

/// What a lane does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// The next entry may follow.
    GoOn,
    /// The lane starts again immediately with its oldest entry, which may be this one.
    Again,
    /// The lane pauses.
    Stop,
}

/// The consequences of an answer.
pub(super) struct Verdict {
    pub(super) settlement: Settlement,
    /// What must be corrected before the entry is sealed again.
    pub(super) correction: Option<Correction>,
    pub(super) flow: Flow,
    /// Whether the relay has stored nothing because it refused an earlier send of the lane.
    pub(super) lane_stopped: bool,
    /// Why the entry is postponed, if it is.
    pub(super) reason: Option<WaitReason>,
}

/// When an answer is judged.
pub(super) struct Moment {
    pub(super) local_ms: u64,
    pub(super) server_ms: u64,
    /// How long to wait before the entry is tried again.
    pub(super) backoff_ms: u64,
}

impl Moment {
    /// The present, for an entry that was postponed this often.
    pub(super) fn now(ctx: &Context, attempts: u32) -> Self {
        Self {
            local_ms: ctx.env.now_ms(),
            server_ms: ctx.server_now_ms(),
            backoff_ms: backoff_ms(&ctx.env, attempts.saturating_add(1)),
        }
    }
}

/// What a refusal says about outdated state of this device.
pub(super) enum Correction {
    /// The roster has changed.
    Roster(u64),
    /// The devices have changed.
    Devices(Vec<wire::DeviceMismatch>),
}

/// Decides the consequences of an answer. It does no I/O.
pub(super) fn judge(at: &Moment, entry: &Sealed, answer: transport::Result<wire::SendAck>) -> Verdict {
    let due_after = |wait_ms| at.local_ms.saturating_add(wait_ms);
    let later = |wait_ms: u64, reason| Verdict {
        reason: Some(reason),
        ..Verdict::of(Settlement::Later { due_ms: due_after(wait_ms) }, Flow::Stop)
    };
    let is_old = |ms| age_ms(at, entry) > ms;
    match answer {
        Ok(ack) => {
            // A time in the future is not believed.
            let server_ms = (ack.hlc >> 16).min(at.server_ms);
            Verdict::of(
                Settlement::Accepted { epoch: ack.epoch, server_seq: ack.server_seq, server_ms },
                Flow::GoOn,
            )
        }
        // It waits until the other side accepts the thread, and so do the entries behind it. The same bytes are submitted
        // again for as long as the relay accepts their id.
        Err(transport::Error::Refused(refusal)) if refusal.reason == reason::NOT_ACCEPTED => {
            if is_old(OUTDATED_MS) {
                Verdict::of(Settlement::Outdated { due_ms: 0 }, Flow::Again)
            } else {
                Verdict {
                    settlement: Settlement::Unwelcome { due_ms: due_after(at.backoff_ms) },
                    ..later(0, WaitReason::NotAccepted)
                }
            }
        }
        Err(transport::Error::Refused(refusal)) if is_about_time(&refusal) => {
            // The relay looks an id up before it checks its time, so nothing is stored under this one. With `too_old`, it may
            // have been stored and forgotten since, which takes seven days.
            let may_be_stored = refusal.reason == reason::TOO_OLD && entry.may_be_stored;
            match (may_be_stored, entry.attempts) {
                (true, _) if is_old(DEDUPE_WINDOW_MS) => {
                    Verdict::of(Settlement::Failed(FailReason::TooOld), Flow::Again)
                }
                (true, _) => later(at.backoff_ms, WaitReason::Clock),
                (false, 0) => Verdict::of(Settlement::Outdated { due_ms: 0 }, Flow::Again),
                (false, _) => Verdict {
                    settlement: Settlement::Outdated { due_ms: due_after(at.backoff_ms) },
                    ..later(0, WaitReason::Clock)
                },
            }
        }
        // An earlier send was refused. If none was, the relay is at fault, and the lane pauses.
        Err(transport::Error::Refused(refusal)) if refusal.reason == reason::LANE_STOPPED => {
            Verdict { lane_stopped: true, ..later(at.backoff_ms, WaitReason::NoAnswer) }
        }
        Err(transport::Error::Refused(refusal)) => judge_refusal(*refusal),
        Err(transport::Error::Offline(Offline::Busy(wait))) => {
            later(asked_ms(wait).saturating_add(at.backoff_ms), WaitReason::RelayBusy)
        }
        // The outcome is unknown: the same bytes are submitted again.
        Err(transport::Error::Offline(_) | transport::Error::Unauthorized | transport::Error::Replaced) => {
            later(at.backoff_ms, WaitReason::NoAnswer)
        }
    }
}

impl Verdict {
    const fn of(settlement: Settlement, flow: Flow) -> Self {
        Self { settlement, correction: None, flow, lane_stopped: false, reason: None }
    }
}

/// Whether the refusal is due to a wrong clock, ours or the relay's. The relay must be asked for the time before the
/// answer is judged.
pub(super) fn is_about_time(refusal: &wire::Error) -> bool {
    matches!(refusal.reason.as_str(), reason::CLOCK_SKEW | reason::TOO_OLD)
}

/// The age of a parcel's id, in milliseconds.
fn age_ms(at: &Moment, entry: &Sealed) -> u64 {
    let made_ms = entry.parcel.get().client_msg_id.time_ms().unwrap_or(0);
    at.server_ms.saturating_sub(made_ms)
}

/// The delay that the relay asks for, in milliseconds, limited to five minutes.
pub(super) fn asked_ms(wait: Duration) -> u64 {
    const LONGEST: Duration = Duration::from_secs(300);
    u64::try_from(wait.min(LONGEST).as_millis()).unwrap_or(0)
}

fn judge_refusal(refusal: wire::Error) -> Verdict {
    let anew = |correction| Verdict {
        correction: Some(correction),
        ..Verdict::of(Settlement::Requeue { refused: true }, Flow::Again)
    };
    let failed = |reason| Verdict::of(Settlement::Failed(reason), Flow::Again);
    match refusal.reason.as_str() {
        reason::STALE_ROSTER => anew(Correction::Roster(refusal.current_roster_version)),
        reason::MISMATCHED_DEVICES | reason::STALE_DEVICES => anew(Correction::Devices(refusal.mismatches)),
        reason::RECIPIENT_DELETED => failed(FailReason::RecipientDeleted),
        // The thread may come back. The entries behind this one wait for that too.
        reason::NOT_FOUND => Verdict::of(Settlement::Failed(FailReason::NotAMember), Flow::Stop),
        reason::TOO_LARGE => failed(FailReason::TooLarge),
        _ => failed(FailReason::Refused),
    }
}

/// What a lane contains after a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    Nothing,
    Something,
}

/// Settlements of a lane that are to be stored.
#[derive(Debug, Default)]
pub(super) struct ToSettle {
    pub(super) settled: Vec<Settled>,
    /// Whether something may wait until they are stored. Nothing waits for the answer to the receipt of a batch.
    pub(super) is_awaited: bool,
}

impl ToSettle {
    /// The outcome of an entry that was not sealed.
    pub(super) fn now(entry: OutgoingId, settlement: Settlement) -> Self {
        Self { settled: vec![(entry, None, settlement)], is_awaited: true }
    }
}

/// Whether the others let the relay store what is sent in a lane, as far as its settlements say so before they are stored. The first
/// messages of a thread are stored before it is accepted, so one that was not refused before says nothing.
pub(super) fn welcome(rows: &Rows<'_>, settled: &[Settled]) -> Result<Option<bool>> {
    if settled.iter().any(|(_, _, settlement)| matches!(settlement, Settlement::Unwelcome { .. })) {
        return Ok(Some(false));
    }
    for (id, _, settlement) in settled {
        if matches!(settlement, Settlement::Accepted { .. }) && rows.was_put_off(*id)? {
            return Ok(Some(true));
        }
    }
    Ok(None)
}

/// Stores the settlements of a lane, in one transaction. It is not flushed: if it is lost, the same bytes are submitted again, and
/// the relay answers as before.
pub(super) async fn settle(ctx: &Context, lane: ThreadId, to_settle: ToSettle) -> Result<Left> {
    let ToSettle { settled, is_awaited } = to_settle;
    let thread_unknown = |(_, _, settlement): &Settled| {
        matches!(settlement, Settlement::Failed(FailReason::NotAMember | FailReason::UnknownRecipient))
    };
    let threads_unknown = settled.iter().any(thread_unknown);
    let ctx_in_tx = ctx.clone();
    let work = move |tx: &mut Tx<'_>| {
        let welcome = welcome(tx, &settled)?;
        tx.settle_all(&settled)?;
        match welcome {
            Some(false) => ctx_in_tx.unwelcome.add_after(tx, lane),
            Some(true) if ctx_in_tx.unwelcome.contains(lane) => ctx_in_tx.try_unwelcome_again(tx, lane)?,
            _ => {}
        }
        if tx.has_started_timers() {
            let upkeep = Arc::clone(&ctx_in_tx.upkeep);
            tx.after_commit(move || upkeep.timers.notify_one());
        }
        fault::at(Station::SettleBeforeCommit);
        Ok(if tx.is_lane_busy(lane)? { Left::Something } else { Left::Nothing })
    };
    let left =
        if is_awaited { ctx.store.write_unflushed(work).await? } else { ctx.store.write_later(work).await? };
    if threads_unknown {
        ctx.upkeep.to_accept.notify_one();
        // The entries behind one that failed continue.
        ctx.outbox.notify_one();
    }
    fault::at(Station::SettleAfterCommit);
    Ok(left)
}

/// Corrects the stored state according to a refusal. Returns the sessions that must be started.
pub(super) async fn correct(ctx: &Context, thread: ThreadId, correction: Correction) -> Result<Vec<ToMeet>> {
    let now = UnixSeconds(ctx.server_now_ms() / 1000);
    let (skipped, upkeep) = (Arc::clone(&ctx.skipped), Arc::clone(&ctx.upkeep));
    let work = ctx.store.write(move |tx| match correction {
        Correction::Roster(_) if tx.is_group(thread)? => {
            tx.set_roster_due(thread)?;
            tx.after_commit(move || upkeep.rosters.notify_one());
            Ok(Vec::new())
        }
        Correction::Roster(version) => {
            tx.set_roster_version(thread, version.min(MAX_COUNT))?;
            Ok(Vec::new())
        }
        Correction::Devices(mismatches) => {
            let us = tx.our_account()?.1.user;
            if mismatches.iter().any(|mismatch| mismatch.user_id[..] == us.as_bytes()[..]) {
                // One of our devices may have left, or been linked or removed by the primary one.
                tx.after_commit(move || upkeep.devices.notify_one());
            }
            correct_devices(tx, thread, &mismatches, &skipped, now)
        }
    });
    work.await
}

pub(super) fn correct_devices(
    tx: &mut Tx<'_>,
    thread: ThreadId,
    mismatches: &[wire::DeviceMismatch],
    skipped: &SkippedDevices,
    now: UnixSeconds,
) -> Result<Vec<ToMeet>> {
    let us = tx.our_account()?.1;
    let mut to_meet = Vec::new();
    for mismatch in mismatches {
        // The relay must not say anything about users who are not members.
        let Ok(user) = UserId::from_slice(&mismatch.user_id) else { continue };
        if !tx.is_member(thread, user)? {
            continue;
        }
        // This device is nobody's to add or to remove.
        let devices = |numbers: &[u32]| {
            let devices = numbers.iter().filter_map(|number| DeviceId::new(*number).ok());
            devices.filter(|device| (user, *device) != (us.user, us.device)).collect::<Vec<_>>()
        };
        for gone in [devices(&mismatch.extra), devices(&mismatch.stale)].concat() {
            tx.forget_device(user, gone, now)?;
            skipped.remove(user, gone);
        }
        let new = [devices(&mismatch.missing), devices(&mismatch.stale)].concat();
        for device in &new {
            skipped.remove(user, *device);
        }
        if !new.is_empty() {
            to_meet.push(ToMeet { user, devices: new });
        }
    }
    Ok(to_meet)
}
