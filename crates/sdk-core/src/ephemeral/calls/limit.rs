//! How much one person can cause with the signals of calls.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// The number of offers of one person in a minute that have an effect.
pub(super) const MAX_OFFERS: u32 = 5;
/// The number of messages with candidates of one call in a minute that have an effect.
pub(super) const MAX_CANDIDATES_OF_CALL: u32 = 100;
/// The same of one person, in all calls.
pub(super) const MAX_CANDIDATES: u32 = 200;
/// The maximum number of people, or calls, of whom something is counted. What comes from further ones has no effect.
pub(super) const MAX_COUNTED: usize = 1024;
const MINUTE: Duration = Duration::from_secs(60);

/// Counts something of each person or call since the first one that counts, which is at most a minute ago.
#[derive(Debug)]
pub(super) struct PerMinute<K> {
    most: u32,
    counted: HashMap<K, (Instant, u32)>,
}

impl<K: Eq + Hash> PerMinute<K> {
    pub(super) fn at_most(most: u32) -> Self {
        Self { most, counted: HashMap::new() }
    }

    /// Counts one. Returns whether it has an effect.
    pub(super) fn admits(&mut self, key: K) -> bool {
        let now = Instant::now();
        let is_over = |first: Instant| now.saturating_duration_since(first) >= MINUTE;
        if self.counted.len() >= MAX_COUNTED && !self.counted.contains_key(&key) {
            self.counted.retain(|_, (first, _)| !is_over(*first));
            if self.counted.len() >= MAX_COUNTED {
                return false;
            }
        }
        let (first, count) = self.counted.entry(key).or_insert((now, 0));
        if is_over(*first) {
            (*first, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= self.most
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::id::UserId;

    fn numbered(n: usize) -> UserId {
        UserId::from_bytes((n as u128).to_be_bytes())
    }

    #[tokio::test(start_paused = true)]
    async fn each_person_has_some_offers_in_a_minute() {
        let mut limit = PerMinute::at_most(MAX_OFFERS);
        for minute in 0..3 {
            for user in [1, 2] {
                let admitted = (0..100).filter(|_| limit.admits(numbered(user))).count();
                assert_eq!(admitted, MAX_OFFERS as usize, "{minute} {user}");
            }
            advance(MINUTE).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_people_who_are_counted_are_bounded() {
        let mut limit = PerMinute::at_most(MAX_OFFERS);
        let admitted = (0..3 * MAX_COUNTED).filter(|n| limit.admits(numbered(*n))).count();
        assert_eq!((admitted, limit.counted.len()), (MAX_COUNTED, MAX_COUNTED));
        assert!(limit.admits(numbered(1)), "who is counted keeps their offers");
        advance(MINUTE).await;
        assert!(limit.admits(numbered(5 * MAX_COUNTED)));
        assert_eq!(limit.counted.len(), 1);
    }
}
