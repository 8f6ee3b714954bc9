//! The messages that are new in a thread, each once.
//!
//! What was missed is found by the order in which messages came to be here, not by their place: a late one may stand
//! among older ones, as far back as it likes.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use futures_util::Stream;

use super::watch::{Next, Watch};
use crate::context::Context;
use crate::error::Result;
use crate::event::Event;
use crate::id::{MessageId, ThreadId};
use crate::message::Message;
use crate::store::{Rows, WeakStore};
use crate::stream::{Source, Streamed};

/// The messages that are new in a thread from [`Thread::arrivals`](crate::Thread::arrivals) on, ours and theirs, each
/// once, in the order they came to be here. Bounded: what a slow listener missed, or what came while the client was
/// suspended, is read from the database. It is a [`Stream`] of single messages too.
#[derive(Debug)]
pub struct Arrivals(Streamed<Arriving>);

/// Where the messages come from.
struct Arriving {
    store: WeakStore,
    thread: ThreadId,
    watch: Watch,
    /// What came after this one is new.
    newest: MessageId,
    /// As `newest`, before the last batch.
    before: MessageId,
}

impl Arrivals {
    pub(crate) fn new(ctx: &Context, thread: ThreadId) -> Self {
        // In this order: what comes in between is found by the first look.
        let newest = ctx.events.newest();
        let watch = Watch::new(&ctx.events);
        let store = ctx.store.downgrade();
        Self(Streamed::new(Arriving { store, thread, watch, newest, before: newest }))
    }

    /// The next messages: waits for one, and takes those that wait behind it, at most `max` in all. `None` when the
    /// client is gone. While the client is suspended there are none: it waits. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage) when the database cannot be read; the next call tries again.
    pub async fn next_batch(&mut self, max: usize) -> Option<Result<Vec<Message>>> {
        self.0.source().await.next_batch(max).await
    }

    /// The last batch is given once more: nobody got it.
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

    /// What an event means for this thread. What a look has found already comes as an event too.
    fn arrival(&self, event: Event) -> Option<Message> {
        match event {
            Event::MessageAdded(message) if message.thread == self.thread => {
                Some(message).filter(|message| message.id > self.newest)
            }
            _ => None,
        }
    }

    /// What was missed.
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
