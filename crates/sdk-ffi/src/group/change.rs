//! Changes of a group.

use std::sync::Arc;

use super::{Group, GroupDetails, GroupPermissions};
use crate::{CancelToken, Result, UserId, runtime};

#[uniffi::export]
impl Group {
    /// Invites people. Those who know us become members at once; others are asked.
    ///
    /// Throws `WrongState` if we may not, or somebody is there; `NotFound` if somebody has no account; `Offline` if somebody was never
    /// met and there is no connection; `Misuse` if the group would have too many people; `Cancelled`; and `Storage`.
    #[uniffi::method(default(cancel = None))]
    pub async fn invite(&self, users: Vec<UserId>, cancel: Option<Arc<CancelToken>>) -> Result<()> {
        let core = self.core.clone();
        runtime::run_until(cancel, async move { Ok(core.invite(&users).await?) }).await
    }

    /// Takes back the invitations of these people, or declines our own.
    ///
    /// Throws `WrongState` if we may not, `NotFound`, and `Storage`.
    pub async fn withdraw(&self, users: Vec<UserId>) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.withdraw(&users).await?) }).await
    }

    /// Accepts our invitation.
    ///
    /// Throws `WrongState` if we are not invited, `NotFound`, and `Storage`.
    pub async fn accept(&self) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.accept().await?) }).await
    }

    /// Removes members. They cannot read what is written from then on.
    ///
    /// Throws `WrongState` if we may not, `NotFound`, and `Storage`.
    pub async fn remove(&self, users: Vec<UserId>) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.remove(&users).await?) }).await
    }

    /// Leaves the group. The last admin hands over first (`set_admin`), unless nobody else is there.
    ///
    /// Throws `WrongState` if we cannot, `NotFound`, and `Storage`.
    pub async fn leave(&self) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.leave().await?) }).await
    }

    /// Makes a member an admin, or takes that back.
    ///
    /// Throws `WrongState` if we may not, `NotFound`, and `Storage`.
    pub async fn set_admin(&self, user: UserId, is_admin: bool) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.set_admin(user, is_admin).await?) }).await
    }

    /// Replaces the permissions.
    ///
    /// Throws `WrongState` if we may not, `NotFound`, and `Storage`.
    pub async fn set_permissions(&self, permissions: GroupPermissions) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.set_permissions(permissions.into()).await?) }).await
    }

    /// Replaces title and description.
    ///
    /// Throws `WrongState` if we may not, `Misuse` if one of them is too long, `NotFound` if this device does not know the secret of the
    /// group, and `Storage`.
    pub async fn set_details(&self, details: GroupDetails) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.set_details(&details.into()).await?) }).await
    }

    /// Sets after which time messages disappear, in seconds; 0 if they do not.
    ///
    /// Throws `WrongState` if we may not, `NotFound`, and `Storage`.
    pub async fn set_timer(&self, seconds: u32) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.set_timer(seconds).await?) }).await
    }

    /// Ends the group for everybody. What was written remains where it is.
    ///
    /// Throws `WrongState` if we may not, `NotFound`, and `Storage`.
    pub async fn dissolve(&self) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.dissolve().await?) }).await
    }
}
