//! Threads.

mod change;
mod chat;
mod history;
mod pin;
mod poll;
mod send;
mod timer;

use std::sync::Arc;

use sealpost_core as core;

use crate::{Arrivals, CancelToken, MessageId, Result, ThreadId, Timeline, UserId, Waits, runtime};

/// A conversation.
#[derive(Debug, uniffi::Object)]
pub struct Thread {
    pub(crate) core: core::Thread,
    /// Cancelled when the client was shut down.
    ended: Arc<CancelToken>,
}

impl Thread {
    pub(crate) fn new(core: core::Thread, ended: Arc<CancelToken>) -> Arc<Self> {
        Arc::new(Self { core, ended })
    }
}

/// The kind of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum ThreadKind {
    /// Between two people. Each pair of people has one direct thread.
    Direct,
    /// What a person writes for themselves. It has no other members.
    NoteToSelf,
    /// Of any number of people, ourselves included. `Client.group` says who they are.
    Group,
    /// A kind that this version of the binding does not know.
    Other,
}

impl From<core::ThreadKind> for ThreadKind {
    fn from(kind: core::ThreadKind) -> Self {
        match kind {
            core::ThreadKind::Direct => Self::Direct,
            core::ThreadKind::NoteToSelf => Self::NoteToSelf,
            core::ThreadKind::Group => Self::Group,
            _ => Self::Other,
        }
    }
}

#[uniffi::export]
impl Thread {
    /// The id of the thread.
    pub fn id(&self) -> Result<ThreadId> {
        Ok(self.core.id())
    }

    /// The kind of the thread.
    ///
    /// Throws `NotFound` if the thread no longer exists, and `Storage`.
    pub async fn kind(&self) -> Result<ThreadKind> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.kind().await?.into()) }).await
    }

    /// The members of the thread except ourselves: in a direct thread, the other person; in the note to self, nobody.
    ///
    /// Throws `Storage`.
    pub async fn others(&self) -> Result<Vec<UserId>> {
        let core = self.core.clone();
        let others = runtime::run(async move { Ok(core.others().await?) }).await?;
        Ok(others.iter().map(core::Contact::user_id).collect())
    }

    /// A live view: the newest messages, followed by changes.
    pub fn subscribe(&self) -> Result<Arc<Timeline>> {
        runtime::enter(|| Timeline::new(self.core.subscribe(), Arc::clone(&self.ended)))
    }

    /// The messages, incoming and outgoing, that are added to the thread from now on, each exactly once.
    pub fn subscribe_arrivals(&self) -> Result<Arc<Arrivals>> {
        runtime::enter(|| Arrivals::new(self.core.arrivals(), Arc::clone(&self.ended)))
    }

    /// Follows what a queued message is waiting for, until it is no longer queued.
    pub fn subscribe_waits(&self, message: MessageId) -> Result<Arc<Waits>> {
        runtime::enter(|| Waits::new(self.core.waits(message), Arc::clone(&self.ended)))
    }

    /// Marks all messages up to and including this one as read, and sends read receipts.
    ///
    /// Throws `NotFound` if it is not in this thread, and `Storage`.
    pub async fn mark_read(&self, up_to: MessageId) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.mark_read(up_to).await?) }).await
    }
}
