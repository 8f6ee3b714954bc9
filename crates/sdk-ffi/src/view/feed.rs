//! A live view of the whole client.

use std::sync::Arc;

use sealpost_core as core;

use crate::pull::{Pull, Snapshot, View};
use crate::{CancelToken, Overview, Result, Update};

/// A live view of the whole client: a snapshot, followed by events. To be pulled by one consumer. Memory use is bounded: a consumer that is too slow
/// gets a fresh snapshot, which includes what it missed.
#[derive(Debug, uniffi::Object)]
pub struct Feed {
    pull: Pull<core::Feed>,
}

impl Feed {
    pub(crate) fn new(feed: core::Feed, ended: Arc<CancelToken>) -> Arc<Self> {
        Arc::new(Self { pull: Pull::new(feed, ended) })
    }
}

#[uniffi::export]
impl Feed {
    /// The current state. What `next` returns afterwards happened after it.
    ///
    /// Returns immediately, even while `next` waits. Throws `Storage`; `Misuse` while the client is suspended, or
    /// after it was shut down.
    pub async fn snapshot(&self) -> Result<Overview> {
        self.pull.snapshot().await
    }

    /// The next updates: waits for at least one, and returns it with those that are queued behind it. The first call
    /// starts with a snapshot, unless one was taken before. While the client is suspended, the call waits. Returns
    /// none if the client was shut down or is gone.
    ///
    /// Throws `Cancelled`, which loses nothing, and `Storage`; the next call then tries again.
    #[uniffi::method(default(cancel = None))]
    pub async fn next(&self, cancel: Option<Arc<CancelToken>>) -> Result<Option<Vec<Update>>> {
        self.pull.next(cancel).await
    }
}

impl View for core::Feed {
    type Update = Update;

    async fn next_batch(&mut self, max: usize) -> Option<Result<Vec<Update>>> {
        let batch = Self::next_batch(self, max).await?;
        Some(batch.map(|updates| updates.into_iter().filter_map(Update::known).collect()).map_err(Into::into))
    }

    fn refresh(&mut self) {
        Self::refresh(self);
    }
}

impl Snapshot for core::Feed {
    type Snapshot = Overview;

    async fn snapshot(&mut self) -> Result<Overview> {
        Ok(Self::snapshot(self).await?.into())
    }
}
