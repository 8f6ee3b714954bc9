//! A live view of a thread: a snapshot, followed by changes.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use futures_util::Stream;

use super::watch::{Next, Watch};
use crate::context::Context;
use crate::error::Result;
use crate::event::{Event, EventBus};
use crate::id::{MessageId, ThreadId};
use crate::message::{Message, Page, Position};
use crate::store::{Rows, Store, WeakStore};
use crate::stream::{Source, Streamed};

/// A change in a thread. [`MessageList`](crate::MessageList) applies it to the messages that an app shows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The newest messages: at the start, whenever the consumer was too slow, and after the database was closed for a
    /// while, when other processes may have written to it.
    Snapshot(Page),
    /// A message was added, at its position.
    Added(Message),
    /// The state or the position of a message has changed.
    Changed {
        /// The message in its present state and position.
        message: Message,
        /// Its previous position.
        was: Position,
    },
    /// A message was removed.
    Removed {
        /// Its id.
        id: MessageId,
        /// Its previous position.
        position: Position,
    },
}

/// A live view of a thread. Memory use is bounded: a consumer that is too slow gets a fresh snapshot, which includes
/// what it missed. It is also a [`Stream`].
#[derive(Debug)]
pub struct Timeline(Streamed<Changes>);

impl Timeline {
    pub(crate) fn new(ctx: &Context, thread: ThreadId, size: u32) -> Self {
        Self::over(&ctx.store, &ctx.events, thread, size)
    }

    pub(crate) fn over(store: &Store, events: &EventBus, thread: ThreadId, size: u32) -> Self {
        let watch = Watch::new(events);
        Self(Streamed::new(Changes { store: store.downgrade(), thread, size, watch }))
    }

    /// The next change; `None` if the client is gone. While the client is suspended, the call waits. Dropping the
    /// future loses nothing.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage) if the snapshot cannot be read; the next call tries again.
    pub async fn next(&mut self) -> Option<Result<Change>> {
        self.0.next().await
    }

    /// Like [`Timeline::next`], together with the changes that are queued behind it, at most `max` in all.
    ///
    /// # Errors
    /// Those of [`Timeline::next`].
    pub async fn next_batch(&mut self, max: usize) -> Option<Result<Vec<Change>>> {
        let mut source = self.0.source().await;
        let mut changes = match source.next().await? {
            Ok(first) => vec![first],
            Err(error) => return Some(Err(error)),
        };
        while changes.len() < max {
            let Some(event) = source.watch.try_next() else { break };
            changes.extend(source.change(event));
        }
        Some(Ok(changes))
    }

    /// The newest messages, without waiting. The next change happened after it, or is already included in it.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage); [`Error::Misuse`](crate::Error::Misuse) while the client is
    /// suspended, or if it is gone.
    pub async fn snapshot(&mut self) -> Result<Page> {
        let Changes { store, thread, size, watch } = &mut *self.0.source().await;
        watch.look(store, newest(*thread, *size)).await
    }

    /// Makes the next change a fresh snapshot.
    pub fn refresh(&mut self) {
        self.0.with(|source| source.watch.look_again());
    }
}

impl Stream for Timeline {
    type Item = Result<Change>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().0.poll_next(cx)
    }
}

/// The source of the changes.
struct Changes {
    store: WeakStore,
    thread: ThreadId,
    size: u32,
    watch: Watch,
}

impl Source for Changes {
    type Item = Result<Change>;

    async fn next(&mut self) -> Option<Result<Change>> {
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
}

impl Changes {
    /// The change that an event means for this thread.
    fn change(&self, event: Event) -> Option<Change> {
        match event {
            Event::MessageAdded(message) if message.thread == self.thread => Some(Change::Added(message)),
            Event::MessageChanged { message, was } if message.thread == self.thread => {
                Some(Change::Changed { message, was })
            }
            Event::MessageRemoved { thread, id, position } if thread == self.thread => {
                Some(Change::Removed { id, position })
            }
            _ => None,
        }
    }
}

fn newest(thread: ThreadId, size: u32) -> impl FnOnce(&Rows<'_>) -> Result<Page> + Clone {
    move |rows| rows.page(thread, None, size)
}
