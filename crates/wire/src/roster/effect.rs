//! What an entry changes, as the rows that are stored.

use std::collections::BTreeMap;

use super::state::{Invited, Member, State};
use crate::id::UserId;

/// What an entry changes. Only the named rows are different afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The state of the group itself afterwards.
    pub state: State,
    /// The members that are new or have changed, and those who are none any more (`None`).
    pub members: BTreeMap<UserId, Option<Member>>,
    /// The invited people that are new, and those who are not invited any more (`None`).
    pub invited: BTreeMap<UserId, Option<Invited>>,
    /// Who became a member, in ascending order.
    pub came: Vec<UserId>,
    /// Who is no member any more, in ascending order.
    pub left: Vec<UserId>,
}

impl Effect {
    pub(super) fn of(state: State) -> Self {
        Self { state, members: BTreeMap::new(), invited: BTreeMap::new(), came: Vec::new(), left: Vec::new() }
    }

    /// Whether a member or a device was taken away: everybody's sender keys change before the next message.
    pub const fn is_removal(&self) -> bool {
        self.state.removal_version == self.state.version
    }

    /// Whether posts that name an earlier version are refused from now on.
    pub const fn raises_floor(&self) -> bool {
        self.state.floor == self.state.version
    }

    /// Whether the group has another secret.
    pub const fn has_new_secret(&self) -> bool {
        self.state.secret_version == self.state.version
    }

    /// Whether title or other details were replaced, or encrypted anew.
    pub const fn has_new_details(&self) -> bool {
        self.state.details_version == self.state.version
    }

    /// Who is invited now, and was not before.
    pub fn newly_invited(&self) -> impl Iterator<Item = UserId> {
        self.invited.iter().filter(|(_, row)| row.is_some()).map(|(user, _)| *user)
    }

    /// Whose invitation has ended without them becoming a member.
    pub fn uninvited(&self) -> impl Iterator<Item = UserId> {
        let gone = self.invited.iter().filter(|(_, row)| row.is_none()).map(|(user, _)| *user);
        gone.filter(|user| !self.came.contains(user))
    }
}
