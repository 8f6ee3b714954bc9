//! How the benchmarks summarise times.

use std::fmt;
use std::time::Duration;

/// Two percentiles of a series of times, in milliseconds.
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// The percentiles of these times, and zero if there are none.
pub(crate) fn percentiles(mut times: Vec<Duration>) -> Percentiles {
    times.sort_unstable();
    let at = |percent: usize| {
        let at = times.len().saturating_sub(1).saturating_mul(percent) / 100;
        times.get(at).map_or(0.0, Duration::as_secs_f64) * 1000.0
    };
    Percentiles { p50: at(50), p99: at(99) }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.3} ms, p99 {:.3} ms", self.p50, self.p99)
    }
}
