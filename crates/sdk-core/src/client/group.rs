//! The handle of a group.

use sealpost_protocol::group::GroupLink;
use sealpost_wire::roster::{Change, Permissions, Role, Who};

use super::{Client, Thread};
use crate::error::{Error, Result};
#[cfg(doc)]
use crate::event::Event;
use crate::group::details::GroupDetails;
use crate::group::joining::GroupPreview;
use crate::group::{change, joining, sign};
use crate::id::{ThreadId, UserId};

/// A group: who is in it, and with which rights. Each change is stored, made as soon as there is a connection, and then
/// reported as [`Event::ThreadChanged`]. One that somebody else has overtaken, so that it is not allowed any more, is reported as
/// [`Event::GroupChangeFailed`].
#[derive(Debug, Clone)]
pub struct Group {
    client: Client,
    thread: ThreadId,
}

/// Somebody in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupMember {
    /// Who.
    pub user: UserId,
    /// Whether they can change everything.
    pub is_admin: bool,
    /// Whether they have another account key now than the group knows. They are sent nothing in the group until an admin says that they are the
    /// same person ([`Group::take_new_key`]).
    pub has_other_key: bool,
}

/// What we are in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupStanding {
    /// An admin.
    Admin,
    /// A member.
    Member,
    /// Invited, and the person has not accepted.
    Invited {
        /// Who has invited us.
        by: UserId,
    },
    /// Not a member (any more). The history remains; nothing can be sent, and nothing comes.
    Outside,
}

/// Who may do what in a group. Admins may do everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupPermissions {
    /// Whether all members may write, or admins only.
    pub members_write: bool,
    /// Whether all members may invite people.
    pub members_invite: bool,
    /// Whether all members may change title, description and timer.
    pub members_change_details: bool,
}

impl Default for GroupPermissions {
    fn default() -> Self {
        Self { members_write: true, members_invite: true, members_change_details: true }
    }
}

impl From<GroupPermissions> for Permissions {
    fn from(permissions: GroupPermissions) -> Self {
        let who = |members| if members { Who::Members } else { Who::Admins };
        Self {
            write: who(permissions.members_write),
            add: who(permissions.members_invite),
            details: who(permissions.members_change_details),
        }
    }
}

impl From<Permissions> for GroupPermissions {
    fn from(permissions: Permissions) -> Self {
        Self {
            members_write: permissions.write == Who::Members,
            members_invite: permissions.add == Who::Members,
            members_change_details: permissions.details == Who::Members,
        }
    }
}

impl Client {
    /// Creates a group, and invites these people. Those who know us become members at once; others are asked. The group is here
    /// ([`Event::ThreadAdded`]) once the relay has it.
    ///
    /// # Errors
    /// [`Error::Misuse`] if a bound is exceeded, [`Error::NotFound`] if somebody has no account, [`Error::Offline`] if somebody was never met and
    /// there is no connection, [`Error::Storage`].
    pub async fn create_group(
        &self,
        details: GroupDetails,
        permissions: GroupPermissions,
        invited: &[UserId],
    ) -> Result<Group> {
        let thread = change::create(&self.inner.ctx, details, permissions.into(), invited).await?;
        Ok(Group { client: self.clone(), thread })
    }

    /// Shows where the link of a group leads.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it leads nowhere (any more), [`Error::Offline`], [`Error::Storage`].
    pub async fn group_behind(&self, link: &GroupLink) -> Result<GroupPreview> {
        joining::preview(&self.inner.ctx, link).await
    }

    /// Joins the group of a link. The group is here afterwards. It may be repeated.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the link leads nowhere (any more), [`Error::WrongState`] if the group has no room, [`Error::Offline`],
    /// [`Error::Storage`].
    pub async fn join_group(&self, link: &GroupLink) -> Result<Group> {
        let thread = joining::join(&self.inner.ctx, link).await?;
        Ok(Group { client: self.clone(), thread })
    }

    /// The group of a thread.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such group, [`Error::Storage`].
    pub async fn group(&self, thread: ThreadId) -> Result<Group> {
        match self.inner.ctx.store.glance(move |rows| rows.roster_state(thread)).await? {
            Some(_) => Ok(Group { client: self.clone(), thread }),
            None => Err(Error::NotFound),
        }
    }
}

impl Group {
    /// The id of its thread.
    pub fn id(&self) -> ThreadId {
        self.thread
    }

