//! What a roster consists of: one state, and a row for each member and each invited person.

use super::device_set::DeviceSet;
use super::entry::{Entry, HASH};
use super::value::{AccountKey, InviteLink, Permissions, Role};
use crate::id::{ThreadId, UserId};

/// A member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Whose lists are meant by this member.
    pub account_key: AccountKey,
    /// The role.
    pub role: Role,
    /// The version with which they became a member.
    pub since: u64,
    /// The version of the newest device list that an entry of theirs carried; 0 if none did with this account key.
    pub list_version: u64,
    /// The devices on that list.
    pub devices: DeviceSet,
}

/// Somebody who is invited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invited {
    /// Whose lists are meant.
    pub account_key: AccountKey,
    /// Who has invited them.
    pub by: UserId,
    /// The version with which they were invited.
    pub since: u64,
}

/// What there is once in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The group.
    pub thread: ThreadId,
    /// The number of entries.
    pub version: u64,
    /// The hash of the newest entry.
    pub head: [u8; HASH],
    /// Who may do what.
    pub permissions: Permissions,
    /// The link, if there is one.
    pub link: Option<InviteLink>,
    /// After which time messages disappear, in seconds; 0 if they do not.
    pub timer_s: u32,
    /// What the secret of the group hashes to.
    pub commitment: [u8; 32],
    /// The version of the entry with this commitment.
    pub secret_version: u64,
    /// The version of the last entry that took a member or a device away; 0 if none did.
    pub removal_version: u64,
    /// Posts that name an earlier version are refused.
    pub floor: u64,
    /// The version of the entry with the newest details.
    pub details_version: u64,
    /// Whether the group was dissolved.
    pub is_dissolved: bool,
    /// The version of the first entry that this version of the library does not understand; 0 if there is none.
    pub unknown_since: u64,
}

impl State {
    /// Whether somebody who is no member any more knows the secret.
    pub const fn is_secret_stale(&self) -> bool {
        self.secret_version < self.removal_version
    }

    pub(super) fn after(&self, entry: &Entry) -> Self {
        Self { version: entry.version(), head: *entry.hash(), ..self.clone() }
    }
}
