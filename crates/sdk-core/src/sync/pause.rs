//! How long to wait between two connections.
//!
//! Every wait is random up to a ceiling, so that many clients that lost their connections together do not reconnect
//! together. The ceiling doubles with each failure up to a limit, which depends on the kind of failure. A relay that
//! cannot be reached is not burdened by attempts and may return at any moment, whereas a relay that accepts
//! connections and soon breaks them off must be given more time.

use std::time::Duration;

use crate::send::backoff_ceiling_ms;

/// A connection that ends before this counts as a failure, however far it came.
pub(super) const MIN_LIFETIME: Duration = Duration::from_secs(30);
/// The same if another process of this device replaces the connection. It is longer, because otherwise each of the
/// two processes would believe that its connection had lasted.
const MIN_LIFETIME_AFTER_REPLACEMENT: Duration = Duration::from_secs(300);
/// The longest wait, in milliseconds, in the foreground if the relay cannot be reached.
const FOREGROUND_MS: u64 = 4_000;
/// The longest wait, in milliseconds, in the background.
const BACKGROUND_MS: u64 = 300_000;
/// The longest wait, in milliseconds, in the foreground after any other failure.
const MAX_MS: u64 = 60_000;
/// After another process has replaced the connection, the wait is at least this many milliseconds, plus a random part
/// up to at least as many again.
const REPLACED_MS: u64 = 8_000;
/// The longest wait that the relay can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// How a connection ended, as far as it matters for the next one.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ended {
    /// The relay is shutting down and asks clients to spread their reconnections over this time.
    Drained(Duration),
    /// Another process of this device replaced the connection.
    Replaced,
    /// There was no connection: the relay cannot be reached.
    Outage,
    /// Anything else.
    Failed {
        /// The relay asked the client to wait at least this long.
        asked: Duration,
    },
}

/// A wait: a fixed part, and a random part up to the given spread, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) least_ms: u64,
    pub(super) spread_ms: u64,
}

/// The failures so far.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    /// How many consecutive attempts did not reach the relay.
    outages: u32,
    /// How many consecutive connections did not last or were refused by the relay.
    failures: u32,
}

impl Pauses {
    /// The wait after a connection that ended in this way after being live for `lived`.
    pub(super) fn after(&mut self, ended: Ended, lived: Option<Duration>, foreground: bool) -> Pause {
        let most_ms = if foreground { MAX_MS } else { BACKGROUND_MS };
        if let Ended::Outage = ended {
            self.outages = self.outages.saturating_add(1);
            let most_ms = if foreground { FOREGROUND_MS } else { BACKGROUND_MS };
            return Pause { least_ms: 0, spread_ms: backoff_ceiling_ms(self.outages, most_ms) };
        }
        self.outages = 0;
        let lasted = if let Ended::Replaced = ended { MIN_LIFETIME_AFTER_REPLACEMENT } else { MIN_LIFETIME };
        if lived.is_some_and(|lived| lived >= lasted) {
            self.failures = 0;
        }
        if let Ended::Drained(jitter) = ended {
            // Someone who is looking at the app should not wait for half a minute. Clients in the background leave
            // room for them.
            let jitter_ms = within_reason_ms(jitter);
            let spread_ms = if foreground { jitter_ms.min(FOREGROUND_MS) } else { jitter_ms };
            return Pause { least_ms: 0, spread_ms };
        }
        self.failures = self.failures.saturating_add(1);
        let spread_ms = backoff_ceiling_ms(self.failures, most_ms);
        match ended {
            Ended::Replaced => Pause { least_ms: REPLACED_MS, spread_ms: spread_ms.max(REPLACED_MS) },
            Ended::Failed { asked } => Pause { least_ms: within_reason_ms(asked), spread_ms },
            Ended::Drained(_) | Ended::Outage => Pause { least_ms: 0, spread_ms },
        }
    }

    /// Forgets earlier outages, because the network may have changed.
    pub(super) fn forget_outages(&mut self) {
        self.outages = 0;
    }
}

