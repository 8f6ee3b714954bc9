//! A thread: what people talk in.

use std::sync::Arc;

use sealpost_core as core;

use crate::{
    ArrivalSubscription, CancelToken, Message, MessageId, Page, Position, Result, ThreadId,
    ThreadSubscription, UserId, runtime,
};

/// A thread: what people talk in.
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

#[uniffi::export]
impl Thread {
    /// What names it.
    pub fn id(&self) -> Result<ThreadId> {
        Ok(self.core.id())
    }

    /// The other member.
    pub fn peer(&self) -> Result<UserId> {
        Ok(self.core.peer().user_id())
    }

    /// Writes a text. When this returns it is on disk, stands in the thread and will be sent once, whatever happens to
    /// this process.
    ///
    /// Throws `EmptyText`, `TooLong`, `Storage`.
    pub async fn send_text(&self, text: String) -> Result<Message> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.send_text(&text).await?.into()) }).await
    }

    /// The newest messages, or those before a place, newest first; 500 at most.
    ///
    /// Throws `Storage`.
    #[uniffi::method(default(before = None, limit = 50))]
    pub async fn history(&self, before: Option<Position>, limit: u32) -> Result<Page> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.history_of(before, limit).await?.into()) }).await
    }

    /// The messages after a place that are nearest to it, newest first; 500 at most.
    ///
    /// Throws `Storage`.
    #[uniffi::method(default(limit = 50))]
    pub async fn history_after(&self, after: Position, limit: u32) -> Result<Page> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.history_after(after, limit).await?.into()) }).await
    }

    /// The messages around one, which is among them; newest first, 500 at most, half of them newer, where there are so many. For
    /// what a search has found.
    ///
    /// Throws `NotFound` when it is not in this thread, and `Storage`.
    #[uniffi::method(default(limit = 50))]
    pub async fn history_around(&self, message: MessageId, limit: u32) -> Result<Page> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.history_around(message, limit).await?.into()) }).await
    }

    /// A live view: the newest messages, then what changes.
    pub fn subscribe(&self) -> Result<Arc<ThreadSubscription>> {
        runtime::enter(|| ThreadSubscription::new(self.core.subscribe(), Arc::clone(&self.ended)))
    }

    /// The messages that are new from now on, ours and theirs, each once.
    pub fn subscribe_arrivals(&self) -> Result<Arc<ArrivalSubscription>> {
        runtime::enter(|| ArrivalSubscription::new(self.core.arrivals(), Arc::clone(&self.ended)))
    }

    /// The person has read up to and including this message; the other side is told.
    ///
    /// Throws `NotFound` when it is not in this thread, and `Storage`.
    pub async fn mark_read(&self, up_to: MessageId) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.mark_read(up_to).await?) }).await
    }

    /// Sends a failed message again.
    ///
    /// Throws `NotFound` when it is not in this thread, `WrongState` when it has not failed, and `Storage`.
    pub async fn retry_message(&self, message: MessageId) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.retry(message).await?) }).await
    }

    /// Takes a message of ours back that has not left this device, or that failed. False when it may have left.
    ///
    /// Throws `NotFound` when it is not in this thread, `WrongState` when it is not ours, and `Storage`.
    pub async fn cancel_message(&self, message: MessageId) -> Result<bool> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.cancel(message).await?) }).await
    }

    /// Gives up a message that waits, also one that may have left this device without an answer: it has failed, with the reason
    /// `GivenUp`, and what waits behind it goes on. If it did arrive, its receipt says so, and `retry_message` does not make it
    /// appear twice.
    ///
    /// Throws `NotFound` when it is not in this thread, `WrongState` when it does not wait, and `Storage`.
    pub async fn give_up_message(&self, message: MessageId) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.give_up(message).await?) }).await
    }
}
