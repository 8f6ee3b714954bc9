//! The new messages of a thread, each exactly once.
//!
//! Missed messages are found by the order in which they were added, not by their position, because a late message can
//! have a position among much older ones.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use futures_util::Stream;

use super::watch::{Next, Watch};
use crate::context::Context;
use crate::error::Result;
use crate::event::{Event, EventBus};
use crate::id::{MessageId, ThreadId};
use crate::message::Message;
use crate::store::{Rows, Store, WeakStore};
use crate::stream::{Source, Streamed};

/// The messages, incoming and outgoing, that are added to a thread after
/// [`Thread::arrivals`](crate::Thread::arrivals), exactly once and in the order in which they were added. Memory use
/// is bounded: messages that a slow consumer missed, or that were added while the client was suspended, are read from
/// the database. It is also a [`Stream`] of single messages.
#[derive(Debug)]
pub struct Arrivals(Streamed<Arriving>);

/// The source of the messages.
struct Arriving {
    store: WeakStore,
    thread: ThreadId,
    watch: Watch,
    /// Messages that were added after this one are new.
    newest: MessageId,
    /// The value of `newest` before the last batch.
    before: MessageId,
}

impl Arrivals {
    pub(crate) fn new(ctx: &Context, thread: ThreadId) -> Self {
        Self::over(&ctx.store, &ctx.events, thread)
    }

    pub(crate) fn over(store: &Store, events: &EventBus, thread: ThreadId) -> Self {
        // The order matters: what is added in between is found by the first query.
        let newest = events.newest();
        let watch = Watch::with_long_queries(events);
        let store = store.downgrade();
        Self(Streamed::new(Arriving { store, thread, watch, newest, before: newest }))
    }

    /// The next message; `None` if the client is gone. While the client is suspended, the call waits. Dropping the
    /// future loses nothing.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage) if the database cannot be read; the next call tries again.
    pub async fn next(&mut self) -> Option<Result<Message>> {
        self.0.next().await
    }

    /// The next messages: waits for at least one, and returns it with those that are queued behind it, at most `max`
    /// in all. `None` if the client is gone. While the client is suspended, the call waits. Dropping the future loses
    /// nothing.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage) if the database cannot be read; the next call tries again.
    pub async fn next_batch(&mut self, max: usize) -> Option<Result<Vec<Message>>> {
        self.0.source().await.next_batch(max).await
    }

    /// Makes the next call return the last batch again, because it did not reach its consumer.
    pub fn repeat(&mut self) {
        self.0.with(Arriving::repeat);
    }
}

impl Stream for Arrivals {
    type Item = Result<Message>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().0.poll_next(cx)
    }
}

impl Source for Arriving {
    type Item = Result<Message>;

    async fn next(&mut self) -> Option<Result<Message>> {
        loop {
            match self.next_batch(1).await? {
                Ok(one) => {
                    if let Some(message) = one.into_iter().next() {
                        return Some(Ok(message));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Arriving {
    async fn next_batch(&mut self, max: usize) -> Option<Result<Vec<Message>>> {
        self.before = self.newest;
        loop {
            let batch = match self.watch.next().await? {
                Next::Event(event) => self.and_those_behind(event, max),
                Next::Look => match self.look(max).await? {
                    Ok(missed) => missed,
                    Err(error) => return Some(Err(error)),
                },
            };
            if let Some(last) = batch.last() {
                self.newest = last.id;
                return Some(Ok(batch));
            }
        }
    }

    fn repeat(&mut self) {
        self.newest = self.before;
        self.watch.look_again();
    }

    fn and_those_behind(&mut self, event: Event, max: usize) -> Vec<Message> {
        let mut batch: Vec<_> = self.arrival(event).into_iter().collect();
        while batch.len() < max {
            let Some(event) = self.watch.try_next() else { break };
            batch.extend(self.arrival(event));
        }
        batch
    }

    /// The message that an event adds to this thread. A message that a query has already returned also comes as an
    /// event.
    fn arrival(&self, event: Event) -> Option<Message> {
        match event {
            Event::MessageAdded(message) if message.thread == self.thread => {
                Some(message).filter(|message| message.id > self.newest)
            }
            _ => None,
        }
    }

    /// Reads missed messages.
    async fn look(&mut self, max: usize) -> Option<Result<Vec<Message>>> {
        let (thread, newest) = (self.thread, self.newest);
        let limit = u32::try_from(max).unwrap_or(u32::MAX);
        let read = move |rows: &Rows<'_>| rows.arrived_after(thread, newest, limit);
        let missed = self.watch.look_when_open(&self.store, read).await?;
        if missed.as_ref().is_ok_and(|missed| missed.len() >= max) {
            // There may be more.
            self.watch.look_again();
        }
        Some(missed)
    }
}
