//! Token buckets: how much one requester may do. Kept in the process; a restart forgives.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sealpost_wire::id::UserId;

use crate::address::Address;
use crate::problem::Problem;
use crate::store::Selector;

/// A bucket: so many at once, one more after each interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Most at once.
    pub burst: u32,
    /// Time in which one comes back.
    pub refill: Duration,
}

/// The limits of a relay.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Messages of one device.
    pub sends: Policy,
    /// Bundles that one requester takes from one device, so that nobody can empty a pool alone.
    pub pre_keys: Policy,
    /// Pings on one connection.
    pub pings: Policy,
    /// Connections that one address (of IPv6, one network of 64 bits) holds at a time. None: any number, as behind a
    /// proxy, which is one address to us.
    pub connections: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sends: Policy { burst: 2_000, refill: Duration::from_millis(5) },
            pre_keys: Policy { burst: 6, refill: Duration::from_secs(100) },
            pings: Policy { burst: 10, refill: Duration::from_millis(100) },
            connections: None,
        }
    }
}

/// One bucket: what was taken from it, and when that was counted.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    /// What was taken, as the time in which it comes back: nothing is lost to rounding.
    spent: Duration,
    at: Duration,
}

impl Bucket {
    /// A full bucket.
    pub const fn full(now: Duration) -> Self {
        Self { spent: Duration::ZERO, at: now }
    }

    /// Takes one.
    ///
    /// # Errors
    /// The time until one is there; nothing was taken.
    pub fn take(&mut self, policy: Policy, now: Duration) -> Result<(), Duration> {
        let spent = self.spent_at(now);
        let after = spent.saturating_add(policy.refill);
        let whole = policy.refill.saturating_mul(policy.burst);
        if after > whole {
            return Err(after.saturating_sub(whole));
        }
        *self = Self { spent: after, at: now };
        Ok(())
    }

    fn spent_at(&self, now: Duration) -> Duration {
        self.spent.saturating_sub(now.saturating_sub(self.at))
    }
}

/// What a bucket is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Sends(Address),
    /// The device number, 0 for all devices.
    PreKeys(Address, UserId, u32),
}

/// Above this many buckets, full ones are thrown away.
const MANY: usize = 100_000;

/// The buckets of all requesters.
#[derive(Debug)]
pub struct Limiter {
    limits: Limits,
    buckets: Mutex<Buckets>,
}

#[derive(Debug)]
struct Buckets {
    by_key: HashMap<Key, Bucket>,
    /// When there are this many, the full ones go. Grows with what has to stay, so that a crowd of requesters
    /// does not make each request look at all of them.
    tidy_at: usize,
}

impl Buckets {
    fn of(&mut self, key: Key, now: Duration) -> &mut Bucket {
        if self.by_key.len() >= self.tidy_at {
            self.by_key.retain(|_, bucket| !bucket.spent_at(now).is_zero());
            self.tidy_at = self.by_key.len().saturating_mul(2).max(MANY);
        }
        self.by_key.entry(key).or_insert(Bucket::full(now))
    }
}

impl Limiter {
    /// All buckets full.
    pub fn new(limits: Limits) -> Self {
        let buckets = Buckets { by_key: HashMap::new(), tidy_at: MANY };
        Self { limits, buckets: Mutex::new(buckets) }
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// One message of this device.
    ///
    /// # Errors
    /// [`Problem::RateLimited`]
    pub fn send(&self, sender: Address, now: Duration) -> Result<(), Problem> {
        self.take(Key::Sends(sender), self.limits.sends, now)
    }

    /// One fetch of these bundles by this requester.
    ///
    /// # Errors
    /// [`Problem::RateLimited`]
    pub fn pre_keys(
        &self,
        requester: Address,
        target: UserId,
        selector: Selector,
        now: Duration,
    ) -> Result<(), Problem> {
        let device = match selector {
            Selector::All => 0,
            Selector::One(device) => device.get(),
        };
        self.take(Key::PreKeys(requester, target, device), self.limits.pre_keys, now)
    }

    fn take(&self, key: Key, policy: Policy, now: Duration) -> Result<(), Problem> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.of(key, now);
        bucket.take(policy, now).map_err(|wait| Problem::RateLimited {
            // At least one, so that the answer carries it.
            retry_after_ms: u32::try_from(wait.as_millis()).unwrap_or(u32::MAX).max(1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy { burst: 3, refill: Duration::from_secs(10) };

    #[test]
    fn a_bucket_gives_its_burst_and_then_one_each_interval() {
        let start = Duration::from_secs(1_000);
        let mut bucket = Bucket::full(start);
        for _ in 0..3 {
            assert_eq!(bucket.take(POLICY, start), Ok(()));
        }
        assert_eq!(bucket.take(POLICY, start), Err(Duration::from_secs(10)));
        let later = start + Duration::from_secs(7);
        assert_eq!(bucket.take(POLICY, later), Err(Duration::from_secs(3)));
        assert_eq!(bucket.take(POLICY, start + Duration::from_secs(10)), Ok(()));
        assert_eq!(bucket.take(POLICY, start + Duration::from_secs(10)), Err(Duration::from_secs(10)));
        // A long silence fills it, and not more.
        let much_later = start + Duration::from_secs(9_999);
        for _ in 0..3 {
            assert_eq!(bucket.take(POLICY, much_later), Ok(()));
        }
        assert!(bucket.take(POLICY, much_later).is_err());
    }

    #[test]
    fn requesters_do_not_share_a_bucket() {
        let limiter = Limiter::new(Limits { pre_keys: Policy { burst: 1, ..POLICY }, ..Limits::default() });
        let [a, b] = [1, 2].map(|n| Address {
            user: UserId::from_bytes([n; 16]),
            device: sealpost_wire::id::DeviceId::PRIMARY,
        });
        let now = Duration::ZERO;
        assert!(limiter.pre_keys(a, b.user, Selector::All, now).is_ok());
        assert!(limiter.pre_keys(b, b.user, Selector::All, now).is_ok());
        assert_eq!(
            limiter.pre_keys(a, b.user, Selector::All, now),
            Err(Problem::RateLimited { retry_after_ms: 10_000 })
        );
    }
}
