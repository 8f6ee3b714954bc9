//! A live view of a thread: a snapshot, then what changes.

use crate::context::Context;
use crate::error::Result;
use crate::event::{Event, Events};
use crate::id::{MessageId, ThreadId};
use crate::message::Message;
use crate::store::WeakStore;

/// What changed in a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The newest messages, newest first: at the start, and whenever the listener was too slow for the changes.
    Snapshot(Vec<Message>),
    /// A message is new here.
    Added(Message),
    /// A message changed: its state, or its place.
    Changed(Message),
    /// A message is gone.
    Removed(MessageId),
}

/// A live view of a thread. Bounded: who is too slow gets a fresh snapshot instead of what was missed.
#[derive(Debug)]
pub struct Timeline {
    store: WeakStore,
    thread: ThreadId,
    size: u32,
    events: Events,
    needs_snapshot: bool,
}

impl Timeline {
    pub(crate) fn new(ctx: &Context, thread: ThreadId, size: u32) -> Self {
        // Listening begins before the snapshot is taken: nothing falls in between.
        let events = ctx.events.subscribe();
        Self { store: ctx.store.downgrade(), thread, size, events, needs_snapshot: true }
    }

    /// The next change; `None` when the client is gone. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage) when the snapshot cannot be read; the next call tries again.
    pub async fn next(&mut self) -> Option<Result<Change>> {
        loop {
            if self.needs_snapshot {
                let (thread, size) = (self.thread, self.size);
                let snapshot = self.store.upgrade()?.read(move |rows| rows.page(thread, None, size)).await;
                return Some(snapshot.map(|(messages, _)| {
                    self.needs_snapshot = false;
                    Change::Snapshot(messages)
                }));
            }
            match self.events.next().await? {
                Err(_) => {
                    // What is buffered is older than the snapshot to come.
                    self.events = self.events.restarted();
                    self.needs_snapshot = true;
                }
                Ok(Event::MessageAdded(message)) if message.thread == self.thread => {
                    return Some(Ok(Change::Added(message)));
                }
                Ok(Event::MessageChanged(message)) if message.thread == self.thread => {
                    return Some(Ok(Change::Changed(message)));
                }
                Ok(Event::MessageRemoved { thread, id }) if thread == self.thread => {
                    return Some(Ok(Change::Removed(id)));
                }
                Ok(_) => {}
            }
        }
    }
}
