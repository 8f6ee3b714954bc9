//! Points in time, by the caller's clock: this crate has no clock.

/// Seconds since 1970, by the caller's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixSeconds(pub u64);

impl UnixSeconds {
    /// How long a handshake waits for its answer, an inactive session for a message, and a skipped key for its
    /// message: 30 days.
    pub const EXPIRY_SECONDS: u64 = 30 * 24 * 3600;

    /// Whether more than 30 days have passed since.
    pub(crate) fn is_long_before(self, now: Self) -> bool {
        self.0.saturating_add(Self::EXPIRY_SECONDS) < now.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_thirty_days_is_not_too_long() {
        let since = UnixSeconds(1_764_000_000);
        let after = |seconds| UnixSeconds(since.0 + seconds);
        assert!(!since.is_long_before(after(30 * 24 * 3600)));
        assert!(since.is_long_before(after(30 * 24 * 3600 + 1)));
        assert!(!since.is_long_before(UnixSeconds(0)), "a clock that was set back");
        assert!(!UnixSeconds(u64::MAX).is_long_before(UnixSeconds(u64::MAX)));
    }
}
