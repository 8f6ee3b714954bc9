//! What a device tells the other devices of a group so that they can read what it sends there.

use std::fmt;

use zeroize::Zeroizing;

use super::profile::Revised;
use super::{ContentError, proto};

/// The maximum size of a sender key distribution message, in bytes.
const MAX_MESSAGE: usize = 256;
/// The size of the secret of a group.
const SECRET: usize = 32;

/// The present state of a device's chain in a group.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Distribution {
    /// The sender key distribution message, as Signal's library writes it.
    pub(crate) message: Zeroizing<Vec<u8>>,
    /// The version of the roster with the last removal that the author knew: the chain is newer.
    pub(crate) removal_version: u64,
    /// The secret of the group, and the version of the roster since which it is the one; none if the author does not have it.
    pub(crate) secret: Option<(Zeroizing<[u8; SECRET]>, u64)>,
    /// What the author says about themselves: members of a group need not have another thread with each other.
    pub(crate) profile: Option<Revised>,
}

impl Distribution {
    pub(super) fn write(&self) -> proto::content::Body {
        let secret = self.secret.as_ref();
        proto::content::Body::Distribution(proto::Distribution {
            message: self.message.to_vec(),
            removal_version: self.removal_version,
            secret: secret.map_or_else(Vec::new, |(secret, _)| secret.to_vec()),
            secret_version: secret.map_or(0, |(_, version)| *version),
            profile: self.profile.as_ref().map(Revised::to_proto),
        })
    }

    /// # Errors
    /// [`ContentError::Malformed`] without a message, or if something is out of its range.
    pub(super) fn read(distribution: proto::Distribution) -> Result<Self, ContentError> {
        let proto::Distribution { message, removal_version, secret, secret_version, profile } = distribution;
        let (message, secret) = (Zeroizing::new(message), Zeroizing::new(secret));
        let is_version = |version: u64| i64::try_from(version).is_ok();
        if message.is_empty()
            || message.len() > MAX_MESSAGE
            || !is_version(removal_version)
            || !is_version(secret_version)
        {
            return Err(ContentError::Malformed);
        }
        let secret = match (secret.as_slice(), secret_version) {
            ([], 0) => None,
            (secret, 1..) => {
                let secret = secret.try_into().map_err(|_| ContentError::Malformed)?;
                Some((Zeroizing::new(secret), secret_version))
            }
            _ => return Err(ContentError::Malformed),
        };
        let profile = profile.map(Revised::read).transpose()?;
        Ok(Self { message, removal_version, secret, profile })
    }
}

/// Contains no keys.
impl fmt::Debug for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Distribution({})", self.removal_version)
    }
}
