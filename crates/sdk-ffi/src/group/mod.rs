//! Groups: who is in them, and with which rights.

mod change;
mod value;

use std::sync::Arc;

use sealpost_core as core;

pub use value::{GroupDetails, GroupMember, GroupPermissions};

use crate::{CancelToken, Client, Result, Thread, ThreadId, UserId, runtime};

#[uniffi::export]
impl Client {
    /// Creates a group, and invites these people. Those who know us become members at once; others are asked. The group is here
    /// (`Event.ThreadAdded`) once the relay has it.
    ///
    /// Throws `Misuse` if title or description is too long, or too many people are invited; `NotFound` if somebody has no account;
    /// `Offline` if somebody was never met and there is no connection; `Cancelled`; and `Storage`.
    #[uniffi::method(default(cancel = None, permissions))]
    pub async fn create_group(
        &self,
        details: GroupDetails,
        invited: Vec<UserId>,
        permissions: GroupPermissions,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<Arc<Group>> {
        let (core, ended) = (self.core.clone(), self.ended());
        let create = async move {
            let core = core.create_group(details.into(), permissions.into(), &invited).await?;
            Ok(Arc::new(Group { core, ended }))
        };
        runtime::run_until(cancel, create).await
    }

    /// The group of a thread.
    ///
    /// Throws `NotFound` if there is no such group on this device, and `Storage`.
    pub async fn group(&self, thread: ThreadId) -> Result<Arc<Group>> {
        let (core, ended) = (self.core.clone(), self.ended());
        runtime::run(async move { Ok(Arc::new(Group { core: core.group(thread).await?, ended })) }).await
    }
}

/// A group: who is in it, and with which rights. What is written in it is in its thread. Each change is stored, made as soon as there is
/// a connection, and then reported as `Event.ThreadChanged`. One that somebody else has overtaken, so that it is not allowed any more, is
/// reported as `Event.GroupChangeFailed`.
#[derive(Debug, uniffi::Object)]
pub struct Group {
    core: core::Group,
    /// Cancelled when the client was shut down.
    ended: Arc<CancelToken>,
}

#[uniffi::export]
impl Group {
    /// The id of its thread.
    pub fn id(&self) -> Result<ThreadId> {
        Ok(self.core.id())
    }

    /// Its thread, in which its members write.
    ///
    /// Throws `NotFound` until the relay has the group, and `Storage`.
    pub async fn thread(&self) -> Result<Arc<Thread>> {
        let (core, ended) = (self.core.clone(), Arc::clone(&self.ended));
        runtime::run(async move { Ok(Thread::new(core.thread().await?, ended)) }).await
    }

    /// The members, in the order of their ids, ourselves included.
    ///
    /// Throws `NotFound` until the relay has the group, and `Storage`.
    pub async fn members(&self) -> Result<Vec<GroupMember>> {
        let core = self.core.clone();
        let members = runtime::run(async move { Ok(core.members().await?) }).await?;
        Ok(members.into_iter().map(GroupMember::from).collect())
    }

    /// Those who are invited and have not accepted yet, in the order of their ids.
    ///
    /// Throws `NotFound` until the relay has the group, and `Storage`.
    pub async fn invited(&self) -> Result<Vec<UserId>> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.invited().await?) }).await
    }

    /// Who may do what.
    ///
    /// Throws `NotFound` until the relay has the group, and `Storage`.
    pub async fn permissions(&self) -> Result<GroupPermissions> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.permissions().await?.into()) }).await
    }

    /// After which time messages disappear, in seconds; 0 if they do not.
    ///
    /// Throws `NotFound` until the relay has the group, and `Storage`.
    pub async fn timer(&self) -> Result<u32> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.timer().await?) }).await
    }

    /// Whether it was dissolved.
    ///
    /// Throws `NotFound` until the relay has the group, and `Storage`.
    pub async fn is_dissolved(&self) -> Result<bool> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.is_dissolved().await?) }).await
    }

    /// Title and description. None as long as this device does not know the secret of the group.
    ///
    /// Throws `Storage`.
    pub async fn details(&self) -> Result<Option<GroupDetails>> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.details().await?.map(GroupDetails::from)) }).await
    }
}
