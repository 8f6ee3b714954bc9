//! A live view of a list of threads.

use std::sync::Arc;

use sealpost_core as core;

use crate::pull::{Pull, View};
use crate::{CancelToken, Result, ThreadId, ThreadPage, ThreadSummary};

/// A change of a list of threads. `ThreadList` applies it to the threads that an app shows.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
#[expect(
    clippy::large_enum_variant,
    reason = "the bindings copy each value once, and a box would not reach them"
)]
pub enum ThreadsChange {
    /// The first page: at the start, whenever the app was too slow or much has changed, and after the client was suspended.
    Snapshot {
        /// The page, which replaces what was shown.
        page: ThreadPage,
    },
    /// A thread is in the list now with this summary: it is new there, or something in it has changed, perhaps its place.
    Put {
        /// What the list shows of it.
        thread: ThreadSummary,
    },
    /// A thread is no longer in the list, or was never in it.
    Removed {
        /// The thread.
        thread: ThreadId,
    },
}

impl From<core::ThreadsChange> for ThreadsChange {
    fn from(change: core::ThreadsChange) -> Self {
        match change {
            core::ThreadsChange::Snapshot(page) => Self::Snapshot { page: page.into() },
            core::ThreadsChange::Put(thread) => Self::Put { thread: (*thread).into() },
            core::ThreadsChange::Removed(thread) => Self::Removed { thread },
        }
    }
}

/// A live view of a list of threads, to be pulled by one consumer. Memory use is bounded: a consumer that is too slow gets a fresh
/// snapshot. Several changes of a thread between two calls become one.
#[derive(Debug, uniffi::Object)]
pub struct Threads {
    pull: Pull<core::Threads>,
}

impl Threads {
    pub(crate) fn new(threads: core::Threads, ended: Arc<CancelToken>) -> Arc<Self> {
        Arc::new(Self { pull: Pull::new(threads, ended) })
    }
}

#[uniffi::export]
impl Threads {
    /// The next changes: waits for at least one, and returns it with those that are ready behind it. The first is a snapshot. While
    /// the client is suspended, the call waits. Returns none if the client was shut down or is gone.
    ///
    /// Throws `Cancelled`, which loses nothing, and `Storage`; the next call then tries again.
    #[uniffi::method(default(cancel = None))]
    pub async fn next(&self, cancel: Option<Arc<CancelToken>>) -> Result<Option<Vec<ThreadsChange>>> {
        self.pull.next(cancel).await
    }
}

impl View for core::Threads {
    type Update = ThreadsChange;

    async fn next_batch(&mut self, max: usize) -> Option<Result<Vec<ThreadsChange>>> {
        let batch = Self::next_batch(self, max).await?;
        Some(batch.map(|changes| changes.into_iter().map(ThreadsChange::from).collect()).map_err(Into::into))
    }

    fn refresh(&mut self) {
        Self::refresh(self);
    }
}
