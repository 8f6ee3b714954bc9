//! A live view of a thread.

use std::sync::Arc;

use sealpost_core as core;

use super::Change;
use crate::pull::{Pull, Snapshot, View};
use crate::{CancelToken, Page, Result};

/// A live view of a thread, to be pulled by one consumer. It is bounded: a consumer that is too slow gets a fresh snapshot instead of what
/// was missed.
#[derive(uniffi::Object)]
pub struct ThreadSubscription {
    pull: Pull<core::Timeline>,
}

impl ThreadSubscription {
    pub(crate) fn new(timeline: core::Timeline, ended: Arc<CancelToken>) -> Arc<Self> {
        Arc::new(Self { pull: Pull::new(timeline, ended) })
    }
}

#[uniffi::export]
impl ThreadSubscription {
    /// The newest messages. What follows from `next` changed after that.
    ///
    /// Answers at once, also while `next` waits. Throws `Storage`; `Misuse` while the client is suspended, or after it.
    pub async fn snapshot(&self) -> Result<Page> {
        self.pull.snapshot().await
    }

    /// The next changes: waits for one, and takes those that wait behind it. Without a snapshot before it, it begins with
    /// one. While the client is suspended it waits. None when the client was shut down or is gone.
    ///
    /// Throws `Cancelled`, which loses nothing, and `Storage`, after which the next call tries again.
    #[uniffi::method(default(cancel = None))]
    pub async fn next(&self, cancel: Option<Arc<CancelToken>>) -> Result<Option<Vec<Change>>> {
        self.pull.next(cancel).await
    }
}

impl View for core::Timeline {
    type Update = Change;

    async fn next_batch(&mut self, max: usize) -> Option<Result<Vec<Change>>> {
        let batch = Self::next_batch(self, max).await?;
        Some(batch.map(|changes| changes.into_iter().filter_map(Change::known).collect()).map_err(Into::into))
    }

    fn refresh(&mut self) {
        Self::refresh(self);
    }
}

impl Snapshot for core::Timeline {
    type Snapshot = Page;

    async fn snapshot(&mut self) -> Result<Page> {
        Ok(Self::snapshot(self).await?.into())
    }
}

impl std::fmt::Debug for ThreadSubscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ThreadSubscription")
    }
}
