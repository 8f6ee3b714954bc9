//! What a queued message is waiting for, followed until it is sent.

use std::sync::Arc;

use sealpost_core as core;

use crate::pull::{Pull, View};
use crate::{CancelToken, Result, Waiting};

/// What a queued message is waiting for, to be pulled by one consumer: at the start, and again whenever it changes. It
/// ends when the message is no longer queued.
#[derive(Debug, uniffi::Object)]
pub struct Waits {
    pull: Pull<core::Waits>,
}

impl Waits {
    pub(crate) fn new(waits: core::Waits, ended: Arc<CancelToken>) -> Arc<Self> {
        Arc::new(Self { pull: Pull::new(waits, ended) })
    }
}

#[uniffi::export]
impl Waits {
    /// Waits for the next change, and returns what the message is waiting for now, as a list of one element. While the
    /// client is suspended, the call waits. Returns none when the message is no longer queued, or if the client was
    /// shut down or is gone.
    ///
    /// Throws `Cancelled`, which loses nothing, and `Storage`; the next call then tries again.
    #[uniffi::method(default(cancel = None))]
    pub async fn next(&self, cancel: Option<Arc<CancelToken>>) -> Result<Option<Vec<Waiting>>> {
        self.pull.next(cancel).await
    }
}

impl View for core::Waits {
    type Update = Waiting;

    async fn next_batch(&mut self, _: usize) -> Option<Result<Vec<Waiting>>> {
        let waiting = self.next().await?;
        Some(waiting.map(|waiting| vec![waiting.into()]).map_err(Into::into))
    }

    fn refresh(&mut self) {
        self.repeat();
    }
}
