//! Threads.

use std::sync::Arc;

use sealpost_core as core;

use crate::{
    ArrivalSubscription, CancelToken, Message, MessageId, Page, Position, Result, ThreadId,
    ThreadSubscription, UserId, WaitSubscription, Waiting, runtime,
};

/// A conversation.
#[derive(Debug, uniffi::Object)]
pub struct Thread {
    core: core::Thread,
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
    /// A kind that this version of the binding does not know.
    Other,
}

impl From<core::ThreadKind> for ThreadKind {
    fn from(kind: core::ThreadKind) -> Self {
        match kind {
            core::ThreadKind::Direct => Self::Direct,
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

    /// The members of the thread except ourselves: in a direct thread, the other person.
    ///
    /// Throws `Storage`.
    pub async fn others(&self) -> Result<Vec<UserId>> {
        let core = self.core.clone();
        let others = runtime::run(async move { Ok(core.others().await?) }).await?;
        Ok(others.iter().map(core::Contact::user_id).collect())
    }

    /// Sends a text. When this returns, the message is on disk and in the thread, and will be delivered once, even if
    /// this process is killed.
    ///
    /// Throws `EmptyText`, `TooLong`, `Storage`.
    pub async fn send_text(&self, text: String) -> Result<Message> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.send_text(&text).await?.into()) }).await
    }

    /// The newest messages, or those before a position, newest first; at most 500.
    ///
    /// Throws `Storage`.
    #[uniffi::method(default(before = None, limit = 50))]
    pub async fn history(&self, before: Option<Position>, limit: u32) -> Result<Page> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.history_of(before, limit).await?.into()) }).await
    }

    /// The messages that directly follow a position, newest first; at most 500.
    ///
    /// Throws `Storage`.
    #[uniffi::method(default(limit = 50))]
    pub async fn history_after(&self, after: Position, limit: u32) -> Result<Page> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.history_after(after, limit).await?.into()) }).await
    }

    /// The messages around a message, including it; newest first, at most 500, half of them newer, if there are that
    /// many. Use it to show a search result.
    ///
    /// Throws `NotFound` if it is not in this thread, and `Storage`.
    #[uniffi::method(default(limit = 50))]
    pub async fn history_around(&self, message: MessageId, limit: u32) -> Result<Page> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.history_around(message, limit).await?.into()) }).await
    }

    /// A live view: the newest messages, followed by changes.
    pub fn subscribe(&self) -> Result<Arc<ThreadSubscription>> {
        runtime::enter(|| ThreadSubscription::new(self.core.subscribe(), Arc::clone(&self.ended)))
    }

    /// The messages, incoming and outgoing, that are added to the thread from now on, each exactly once.
    pub fn subscribe_arrivals(&self) -> Result<Arc<ArrivalSubscription>> {
        runtime::enter(|| ArrivalSubscription::new(self.core.arrivals(), Arc::clone(&self.ended)))
    }

    /// What a queued message is waiting for: why it has not been sent, how many attempts have failed, and when the next
    /// one is made. Returns none if the message is not queued in this thread.
    ///
    /// Throws `Storage`.
    pub async fn waiting(&self, message: MessageId) -> Result<Option<Waiting>> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.waiting(message).await?.map(Waiting::from)) }).await
    }

    /// Follows what a queued message is waiting for, until it is no longer queued.
    pub fn subscribe_waits(&self, message: MessageId) -> Result<Arc<WaitSubscription>> {
        runtime::enter(|| WaitSubscription::new(self.core.waits(message), Arc::clone(&self.ended)))
    }

    /// Marks all messages up to and including this one as read, and sends read receipts.
    ///
    /// Throws `NotFound` if it is not in this thread, and `Storage`.
    pub async fn mark_read(&self, up_to: MessageId) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.mark_read(up_to).await?) }).await
    }

    /// Sends a failed message again.
    ///
    /// Throws `NotFound` if it is not in this thread, `WrongState` if it has not failed, and `Storage`.
    pub async fn retry_message(&self, message: MessageId) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.retry(message).await?) }).await
    }

    /// Removes one of our messages that has not left this device, or that has failed. Returns false if it may have
    /// left.
    ///
    /// Throws `NotFound` if it is not in this thread, `WrongState` if it is not ours, and `Storage`.
    pub async fn cancel_message(&self, message: MessageId) -> Result<bool> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.cancel(message).await?) }).await
    }

    /// Gives up a queued message, even if it may have left this device without an answer. It fails with the reason
    /// `GivenUp`, and the messages behind it are sent. If it did arrive, its receipt says so, and `retry_message`
    /// does not make it appear twice.
    ///
    /// Throws `NotFound` if it is not in this thread, `WrongState` if it is not queued, and `Storage`.
    pub async fn give_up_message(&self, message: MessageId) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.give_up(message).await?) }).await
    }
}
