//! What every path needs: the two edges, the clock, the rules, and where it says that it cannot work.

mod health;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError};

use sealpost_protocol::{KnownKeys, SessionPolicy, UnixSeconds};
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::Instant;

use crate::env::Env;
use crate::event::{Event, EventBus};
use crate::id::{ClientMsgId, DeviceId, UserId};
use crate::store::Store;
use crate::transport::Transport;
use crate::waiting::WaitReasons;

pub(crate) use health::{Failures, Health};

/// A clock that is this far from where it should be was set: ids made by it could be refused.
const JUMP_MS: u64 = 60_000;

/// What there is to look after.
#[derive(Default)]
pub(crate) struct Upkeep {
    /// The relay runs low on our pre-keys.
    pub(crate) keys_low: Notify,
    /// There may be a thread that others began.
    pub(crate) to_accept: Notify,
    /// There may be deferred envelopes to be tried again.
    pub(crate) to_retry: Notify,
    /// There are read receipts to be queued.
    pub(crate) receipts_due: Notify,
}

/// No relay that speaks with this version is at an earlier time: 2026-01-01.
const RELEASED_MS: u64 = 1_767_225_600_000;
/// How far a relay may be ahead of us: 20 years.
const MOST_AHEAD_MS: u64 = 20 * 365 * 24 * 3_600 * 1_000;

/// Clones share everything.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) store: Store,
    pub(crate) transport: Transport,
    pub(crate) env: Env,
    pub(crate) events: EventBus,
    /// Which parts cannot do their work.
    pub(crate) health: Health,
    pub(crate) policy: SessionPolicy,
    /// Wakes the dispatcher: something was queued.
    pub(crate) outbox: Arc<Notify>,
    /// Wakes what is looked after in the background.
    pub(crate) upkeep: Arc<Upkeep>,
    /// One exchange of tokens at a time: whoever waits finds what it brought.
    pub(crate) refreshing: Arc<Mutex<()>>,
    /// Whether the relay was shown our login key since this client was opened.
    pub(crate) login_key_shown: Arc<AtomicBool>,
    /// Changes when exchanges that are under way are given up.
    pub(crate) suspended: watch::Sender<()>,
    /// The identity keys whose bundles were good last: a device that is met again is verified in less time.
    pub(crate) known_keys: Arc<std::sync::Mutex<KnownKeys>>,
    /// The parcels that the relay has certainly not stored: they were not submitted, or refused unread.
    pub(crate) fresh: Arc<std::sync::Mutex<HashSet<ClientMsgId>>>,
    /// Why the oldest message of each thread is waiting.
    pub(crate) wait_reasons: Arc<WaitReasons>,
    /// Devices whose keys were refused.
    pub(crate) skipped: Arc<SkippedDevices>,
    relay_clock: Arc<RelayClock>,
}

/// A device that others of its user are not held up for: the keys that the relay gives out for it are not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Skipped {
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
    pub(crate) registration_id: u32,
}

/// The devices that are skipped for now. After a while, and when the client starts, they are asked for their keys again.
#[derive(Debug, Default)]
pub(crate) struct SkippedDevices(std::sync::Mutex<Vec<(Skipped, UnixSeconds)>>);

/// How long a device is skipped before its keys are looked at again, in seconds.
const SKIP_S: u64 = 3600;
/// The newest of so many are known.
const MOST_SKIPPED: usize = 1024;

impl SkippedDevices {
    pub(crate) fn add(&self, skipped: Skipped, now: UnixSeconds) {
        self.remove(skipped.user, skipped.device);
        let mut all = self.lock();
        if all.len() >= MOST_SKIPPED {
            all.remove(0);
        }
        all.push((skipped, now));
    }

    pub(crate) fn remove(&self, user: UserId, device: DeviceId) {
        self.lock().retain(|(skipped, _)| (skipped.user, skipped.device) != (user, device));
    }

