//! When the relay is asked for the version of its store.

use std::time::Duration;

use tokio::time::Instant;

/// The least time between two requests.
const PERIOD: Duration = Duration::from_secs(1);

/// Requests for the version of the relay's store, which follow what it stores for us.
#[derive(Default)]
pub(super) struct StoreVersion {
    /// When to ask, if the relay has stored something of ours since the last request.
    due: Option<Instant>,
    requested: Option<Instant>,
    /// Whether an answer is expected.
    waiting: bool,
}

impl StoreVersion {
    /// Records that the relay has stored something of ours.
    pub(super) fn grew(&mut self) {
        let soonest = self.requested.and_then(|requested| requested.checked_add(PERIOD));
        self.due.get_or_insert_with(|| soonest.unwrap_or_else(Instant::now));
    }

    /// When to ask, if at all.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Records that the relay was asked.
    pub(super) fn requested(&mut self) {
        *self = Self { due: None, requested: Some(Instant::now()), waiting: true };
    }

    /// Records that the relay has stated a version. Returns whether it was asked for it.
    pub(super) const fn is_answered(&mut self) -> bool {
        std::mem::replace(&mut self.waiting, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_version_is_requested_at_once_and_then_once_a_second() {
        let begin = Instant::now();
        let mut version = StoreVersion::default();
        assert_eq!((version.due(), version.is_answered()), (None, false));
        version.grew();
        version.grew();
        assert_eq!(version.due(), Some(begin));
        version.requested();
        assert_eq!(version.due(), None);
        assert!(version.is_answered() && !version.is_answered());
        version.grew();
        assert_eq!(version.due(), begin.checked_add(PERIOD));
    }
}
