//! When something was changed, in an order on which all devices of an account agree.

/// How far a stamp can be ahead of the time at which the relay received it, in milliseconds.
const MAX_AHEAD_MS: u64 = 5 * 60 * 1_000;
/// The bits of an `hlc` below its milliseconds.
const TICKS: u32 = 16;

/// The stamp of a change. The later one counts. It consists of a time of the relay with ticks, like an `hlc`, and the device that has made
/// the change.
///
/// It is made when the change is sealed, from the time that the relay has stated on this connection. The clock of the device has no
/// part in it. A change that was made with knowledge of another one always has a later stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Stamp {
    /// Milliseconds since the Unix epoch, times 2^16.
    pub(crate) hlc: u64,
    /// 0 with an `hlc` of 0 only: nothing was changed yet.
    pub(crate) device: u8,
}

impl Stamp {
    /// None if no device can have made it.
    pub(crate) const fn new(hlc: u64, device: u8) -> Option<Self> {
        let is_first = hlc == 0 && device == 0;
        if hlc <= u64::MAX >> 1 && (is_first || (device >= 1 && device <= 127)) {
            return Some(Self { hlc, device });
        }
        None
    }

    /// The stamp of a change of a device that is made when `known` is the newest known change of the same thing, and the relay has stated this
    /// time.
    pub(crate) fn after(known: Self, stated_ms: u64, device: u8) -> Self {
        let hlc = from_ms(stated_ms).max(known.hlc.saturating_add(1)).min(u64::MAX >> 1);
        Self { hlc, device }
    }

    /// The stamp as it counts, if the relay has received it at this time: it is not far ahead, whatever its author says.
    pub(crate) fn received_at(self, came_ms: u64) -> Self {
        Self { hlc: self.hlc.min(from_ms(came_ms.saturating_add(MAX_AHEAD_MS))), ..self }
    }

    /// Whether a change with this stamp replaces what is known. A change of this device that has no stamp yet (`is_due`) stays: it
    /// will be sealed later, and have a later one.
    pub(crate) fn replaces(self, known: Self, is_due: bool) -> bool {
        !is_due && self > known
    }
}

fn from_ms(ms: u64) -> u64 {
    ms.min(u64::MAX >> (TICKS + 1)) << TICKS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_later_than_what_was_known_and_not_far_ahead_of_the_relay() {
        let known = Stamp::after(Stamp::default(), 1_000, 3);
        assert_eq!(known, Stamp { hlc: 1_000 << 16, device: 3 });
        assert!(Stamp::after(known, 5, 1) > known && Stamp::after(known, 1_001, 1) > known);
        // Concurrent changes of two devices: the higher number counts.
        assert!(Stamp::after(known, 5, 2) > Stamp::after(known, 5, 1));
        let ahead = Stamp { hlc: u64::MAX >> 1, device: 127 };
        let came = ahead.received_at(1_000);
        assert_eq!(came, Stamp { hlc: 301_000 << 16, device: 127 });
        assert!(Stamp::after(came, 2_000, 1) > came);
        assert_eq!(known.received_at(1_000), known);
        assert_eq!(Stamp::after(ahead, 1, 1).hlc, u64::MAX >> 1);
    }

    #[test]
    fn only_a_device_has_a_stamp() {
        assert!(Stamp::new(0, 0).is_some() && Stamp::new(0, 1).is_some() && Stamp::new(9, 127).is_some());
        assert!(
            Stamp::new(9, 0).is_none() && Stamp::new(9, 128).is_none() && Stamp::new(1 << 63, 1).is_none()
        );
    }
}
