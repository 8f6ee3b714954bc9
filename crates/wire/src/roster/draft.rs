//! An effect that is being made: the roster before, and what has changed so far.

use super::author_list::AuthorList;
use super::change::Invitation;
use super::effect::Effect;
use super::entry::Author;
use super::membership::Roster;
use super::refusal::Refusal;
use super::state::{Invited, Member};
use super::value::Role;
use crate::id::UserId;
use crate::limits::MAX_GROUP;

pub(super) struct Draft<'a> {
    pub(super) before: &'a Roster,
    pub(super) effect: Effect,
}

impl Draft<'_> {
    pub(super) fn version(&self) -> u64 {
        self.effect.state.version
    }

    pub(super) fn member(&self, user: UserId) -> Result<Member, Refusal> {
        match self.effect.members.get(&user) {
            Some(changed) => changed.ok_or(Refusal::NotMember),
            None => self.before.member(user).copied().ok_or(Refusal::NotMember),
        }
    }

    pub(super) fn set(&mut self, user: UserId, member: Member) {
        self.effect.members.insert(user, Some(member));
    }

    /// Makes the author a member, by an invitation or the link.
    pub(super) fn admit(&mut self, author: Author, list: &AuthorList, role: Role) -> Result<(), Refusal> {
        if !list.devices().contains(author.device) {
            return Err(Refusal::Device);
        }
        if self.before.member(author.user).is_some() {
            return Err(Refusal::AlreadyMember);
        }
        if self.before.invitation(author.user).is_some() {
            self.effect.invited.insert(author.user, None);
        }
        let member = Member {
            account_key: list.account_key(),
            role,
            since: self.version(),
            list_version: list.version(),
            devices: list.devices(),
        };
        self.set(author.user, member);
        self.effect.came.push(author.user);
        self.check_size()
    }

    /// Takes a member away.
    pub(super) fn dismiss(&mut self, user: UserId) -> Result<(), Refusal> {
        self.member(user)?;
        self.effect.members.insert(user, None);
        self.effect.left.push(user);
        self.took_away();
        Ok(())
    }

    pub(super) fn invite(&mut self, by: UserId, invited: &[Invitation]) -> Result<(), Refusal> {
        for Invitation { user, account_key } in invited {
            if self.member(*user).is_ok() {
                return Err(Refusal::AlreadyMember);
            }
            if self.before.invitation(*user).is_some() {
                return Err(Refusal::AlreadyInvited);
            }
            let row = Invited { account_key: *account_key, by, since: self.version() };
            self.effect.invited.insert(*user, Some(row));
        }
        self.check_size()
    }

    /// A member or a device is gone.
    pub(super) fn took_away(&mut self) {
        self.effect.state.removal_version = self.version();
        self.raise_floor();
    }

    pub(super) fn raise_floor(&mut self) {
        self.effect.state.floor = self.version();
    }

    pub(super) fn admins_before(&self) -> usize {
        self.before.members.values().filter(|member| member.role == Role::Admin).count()
    }

    /// Members and invited people together.
    fn check_size(&self) -> Result<(), Refusal> {
        let is_new =
            |user: &UserId| self.before.member(*user).is_none() && self.before.invitation(*user).is_none();
        let members = self.effect.members.iter().filter(|(user, row)| row.is_some() && is_new(user)).count();
        let invited = self.effect.invited.iter().filter(|(user, row)| row.is_some() && is_new(user)).count();
        let new = members.saturating_add(invited);
        let before = self.before.members.len().saturating_add(self.before.invited.len());
        if before.saturating_add(new) > MAX_GROUP { Err(Refusal::TooMany) } else { Ok(()) }
    }
}
