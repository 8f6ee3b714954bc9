//! The buckets of one limit, by requester. Their number is bounded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sealpost_wire::id::{ThreadId, UserId};

use super::bucket::{Bucket, Rate};
use super::table::{Limit, Over, WhenFull};
use super::{OverLimit, Wait};
use crate::address::Address;

/// Maximum number of buckets for one limit, which take at most 10 MB. A flood of requesters fills one limit and no
/// other.
pub(super) const MAX_BUCKETS: usize = 65_536;
/// The minimum interval between searches for full buckets, because they take time.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(1);
/// How long a requester is told to wait if there is no bucket for it.
const NO_BUCKET_WAIT: Duration = Duration::from_secs(1);

/// The owner of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Device(Address),
    User(UserId),
    Network(IpAddr),
    /// The requesting device, and the user whose data it requests.
    Pair(Address, UserId),
    /// The sender and the recipient.
    SenderAndRecipient(UserId, UserId),
    Group(ThreadId),
}

/// One limit: its buckets, and the number of requests by outcome.
#[derive(Debug, Default)]
pub(super) struct Row {
    buckets: Mutex<Buckets>,
    pub(super) refused: AtomicU64,
    pub(super) slowed: AtomicU64,
    pub(super) without_bucket: AtomicU64,
}

impl Row {
    /// Takes units, or says how long to wait. With 0 units, it only checks whether earlier ones have to be waited
    /// for.
    ///
    /// # Errors
    /// [`OverLimit`]; nothing was taken.
    pub(super) fn take(
        &self,
        limit: &Limit,
        rate: Rate,
        key: Key,
        units: u64,
        now: Duration,
    ) -> Result<Wait, OverLimit> {
        let slack = match limit.over {
            Over::Slow(slack) => slack,
            Over::Refuse | Over::LastResort | Over::Close | Over::Drop | Over::Recipient => Duration::ZERO,
        };
        let taken = {
            let mut buckets = self.buckets();
            if units == 0 && buckets.is_untouched(&key) {
                return Ok(Wait::NONE);
            }
            buckets.of(key, now).map(|bucket| bucket.take(rate, units, slack, now))
        };
        let taken = taken.unwrap_or_else(|| {
            self.without_bucket.fetch_add(1, Ordering::Relaxed);
            match limit.when_full {
                WhenFull::Allow => Ok(Duration::ZERO),
                WhenFull::Refuse => Err(NO_BUCKET_WAIT),
            }
        });
        match taken {
            Ok(wait) => {
                if !wait.is_zero() {
                    self.slowed.fetch_add(1, Ordering::Relaxed);
                }
                Ok(Wait(wait))
            }
            Err(wait) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Err(refusal(wait))
            }
        }
    }

    /// Charges units that were already used.
    pub(super) fn charge(&self, rate: Rate, key: Key, units: u64, now: Duration) {
        match self.buckets().of(key, now) {
            Some(bucket) => bucket.charge(rate, units, now),
            None => {
                self.without_bucket.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Returns units that were taken from somebody who does not have to pay.
    pub(super) fn give_back(&self, rate: Rate, key: Key, units: u64, now: Duration) {
        if let Some(bucket) = self.buckets().by_key.get_mut(&key) {
            bucket.give_back(rate, units, now);
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.buckets().by_key.len()
    }

    fn buckets(&self) -> MutexGuard<'_, Buckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Buckets {
    by_key: HashMap<Key, Bucket>,
    cleaned: Option<Duration>,
}

impl Buckets {
    /// Whether this key has no bucket because nothing was taken from it.
    fn is_untouched(&self, key: &Key) -> bool {
        self.by_key.len() < MAX_BUCKETS && !self.by_key.contains_key(key)
    }

    /// The bucket of this key; `None` if too many others are in use.
    fn of(&mut self, key: Key, now: Duration) -> Option<&mut Bucket> {
        let due = self.cleaned.is_none_or(|cleaned| now.saturating_sub(cleaned) >= CLEANUP_INTERVAL);
        if self.by_key.len() >= MAX_BUCKETS && due && !self.by_key.contains_key(&key) {
            self.by_key.retain(|_, bucket| !bucket.is_full(now));
            self.cleaned = Some(now);
        }
        if self.by_key.len() >= MAX_BUCKETS {
            return self.by_key.get_mut(&key);
        }
        Some(self.by_key.entry(key).or_insert(Bucket::full(now)))
    }
}

fn refusal(wait: Duration) -> OverLimit {
    OverLimit {
        // Rounded up, so that a requester that waits this long is admitted, and at least 1, so that the response
        // contains it.
        retry_after_ms: u32::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX).max(1),
    }
}
