//! What a group consists of.

use std::fmt;

use sealpost_core as core;

use crate::UserId;

/// What a group is called. Only its members can read it.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
#[uniffi::export(Debug)]
pub struct GroupDetails {
    /// At most 256 bytes of UTF-8.
    pub title: String,
    /// At most 2,000 bytes of UTF-8; may be empty.
    #[uniffi(default = "")]
    pub about: String,
}

impl From<core::GroupDetails> for GroupDetails {
    fn from(details: core::GroupDetails) -> Self {
        let core::GroupDetails { title, about } = details;
        Self { title, about }
    }
}

impl From<GroupDetails> for core::GroupDetails {
    fn from(details: GroupDetails) -> Self {
        let GroupDetails { title, about } = details;
        Self { title, about }
    }
}

/// Contains nothing that a person wrote, so that it cannot end up in a log.
impl fmt::Debug for GroupDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupDetails(..)")
    }
}

/// Somebody in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct GroupMember {
    /// Who.
    pub user: UserId,
    /// Whether they can change everything.
    #[uniffi(default = false)]
    pub is_admin: bool,
}

impl From<core::GroupMember> for GroupMember {
    fn from(member: core::GroupMember) -> Self {
        Self { user: member.user, is_admin: member.is_admin }
    }
}

/// Who may do what in a group. Admins may do everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct GroupPermissions {
    /// Whether all members may write, or admins only.
    #[uniffi(default = true)]
    pub members_write: bool,
    /// Whether all members may invite people.
    #[uniffi(default = true)]
    pub members_invite: bool,
    /// Whether all members may change title, description and timer.
    #[uniffi(default = true)]
    pub members_change_details: bool,
}

impl From<core::GroupPermissions> for GroupPermissions {
    fn from(permissions: core::GroupPermissions) -> Self {
        let core::GroupPermissions { members_write, members_invite, members_change_details } = permissions;
        Self { members_write, members_invite, members_change_details }
    }
}

impl From<GroupPermissions> for core::GroupPermissions {
    fn from(permissions: GroupPermissions) -> Self {
        let GroupPermissions { members_write, members_invite, members_change_details } = permissions;
        Self { members_write, members_invite, members_change_details }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_permissions_that_both_languages_write_down_are_those_of_the_client() {
        // As in the attributes of the fields.
        let written =
            GroupPermissions { members_write: true, members_invite: true, members_change_details: true };
        assert_eq!(core::GroupPermissions::from(written), core::GroupPermissions::default());
    }
}
