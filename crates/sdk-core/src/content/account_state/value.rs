//! What an item of account state says.

use std::fmt;

use super::read::{MAX_UNREAD_BELOW, ReadSet};
use super::{MAX_DEVICE_NAME, MAX_STATE_DRAFT, StateKey};
use crate::content::{ContentError, Profile, Revised};

/// What something is now. Which kind of value it is depends on the key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum StateValue {
    /// A number below 2^63. Of a thread: until when it is muted, its rank among the pinned ones (0 not pinned), or the place up to which it
    /// was cleared. Of a message: when its timer began to run. Of a contact: the trust, as it is stored. Otherwise 1 for yes.
    Number(u64),
    /// Whether a thread is in the archive, and up to which place it was known then: a later message takes it out.
    Archived { is_archived: bool, up_to: i64 },
    /// A draft, empty if there is none, or the name of a device.
    Text(String),
    /// What has been read.
    Read(ReadSet),
    /// A profile.
    Profile(Box<Revised>),
}

impl StateValue {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Number(number) => number.to_be_bytes().to_vec(),
            Self::Archived { is_archived, up_to } => {
                [&[u8::from(*is_archived)], up_to.to_be_bytes().as_slice()].concat()
            }
            Self::Text(text) => text.as_bytes().to_vec(),
            Self::Read(set) => {
                let places = std::iter::once(set.up_to()).chain(set.except().iter().copied());
                places.flat_map(i64::to_be_bytes).collect()
            }
            Self::Profile(revised) => {
                let Revised { profile: Profile { name, about, avatar }, revision } = &**revised;
                let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
                let mut bytes = revision.to_be_bytes().to_vec();
                for part in [name.as_bytes(), about.as_bytes()] {
                    bytes.extend(length(part));
                    bytes.extend(part);
                }
                bytes.extend(avatar);
                bytes
            }
        }
    }

    /// The inverse of [`StateValue::to_bytes`] for a value of this key.
    ///
    /// # Errors
    /// [`ContentError::Malformed`].
    pub(crate) fn read(key: &StateKey, bytes: &[u8]) -> Result<Self, ContentError> {
        match key {
            StateKey::Archived(_) => {
                let (is_archived, up_to) = bytes.split_first().ok_or(ContentError::Malformed)?;
                let is_archived = match is_archived {
                    0 => false,
                    1 => true,
                    _ => return Err(ContentError::Malformed),
                };
                Ok(Self::Archived { is_archived, up_to: place(up_to)? })
            }
            StateKey::Draft(_) if bytes.len() <= MAX_STATE_DRAFT => text(bytes).map(Self::Text),
            StateKey::Draft(_) => Err(ContentError::Malformed),
            StateKey::DeviceName(_) if (1..=MAX_DEVICE_NAME).contains(&bytes.len()) => {
                text(bytes).map(Self::Text)
            }
            StateKey::DeviceName(_) => Err(ContentError::Malformed),
            StateKey::Read(_) => read_set(bytes).map(Self::Read),
            StateKey::Profile => profile(bytes).map(|revised| Self::Profile(Box::new(revised))),
            StateKey::Muted(_)
            | StateKey::Pinned(_)
            | StateKey::MarkedUnread(_)
            | StateKey::Blocked(_)
            | StateKey::Trust(..)
            | StateKey::Privacy(..)
            | StateKey::Accepted(_)
            | StateKey::Cleared(_)
            | StateKey::TimerStarted(_)
            | StateKey::DeletedForMe(_) => Ok(Self::Number(place(bytes)?.unsigned_abs())),
        }
    }
}

/// A number from 0 to 2^63 - 1.
fn place(bytes: &[u8]) -> Result<i64, ContentError> {
    let place = i64::from_be_bytes(bytes.try_into().map_err(|_| ContentError::Malformed)?);
    if place >= 0 { Ok(place) } else { Err(ContentError::Malformed) }
}

fn read_set(bytes: &[u8]) -> Result<ReadSet, ContentError> {
    if bytes.len() > 8 * (MAX_UNREAD_BELOW + 1) {
        return Err(ContentError::Malformed);
    }
    let places = bytes.chunks(8).map(place).collect::<Result<Vec<_>, _>>()?;
    let (up_to, except) = places.split_first().ok_or(ContentError::Malformed)?;
    let set = ReadSet::new(*up_to, except.iter().copied());
    // It has one form.
    let is_same = set.up_to() == *up_to && set.except().iter().eq(except);
    if is_same { Ok(set) } else { Err(ContentError::Malformed) }
}

fn profile(bytes: &[u8]) -> Result<Revised, ContentError> {
    let (revision, rest) = bytes.split_at_checked(8).ok_or(ContentError::Malformed)?;
    let (name, rest) = part(rest)?;
    let (about, avatar) = part(rest)?;
    let profile = Profile { name: text(name)?, about: text(about)?, avatar: avatar.to_vec() };
    let revision = place(revision)?.unsigned_abs();
    if profile.is_valid() { Ok(Revised { profile, revision }) } else { Err(ContentError::Malformed) }
}

/// Bytes with their length before them, and what follows.
fn part(bytes: &[u8]) -> Result<(&[u8], &[u8]), ContentError> {
    let (length, rest) = bytes.split_first_chunk::<2>().ok_or(ContentError::Malformed)?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(ContentError::Malformed)
}

fn text(bytes: &[u8]) -> Result<String, ContentError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| ContentError::Malformed)
}

/// Contains nothing that a person wrote, and nothing about what they do.
impl fmt::Debug for StateValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateValue(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ThreadId;

    #[test]
    fn values_out_of_their_bounds_are_refused() {
        let thread = ThreadId::from_bytes([1; 16]);
        let refused = |key: StateKey, bytes: &[u8]| StateValue::read(&key, bytes).is_err();
        assert!(refused(StateKey::Muted(thread), &[0; 7]) && refused(StateKey::Muted(thread), &[0xff; 8]));
        assert!(refused(StateKey::Archived(thread), &[2, 0, 0, 0, 0, 0, 0, 0, 0]));
        assert!(refused(StateKey::Draft(thread), &[b'a'; MAX_STATE_DRAFT + 1]));
        assert!(refused(StateKey::Draft(thread), &[0xff]));
        let name = StateKey::DeviceName(crate::id::DeviceId::PRIMARY);
        assert!(!refused(name, &[b'a'; MAX_DEVICE_NAME]) && refused(name, &[b'a'; MAX_DEVICE_NAME + 1]));
        assert!(refused(name, &[]) && refused(name, &[0xff]));
        assert!(refused(StateKey::Read(thread), &[]));
        // Exceptions are ascending and below the mark.
        let places = |places: &[i64]| places.iter().copied().flat_map(i64::to_be_bytes).collect::<Vec<_>>();
        assert!(!refused(StateKey::Read(thread), &places(&[9, 3, 5])));
        for wrong in [&[9, 5, 3][..], &[9, 3, 3], &[9, 9], &[9, 10], &[-1]] {
            assert!(refused(StateKey::Read(thread), &places(wrong)), "{wrong:?}");
        }
        let many: Vec<_> = std::iter::once(500).chain(1..=65).collect();
        assert!(refused(StateKey::Read(thread), &places(&many)));
        let long = [&[0; 8][..], &257_u16.to_be_bytes(), &[b'a'; 257], &[0, 0]].concat();
        assert!(refused(StateKey::Profile, &long) && refused(StateKey::Profile, &[0; 9]));
    }
}
