//! The clock is an argument; nothing else in the relay asks the system for the time.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The relay's clock. Tests set it by hand.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// Wall-clock time in milliseconds since 1970-01-01 UTC. It may go back.
    fn unix_ms(&self) -> u64;

    /// Time since some fixed moment, which never goes back. It is used for timeouts, rates and histograms.
    fn monotonic(&self) -> Duration;
}

/// The system clock.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn unix_ms(&self) -> u64 {
        // A machine whose clock is before 1970 gets 0, and refuses every message as being ahead of time.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}
