//! The roster after an entry.

use std::collections::BTreeMap;

use super::effect::Effect;
use super::entry::Entry;
use super::refusal::ChainError;
use super::state::{Invited, Member, State};
use crate::id::UserId;

/// A roster: the members, the invited people, and the state of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    pub(super) state: State,
    pub(super) members: BTreeMap<UserId, Member>,
    pub(super) invited: BTreeMap<UserId, Invited>,
}

impl Roster {
    /// From what was stored: the rows of all effects.
    pub fn from_rows(
        state: State,
        members: impl IntoIterator<Item = (UserId, Member)>,
        invited: impl IntoIterator<Item = (UserId, Invited)>,
    ) -> Self {
        Self { state, members: members.into_iter().collect(), invited: invited.into_iter().collect() }
    }

    /// What there is once in the group.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The members, in ascending order of their ids.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (UserId, &Member)> {
        self.members.iter().map(|(user, member)| (*user, member))
    }

    /// The invited people, in ascending order of their ids.
    pub fn invited(&self) -> impl ExactSizeIterator<Item = (UserId, &Invited)> {
        self.invited.iter().map(|(user, invited)| (*user, invited))
    }

    /// One member.
    pub fn member(&self, user: UserId) -> Option<&Member> {
        self.members.get(&user)
    }

    /// One invited person.
    pub fn invitation(&self, user: UserId) -> Option<&Invited> {
        self.invited.get(&user)
    }

    /// Whether this user may write.
    pub fn may_write(&self, user: UserId) -> bool {
        !self.state.is_dissolved
            && self.member(user).is_some_and(|member| self.state.permissions.write.includes(member.role))
    }

    /// Whether the entry is the next one of this chain.
    ///
    /// # Errors
    /// [`ChainError`]
    pub fn check_chain(&self, entry: &Entry) -> Result<(), ChainError> {
        if entry.thread() != self.state.thread {
            return Err(ChainError::Thread);
        }
        if self.state.version.checked_add(1) != Some(entry.version()) {
            return Err(ChainError::Version);
        }
        if entry.content().previous != self.state.head {
            return Err(ChainError::Previous);
        }
        Ok(())
    }

    /// What an entry changes that is the next one of the chain and not valid: nothing but the version and the head. A relay cannot
    /// verify signatures, so a member could otherwise end a group with an entry that nobody accepts.
    ///
    /// # Errors
    /// [`ChainError`]
    pub fn without_effect(&self, entry: &Entry) -> Result<Effect, ChainError> {
        self.check_chain(entry)?;
        Ok(Effect::of(self.state.after(entry)))
    }

    /// What a valid entry changes whose change this version does not know: from now on, what the roster says is not certain.
    ///
    /// # Errors
    /// [`ChainError`]
    pub fn not_understood(&self, entry: &Entry) -> Result<Effect, ChainError> {
        let mut effect = self.without_effect(entry)?;
        if effect.state.unknown_since == 0 {
            effect.state.unknown_since = entry.version();
        }
        Ok(effect)
    }

    /// The roster after an entry of which this is the effect.
    #[must_use]
    pub fn take(mut self, effect: &Effect) -> Self {
        self.state.clone_from(&effect.state);
        replace(&mut self.members, &effect.members);
        replace(&mut self.invited, &effect.invited);
        self
    }
}

fn replace<T: Copy>(rows: &mut BTreeMap<UserId, T>, changed: &BTreeMap<UserId, Option<T>>) {
    for (user, row) in changed {
        match row {
            Some(row) => rows.insert(*user, *row),
            None => rows.remove(user),
        };
    }
}
