//! A place on the earth.

use std::fmt;

use super::{ContentError, of, proto};

/// Maximum size of the name of a place, in bytes of UTF-8.
pub const MAX_PLACE_NAME: usize = 256;
/// 10,000,000 units are one degree.
const DEGREE: i32 = 10_000_000;
/// Maximum accuracy: half of the circumference of the earth.
const MAX_ACCURACY_M: u32 = 20_100_000;

/// A place on the earth (WGS 84), as the sender states it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Location {
    /// The latitude in units of 0.0000001 degrees, from -900,000,000 to 900,000,000; positive in the north.
    pub latitude_e7: i32,
    /// The longitude in units of 0.0000001 degrees, from -1,800,000,000 to 1,800,000,000; positive in the east.
    pub longitude_e7: i32,
    /// The radius around it in which the sender is, in metres, at most 20,100,000; 0 if it is not known.
    pub accuracy_m: u32,
    /// The name of the place, at most [`MAX_PLACE_NAME`] bytes of UTF-8; empty if it has none.
    pub name: String,
}

impl Location {
    /// Whether it is a place on the earth.
    pub(crate) fn is_valid(&self) -> bool {
        let is_within = |value: i32, degrees: i32| {
            value.unsigned_abs() <= degrees.unsigned_abs().saturating_mul(DEGREE.unsigned_abs())
        };
        is_within(self.latitude_e7, 90)
            && is_within(self.longitude_e7, 180)
            && self.accuracy_m <= MAX_ACCURACY_M
            && self.name.len() <= MAX_PLACE_NAME
    }
}

/// Contains no place, so that it cannot end up in a log.
impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Location(..)")
    }
}

/// A place in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) location: Location,
    pub(crate) is_forwarded: bool,
}

impl Place {
    pub(super) fn write(&self) -> proto::Content {
        let Location { latitude_e7, longitude_e7, accuracy_m, name } = self.location.clone();
        let location = proto::Location { latitude_e7, longitude_e7, accuracy_m, name };
        proto::Content { forwarded: self.is_forwarded, ..of(proto::content::Body::Location(location)) }
    }

    /// # Errors
    /// [`ContentError::Malformed`] if it is not on the earth, or its name is too long.
    pub(super) fn read(location: proto::Location, is_forwarded: bool) -> Result<Self, ContentError> {
        let proto::Location { latitude_e7, longitude_e7, accuracy_m, name } = location;
        let location = Location { latitude_e7, longitude_e7, accuracy_m, name };
        if location.is_valid() { Ok(Self { location, is_forwarded }) } else { Err(ContentError::Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_places_on_the_earth_are_accepted() {
        let good = Location {
            latitude_e7: -900_000_000,
            longitude_e7: 1_800_000_000,
            accuracy_m: 20_100_000,
            name: "a".repeat(256),
        };
        assert!(good.is_valid() && Location::default().is_valid());
        for bad in [
            Location { latitude_e7: 900_000_001, ..good.clone() },
            Location { latitude_e7: i32::MIN, ..good.clone() },
            Location { longitude_e7: -1_800_000_001, ..good.clone() },
            Location { longitude_e7: i32::MAX, ..good.clone() },
            Location { accuracy_m: 20_100_001, ..good.clone() },
            Location { name: "a".repeat(257), ..good.clone() },
        ] {
            assert!(!bad.is_valid());
        }
    }
}
