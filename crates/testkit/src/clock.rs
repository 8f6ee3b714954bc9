//! A clock that is set by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A wall clock that changes only when a test sets it; timeouts and rates are not affected. Clones are the same
/// clock.
#[derive(Debug, Clone)]
pub struct ManualClock {
    wall_ms: Arc<AtomicU64>,
    started: Instant,
}

impl ManualClock {
    /// A clock set to this time, in milliseconds since the Unix epoch.
    pub fn at(ms: u64) -> Self {
        Self { wall_ms: Arc::new(AtomicU64::new(ms)), started: Instant::now() }
    }

    /// Sets the time.
    pub fn set(&self, ms: u64) {
        self.wall_ms.store(ms, Ordering::SeqCst);
    }

    /// Moves it forward.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.wall_ms.fetch_add(by, Ordering::SeqCst);
    }

    /// Its current time, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> u64 {
        self.wall_ms.load(Ordering::SeqCst)
    }
}

impl sealpost_core::Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        Self::now_ms(self)
    }
}

impl sealpost_relay::clock::Clock for ManualClock {
    fn unix_ms(&self) -> u64 {
        self.now_ms()
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}