    /// Those of one user.
    pub(crate) fn of(&self, user: UserId, now: UnixSeconds) -> Vec<Skipped> {
        let mut all = self.lock();
        // A clock that was set back makes nothing last longer.
        all.retain(|(_, since)| now.0.checked_sub(since.0).is_some_and(|passed| passed < SKIP_S));
        all.iter().map(|(skipped, _)| *skipped).filter(|skipped| skipped.user == user).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Skipped, UnixSeconds)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What we know of the relay's time.
#[derive(Default)]
struct RelayClock {
    offset_ms: AtomicI64,
    /// When the relay last said what time it is: by our clock, and by one that does not jump.
    learnt: std::sync::Mutex<Option<(u64, Instant)>>,
    /// Whether the last that it said is impossible, which has been told.
    impossible: AtomicBool,
}

/// Whether it can be this time at the relay while our clock says `now_ms`. Ours may be wrong by years, as on a device whose
/// battery was empty; then the bound is that of this version.
fn is_possible(server_time_ms: u64, now_ms: u64) -> bool {
    (RELEASED_MS..=now_ms.max(RELEASED_MS).saturating_add(MOST_AHEAD_MS)).contains(&server_time_ms)
}

impl Context {
    pub(crate) fn new(
        store: Store,
        transport: Transport,
        env: Env,
        events: EventBus,
        policy: SessionPolicy,
    ) -> Self {
        Self {
            store,
            transport,
            env,
            health: Health::new(events.clone()),
            events,
            policy,
            outbox: Arc::default(),
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

    /// The relay's time that an `hlc` of it stands for, in milliseconds: what is later than now is not believed.
    pub(crate) fn time_of_hlc(&self, hlc: u64) -> u64 {
        (hlc >> 16).min(self.server_now_ms())
    }

    /// The time up to which things have expired, in milliseconds: what has by the relay's clock and by ours. One of them may be
    /// wrong, and what is deleted does not come back when it is set right.
    pub(crate) fn expiry_now_ms(&self) -> u64 {
        self.server_now_ms().min(self.env.now_ms())
    }

    /// The relay said what time it is; returns the offset, to be stored. A time that cannot be is not believed.
    pub(crate) fn learn_server_time(&self, server_time_ms: u64) -> i64 {
        let now_ms = self.env.now_ms();
        if !is_possible(server_time_ms, now_ms) {
            if !self.relay_clock.impossible.swap(true, Ordering::Relaxed) {
                tracing::warn!(server_time_ms, "the relay says an impossible time");
                self.events.publish(Event::RelayClockWrong { relay_ms: server_time_ms });
            }
            return self.relay_clock.offset_ms.load(Ordering::Relaxed);
        }
        self.relay_clock.impossible.store(false, Ordering::Relaxed);
        let offset = server_time_ms.checked_signed_diff(now_ms).unwrap_or(0);
        self.set_clock_offset(offset);
        *self.relay_clock.learnt.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((now_ms, Instant::now()));
        offset
    }

    /// Whether our clock was set, or stood still with the whole device, since the relay said what time it is.
    pub(crate) fn clock_has_jumped(&self) -> bool {
        let learnt = *self.relay_clock.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        learnt.is_some_and(|(then_ms, at)| {
            let passed_ms = u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
            then_ms.saturating_add(passed_ms).abs_diff(self.env.now_ms()) > JUMP_MS
        })
    }

    pub(crate) fn set_clock_offset(&self, offset_ms: i64) {
        self.relay_clock.offset_ms.store(offset_ms, Ordering::Relaxed);
    }

    /// Notes that the relay has certainly not stored these parcels. To be called before anything else can submit them.
    pub(crate) fn note_fresh(&self, parcels: impl IntoIterator<Item = ClientMsgId>) {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).extend(parcels);
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

    const YEAR_MS: u64 = 365 * 24 * 3_600 * 1_000;
    const NOW_MS: u64 = RELEASED_MS + YEAR_MS;

    #[test]
    fn a_relay_a_hundred_years_ahead_or_before_this_version_is_not_believed() {
        for possible in [NOW_MS, NOW_MS + 10 * YEAR_MS, NOW_MS + 20 * YEAR_MS, RELEASED_MS] {
            assert!(is_possible(possible, NOW_MS));
        }
        for impossible in [0, RELEASED_MS - 1, NOW_MS + 20 * YEAR_MS + 1, NOW_MS + 100 * YEAR_MS, u64::MAX] {
            assert!(!is_possible(impossible, NOW_MS));
        }
    }

    #[test]
    fn a_device_that_has_lost_its_time_believes_the_relay() {
        for ours in [0, NOW_MS - 10 * YEAR_MS, NOW_MS + 10 * YEAR_MS] {
            assert!(is_possible(NOW_MS, ours));
            assert!(!is_possible(NOW_MS + 100 * YEAR_MS, ours));
        }
        assert!(is_possible(u64::MAX, u64::MAX));
    }
}
