//! Charges each requester, or says how long to wait.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sealpost_wire::id::{ThreadId, UserId};

use super::bucket::Rate;
use super::buckets::{Key, Row};
use super::table::{self, Limit, Limits, Name, TABLE};
use super::{OverLimit, Wait};
use crate::address::Address;

/// The buckets of all requesters.
#[derive(Debug)]
pub struct Limiter {
    limits: Limits,
    rows: [Row; table::COUNT],
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Limiter {
    /// A limiter in which all buckets are full.
    pub fn new(limits: Limits) -> Self {
        Self { limits, rows: Default::default() }
    }

    /// Charges a send or an acknowledgement on a socket of this device.
    ///
    /// # Errors
    /// [`OverLimit`]
    pub fn frame(&self, device: Address, now: Duration) -> Result<Wait, OverLimit> {
        self.admit(Name::Frames, Key::Device(device), 1, now)
    }

    /// Charges an HTTP request of this device.
    ///
    /// # Errors
    /// [`OverLimit`]
    pub fn request(&self, device: Address, now: Duration) -> Result<Wait, OverLimit> {
        let wait = self.admit(Name::Requests, Key::Device(device), 1, now)?;
        Ok(wait.max(self.writer(device.user, now)?))
    }

    /// Charges a message of this many bytes.
    ///
    /// # Errors
    /// [`OverLimit`]
    pub fn send(&self, sender: Address, bytes: usize, now: Duration) -> Result<Wait, OverLimit> {
        let wait = self.writer(sender.user, now)?;
        Ok(wait.max(self.admit(Name::SendBytes, Key::User(sender.user), units(bytes), now)?))
    }

    /// Charges an acknowledgement that names this many rows.
    ///
    /// # Errors
    /// [`OverLimit`]
    pub fn acknowledge(&self, device: Address, rows: usize, now: Duration) -> Result<Wait, OverLimit> {
        let wait = self.writer(device.user, now)?;
        Ok(wait.max(self.admit(Name::AckRows, Key::Device(device), units(rows), now)?))
    }

    /// Charges a connection that this user opens.
    ///
    /// # Errors
    /// [`OverLimit`]
    pub fn connect(&self, user: UserId, now: Duration) -> Result<(), OverLimit> {
        self.admit(Name::Connects, Key::User(user), 1, now).map(drop)
    }

    /// Charges a direct thread that this user opens.
    ///
    /// # Errors
    /// [`OverLimit`]
    pub fn thread(&self, user: UserId, now: Duration) -> Result<(), OverLimit> {
        self.admit(Name::Threads, Key::User(user), 1, now).map(drop)
    }

    /// Charges a link token that this user takes.
    ///
    /// # Errors
    /// [`OverLimit`]
    pub fn link_token(&self, user: UserId, now: Duration) -> Result<(), OverLimit> {
        self.admit(Name::LinkTokens, Key::User(user), 1, now).map(drop)
    }

    /// Charges an upload of this many keys.
    ///
    /// # Errors
    /// [`OverLimit`]
    pub fn key_upload(&self, device: Address, keys: usize, now: Duration) -> Result<(), OverLimit> {
        self.admit(Name::KeyRows, Key::Device(device), units(keys).max(1), now).map(drop)
    }

    /// Charges one fetch of bundles of this user, for one device or for all, since both take from the same pools.
    /// Returns whether the bundles may contain one-time keys; if too many were taken, the remaining ones are
    /// conserved.
    ///
    /// # Errors
    /// [`OverLimit`]
    pub fn pre_keys(&self, requester: Address, target: UserId, now: Duration) -> Result<bool, OverLimit> {
        self.admit(Name::PreKeys, Key::Pair(requester, target), 1, now).map(drop)?;
        self.admit(Name::Takes, Key::User(requester.user), 1, now).map(drop)?;
        Ok(self.admit(Name::PreKeysTarget, Key::User(target), 1, now).is_ok())
    }

    /// The same for a fellow member of a group, so that somebody can meet a large group at once.
    ///
    /// # Errors
    /// [`OverLimit`]
    pub fn group_pre_keys(
        &self,
        requester: Address,
        target: UserId,
        now: Duration,
    ) -> Result<bool, OverLimit> {
        self.admit(Name::PreKeys, Key::Pair(requester, target), 1, now).map(drop)?;
        self.admit(Name::GroupTakes, Key::User(requester.user), 1, now).map(drop)?;
        Ok(self.admit(Name::PreKeysTarget, Key::User(target), 1, now).is_ok())
    }

    /// Admits a post of this user in a group. Its rows are charged when they are written.
    ///
    /// # Errors
    /// [`OverLimit`]
    pub fn group_post(&self, user: UserId, now: Duration) -> Result<Wait, OverLimit> {
        self.admit(Name::FanoutRows, Key::User(user), 0, now)
    }

    /// Charges rows that a post of this user has added to mailboxes.
    pub fn fanned_out(&self, user: UserId, rows: usize, now: Duration) {
        self.charge(Name::FanoutRows, Key::User(user), units(rows), now);
    }

    /// Whether ephemeral mail of this group may reach one more device now.
    pub fn ephemeral_device(&self, group: ThreadId, now: Duration) -> bool {
        self.admit(Name::EphemeralDevices, Key::Group(group), 1, now).is_ok()
    }

    /// Charges the time of the writer that these users used. It is known only afterwards, and delays their next
    /// request.
    pub fn writer_took(&self, spent: &[(UserId, Duration)], now: Duration) {
        for (user, took) in spent {
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            self.charge(Name::WriterTime, Key::User(*user), micros, now);
        }
    }

    /// Writes the number of requests by outcome in the Prometheus text format, together with those refused elsewhere.
    ///
    /// # Errors
    /// The errors of `out`.
    pub fn write_metrics(&self, out: &mut String, refused: &[(&str, u64)]) -> fmt::Result {
        type Counter = fn(&Row) -> &AtomicU64;
        let counters: [(&str, Counter); 3] = [
            ("relay_rate_limited_total", |row| &row.refused),
            ("relay_rate_slowed_total", |row| &row.slowed),
            ("relay_rate_unsure_total", |row| &row.without_bucket),
        ];
        for (metric, counter) in counters {
            writeln!(out, "# TYPE {metric} counter")?;
            for (policy, count) in refused.iter().filter(|_| metric == "relay_rate_limited_total") {
                writeln!(out, "{metric}{{policy=\"{policy}\"}} {count}")?;
            }
            for (limit, row) in TABLE.iter().zip(&self.rows) {
                let count = counter(row).load(Ordering::Relaxed);
                writeln!(out, "{metric}{{policy=\"{}\"}} {count}", limit.policy)?;
            }
        }
        Ok(())
    }

    fn writer(&self, user: UserId, now: Duration) -> Result<Wait, OverLimit> {
        self.admit(Name::WriterTime, Key::User(user), 0, now)
    }

    fn row(&self, name: Name) -> Option<&Row> {
        self.rows.get(name.index())
    }

    /// Takes from a bucket, or says how long to wait.
    pub(super) fn admit(&self, name: Name, key: Key, units: u64, now: Duration) -> Result<Wait, OverLimit> {
        match self.find(name) {
            Some((rate, row, limit)) => row.take(limit, rate, key, units, now),
            None => Ok(Wait::NONE),
        }
    }

    /// Charges a bucket with what was already used.
    pub(super) fn charge(&self, name: Name, key: Key, units: u64, now: Duration) {
        if let Some((rate, row, _)) = self.find(name) {
            row.charge(rate, key, units, now);
        }
    }

    pub(super) fn find(&self, name: Name) -> Option<(Rate, &Row, &'static Limit)> {
        Some((self.limits.rate(name)?, self.row(name)?, TABLE.get(name.index())?))
    }
}

fn units(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use sealpost_wire::id::DeviceId;

    use super::super::buckets::MAX_BUCKETS;
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);

