//! A live view of the whole client: what there is, then what happens.

use tokio::sync::watch;

use super::watch::{Next, Watch};
use crate::context::Context;
use crate::error::Result;
use crate::event::{ConnectionState, Event};
use crate::id::{ThreadId, UserId};
use crate::store::{Rows, WeakStore};
use crate::sync::State;

/// What a list of threads shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// The connection.
    pub connection: ConnectionState,
    /// Every thread, the one with the newest message first.
    pub threads: Vec<ThreadSummary>,
}

/// A thread in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadSummary {
    /// What names it.
    pub id: ThreadId,
    /// The other member.
    pub peer: UserId,
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

/// A live view of the client. Bounded: who is too slow gets a fresh snapshot instead of what was missed.
#[derive(Debug)]
pub struct Feed {
    store: WeakStore,
    connection: watch::Receiver<ConnectionState>,
    watch: Watch,
}

impl Feed {
    pub(crate) fn new(ctx: &Context, state: &State) -> Self {
        let watch = Watch::new(&ctx.events);
        Self { store: ctx.store.downgrade(), connection: state.follow(), watch }
    }

    /// The next update; `None` when the client is gone. While the client is suspended and a snapshot is due, it waits.
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage) when the snapshot cannot be read; the next call tries again.
    pub async fn next(&mut self) -> Option<Result<Update>> {
        match self.watch.next().await? {
            Next::Event(event) => Some(Ok(Update::Event(event))),
            Next::Look => {
                let threads = self.watch.look_when_open(&self.store, summaries).await?;
                Some(threads.map(|threads| Update::Snapshot(self.overview(threads))))
            }
        }
    }

    /// As [`Feed::next`], with those updates behind it that wait already: at most `max` in all.
    ///
    /// # Errors
    /// As [`Feed::next`].
    pub async fn next_batch(&mut self, max: usize) -> Option<Result<Vec<Update>>> {
        let mut updates = match self.next().await? {
            Ok(first) => vec![first],
            Err(error) => return Some(Err(error)),
        };
        while updates.len() < max {
            let Some(event) = self.watch.try_next() else { break };
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
        let threads = self.watch.look(&self.store, summaries).await?;
        Ok(self.overview(threads))
    }

    /// The next update will be a fresh snapshot.
    pub fn refresh(&mut self) {
        self.watch.look_again();
    }

    fn overview(&self, threads: Vec<ThreadSummary>) -> Overview {
        Overview { connection: *self.connection.borrow(), threads }
    }
}

fn summaries(rows: &Rows<'_>) -> Result<Vec<ThreadSummary>> {
    let threads = rows.threads()?.into_iter();
    Ok(threads.map(|thread| ThreadSummary { id: thread.id, peer: thread.peer }).collect())
}
