//! The context that all paths share: the store, the transport, the clocks, the policy, and the health of the client.

mod handover;
mod health;
mod named_rosters;
mod pace;
mod welcome;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use sealpost_protocol::{KnownKeys, SessionPolicy, UnixSeconds};
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::Instant;

use crate::config::{ChangeLimits, MessageRequests};
use crate::env::Env;
use crate::ephemeral::{Calls, Ephemeral};
use crate::error::Result;
use crate::event::{Event, EventBus};
use crate::id::{ClientMsgId, DeviceId, UserId};
use crate::store::{Clocks, NewMail, Store, Tx};
use crate::transport::Transport;
use crate::waiting::WaitReasons;

pub(crate) use handover::{HandedOver, Handover};
pub(crate) use health::{Failures, Health};
pub(crate) use named_rosters::NamedRosters;
pub(crate) use pace::{RECEIPT_PACE, ReceiptPace};
pub(crate) use welcome::Unwelcome;

/// If our clock differs from the expected time by more than this, it was set, and the relay could refuse ids that are based
/// on it.
const JUMP_MS: u64 = 60_000;

/// Wakes the background tasks, each for its reason.
#[derive(Default)]
pub(crate) struct Upkeep {
    /// The relay runs low on our pre-keys, or lacks our device list.
    pub(crate) keys_low: Notify,
    /// The relay is to be told of changes of our devices, or to be asked about them.
    pub(crate) devices: Notify,
    /// There may be a thread that others began, or somebody who was blocked, of which the relay does not know.
    pub(crate) to_accept: Notify,
    /// There may be deferred envelopes to be tried again.
    pub(crate) to_retry: Notify,
    /// There are read receipts to be queued.
    pub(crate) receipts_due: Notify,
    /// There are messages that were deleted on this device.
    pub(crate) hidden: Notify,
    /// There may be messages that disappear earlier than was known.
    pub(crate) timers: Notify,
    /// There may be threads to which our profile or our device list is to be sent.
    pub(crate) news: Notify,
    /// There may be threads whose sessions are to be renewed.
    pub(crate) to_renew: Notify,
    /// There may be device lists to be fetched.
    pub(crate) lists: Notify,
    /// A part of a bootstrap has come, or was sent.
    pub(crate) bootstrap: Notify,
    /// Mail was queued.
    pub(crate) mail: Notify,
    /// The chain of a group is to be fetched.
    pub(crate) rosters: Notify,
    /// Which entries of rosters are known to exist although they are not here.
    pub(crate) named_rosters: NamedRosters,
    /// Others are to be told whether the person is there.
    pub(crate) presence: Notify,
}

/// 2026-01-01. The time at a relay that supports this version cannot be earlier.
const RELEASED_MS: u64 = 1_767_225_600_000;
const DAY_MS: u64 = 24 * 3_600 * 1_000;
const YEAR_MS: u64 = 365 * DAY_MS;
/// How far the relay's clock may be ahead of ours, or behind both clocks: 1 year. With a clock that is further off, TLS does
/// not work either, because certificates are valid for about as long.
const MAX_CLOCK_DIFFERENCE_MS: u64 = YEAR_MS;
/// How far the relay's clock may be ahead of the last time that both clocks agreed on, if our clock has lost its time: 10
/// years.
const MAX_CLOCK_LOSS_MS: u64 = 10 * YEAR_MS;

