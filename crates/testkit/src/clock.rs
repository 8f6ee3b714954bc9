//! A clock that is set by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Wall time that moves only when told to; time-outs and rates run on as they do. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct ManualClock {
    wall_ms: Arc<AtomicU64>,
    started: Instant,
}

impl ManualClock {
    /// A clock that stands at a time, in milliseconds since the Unix epoch.
    pub fn at(ms: u64) -> Self {
        Self { wall_ms: Arc::new(AtomicU64::new(ms)), started: Instant::now() }
    }

    /// Sets it.
    pub fn set(&self, ms: u64) {
        self.wall_ms.store(ms, Ordering::SeqCst);
    }

    /// Moves it forward.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.wall_ms.fetch_add(by, Ordering::SeqCst);
    }

    /// What it shows, in milliseconds since the Unix epoch.
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
