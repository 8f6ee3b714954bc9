//! A token bucket that stores what was taken as the time in which it is refilled (GCRA).

use std::time::Duration;

/// The size of a bucket, and its refill rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The maximum number of units at once.
    pub burst: u64,
    /// The number of units that are refilled in each interval.
    pub amount: u64,
    /// The interval.
    pub every: Duration,
}

impl Rate {
    /// A burst, and a refill of `amount` in each interval of `every`.
    pub const fn new(burst: u64, amount: u64, every: Duration) -> Self {
        Self { burst, amount, every }
    }

    /// The time in which this many units are refilled, rounded up to nanoseconds.
    fn time(self, units: u64) -> Duration {
        let nanos = self.every.as_nanos().saturating_mul(units.into()).div_ceil(self.amount.max(1).into());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// One bucket: what was taken from it, and when that was computed.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    /// What was taken, as the time in which it is refilled, so that nothing is lost to rounding.
    spent: Duration,
    at: Duration,
}

impl Bucket {
    /// A full bucket.
    pub const fn full(now: Duration) -> Self {
        Self { spent: Duration::ZERO, at: now }
    }

    /// Takes units, and returns how long the requester should wait until the bucket is no longer overdrawn. A request
    /// that costs more than a whole bucket takes a whole one.
    ///
    /// # Errors
    /// The time until they can be taken, if the wait would be longer than `slack`; nothing was taken.
    pub fn take(
        &mut self,
        rate: Rate,
        units: u64,
        slack: Duration,
        now: Duration,
    ) -> Result<Duration, Duration> {
        let whole = rate.time(rate.burst);
        let after = self.spent_at(now).saturating_add(rate.time(units).min(whole));
        let overdrawn = after.saturating_sub(whole);
        if overdrawn > slack {
            return Err(overdrawn.saturating_sub(slack));
        }
        *self = Self { spent: after, at: now };
        Ok(overdrawn)
    }

    /// Charges units that were already used, overdrawing the bucket by at most its size.
    pub fn charge(&mut self, rate: Rate, units: u64, now: Duration) {
        let most = rate.time(rate.burst).saturating_mul(2);
        self.spent = self.spent_at(now).saturating_add(rate.time(units)).min(most);
        self.at = now;
    }

    /// Returns units that were taken from somebody who does not have to pay.
    pub fn give_back(&mut self, rate: Rate, units: u64, now: Duration) {
        *self = Self { spent: self.spent_at(now).saturating_sub(rate.time(units)), at: now };
    }

    /// Whether the bucket is full.
    pub fn is_full(&self, now: Duration) -> bool {
        self.spent_at(now).is_zero()
    }

    fn spent_at(&self, now: Duration) -> Duration {
        self.spent.saturating_sub(now.saturating_sub(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate::new(3, 1, Duration::from_secs(10));
    const NO_SLACK: Duration = Duration::ZERO;

    #[test]
    fn a_bucket_allows_a_burst_and_then_one_unit_in_each_interval() {
        let start = Duration::from_secs(1_000);
        let mut bucket = Bucket::full(start);
        let take = |bucket: &mut Bucket, now| bucket.take(RATE, 1, NO_SLACK, now);
        for _ in 0..3 {
            assert_eq!(take(&mut bucket, start), Ok(Duration::ZERO));
        }
        assert_eq!(take(&mut bucket, start), Err(Duration::from_secs(10)));
        assert_eq!(take(&mut bucket, start + Duration::from_secs(7)), Err(Duration::from_secs(3)));
        assert_eq!(take(&mut bucket, start + Duration::from_secs(10)), Ok(Duration::ZERO));
        assert_eq!(take(&mut bucket, start + Duration::from_secs(10)), Err(Duration::from_secs(10)));
        // A long pause fills it, but not beyond its size.
        let much_later = start + Duration::from_secs(9_999);
        assert!(bucket.is_full(much_later));
        assert_eq!(bucket.take(RATE, 3, NO_SLACK, much_later), Ok(Duration::ZERO));
        assert!(take(&mut bucket, much_later).is_err());
    }

    #[test]
    fn an_overdrawn_bucket_delays_requests_and_then_refuses_them() {
        let mut bucket = Bucket::full(NO_SLACK);
        let slack = Duration::from_secs(15);
        let mut take = |units, now| bucket.take(RATE, units, slack, Duration::from_secs(now));
        assert_eq!(take(3, 0), Ok(Duration::ZERO));
        assert_eq!(take(1, 0), Ok(Duration::from_secs(10)));
        assert_eq!(take(1, 0), Err(Duration::from_secs(5)));
        // A requester that waits as long as it was told is admitted.
        assert_eq!(take(1, 5), Ok(Duration::from_secs(15)));
    }

    #[test]
    fn a_cost_above_the_bucket_size_takes_the_whole_bucket() {
        let mut bucket = Bucket::full(NO_SLACK);
        assert_eq!(bucket.take(RATE, u64::MAX, NO_SLACK, NO_SLACK), Ok(Duration::ZERO));
        assert_eq!(bucket.take(RATE, 1, NO_SLACK, NO_SLACK), Err(Duration::from_secs(10)));
    }

    #[test]
    fn costs_known_afterwards_are_charged_up_to_a_bounded_debt() {
        let mut bucket = Bucket::full(NO_SLACK);
        bucket.charge(RATE, 1_000, NO_SLACK);
        assert_eq!(bucket.take(RATE, 0, NO_SLACK, NO_SLACK), Err(Duration::from_secs(30)));
    }

    #[test]
    fn returned_units_can_be_taken_again_up_to_the_size_of_the_bucket() {
        let mut bucket = Bucket::full(NO_SLACK);
        assert!(bucket.take(RATE, 3, NO_SLACK, NO_SLACK).is_ok());
        bucket.give_back(RATE, 1, NO_SLACK);
        assert!(bucket.take(RATE, 1, NO_SLACK, NO_SLACK).is_ok());
        assert!(bucket.take(RATE, 1, NO_SLACK, NO_SLACK).is_err());
        bucket.give_back(RATE, 9, NO_SLACK);
        assert!(bucket.take(RATE, 3, NO_SLACK, NO_SLACK).is_ok());
        assert!(bucket.take(RATE, 1, NO_SLACK, NO_SLACK).is_err());
    }

    #[test]
    fn refill_times_are_rounded_up_to_nanoseconds() {
        let fine = Rate::new(1, 3, Duration::from_nanos(1));
        assert_eq!(fine.time(1), Duration::from_nanos(1));
        assert_eq!(fine.time(300), Duration::from_nanos(100));
        assert_eq!(fine.time(u64::MAX).as_nanos(), u128::from(u64::MAX) / 3);
    }
}