    /// Its thread.
    ///
    /// # Errors
    /// [`Error::NotFound`] until the relay has the group, [`Error::Storage`].
    pub async fn thread(&self) -> Result<Thread> {
        self.client.thread(self.thread).await
    }

    /// The members, in the order of their ids, ourselves included.
    ///
    /// # Errors
    /// [`Error::NotFound`] until the relay has the group, [`Error::Storage`].
    pub async fn members(&self) -> Result<Vec<GroupMember>> {
        let thread = self.thread;
        let work = self.client.inner.ctx.store.glance(move |rows| {
            let roster = rows.roster(thread)?.ok_or(Error::NotFound)?;
            let member = |(user, member): (UserId, &sealpost_wire::roster::Member)| {
                let known = rows.account_key_of(user)?;
                Ok(GroupMember {
                    user,
                    is_admin: member.role == Role::Admin,
                    has_other_key: known.is_some_and(|key| key.serialize() != *member.account_key.as_bytes()),
                })
            };
            roster.members().map(member).collect()
        });
        work.await
    }

    /// What we are in it.
    ///
    /// # Errors
    /// [`Error::NotFound`] until the relay has the group, [`Error::Storage`].
    pub async fn standing(&self) -> Result<GroupStanding> {
        let roster = self.roster().await?;
        let us = self.client.user_id();
        Ok(match (roster.member(us), roster.invitation(us)) {
            (Some(member), _) if member.role == Role::Admin => GroupStanding::Admin,
            (Some(_), _) => GroupStanding::Member,
            (None, Some(invited)) => GroupStanding::Invited { by: invited.by },
            (None, None) => GroupStanding::Outside,
        })
    }

    /// Those who are invited and have not accepted yet, in the order of their ids.
    ///
    /// # Errors
    /// [`Error::NotFound`] until the relay has the group, [`Error::Storage`].
    pub async fn invited(&self) -> Result<Vec<UserId>> {
        Ok(self.roster().await?.invited().map(|(user, _)| user).collect())
    }

    /// Who may do what.
    ///
    /// # Errors
    /// [`Error::NotFound`] until the relay has the group, [`Error::Storage`].
    pub async fn permissions(&self) -> Result<GroupPermissions> {
        Ok(self.roster().await?.state().permissions.into())
    }

    /// After which time messages disappear, in seconds; 0 if they do not.
    ///
    /// # Errors
    /// [`Error::NotFound`] until the relay has the group, [`Error::Storage`].
    pub async fn timer(&self) -> Result<u32> {
        Ok(self.roster().await?.state().timer_s)
    }

    /// Whether it was dissolved.
    ///
    /// # Errors
    /// [`Error::NotFound`] until the relay has the group, [`Error::Storage`].
    pub async fn is_dissolved(&self) -> Result<bool> {
        Ok(self.roster().await?.state().is_dissolved)
    }