/// A wait that the relay asks for, in milliseconds, limited to [`LONGEST_ASKED`].
fn within_reason_ms(wait: Duration) -> u64 {
    u64::try_from(wait.min(LONGEST_ASKED).as_millis()).unwrap_or(0)
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};

    use super::*;

    const FAILED: Ended = Ended::Failed { asked: Duration::ZERO };

    fn spreads(ended: Ended, lived: Option<Duration>, foreground: bool) -> Vec<u64> {
        let mut pauses = Pauses::default();
        (0..12).map(|_| pauses.after(ended, lived, foreground).spread_ms).collect()
    }

    #[test]
    fn a_connection_that_ends_soon_after_it_was_live_counts_as_a_failure() {
        let soon = spreads(FAILED, Some(Duration::from_secs(1)), true);
        assert_eq!(soon, spreads(FAILED, None, true));
        assert_eq!(soon[..4], [500, 1000, 2000, 4000]);
        assert_eq!(soon[11], 60_000);
        assert_eq!(spreads(FAILED, Some(MIN_LIFETIME), true), [500; 12]);
    }

    #[test]
    fn the_wait_that_the_relay_asks_for_is_kept_and_a_random_part_is_added() {
        let mut pauses = Pauses::default();
        let busy = |s| Ended::Failed { asked: Duration::from_secs(s) };
        assert_eq!(pauses.after(busy(7), None, true), Pause { least_ms: 7_000, spread_ms: 500 });
        assert_eq!(pauses.after(busy(9_999), None, true), Pause { least_ms: 300_000, spread_ms: 1_000 });
    }

    #[test]
    fn processes_of_one_device_do_not_keep_replacing_each_other() {
        let mut pauses = Pauses::default();
        for _ in 0..3 {
            let pause = pauses.after(Ended::Replaced, Some(MIN_LIFETIME), true);
            assert!(pause.least_ms >= 8_000 && pause.spread_ms >= 8_000);
        }
        assert_eq!(spreads(Ended::Replaced, Some(MIN_LIFETIME), true)[11], 60_000);
        assert_eq!(spreads(Ended::Replaced, Some(MIN_LIFETIME_AFTER_REPLACEMENT), true), [8_000; 12]);
    }

    #[test]
    fn clients_in_the_background_spread_over_the_time_that_a_draining_relay_names() {
        let drained = Ended::Drained(Duration::from_secs(30));
        assert_eq!(spreads(drained, None, true), [4_000; 12]);
        assert_eq!(spreads(drained, None, false), [30_000; 12]);
    }

    /// The times at which clients reconnect, in milliseconds after the return of a relay that was away for one
    /// minute.
    fn comebacks(clients: u32, foreground: bool) -> Vec<u64> {
        const AWAY_MS: u64 = 60_000;
        let mut rng = StdRng::seed_from_u64(20_261_129);
        let mut comeback = || {
            let (mut pauses, mut now_ms) = (Pauses::default(), 0);
            while now_ms < AWAY_MS {
                let pause = pauses.after(Ended::Outage, None, foreground);
                now_ms += pause.least_ms + rng.next_u64() % (pause.spread_ms + 1);
            }
            now_ms - AWAY_MS
        };
        (0..clients).map(|_| comeback()).collect()
    }

    #[test]
    fn after_an_outage_a_thousand_clients_return_within_five_seconds_but_not_at_once() {
        let back = comebacks(1_000, true);
        assert!(back.iter().all(|ms| *ms < 5_000));
        let mut in_each_quarter = [0; 20];
        back.iter().for_each(|ms| in_each_quarter[usize::try_from(ms / 250).unwrap()] += 1);
        assert!(in_each_quarter.iter().all(|count| *count < 200), "a storm: {in_each_quarter:?}");
        // Clients in the background leave room for those in the foreground.
        let later = comebacks(1_000, false).into_iter().filter(|ms| *ms > 5_000).count();
        assert!(later > 700, "{later}");
    }
}