/// The context. Clones share everything.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) store: Store,
    pub(crate) transport: Transport,
    pub(crate) env: Env,
    pub(crate) events: EventBus,
    /// Which parts cannot do their work.
    pub(crate) health: Health,
    pub(crate) policy: SessionPolicy,
    /// How long messages can be changed.
    pub(crate) limits: ChangeLimits,
    /// What happens to threads that strangers begin.
    pub(crate) requests: MessageRequests,
    /// Wakes the dispatcher when something was queued.
    pub(crate) outbox: Arc<Notify>,
    /// Passes messages that are already sealed to the dispatcher.
    pub(crate) handover: Arc<Handover>,
    /// Who is writing, and who is there.
    pub(crate) ephemeral: Arc<Ephemeral>,
    /// The calls of this process.
    pub(crate) calls: Arc<Calls>,
    /// In which threads the others do not let the relay store what we send.
    pub(crate) unwelcome: Arc<Unwelcome>,
    /// When the next receipts may leave.
    pub(crate) receipts: Arc<ReceiptPace>,
    /// Wakes the background tasks.
    pub(crate) upkeep: Arc<Upkeep>,
    /// Held during an exchange of tokens. A call that has waited for it uses the result of that exchange.
    pub(crate) refreshing: Arc<Mutex<()>>,
    /// Whether the relay was shown our login key since this client was opened.
    pub(crate) login_key_shown: Arc<AtomicBool>,
    /// Changes when running exchanges of tokens are abandoned.
    pub(crate) suspended: watch::Sender<()>,
    /// The identity keys whose bundles were valid recently. Further bundles of these keys are verified faster.
    pub(crate) known_keys: Arc<std::sync::Mutex<KnownKeys>>,
    /// The parcels that the relay has certainly not stored, because they were not submitted, or were refused.
    pub(crate) fresh: Arc<std::sync::Mutex<HashSet<ClientMsgId>>>,
    /// Why the oldest message of each thread is waiting.
    pub(crate) wait_reasons: Arc<WaitReasons>,
    /// Devices whose keys were refused.
    pub(crate) skipped: Arc<SkippedDevices>,
    relay_clock: Arc<RelayClock>,
}

/// A device that is skipped, because the keys that the relay returns for it are invalid, or because it is one of ours that the relay does not
/// know yet. The other devices of its user do not wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Skipped {
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
    pub(crate) registration_id: u32,
    /// The relay has no keys of it, and accepts no copies for it.
    pub(crate) is_absent: bool,
}

/// The devices that are skipped at present. Their keys are fetched again after a while, and when the client starts.
#[derive(Debug, Default)]
pub(crate) struct SkippedDevices(std::sync::Mutex<Vec<(Skipped, UnixSeconds)>>);

/// How long a device is skipped before its keys are fetched again, in seconds.
const SKIP_S: u64 = 3600;
/// The maximum number of skipped devices that are remembered. Beyond it, the oldest is forgotten.
const MAX_SKIPPED: usize = 1024;

impl SkippedDevices {
    pub(crate) fn add(&self, skipped: Skipped, now: UnixSeconds) {
        self.remove(skipped.user, skipped.device);
        let mut all = self.lock();
        if all.len() >= MAX_SKIPPED {
            all.remove(0);
        }
        all.push((skipped, now));
    }

    pub(crate) fn remove(&self, user: UserId, device: DeviceId) {
        self.lock().retain(|(skipped, _)| (skipped.user, skipped.device) != (user, device));
    }

    /// The skipped devices of one user.
    pub(crate) fn of(&self, user: UserId, now: UnixSeconds) -> Vec<Skipped> {
        let mut all = self.lock();
        // If the clock was set back, the device is not skipped any longer.
        all.retain(|(_, since)| now.0.checked_sub(since.0).is_some_and(|passed| passed < SKIP_S));
        all.iter().map(|(skipped, _)| *skipped).filter(|skipped| skipped.user == user).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Skipped, UnixSeconds)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known about the relay's time.
#[derive(Default)]
struct RelayClock {
    offset_ms: AtomicI64,
    /// A time that the relay's clock and ours agree has passed.
    passed_ms: AtomicU64,
    /// When the relay last stated its time: by our clock, and by a monotonic one.
    learnt: std::sync::Mutex<Option<(u64, Instant)>>,
    /// Whether the last time that it stated was impossible, and was reported as such.
    impossible: AtomicBool,
}

/// Whether `relay_ms` can be the time at the relay, given the time of our clock and a time that both clocks agree has passed.
fn is_possible(relay_ms: u64, ours_ms: u64, passed_ms: u64) -> bool {
    let passed_ms = passed_ms.max(RELEASED_MS);
    // Our clock has lost its time, for example because the battery was empty.
    let is_lost = ours_ms.saturating_add(DAY_MS) < passed_ms;
    let latest = if is_lost {
        passed_ms.saturating_add(MAX_CLOCK_LOSS_MS)
    } else {
        ours_ms.saturating_add(MAX_CLOCK_DIFFERENCE_MS)
    };
    let earliest = ours_ms.min(passed_ms).saturating_sub(MAX_CLOCK_DIFFERENCE_MS).max(RELEASED_MS);
    (earliest..=latest).contains(&relay_ms)
}

impl Context {
    /// Queues mail in a transaction. Once it is committed, the mail is sealed when it is due, and submitted until the relay has
    /// answered. It is dropped if the relay refuses it for good, or after 30 days.
    pub(crate) fn queue_mail(&self, tx: &mut Tx<'_>, new: &NewMail) -> Result<()> {
        tx.queue_mail(new)?;
        let ctx = self.clone();
        tx.after_commit(move || ctx.upkeep.mail.notify_one());
        Ok(())
    }

