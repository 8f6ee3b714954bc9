//! A live view of the whole client: a snapshot, followed by events.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use futures_util::Stream;
use tokio::sync::watch;

use super::PAGE;
use super::summary::{ThreadPage, ThreadSummary};
use super::watch::{Next, Watch};
use crate::context::{Context, Failures};
use crate::error::Result;
use crate::event::{ConnectionState, Event};
use crate::health::FailedPart;
use crate::store::{Folder, Rows, ThreadCursor, WeakStore};
use crate::stream::{Source, Streamed};
use crate::sync::State;

/// What a list of threads shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// The state of the connection.
    pub connection: ConnectionState,
    /// The first [`PAGE`](crate::PAGE) chats: the pinned ones, then the others, ordered by their newest message.
    pub threads: Vec<ThreadSummary>,
    /// Where the next page of threads starts; none if there is none.
    pub next: Option<ThreadCursor>,
    /// The parts of the client that cannot do their work, with the reasons; normally none.
    pub failing: Vec<FailedPart>,
}

/// An update of a [`Feed`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// The complete state: at the start, whenever the consumer was too slow, and after the database was closed for a
    /// while, when other processes may have written to it.
    Snapshot(Overview),
    /// Something has changed since then.
    Event(Event),
}

/// A live view of the client. Memory use is bounded: a consumer that is too slow gets a fresh snapshot, which
/// includes what it missed. It is also a [`Stream`].
#[derive(Debug)]
pub struct Feed(Streamed<Updates>);

/// The source of the updates.
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

    /// The next update; `None` if the client is gone. While the client is suspended and a snapshot is due, the call
    /// waits. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage) if the snapshot cannot be read; the next call tries again.
    pub async fn next(&mut self) -> Option<Result<Update>> {
        self.0.next().await
    }

    /// Like [`Feed::next`], together with the updates that are queued behind it, at most `max` in all.
    ///
    /// # Errors
    /// Those of [`Feed::next`].
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

    /// The current state, without waiting. The next update happened after it, or is already included in it.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage); [`Error::Misuse`](crate::Error::Misuse) while the client is
    /// suspended, or if it is gone.
    pub async fn snapshot(&mut self) -> Result<Overview> {
        let source = &mut *self.0.source().await;
        let page = source.watch.look(&source.store, first_page).await?;
        Ok(source.overview(page))
    }

    /// Makes the next update a fresh snapshot.
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
    ThreadPage::read(rows, Folder::Chats, None, PAGE)
}
