//! What every path needs: the two edges, the clock, the rules, and where it says that it cannot work.

mod health;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError};

use sealpost_protocol::{KnownKeys, SessionPolicy};
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::Instant;

use crate::env::Env;
use crate::event::EventBus;
use crate::id::ClientMsgId;
use crate::store::Store;
use crate::transport::Transport;

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
}

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
    /// Changes when exchanges that are under way are given up.
    pub(crate) suspended: watch::Sender<()>,
    /// The identity keys whose bundles were good last: a device that is met again is verified in less time.
    pub(crate) known_keys: Arc<std::sync::Mutex<KnownKeys>>,
    relay_clock: Arc<RelayClock>,
}

/// What we know of the relay's time.
#[derive(Default)]
struct RelayClock {
    offset_ms: AtomicI64,
    /// When the relay last said what time it is: by our clock, and by one that does not jump.
    learnt: std::sync::Mutex<Option<(u64, Instant)>>,
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
            suspended: watch::Sender::new(()),
            known_keys: Arc::default(),
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

    /// The relay said what time it is; returns the offset, to be stored.
    pub(crate) fn learn_server_time(&self, server_time_ms: u64) -> i64 {
        let now_ms = self.env.now_ms();
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

    /// A fresh id for a message, on server time.
    pub(crate) fn new_client_msg_id(&self) -> ClientMsgId {
        let mut random = [0; 10];
        rand::Rng::fill_bytes(&mut self.env.rng(), &mut random);
        ClientMsgId::new(self.server_now_ms(), &random)
    }
}