    pub(crate) fn new(
        store: Store,
        transport: Transport,
        env: Env,
        events: EventBus,
        (policy, limits, requests): (SessionPolicy, ChangeLimits, MessageRequests),
    ) -> Self {
        Self {
            store,
            transport,
            env,
            health: Health::new(events.clone()),
            calls: Arc::new(Calls::new()),
            ephemeral: Arc::new(Ephemeral::new(events.clone())),
            events,
            policy,
            limits,
            requests,
            receipts: Arc::default(),
            outbox: Arc::default(),
            handover: Arc::default(),
            unwelcome: Arc::default(),
            upkeep: Arc::default(),
            refreshing: Arc::default(),
            login_key_shown: Arc::default(),
            suspended: watch::Sender::new(()),
            known_keys: Arc::default(),
            fresh: Arc::default(),
            wait_reasons: Arc::default(),
            skipped: Arc::default(),
            relay_clock: Arc::default(),
        }
    }

    /// The relay's time, as far as we know it, in milliseconds.
    pub(crate) fn server_now_ms(&self) -> u64 {
        self.env.now_ms().saturating_add_signed(self.relay_clock.offset_ms.load(Ordering::Relaxed))
    }

    /// The relay's time, as it was stated since this process began, in milliseconds; none if it was not. It does not depend on our clock,
    /// which can be set, and is late if the device was asleep in between.
    pub(crate) fn stated_now_ms(&self) -> Option<u64> {
        let (then_ms, at) = (*self.relay_clock.learnt.lock().unwrap_or_else(PoisonError::into_inner))?;
        let passed_ms = u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
        let offset_ms = self.relay_clock.offset_ms.load(Ordering::Relaxed);
        Some(then_ms.saturating_add_signed(offset_ms).saturating_add(passed_ms))
    }

    /// The relay's time that an `hlc` contains, in milliseconds, but not later than the present time.
    pub(crate) fn time_of_hlc(&self, hlc: u64) -> u64 {
        (hlc >> 16).min(self.server_now_ms())
    }

    /// The time for deciding what has expired, in milliseconds: the earlier of the relay's time and ours. One of the clocks
    /// may be wrong, and deleting something cannot be undone when the clock is corrected.
    pub(crate) fn expiry_now_ms(&self) -> u64 {
        self.server_now_ms().min(self.env.now_ms())
    }

    /// Handles a time that the relay has stated, and returns what the caller has to store. An impossible time is ignored and
    /// reported.
    pub(crate) fn learn_server_time(&self, server_time_ms: u64) -> Clocks {
        let now_ms = self.env.now_ms();
        let passed_ms = self.relay_clock.passed_ms.load(Ordering::Relaxed);
        if !is_possible(server_time_ms, now_ms, passed_ms) {
            if !self.relay_clock.impossible.swap(true, Ordering::Relaxed) {
                tracing::warn!(server_time_ms, "the relay states an impossible time");
                self.events.publish(Event::RelayClockWrong { relay_ms: server_time_ms });
            }
            return Clocks { offset_ms: self.relay_clock.offset_ms.load(Ordering::Relaxed), passed_ms };
        }
        self.relay_clock.impossible.store(false, Ordering::Relaxed);
        let offset_ms = server_time_ms.checked_signed_diff(now_ms).unwrap_or(0);
        let clocks = Clocks { offset_ms, passed_ms: passed_ms.max(server_time_ms.min(now_ms)) };
        self.set_clocks(clocks);
        *self.relay_clock.learnt.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((now_ms, Instant::now()));
        clocks
    }

