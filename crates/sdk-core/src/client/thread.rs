//! The handle of a thread.

use std::collections::HashSet;

use futures_util::stream::BoxStream;

use super::{Client, Contact, MAX_PAGE, pages};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::id::{MessageId, ThreadId};
use crate::message::{Message, Page, Position};
use crate::send;
use crate::store::ThreadKind;
use crate::thread;
use crate::view::PAGE;
use crate::view::arrivals::Arrivals;
use crate::view::history;
use crate::view::timeline::Timeline;
use crate::view::waits::Waits;
use crate::waiting::Waiting;

/// A conversation.
#[derive(Debug, Clone)]
pub struct Thread {
    pub(super) client: Client,
    pub(super) id: ThreadId,
}

impl Thread {
    pub(super) fn new(client: Client, id: ThreadId) -> Self {
        Self { client, id }
    }

    /// The id of the thread.
    pub fn id(&self) -> ThreadId {
        self.id
    }

    /// The kind of the thread.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if the thread no longer exists,
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn kind(&self) -> Result<ThreadKind> {
        let id = self.id;
        self.ctx().store.glance(move |rows| rows.kind(id)).await?.ok_or(Error::NotFound)
    }

    /// The members of the thread except ourselves: in a direct thread, the other person; in the note to self, nobody.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn others(&self) -> Result<Vec<Contact>> {
        let id = self.id;
        let others = self.ctx().store.glance(move |rows| rows.others(id)).await?;
        Ok(others.into_iter().map(|user| self.client.contact(user)).collect())
    }

    /// The newest [`PAGE`] messages, or those before a position, newest first.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn history(&self, before: Option<Position>) -> Result<Page> {
        self.history_of(before, PAGE).await
    }

    /// Like [`Thread::history`], with up to `limit` messages (at most 500).
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn history_of(&self, before: Option<Position>, limit: u32) -> Result<Page> {
        history::page(self.ctx(), self.id, before, limit.clamp(1, MAX_PAGE)).await
    }

    /// Up to `limit` messages (at most 500) that directly follow a position; newest first, like every page.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn history_after(&self, after: Position, limit: u32) -> Result<Page> {
        history::page_after(self.ctx(), self.id, after, limit.clamp(1, MAX_PAGE)).await
    }

    /// Up to `limit` messages (at most 500) around a message, including it; half of them are newer, if there are that
    /// many. Use it to show a search result, or the message that a reply refers to.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if it is not in this thread,
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn history_around(&self, message: MessageId, limit: u32) -> Result<Page> {
        history::page_around(self.ctx(), self.id, message, limit.clamp(1, MAX_PAGE)).await
    }

    /// The whole history, newest first, each message once. Pages are read only as far as they are consumed.
    ///
    /// # Errors
    /// An item is [`Error::Storage`](crate::Error::Storage) if a page cannot be read; the stream then ends.
    pub fn messages(&self) -> BoxStream<'static, Result<Message>> {
        let thread = self.clone();
        pages::flatten(move |after: Option<(Position, HashSet<MessageId>)>| {
            let thread = thread.clone();
            async move {
                let (before, unanswered) = after.unzip();
                let mut page = thread.history(before).await?;
                // A message moves when the relay answers, and can then be in a later page as well.
                let mut unanswered = unanswered.unwrap_or_default();
                page.messages.retain(|message| match message.server_seq {
                    None => unanswered.insert(message.id),
                    Some(_) => !unanswered.contains(&message.id),
                });
                Ok((page.messages, page.older.map(|older| (older, unanswered))))
            }
        })
    }

    /// A live view: a snapshot of the newest [`PAGE`] messages, followed by changes.
    pub fn subscribe(&self) -> Timeline {
        Timeline::new(self.ctx(), self.id, PAGE)
    }

    /// The messages, incoming and outgoing, that are added to the thread from now on, each exactly once.
    pub fn arrivals(&self) -> Arrivals {
        Arrivals::new(self.ctx(), self.id)
    }

    /// Marks all messages up to and including this one as read, and sends read receipts. This takes the same time for any number of
    /// messages. If there are more than 256, listeners get [`Lagged`](crate::Lagged) or a snapshot instead of an event for each, and
    /// the receipts are sent in the background, even if the process ends in between.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if it is not in this thread,
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn mark_read(&self, up_to: MessageId) -> Result<()> {
        let id = self.id;
        self.client.finish(move |ctx| async move { thread::mark_read(&ctx, id, up_to).await }).await
    }

    /// Sends a failed message again.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if it is not in this thread,
    /// [`Error::WrongState`](crate::Error::WrongState) if it has not failed,
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn retry(&self, message: MessageId) -> Result<()> {
        thread::retry(self.ctx(), self.id, message).await
    }

    /// Removes one of our messages that has not left this device, or that has failed. Returns false if it may have
    /// left.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if it is not in this thread,
    /// [`Error::WrongState`](crate::Error::WrongState) if it is not ours, [`Error::Storage`](crate::Error::Storage).
    pub async fn cancel(&self, message: MessageId) -> Result<bool> {
        thread::cancel(self.ctx(), self.id, message).await
    }

    /// Gives up a queued message, even if it may have left this device without an answer. Its state becomes
    /// [`Failed`](crate::Delivery::Failed) with [`GivenUp`](crate::FailReason::GivenUp), and the messages behind it
    /// are sent. If it did arrive, its receipt says so, and [`retry`](Self::retry) does not make it appear twice.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if it is not in this thread,
    /// [`Error::WrongState`](crate::Error::WrongState) if it is not queued,
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn give_up(&self, message: MessageId) -> Result<()> {
        thread::give_up(self.ctx(), self.id, message).await
    }

    /// What a [`Queued`](crate::Delivery::Queued) message of this thread is waiting for: why it has not been sent, how
    /// many attempts have failed, and when the next one is made. `None` if the message is not queued.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn waiting(&self, message: MessageId) -> Result<Option<Waiting>> {
        send::wait::waiting(self.ctx(), self.id, message).await
    }

    /// Follows what a queued message is waiting for, until it is no longer queued.
    pub fn waits(&self, message: MessageId) -> Waits {
        Waits::new(self.ctx(), self.id, message)
    }

    pub(super) fn ctx(&self) -> &Context {
        &self.client.inner.ctx
    }
}
