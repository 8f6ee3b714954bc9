//! The handle of a thread.

use super::{Client, Contact, MAX_PAGE};
use crate::context::Context;
use crate::error::Result;
use crate::id::{MessageId, ThreadId, UserId};
use crate::message::{Message, Page, Position};
use crate::send;
use crate::thread;
use crate::view::PAGE;
use crate::view::arrivals::Arrivals;
use crate::view::timeline::Timeline;

/// A thread: what people talk in.
#[derive(Debug, Clone)]
pub struct Thread {
    client: Client,
    id: ThreadId,
    peer: UserId,
}

impl Thread {
    pub(super) fn new(client: Client, thread: crate::store::Thread) -> Self {
        let crate::store::Thread { id, peer, .. } = thread;
        Self { client, id, peer }
    }

    /// What names it.
    pub fn id(&self) -> ThreadId {
        self.id
    }

    /// The other member.
    pub fn peer(&self) -> Contact {
        self.client.contact(self.peer)
    }

    /// Writes a text. When this returns it is on disk, stands in the thread and will be sent, whatever happens
    /// to this process.
    ///
    /// # Errors
    /// [`Error::EmptyText`](crate::Error::EmptyText), [`Error::TooLong`](crate::Error::TooLong) above [`MAX_TEXT`](crate::MAX_TEXT)
    /// bytes, [`Error::Storage`](crate::Error::Storage).
    pub async fn send_text(&self, text: &str) -> Result<Message> {
        send::queue::send_text(self.ctx(), self.id, text).await
    }

    /// The newest [`PAGE`] messages, or those before a place, newest first.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn history(&self, before: Option<Position>) -> Result<Page> {
        self.history_of(before, PAGE).await
    }

    /// As [`Thread::history`], with up to `limit` messages (at most 500).
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn history_of(&self, before: Option<Position>, limit: u32) -> Result<Page> {
        thread::page(self.ctx(), self.id, before, limit.clamp(1, MAX_PAGE)).await
    }

    /// Up to `limit` messages (at most 500) after a place, those nearest to it; newest first, as every page.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn history_after(&self, after: Position, limit: u32) -> Result<Page> {
        thread::page_after(self.ctx(), self.id, after, limit.clamp(1, MAX_PAGE)).await
    }

    /// Up to `limit` messages (at most 500) around one, which is among them: half of them newer, where there are so many. For what
    /// a search has found, or a reply is to.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) when it is not in this thread, [`Error::Storage`](crate::Error::Storage).
    pub async fn history_around(&self, message: MessageId, limit: u32) -> Result<Page> {
        thread::page_around(self.ctx(), self.id, message, limit.clamp(1, MAX_PAGE)).await
    }

    /// A live view: a snapshot of the newest [`PAGE`] messages, then what changes.
    pub fn subscribe(&self) -> Timeline {
        Timeline::new(self.ctx(), self.id, PAGE)
    }

    /// The messages that are new from now on, ours and theirs, each once.
    pub fn arrivals(&self) -> Arrivals {
        Arrivals::new(self.ctx(), self.id)
    }

    /// The person has read up to and including this message; the other side is told.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) when it is not in this thread, [`Error::Storage`](crate::Error::Storage).
    pub async fn mark_read(&self, up_to: MessageId) -> Result<()> {
        thread::mark_read(self.ctx(), self.id, up_to).await
    }

    /// Sends a failed message again.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) when it is not in this thread, [`Error::WrongState`](crate::Error::WrongState) when it
    /// has not failed, [`Error::Storage`](crate::Error::Storage).
    pub async fn retry(&self, message: MessageId) -> Result<()> {
        thread::retry(self.ctx(), self.id, message).await
    }

    /// Takes a message of ours back that has not left this device, or that failed. False when it may have left.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) when it is not in this thread, [`Error::WrongState`](crate::Error::WrongState) when it
    /// is not ours, [`Error::Storage`](crate::Error::Storage).
    pub async fn cancel(&self, message: MessageId) -> Result<bool> {
        thread::cancel(self.ctx(), self.id, message).await
    }

    /// Gives up a message that waits, also one that may have left this device without an answer: it is
    /// [`Failed`](crate::Delivery::Failed) with [`GivenUp`](crate::FailReason::GivenUp), and what waits behind it goes on. If it
    /// did arrive, its receipt says so, and [`retry`](Self::retry) does not make it appear twice.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) when it is not in this thread, [`Error::WrongState`](crate::Error::WrongState) when it
    /// does not wait, [`Error::Storage`](crate::Error::Storage).
    pub async fn give_up(&self, message: MessageId) -> Result<()> {
        thread::give_up(self.ctx(), self.id, message).await
    }

    fn ctx(&self) -> &Context {
        &self.client.inner.ctx
    }
}
