//! A live view of the whole client: what there is, then what happens.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use futures_util::Stream;
use tokio::sync::watch;

use super::PAGE;
use super::watch::{Next, Watch};
use crate::context::{Context, Failures};
use crate::error::Result;
use crate::event::{ConnectionState, Event};
use crate::health::FailedPart;
use crate::id::{ThreadId, UserId};
use crate::message::Message;
use crate::store::{Listed, Rows, ThreadCursor, WeakStore};
use crate::stream::{Source, Streamed};
use crate::sync::State;

/// What a list of threads shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// The connection.
    pub connection: ConnectionState,
    /// The first [`PAGE`](crate::PAGE) threads, the one with the newest message first.
    pub threads: Vec<ThreadSummary>,
    /// Where the next page of them begins; none when there is none.
    pub next: Option<ThreadCursor>,
    /// The parts of the client that cannot do their work, and why; normally none.
    pub failing: Vec<FailedPart>,
}

/// A thread in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadSummary {
    /// What names it.
    pub id: ThreadId,
    /// The other member.
    pub peer: UserId,
    /// When its newest message came to be, by the relay's clock, in milliseconds since the Unix epoch: what the list is
    /// ordered by.
    pub activity_ms: u64,
    /// How many messages in it are unread.
    pub unread: u64,
    /// Its newest message; none in a new thread.
    pub newest: Option<Message>,
}

/// A part of the list of threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadPage {
    /// The one with the newest message first.
    pub threads: Vec<ThreadSummary>,
    /// Where the next page begins; none when there is none.
    pub next: Option<ThreadCursor>,
}

impl ThreadPage {
    pub(crate) fn read(rows: &Rows<'_>, after: Option<ThreadCursor>, limit: u32) -> Result<Self> {
        let (threads, next) = rows.thread_page(after, limit)?;
        let threads = threads.into_iter().map(|listed| {
            let Listed { thread, activity_ms, unread, newest } = listed;
            ThreadSummary { id: thread.id, peer: thread.peer, activity_ms, unread, newest }
        });
        Ok(Self { threads: threads.collect(), next })
    }
}

/// What is new in a [`Feed`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// Everything as it is: at the start, whenever the listener was too slow, and after the database was closed for a
    /// while, when others may have written into it.
    Snapshot(Overview),
    /// Something changed since.
    Event(Event),
}

/// A live view of the client. It is bounded: a consumer that is too slow gets a fresh snapshot, which includes what it missed.
/// It is a [`Stream`] too.
#[derive(Debug)]
pub struct Feed(Streamed<Updates>);

/// Where the updates come from.
struct Updates {
    store: WeakStore,
    connection: watch::Receiver<ConnectionState>,
    failures: Failures,
    watch: Watch,
}

impl Feed {
    pub(crate) fn new(ctx: &Context, state: &State) -> Self {
        let watch = Watch::new(&ctx.events);
        let (store, failures) = (ctx.store.downgrade(), ctx.health.failures());
        Self(Streamed::new(Updates { store, connection: state.follow(), failures, watch }))
    }

    /// The next update; `None` when the client is gone. While the client is suspended and a snapshot is due, it waits.
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage) when the snapshot cannot be read; the next call tries again.
    pub async fn next(&mut self) -> Option<Result<Update>> {
        self.0.next().await
    }

    /// As [`Feed::next`], with those updates behind it that wait already: at most `max` in all.
    ///
    /// # Errors
    /// As [`Feed::next`].
    pub async fn next_batch(&mut self, max: usize) -> Option<Result<Vec<Update>>> {
        let mut source = self.0.source().await;
        let mut updates = match source.next().await? {
            Ok(first) => vec![first],
            Err(error) => return Some(Err(error)),
        };
        while updates.len() < max {
            let Some(event) = source.watch.try_next() else { break };
            updates.push(Update::Event(event));
        }
        Some(Ok(updates))
    }

    /// Everything as it is, at once. The next update happened after that, or is in it already.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage); [`Error::Misuse`](crate::Error::Misuse) while the client is suspended,
    /// or when it is gone.
    pub async fn snapshot(&mut self) -> Result<Overview> {
        let source = &mut *self.0.source().await;
        let page = source.watch.look(&source.store, first_page).await?;
        Ok(source.overview(page))
    }

    /// The next update will be a fresh snapshot.
    pub fn refresh(&mut self) {
        self.0.with(|source| source.watch.look_again());
    }
}

impl Stream for Feed {
    type Item = Result<Update>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().0.poll_next(cx)
    }
}

impl Source for Updates {
    type Item = Result<Update>;

    async fn next(&mut self) -> Option<Result<Update>> {
        match self.watch.next().await? {
            Next::Event(event) => Some(Ok(Update::Event(event))),
            Next::Look => {
                let page = self.watch.look_when_open(&self.store, first_page).await?;
                Some(page.map(|page| Update::Snapshot(self.overview(page))))
            }
        }
    }
}

impl Updates {
    fn overview(&self, page: ThreadPage) -> Overview {
        let ThreadPage { threads, next } = page;
        Overview { connection: *self.connection.borrow(), threads, next, failing: self.failures.list() }
    }
}

fn first_page(rows: &Rows<'_>) -> Result<ThreadPage> {
    ThreadPage::read(rows, None, PAGE)
}