    fn address(user: u32) -> Address {
        let mut id = [7; 16];
        id[..4].copy_from_slice(&user.to_be_bytes());
        Address { user: UserId::from_bytes(id), device: DeviceId::PRIMARY }
    }

    fn only(name: Name, rate: Rate) -> Limiter {
        let mut limits = Limits::none();
        limits.set(name, Some(rate));
        Limiter::new(limits)
    }

    fn once() -> Rate {
        Rate::new(1, 1, Duration::from_secs(10))
    }

    fn is_limited<T>(answer: Result<T, OverLimit>) -> bool {
        answer.is_err()
    }

    #[test]
    fn requesters_do_not_share_a_bucket() {
        let limiter = only(Name::PreKeys, once());
        let (a, b) = (address(1), address(2));
        assert_eq!(limiter.pre_keys(a, b.user, NOW), Ok(true));
        assert_eq!(limiter.pre_keys(b, b.user, NOW), Ok(true));
        assert_eq!(limiter.pre_keys(a, b.user, NOW), Err(OverLimit { retry_after_ms: 10_000 }));
    }

    #[test]
    fn a_target_of_many_requests_keeps_its_one_time_keys() {
        let limiter = only(Name::PreKeysTarget, once());
        assert_eq!(limiter.pre_keys(address(1), address(9).user, NOW), Ok(true));
        assert_eq!(limiter.pre_keys(address(2), address(9).user, NOW), Ok(false));
        assert_eq!(limiter.pre_keys(address(2), address(8).user, NOW), Ok(true));
    }

