//! Which of two lists of an account is newer.

use std::cmp::Ordering;
use std::fmt;

use super::{AccountKey, VerifiedDeviceList};

/// What is remembered of the newest list of an account.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KnownDeviceList {
    /// The account key that has signed it.
    pub account: AccountKey,
    /// Its version.
    pub version: u64,
    /// Its digest.
    pub digest: [u8; 32],
}

/// What a list is to the one that is known. Versions are compared within one account key only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Succession {
    /// It is the same list.
    Same,
    /// It replaces the known one.
    Newer,
    /// It was replaced by the known one. Somebody shows an old list.
    Older,
    /// Another list has the same version: different lists were shown to different people.
    Contradicts,
    /// It replaces the known one, and is signed by another account key, which the known one has named as its successor.
    Moved,
    /// It is signed by another account key, which the known one has not named: the account was registered anew, or this is another account.
    OtherAccountKey,
}

/// Shows two bytes of the digest.
impl fmt::Debug for KnownDeviceList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, version, digest: [a, b, ..] } = self;
        f.debug_struct("KnownDeviceList")
            .field("account", account)
            .field("version", version)
            .field("digest", &format_args!("{a:02x}{b:02x}.."))
            .finish()
    }
}

impl KnownDeviceList {
    /// What `list` is to this one.
    pub fn succession(&self, list: &VerifiedDeviceList) -> Succession {
        if list.account_key() != &self.account {
            // After a move, the old key signs no further list.
            let at = list.moved_from(&self.account);
            let is_moved = at.is_some_and(|version| version > self.version);
            return if is_moved { Succession::Moved } else { Succession::OtherAccountKey };
        }
        self.compare(list.version(), *list.digest() == self.digest)
    }

    /// The same for a list of the same account key of which only the version and the first half of the digest are known, as a
    /// content names them.
    pub fn succession_of(&self, version: u64, digest: &[u8; 16]) -> Succession {
        self.compare(version, self.digest.starts_with(digest))
    }

    fn compare(&self, version: u64, has_same_digest: bool) -> Succession {
        match version.cmp(&self.version) {
            Ordering::Greater => Succession::Newer,
            Ordering::Less => Succession::Older,
            Ordering::Equal if has_same_digest => Succession::Same,
            Ordering::Equal => Succession::Contradicts,
        }
    }
}