    /// Whether our clock was set, or the whole device was asleep, since the relay last stated its time.
    pub(crate) fn clock_has_jumped(&self) -> bool {
        let learnt = *self.relay_clock.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        learnt.is_some_and(|(then_ms, at)| {
            let passed_ms = u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
            then_ms.saturating_add(passed_ms).abs_diff(self.env.now_ms()) > JUMP_MS
        })
    }

    pub(crate) fn set_clocks(&self, clocks: Clocks) {
        self.relay_clock.offset_ms.store(clocks.offset_ms, Ordering::Relaxed);
        self.relay_clock.passed_ms.fetch_max(clocks.passed_ms, Ordering::Relaxed);
    }

    /// Records that the relay has certainly not stored these parcels. Must be called before anything else can submit them.
    pub(crate) fn note_fresh(&self, parcels: impl IntoIterator<Item = ClientMsgId>) {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).extend(parcels);
    }

    /// Whether the relay has certainly not stored this parcel.
    pub(crate) fn is_fresh(&self, parcel: &ClientMsgId) -> bool {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).contains(parcel)
    }

    /// Whether the relay has certainly not stored this parcel, which the caller is about to submit or to drop.
    pub(crate) fn take_fresh(&self, parcel: &ClientMsgId) -> bool {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).remove(parcel)
    }

    /// A fresh id for a message, on server time.
    pub(crate) fn new_client_msg_id(&self) -> ClientMsgId {
        let mut random = [0; 10];
        rand::Rng::fill_bytes(&mut self.env.rng(), &mut random);
        ClientMsgId::new(self.server_now_ms(), &random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = RELEASED_MS + 2 * YEAR_MS;

    #[test]
    fn a_relay_more_than_a_year_ahead_or_behind_is_not_believed() {
        for possible in [NOW_MS, NOW_MS + YEAR_MS, NOW_MS - YEAR_MS] {
            assert!(is_possible(possible, NOW_MS, NOW_MS - DAY_MS), "{possible}");
        }
        let behind = NOW_MS - YEAR_MS - 2 * DAY_MS;
        for impossible in [0, RELEASED_MS - 1, behind, NOW_MS + YEAR_MS + 1, NOW_MS + 100 * YEAR_MS, u64::MAX]
        {
            assert!(!is_possible(impossible, NOW_MS, NOW_MS - DAY_MS), "{impossible}");
        }
        // Before the first connection, nothing is known about the relay's time.
        assert!(is_possible(RELEASED_MS, NOW_MS, 0) && !is_possible(RELEASED_MS - 1, NOW_MS, 0));
    }

    #[test]
    fn a_device_with_a_wrong_clock_believes_the_relay() {
        // The device's clock has lost its time, perhaps years ago.
        for ours in [0, RELEASED_MS - 10 * YEAR_MS, RELEASED_MS + DAY_MS] {
            assert!(is_possible(NOW_MS, ours, NOW_MS - YEAR_MS), "{ours}");
            assert!(is_possible(NOW_MS + 9 * YEAR_MS, ours, NOW_MS), "{ours}");
            assert!(!is_possible(NOW_MS + 100 * YEAR_MS, ours, NOW_MS), "{ours}");
        }
        // The device's clock is ahead.
        for ours in [NOW_MS + YEAR_MS, NOW_MS + 100 * YEAR_MS, u64::MAX] {
            assert!(is_possible(NOW_MS, ours, NOW_MS - DAY_MS), "{ours}");
        }
    }

    #[test]
    fn a_relay_cannot_move_the_bound_by_small_steps() {
        let mut clocks = Clocks::default();
        let mut furthest = 0;
        for step in 0..100 {
            let relay_ms = NOW_MS + step * YEAR_MS / 2;
            if is_possible(relay_ms, NOW_MS, clocks.passed_ms) {
                furthest = relay_ms;
                clocks.passed_ms = clocks.passed_ms.max(relay_ms.min(NOW_MS));
            }
        }
        assert_eq!(furthest, NOW_MS + YEAR_MS);
    }
}