    #[test]
    fn an_acknowledgement_costs_its_rows() {
        let limiter = only(Name::AckRows, Rate::new(1_000, 512, Duration::from_secs(1)));
        assert_eq!(limiter.acknowledge(address(1), 512, NOW), Ok(Wait::NONE));
        let Ok(Wait(wait)) = limiter.acknowledge(address(1), 512, NOW) else { panic!("refused") };
        assert_eq!(wait.as_millis(), 46);
        assert_eq!(
            limiter.acknowledge(address(1), 400, NOW),
            Ok(Wait(wait + Duration::from_nanos(781_250_000)))
        );
        assert!(is_limited(limiter.acknowledge(address(1), 512, NOW)));
    }

    #[test]
    fn writer_time_delays_the_next_request() {
        let limiter = only(Name::WriterTime, Rate::new(2_000, 1_000, Duration::from_secs(1)));
        let user = address(1).user;
        limiter.writer_took(&[(user, Duration::from_micros(2_500))], NOW);
        assert_eq!(limiter.send(address(1), 1, NOW), Ok(Wait(Duration::from_millis(500))));
        limiter.writer_took(&[(user, Duration::from_millis(1))], NOW);
        assert!(is_limited(limiter.send(address(1), 1, NOW)));
        assert!(is_limited(limiter.request(address(1), NOW)));
        assert_eq!(limiter.send(address(2), 1, NOW), Ok(Wait::NONE));
    }

    #[test]
    fn the_largest_burst_of_a_normal_client_is_not_slowed() {
        let limiter = Limiter::default();
        let (me, now) = (address(1), NOW);
        // An outbox written offline, with the time of the writer for each of its messages.
        for _ in 0..10_000 {
            assert_eq!(limiter.frame(me, now), Ok(Wait::NONE));
            assert_eq!(limiter.send(me, 2_000, now), Ok(Wait::NONE));
            limiter.writer_took(&[(me.user, Duration::from_micros(75))], now);
        }
        // A mailbox of 50,000 rows, acknowledged a few at a time.
        for _ in 0..5_000 {
            assert_eq!(limiter.frame(me, now), Ok(Wait::NONE));
            assert_eq!(limiter.acknowledge(me, 10, now), Ok(Wait::NONE));
            limiter.writer_took(&[(me.user, Duration::from_micros(150))], now);
        }
        // An app that starts with a hundred threads.
        for n in 2..102 {
            assert_eq!(limiter.request(me, now), Ok(Wait::NONE));
            assert_eq!(limiter.thread(me.user, now), Ok(()));
            assert_eq!(limiter.pre_keys(me, address(n).user, now), Ok(true));
        }
        assert_eq!(limiter.key_upload(me, 202, now), Ok(()));
    }

    #[test]
    fn the_number_of_buckets_is_bounded_and_each_limit_applies_its_policy_when_full() {
        let mut limits = Limits::none();
        limits.set(Name::AckRows, Some(once()));
        limits.set(Name::Takes, Some(once()));
        let limiter = Limiter::new(limits);
        let most = u32::try_from(MAX_BUCKETS).unwrap();
        for n in 0..most {
            assert_eq!(limiter.acknowledge(address(n), 1, NOW), Ok(Wait::NONE));
            assert_eq!(limiter.pre_keys(address(n), address(0).user, NOW), Ok(true));
        }
        for n in most..most + 10 {
            // Acknowledgements are not a reason to refuse anybody; keys are.
            for _ in 0..3 {
                assert_eq!(limiter.acknowledge(address(n), 1, NOW), Ok(Wait::NONE));
            }
            assert!(is_limited(limiter.pre_keys(address(n), address(0).user, NOW)));
        }
        // A requester that has a bucket is still known.
        assert!(is_limited(limiter.pre_keys(address(0), address(0).user, NOW)));
        for name in [Name::AckRows, Name::Takes] {
            assert_eq!(limiter.row(name).unwrap().count(), MAX_BUCKETS);
        }
        let later = NOW + Duration::from_secs(10);
        assert_eq!(limiter.pre_keys(address(most), address(0).user, later), Ok(true));
        let mut text = String::new();
        limiter.write_metrics(&mut text, &[("connections", 4)]).unwrap();
        assert!(text.contains("relay_rate_limited_total{policy=\"connections\"} 4\n"), "{text}");
        assert!(text.contains("relay_rate_unsure_total{policy=\"ack_rows\"} 30\n"), "{text}");
        assert!(text.contains("relay_rate_limited_total{policy=\"takes\"} 11\n"), "{text}");
        assert!(text.contains("relay_rate_limited_total{policy=\"ack_rows\"} 0\n"), "{text}");
    }
}
