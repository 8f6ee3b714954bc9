//! The clock and the source of randomness. Nothing else in this crate asks the operating system for either.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rand::rand_core::UnwrapErr;
use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng};

/// A source of wall-clock time. The default is the clock of the operating system; tests use their own.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch. The time may jump. Nothing in this crate relies on it being correct; the
    /// client measures its offset from the relay's clock.
    fn now_ms(&self) -> u64;
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|since| u64::try_from(since.as_millis()).ok())
            .unwrap_or(0)
    }
}

/// The environment of a client.
#[derive(Clone)]
pub(crate) struct Env {
    clock: Arc<dyn Clock>,
}

impl Env {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// A new random number generator, seeded by the operating system: the buffer of a thread-local generator would keep
    /// seeds that it has handed out. Each operation uses its own and does not store it.
    pub(crate) fn rng(&self) -> StdRng {
        StdRng::from_rng(&mut UnwrapErr(SysRng))
    }

    /// A random number in `0..=max`, for jitter.
    pub(crate) fn jitter(&self, max: u64) -> u64 {
        match max.checked_add(1) {
            Some(bound) => self.rng().next_u64().checked_rem(bound).unwrap_or(0),
            None => self.rng().next_u64(),
        }
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Env")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Everything random comes from a generator, and each operation gets its own here.
    #[test]
    fn every_generator_is_different() {
        let env = Env::new(Arc::new(SystemClock));
        let drawn = |_| {
            let mut bytes = [0; 32];
            env.rng().fill_bytes(&mut bytes);
            bytes
        };
        let all: BTreeSet<[u8; 32]> = (0..100).map(drawn).collect();
        assert_eq!(all.len(), 100);
        // Each of the 256 bits is set in some seeds and not in others; this fails by chance once in 2^91 runs.
        let (every, any) = all.iter().fold(([0xff; 32], [0; 32]), |(mut every, mut any), bytes| {
            for (place, byte) in bytes.iter().enumerate() {
                every[place] &= byte;
                any[place] |= byte;
            }
            (every, any)
        });
        assert_eq!((every, any), ([0; 32], [0xff; 32]));
    }

    #[test]
    fn a_jitter_can_be_any_value_up_to_its_bound() {
        let env = Env::new(Arc::new(SystemClock));
        assert_eq!(env.jitter(0), 0);
        let all: BTreeSet<_> = (0..1_000).map(|_| env.jitter(3)).collect();
        assert_eq!(all, BTreeSet::from([0, 1, 2, 3]));
        assert_ne!(env.jitter(u64::MAX), env.jitter(u64::MAX));
    }
}
