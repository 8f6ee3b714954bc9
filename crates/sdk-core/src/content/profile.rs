//! What a person says about themselves.

use std::fmt;

use super::{ContentError, proto};

/// Maximum size of the name in a profile, in bytes of UTF-8.
pub const MAX_PROFILE_NAME: usize = 256;
/// Maximum size of what a profile says besides the name, in bytes of UTF-8.
pub const MAX_PROFILE_ABOUT: usize = 1000;
/// Maximum size of the pointer to the avatar in a profile, in bytes.
pub const MAX_PROFILE_AVATAR: usize = 1024;

/// What a person says about themselves; everything can be empty. Nothing of it is verified, and a name can imitate another one.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// The name, at most [`MAX_PROFILE_NAME`] bytes of UTF-8.
    pub name: String,
    /// A few words, at most [`MAX_PROFILE_ABOUT`] bytes of UTF-8.
    pub about: String,
    /// Where the apps find the picture, and how they decrypt it, in a form that they agree on; at most [`MAX_PROFILE_AVATAR`] bytes.
    pub avatar: Vec<u8>,
}

impl Profile {
    /// Whether it can be sent.
    pub(crate) fn is_valid(&self) -> bool {
        self.name.len() <= MAX_PROFILE_NAME
            && self.about.len() <= MAX_PROFILE_ABOUT
            && self.avatar.len() <= MAX_PROFILE_AVATAR
    }
}

/// Contains nothing that a person wrote, so that it cannot end up in a log.
impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Profile(..)")
    }
}

/// A profile on its way. Of several of one person, the one with the highest revision counts, in whatever order they arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Revised {
    pub(crate) profile: Profile,
    pub(crate) revision: u64,
}

impl Revised {
    pub(super) fn write(&self) -> proto::content::Body {
        proto::content::Body::Profile(self.to_proto())
    }

    pub(super) fn to_proto(&self) -> proto::Profile {
        let Profile { name, about, avatar } = self.profile.clone();
        proto::Profile { name, about, avatar, revision: self.revision }
    }

    /// # Errors
    /// [`ContentError::Malformed`] if a field is too long, or the revision is larger than any time.
    pub(super) fn read(profile: proto::Profile) -> Result<Self, ContentError> {
        let proto::Profile { name, about, avatar, revision } = profile;
        let profile = Profile { name, about, avatar };
        let is_valid = profile.is_valid() && revision <= u64::MAX >> 1;
        if is_valid { Ok(Self { profile, revision }) } else { Err(ContentError::Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_of_a_profile_is_checked() {
        let text = |length| "a".repeat(length);
        let good = proto::Profile {
            name: text(256),
            about: text(1000),
            avatar: vec![1; 1024],
            revision: u64::MAX >> 1,
        };
        assert!(Revised::read(good.clone()).is_ok());
        assert!(Revised::read(proto::Profile::default()).is_ok());
        for bad in [
            proto::Profile { name: text(257), ..good.clone() },
            proto::Profile { about: text(1001), ..good.clone() },
            proto::Profile { avatar: vec![1; 1025], ..good.clone() },
            proto::Profile { revision: u64::MAX, ..good },
        ] {
            assert!(Revised::read(bad).is_err());
        }
    }
}
