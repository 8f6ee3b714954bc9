//! What an app is to show as notifications, and what it is to take back.

use std::sync::Arc;

use sealpost_core as core;

use crate::pull::{Confirm, Pull, View};
use crate::{CancelToken, Notice, Result};

/// What an app is to show as notifications, and what it is to take back, each once, also after a restart of the process. To be pulled by
/// one consumer. What `next` has returned is due until it is confirmed: if the process ends in between, it is told again. Messages that
/// are in the database when notices are first used by an account are not shown.
#[derive(Debug, uniffi::Object)]
pub struct Notices {
    pull: Pull<core::Notices>,
}

impl Notices {
    pub(crate) fn new(notices: core::Notices, ended: Arc<CancelToken>) -> Arc<Self> {
        Arc::new(Self { pull: Pull::new(notices, ended) })
    }
}

#[uniffi::export]
impl Notices {
    /// Waits until something is to be done, and returns it. What was returned before and not confirmed is returned again. While the
    /// client is suspended, the call waits. Returns none if the client was shut down or is gone.
    ///
    /// Throws `Cancelled`, which loses nothing, and `Storage`; the next call then tries again.
    #[uniffi::method(default(cancel = None))]
    pub async fn next(&self, cancel: Option<Arc<CancelToken>>) -> Result<Option<Vec<Notice>>> {
        self.pull.next(cancel).await
    }

    /// Records that the app has done what `next` has returned last.
    ///
    /// Throws `Storage` and `Misuse`, after which it is returned again.
    pub async fn confirm(&self) -> Result<()> {
        self.pull.confirm().await
    }
}

impl View for core::Notices {
    type Update = Notice;

    async fn next_batch(&mut self, max: usize) -> Option<Result<Vec<Notice>>> {
        let batch = Self::next_batch(self, max).await?;
        Some(batch.map(|notices| notices.into_iter().filter_map(Notice::known).collect()).map_err(Into::into))
    }

    /// What did not reach the app was not confirmed, and is returned again.
    fn refresh(&mut self) {}
}

impl Confirm for core::Notices {
    async fn confirm(&mut self) -> Result<()> {
        Ok(Self::confirm(self).await?)
    }
}
