//! Title and description of a group, which only its members can read.

use prost::Message as _;

use crate::error::{Error, Result};

/// The longest title, in bytes of UTF-8.
pub const MAX_GROUP_TITLE: usize = 256;
/// The longest description, in bytes of UTF-8.
pub const MAX_GROUP_ABOUT: usize = 2_000;
/// The form is padded to a multiple of this, so that the relay does not learn how long a title is.
const PADDED_TO: usize = 160;

/// What a group is called.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct GroupDetails {
    /// At most [`MAX_GROUP_TITLE`] bytes.
    pub title: String,
    /// At most [`MAX_GROUP_ABOUT`] bytes; may be empty.
    pub about: String,
}

/// Shows nothing that people have written.
impl std::fmt::Debug for GroupDetails {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GroupDetails(..)")
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct Form {
    #[prost(string, tag = "1")]
    title: String,
    #[prost(string, tag = "2")]
    about: String,
    /// Zeros.
    #[prost(bytes = "vec", tag = "15")]
    padding: Vec<u8>,
}

impl GroupDetails {
    /// # Errors
    /// [`Error::Misuse`] if a bound is exceeded.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        if self.title.len() > MAX_GROUP_TITLE || self.about.len() > MAX_GROUP_ABOUT {
            return Err(Error::Misuse("the title or the description of the group is too long"));
        }
        let mut form = Form { title: self.title.clone(), about: self.about.clone(), padding: Vec::new() };
        let length = form.encoded_len();
        let padded = length.saturating_add(3).next_multiple_of(PADDED_TO);
        // Tag and length take two bytes, or three with more than 127 zeros, so that 130 bytes cannot be filled.
        let zeros = match padded.saturating_sub(length) {
            130 => PADDED_TO.saturating_add(127),
            rest @ ..130 => rest.saturating_sub(2),
            rest => rest.saturating_sub(3),
        };
        form.padding = vec![0; zeros];
        Ok(form.encode_to_vec())
    }

    /// None if it is damaged, or exceeds a bound.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "there are no lists")]
        let Form { title, about, .. } = Form::decode(bytes).ok()?;
        (title.len() <= MAX_GROUP_TITLE && about.len() <= MAX_GROUP_ABOUT).then_some(Self { title, about })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_padded_and_read_again() {
        let mut lengths = std::collections::BTreeSet::new();
        for length in 0..=MAX_GROUP_TITLE {
            let details = GroupDetails { title: "x".repeat(length), about: "y".repeat(length / 7) };
            let bytes = details.to_bytes().unwrap();
            assert!(bytes.len().is_multiple_of(PADDED_TO), "{length}");
            lengths.insert(bytes.len());
            assert_eq!(GroupDetails::from_bytes(&bytes), Some(details));
        }
        assert!(lengths.len() <= 3);
        let long = GroupDetails { title: "x".repeat(MAX_GROUP_TITLE + 1), ..GroupDetails::default() };
        assert!(long.to_bytes().is_err());
        assert_eq!(GroupDetails::from_bytes(&[0xff]), None);
    }
}