    /// Title and description. `None` as long as this device does not know the secret of the group.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn details(&self) -> Result<Option<GroupDetails>> {
        let thread = self.thread;
        self.client.inner.ctx.store.glance(move |rows| sign::details(rows, thread)).await
    }

    /// Invites people. Those who know us become members at once; others are asked.
    ///
    /// # Errors
    /// [`Error::WrongState`] if we may not, or somebody is there; those of [`Client::create_group`].
    pub async fn invite(&self, users: &[UserId]) -> Result<()> {
        change::invite(&self.client.inner.ctx, self.thread, users).await
    }

    /// Takes back the invitations of these people, or declines our own.
    ///
    /// # Errors
    /// [`Error::WrongState`] if we may not, [`Error::NotFound`], [`Error::Storage`].
    pub async fn withdraw(&self, users: &[UserId]) -> Result<()> {
        let mut users = users.to_vec();
        users.sort();
        users.dedup();
        self.change(Change::Withdraw(users)).await
    }

    /// Accepts our invitation.
    ///
    /// # Errors
    /// [`Error::WrongState`] if we are not invited, [`Error::NotFound`], [`Error::Storage`].
    pub async fn accept(&self) -> Result<()> {
        self.change(Change::Accept).await
    }

    /// Removes members. They cannot read what is written from then on.
    ///
    /// # Errors
    /// [`Error::WrongState`] if we may not, [`Error::NotFound`], [`Error::Storage`].
    pub async fn remove(&self, users: &[UserId]) -> Result<()> {
        change::remove(&self.client.inner.ctx, self.thread, users.to_vec()).await
    }

    /// Leaves the group. The last admin hands over first, unless nobody else is there.
    ///
    /// # Errors
    /// [`Error::WrongState`] if we cannot, [`Error::NotFound`], [`Error::Storage`].
    pub async fn leave(&self) -> Result<()> {
        self.change(Change::Leave).await
    }

    /// Makes a member an admin, or takes that back.
    ///
    /// # Errors
    /// [`Error::WrongState`] if we may not, [`Error::NotFound`], [`Error::Storage`].
    pub async fn set_admin(&self, user: UserId, is_admin: bool) -> Result<()> {
        let role = if is_admin { Role::Admin } else { Role::Member };
        self.change(Change::Role { user, role }).await
    }

    /// Replaces the permissions.
    ///
    /// # Errors
    /// [`Error::WrongState`] if we may not, [`Error::NotFound`], [`Error::Storage`].
    pub async fn set_permissions(&self, permissions: GroupPermissions) -> Result<()> {
        self.change(Change::Permissions(permissions.into())).await
    }

    /// Replaces title and description.
    ///
    /// # Errors
    /// [`Error::WrongState`] if we may not, [`Error::Misuse`] if a bound is exceeded, [`Error::NotFound`] if this device does not know the secret of the
    /// group, [`Error::Storage`].
    pub async fn set_details(&self, details: &GroupDetails) -> Result<()> {
        change::set_details(&self.client.inner.ctx, self.thread, details).await
    }

    /// Sets after which time messages disappear, in seconds; 0 if they do not.
    ///
    /// # Errors
    /// [`Error::WrongState`] if we may not, [`Error::NotFound`], [`Error::Storage`].
    pub async fn set_timer(&self, seconds: u32) -> Result<()> {
        self.change(Change::Timer(seconds)).await
    }

    /// Takes the account key that a member has now: says that they are the same person. They can read what is written from then on.
    ///
    /// # Errors
    /// [`Error::WrongState`] if we may not, or if they have no other key ([`GroupMember::has_other_key`]); [`Error::NotFound`], [`Error::Storage`].
    pub async fn take_new_key(&self, user: UserId) -> Result<()> {
        change::take_new_key(&self.client.inner.ctx, self.thread, user).await
    }

    /// Whether anybody can join who has the link.
    ///
    /// # Errors
    /// [`Error::NotFound`] until the relay has the group, [`Error::Storage`].
    pub async fn has_link(&self) -> Result<bool> {
        Ok(self.roster().await?.state().link.is_some())
    }

    /// The link by which people join. None if there is none, or if this device does not know it.
    ///
    /// # Errors
    /// [`Error::NotFound`] until the relay has the group, [`Error::Storage`].
    pub async fn link(&self) -> Result<Option<GroupLink>> {
        let thread = self.thread;
        self.client.inner.ctx.store.glance(move |rows| change::link(rows, thread)).await
    }

    /// Makes a link by which people join, or another one, so that the former leads nowhere. After a removal, it is another one, too.
    ///
    /// # Errors
    /// [`Error::WrongState`] if we may not, [`Error::NotFound`], [`Error::Storage`].
    pub async fn reset_link(&self) -> Result<()> {
        change::reset_link(&self.client.inner.ctx, self.thread).await
    }

    /// Switches the link off.
    ///
    /// # Errors
    /// [`Error::WrongState`] if we may not, or there is none; [`Error::NotFound`], [`Error::Storage`].
    pub async fn switch_link_off(&self) -> Result<()> {
        self.change(Change::Link(None)).await
    }

    /// Ends the group for everybody. What was written remains where it is.
    ///
    /// # Errors
    /// [`Error::WrongState`] if we may not, [`Error::NotFound`], [`Error::Storage`].
    pub async fn dissolve(&self) -> Result<()> {
        self.change(Change::Dissolve).await
    }

    async fn change(&self, change: Change) -> Result<()> {
        change::queue(&self.client.inner.ctx, self.thread, change).await
    }

    async fn roster(&self) -> Result<sealpost_wire::roster::Roster> {
        let thread = self.thread;
        let roster = self.client.inner.ctx.store.glance(move |rows| rows.roster(thread)).await?;
        roster.ok_or(Error::NotFound)
    }
}
