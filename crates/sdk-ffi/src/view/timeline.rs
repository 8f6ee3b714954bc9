//! A live view of a thread.

use std::sync::Arc;

use sealpost_core as core;

use super::Change;
use crate::pull::{Pull, Snapshot, View};
use crate::{CancelToken, Page, Result};

/// A live view of a thread, to be pulled by one consumer. Memory use is bounded: a consumer that is too slow gets a
/// fresh snapshot, which includes what it missed.
#[derive(Debug, uniffi::Object)]
pub struct Timeline {
    pull: Pull<core::Timeline>,
}

impl Timeline {
    pub(crate) fn new(timeline: core::Timeline, ended: Arc<CancelToken>) -> Arc<Self> {
        Arc::new(Self { pull: Pull::new(timeline, ended) })
    }
}

#[uniffi::export]
impl Timeline {
    /// The newest messages. What `next` returns afterwards changed after it.
    ///
    /// Returns immediately, even while `next` waits. Throws `Storage`; `Misuse` while the client is suspended, or
    /// after it was shut down.
    pub async fn snapshot(&self) -> Result<Page> {
        self.pull.snapshot().await
    }

    /// The next changes: waits for at least one, and returns it with those that are queued behind it. The first call
    /// starts with a snapshot, unless one was taken before. While the client is suspended, the call waits. Returns
    /// none if the client was shut down or is gone.
    ///
    /// Throws `Cancelled`, which loses nothing, and `Storage`; the next call then tries again.
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
