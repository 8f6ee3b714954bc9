//! How often one person can call.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::id::UserId;

/// The number of offers of one person in a minute that have an effect.
pub(super) const MAX_OFFERS: u32 = 5;
/// The maximum number of people whose offers are counted. Offers of further people have no effect.
pub(super) const MAX_PEOPLE: usize = 1024;
const MINUTE: Duration = Duration::from_secs(60);

/// The offers of each person since the first one that counts, which is at most a minute ago.
#[derive(Debug, Default)]
pub(super) struct OfferLimit(HashMap<UserId, (Instant, u32)>);

impl OfferLimit {
    /// Counts an offer. Returns whether it has an effect.
    pub(super) fn admits(&mut self, user: UserId) -> bool {
        let now = Instant::now();
        self.0.retain(|_, (first, _)| now.saturating_duration_since(*first) < MINUTE);
        if !self.0.contains_key(&user) && self.0.len() >= MAX_PEOPLE {
            return false;
        }
        let (_, offers) = self.0.entry(user).or_insert((now, 0));
        *offers = offers.saturating_add(1);
        *offers <= MAX_OFFERS
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn numbered(n: usize) -> UserId {
        UserId::from_bytes((n as u128).to_be_bytes())
    }

    #[tokio::test(start_paused = true)]
    async fn each_person_has_some_offers_in_a_minute() {
        let mut limit = OfferLimit::default();
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
        let mut limit = OfferLimit::default();
        let admitted = (0..3 * MAX_PEOPLE).filter(|n| limit.admits(numbered(*n))).count();
        assert_eq!((admitted, limit.0.len()), (MAX_PEOPLE, MAX_PEOPLE));
        assert!(limit.admits(numbered(1)), "who is counted keeps their offers");
        advance(MINUTE).await;
        assert!(limit.admits(numbered(5 * MAX_PEOPLE)));
        assert_eq!(limit.0.len(), 1);
    }
}
