//! The timer after which messages disappear once they were read.

use super::{ContentError, proto};

/// The longest time after which messages can disappear once they were read, in seconds: one year.
pub const MAX_TIMER_S: u32 = 365 * 24 * 3600;

/// A number of seconds; 0 means never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Timer(u32);

impl Timer {
    /// `None` if it is longer than [`MAX_TIMER_S`].
    pub(crate) fn new(seconds: u32) -> Option<Self> {
        (seconds <= MAX_TIMER_S).then_some(Self(seconds))
    }

    pub(crate) const fn seconds(self) -> u32 {
        self.0
    }

    pub(super) const fn write(self) -> proto::content::Body {
        proto::content::Body::TimerChange(proto::TimerChange { seconds: self.0 })
    }

    /// # Errors
    /// [`ContentError::Malformed`] if it is longer than [`MAX_TIMER_S`].
    pub(super) fn read(seconds: u32) -> Result<Self, ContentError> {
        Self::new(seconds).ok_or(ContentError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_has_at_most_one_year() {
        for seconds in [0, 1, 31_536_000] {
            assert_eq!(Timer::read(seconds).map(Timer::seconds), Ok(seconds));
        }
        // 100 years, among others.
        for seconds in [31_536_001, 3_153_600_000, u32::MAX] {
            assert_eq!(Timer::read(seconds), Err(ContentError::Malformed));
        }
    }
}
