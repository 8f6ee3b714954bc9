//! A live view of a thread: a snapshot, followed by changes.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use futures_util::Stream;

use super::progress::Progress;
use super::watch::{Next, Watch};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::{Event, EventBus};
use crate::id::{MessageId, ThreadId};
use crate::message::{Delivery, Direction, Message, Page, Position};
use crate::store::{Rows, SendProgress, Store, WeakStore};
use crate::stream::{Source, Streamed};
use crate::waiting::ThreadWaiting;

/// A change in a thread. [`MessageList`](crate::MessageList) applies it to the messages that an app shows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The newest messages: at the start, whenever the consumer was too slow, and after the database was closed for a
    /// while, when other processes may have written to it.
    Snapshot(Page),
    /// A message was added, at its position. It is not reported of a message in the last snapshot.
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
    /// The oldest queued message, and what it is waiting for; none if no message is queued any more. Follows only if it differs from
    /// what the snapshot or the last such change has said.
    Waiting(Option<ThreadWaiting>),
}

/// A live view of a thread. Memory use is bounded: a consumer that is too slow gets a fresh snapshot, which includes
/// what it missed. It is also a [`Stream`].
#[derive(Debug)]
pub struct Timeline(Streamed<Changes>);

impl Timeline {
    pub(crate) fn new(ctx: &Context, thread: ThreadId, size: u32) -> Self {
        let mut timeline = Self::over(&ctx.store, &ctx.events, thread, size);
        timeline.0.with(|changes| changes.progress = Some(Progress::new(ctx)));
        timeline
    }

    /// Without what messages are waiting for.
    pub(crate) fn over(store: &Store, events: &EventBus, thread: ThreadId, size: u32) -> Self {
        let (store, watch) = (store.downgrade(), Watch::new(events));
        Self(Streamed::new(Changes {
            store,
            thread,
            size,
            watch,
            progress: None,
            must_ask: false,
            told: None,
            shown: BTreeMap::new(),
        }))
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
        let source = &mut *self.0.source().await;
        source.mark_seen();
        let seen = source.watch.look(&source.store, newest(source.thread, source.size)).await?;
        Ok(source.looked(seen))
    }

    /// Makes the next change a fresh snapshot.
    pub fn refresh(&mut self) {
        self.0.with(|source| {
            source.watch.look_again();
            // The snapshot says what waits.
            source.must_ask = false;
        });
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
    /// What the messages are waiting for, as far as it is not in the database.
    progress: Option<Progress>,
    /// Whether the oldest queued message may have changed.
    must_ask: bool,
    /// What the consumer was told last of the oldest queued message.
    told: Option<ThreadWaiting>,
    /// The messages of the last snapshot that were not removed since, and their positions.
    shown: BTreeMap<MessageId, Position>,
}

impl Source for Changes {
    type Item = Result<Change>;

    async fn next(&mut self) -> Option<Result<Change>> {
        loop {
            if self.must_ask {
                // Once for all changes that are queued.
                if let Some(event) = self.watch.try_next() {
                    match self.change(event) {
                        Some(change) => return Some(Ok(change)),
                        None => continue,
                    }
                }
                match self.ask().await? {
                    Ok(Some(change)) => return Some(Ok(change)),
                    Ok(None) => {}
                    Err(error) => return Some(Err(error)),
                }
            }
            let told = self.told.map(|told| told.waiting);
            let next = tokio::select! {
                biased;
                next = self.watch.next() => next?,
                () = async { match &mut self.progress {
                    Some(progress) => progress.changed(told).await,
                    None => std::future::pending().await,
                } } => {
                    self.must_ask = true;
                    continue;
                }
            };
            match next {
                Next::Event(event) => {
                    if let Some(change) = self.change(event) {
                        return Some(Ok(change));
                    }
                }
                Next::Look => {
                    self.mark_seen();
                    let newest = newest(self.thread, self.size);
                    let seen = self.watch.look_when_open(&self.store, newest).await?;
                    return Some(seen.map(|seen| Change::Snapshot(self.looked(seen))));
                }
            }
        }
    }
}

impl Changes {
    /// The change that an event means for this thread.
    fn change(&mut self, event: Event) -> Option<Change> {
        let change = match event {
            Event::MessageAdded(message) if message.thread == self.thread => {
                // A snapshot can contain a message before its event is published.
                match self.moved(&message) {
                    Some(was) => Change::Changed { message, was },
                    None => Change::Added(message),
                }
            }
            Event::MessageChanged { message, was } if message.thread == self.thread => {
                self.moved(&message);
                Change::Changed { message, was }
            }
            Event::MessageRemoved { thread, id, position } if thread == self.thread => {
                self.shown.remove(&id);
                Change::Removed { id, position }
            }
            _ => return None,
        };
        let is_queued = match &change {
            Change::Added(message) | Change::Changed { message, .. } => {
                message.direction == Direction::Outgoing(Delivery::Queued)
            }
            _ => false,
        };
        self.must_ask |= self.progress.is_some() && (is_queued || self.told.is_some());
        Some(change)
    }

    /// The previous position of a message of the last snapshot.
    fn moved(&mut self, message: &Message) -> Option<Position> {
        self.shown.get_mut(&message.id).map(|shown| std::mem::replace(shown, message.position))
    }

    /// The page that the consumer gets.
    fn looked(&mut self, (page, first): Newest) -> Page {
        self.shown = page.messages.iter().map(|message| (message.id, message.position)).collect();
        self.must_ask = false;
        self.told = self.describe(first);
        Page { first_waiting: self.told, ..page }
    }

    /// What changes from here on of what messages are waiting for is noticed. Called before reading the database.
    fn mark_seen(&mut self) {
        if let Some(progress) = &mut self.progress {
            progress.mark_seen();
        }
    }

    /// What the oldest queued message is waiting for; none if that is not followed.
    fn describe(&self, first: Option<(MessageId, SendProgress)>) -> Option<ThreadWaiting> {
        let (progress, (message, queued)) = (self.progress.as_ref()?, first?);
        Some(ThreadWaiting::new(message, progress.describe(self.thread, &queued)))
    }

    /// Whether something else than the consumer was told waits now. `None` if the client is gone. Dropping the future loses nothing.
    async fn ask(&mut self) -> Option<Result<Option<Change>>> {
        self.mark_seen();
        let thread = self.thread;
        let first = match self.store.upgrade()?.glance(move |rows| rows.first_waiting(thread)).await {
            Ok(first) => first,
            // The database is closed, and a snapshot follows when it is open again.
            Err(Error::Misuse(_)) => None,
            Err(error) => return Some(Err(error)),
        };
        self.must_ask = false;
        let waiting = self.describe(first);
        let is_news = std::mem::replace(&mut self.told, waiting) != waiting;
        Some(Ok(is_news.then_some(Change::Waiting(waiting))))
    }
}

/// The newest page, and the progress of the oldest queued message of the thread.
type Newest = (Page, Option<(MessageId, SendProgress)>);

fn newest(thread: ThreadId, size: u32) -> impl FnOnce(&Rows<'_>) -> Result<Newest> + Clone {
    move |rows| Ok((rows.page(thread, None, size)?, rows.first_waiting(thread)?))
}
