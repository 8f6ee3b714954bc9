//! A live view of a thread: a snapshot, then what changes.

use super::watch::{Next, Watch};
use crate::context::Context;
use crate::error::Result;
use crate::event::Event;
use crate::id::{MessageId, ThreadId};
use crate::message::Message;
use crate::store::{Rows, WeakStore};

/// What changed in a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The newest messages, newest first: at the start, whenever the listener was too slow for the changes, and after
    /// the database was closed for a while, when others may have written into it.
    Snapshot(Vec<Message>),
    /// A message is new here.
    Added(Message),
    /// A message changed: its state, or its place.
    Changed(Message),
    /// A message is gone.
    Removed(MessageId),
}

/// A live view of a thread. It is bounded: a consumer that is too slow gets a fresh snapshot, which includes what it missed.
#[derive(Debug)]
pub struct Timeline {
    store: WeakStore,
    thread: ThreadId,
    size: u32,
    watch: Watch,
}

impl Timeline {
    pub(crate) fn new(ctx: &Context, thread: ThreadId, size: u32) -> Self {
        let watch = Watch::new(&ctx.events);
        Self { store: ctx.store.downgrade(), thread, size, watch }
    }

    /// The next change; `None` when the client is gone. While the client is suspended there is none: it waits. Dropping
    /// the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage) when the snapshot cannot be read; the next call tries again.
    pub async fn next(&mut self) -> Option<Result<Change>> {
        loop {
            match self.watch.next().await? {
                Next::Event(event) => {
                    if let Some(change) = self.change(event) {
                        return Some(Ok(change));
                    }
                }
                Next::Look => {
                    let page = newest(self.thread, self.size);
                    let seen = self.watch.look_when_open(&self.store, page).await?;
                    return Some(seen.map(Change::Snapshot));
                }
            }
        }
    }

    /// As [`Timeline::next`], with those changes behind it that wait already: at most `max` in all.
    ///
    /// # Errors
    /// As [`Timeline::next`].
    pub async fn next_batch(&mut self, max: usize) -> Option<Result<Vec<Change>>> {
        let mut changes = match self.next().await? {
            Ok(first) => vec![first],
            Err(error) => return Some(Err(error)),
        };
        while changes.len() < max {
            let Some(event) = self.watch.try_next() else { break };
            changes.extend(self.change(event));
        }
        Some(Ok(changes))
    }

    /// The newest messages, newest first, at once. The next change came after that, or is in it already.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage); [`Error::Misuse`](crate::Error::Misuse) while the client is suspended,
    /// or when it is gone.
    pub async fn snapshot(&mut self) -> Result<Vec<Message>> {
        self.watch.look(&self.store, newest(self.thread, self.size)).await
    }

    /// The next change will be a fresh snapshot.
    pub fn refresh(&mut self) {
        self.watch.look_again();
    }

    /// What an event means for this thread.
    fn change(&self, event: Event) -> Option<Change> {
        match event {
            Event::MessageAdded(message) if message.thread == self.thread => Some(Change::Added(message)),
            Event::MessageChanged(message) if message.thread == self.thread => Some(Change::Changed(message)),
            Event::MessageRemoved { thread, id } if thread == self.thread => Some(Change::Removed(id)),
            _ => None,
        }
    }
}

fn newest(thread: ThreadId, size: u32) -> impl FnOnce(&Rows<'_>) -> Result<Vec<Message>> + Clone {
    move |rows| rows.page(thread, None, size).map(|(messages, _)| messages)
}
