//! The messages of a thread that an app shows, kept up to date by changes alone.

use super::timeline::Change;
use crate::id::MessageId;
use crate::message::{Delivery, Direction, Message, Page, Position};
use crate::waiting::{ThreadWaiting, Waiting};

/// The messages that an app shows of a thread: those of a page and of the pages that were joined to it. Changes keep it equal to
/// what would be read now between the same two places; nothing is read again.
///
/// ```
/// # use sealpost_core::{Error, MessageList, Thread};
/// # async fn show(_: &[sealpost_core::Message]) {}
/// # async fn follow(thread: Thread) -> Result<(), Error> {
/// let mut view = thread.subscribe();
/// let mut list = MessageList::new(view.snapshot().await?);
/// while let Some(change) = view.next().await {
///     list.apply(change?);
///     show(list.messages()).await;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageList {
    /// Newest first.
    messages: Vec<Message>,
    /// The list starts at this position; none if it starts with the first message.
    older: Option<Position>,
    /// The list ends at this position; none if it ends with the newest message.
    newer: Option<Position>,
    /// The oldest queued message of the thread.
    first_waiting: Option<ThreadWaiting>,
}

impl MessageList {
    /// Creates a list with this page. Changes are applied from a view that was created before the page was read.
    pub fn new(page: Page) -> Self {
        let Page { messages, older, newer, first_waiting } = page;
        Self { messages, older, newer, first_waiting }
    }

    /// Newest first.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The position from which to read the page of older messages; none if there are none.
    pub fn older(&self) -> Option<Position> {
        self.older
    }

    /// The position from which to read the page of newer messages; none if there are none.
    pub fn newer(&self) -> Option<Position> {
        self.newer
    }

    /// What a queued message is waiting for; none if it is not queued.
    pub fn waiting(&self, message: &Message) -> Option<Waiting> {
        let is_queued = message.direction == Direction::Outgoing(Delivery::Queued);
        self.first_waiting.filter(|_| is_queued).map(|waiting| waiting.of(message.id))
    }

    /// Applies a change, even if the page already includes it.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Snapshot(page) => *self = Self::new(page),
            Change::Added(message) => self.put(message),
            Change::Changed { message, was } => {
                self.remove(message.id, was);
                self.put(message);
            }
            Change::Removed { id, position } => self.remove(id, position),
            Change::Waiting(waiting) => self.first_waiting = waiting,
        }
    }

    /// Adds the page before [`older`](Self::older).
    pub fn add_older(&mut self, page: Page) {
        self.older = page.older;
        page.messages.into_iter().for_each(|message| self.put(message));
    }

    /// Adds the page after [`newer`](Self::newer).
    pub fn add_newer(&mut self, page: Page) {
        self.newer = page.newer;
        page.messages.into_iter().for_each(|message| self.put(message));
    }

    fn put(&mut self, message: Message) {
        self.remove(message.id, message.position);
        let is_shown = self.older.is_none_or(|older| message.position >= older)
            && self.newer.is_none_or(|newer| message.position <= newer);
        if is_shown {
            let at = self.messages.partition_point(|shown| shown.position > message.position);
            self.messages.insert(at, message);
        }
    }

    /// Its position may differ from that in the change, if the page includes a later change.
    fn remove(&mut self, id: MessageId, position: Position) {
        let told = self.messages.partition_point(|shown| shown.position > position);
        let at = if self.messages.get(told).is_some_and(|shown| shown.id == id) {
            Some(told)
        } else {
            self.messages.iter().position(|shown| shown.id == id)
        };
        if let Some(at) = at {
            self.messages.remove(at);
        }
    }
}
