//! The delay before a retry: exponential, with full jitter, at most a minute.

use crate::env::Env;

const FIRST_MS: u64 = 500;
const MOST_MS: u64 = 60_000;

/// A random delay before the n-th attempt (1 is the first retry), between zero and the ceiling, so that clients that
/// failed together do not come back together.
pub(crate) fn backoff_ms(env: &Env, attempt: u32) -> u64 {
    env.jitter(backoff_ceiling_ms(attempt, MOST_MS))
}

/// The maximum delay before the n-th attempt, limited to `most_ms`.
pub(crate) fn backoff_ceiling_ms(attempt: u32, most_ms: u64) -> u64 {
    FIRST_MS.saturating_mul(1 << attempt.saturating_sub(1).min(20)).min(most_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_a_minute() {
        let ceilings: Vec<_> = (0..10).map(|attempt| backoff_ceiling_ms(attempt, MOST_MS)).collect();
        assert_eq!(ceilings, [500, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(backoff_ceiling_ms(u32::MAX, MOST_MS), MOST_MS);
    }
}
