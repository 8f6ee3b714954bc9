//! New messages of a thread: each is delivered exactly once.

use std::sync::Arc;

use sealpost_core as core;

use crate::pull::{Pull, View};
use crate::{CancelToken, Message, Result};

/// The messages, incoming and outgoing, that are added to a thread after `subscribe_arrivals`, exactly once and in
/// the order in which they were added. To be pulled by one consumer. Messages that a slow consumer missed, or that
/// were added while the client was suspended, are read from the database.
#[derive(Debug, uniffi::Object)]
pub struct Arrivals {
    pull: Pull<core::Arrivals>,
}

impl Arrivals {
    pub(crate) fn new(arrivals: core::Arrivals, ended: Arc<CancelToken>) -> Arc<Self> {
        Arc::new(Self { pull: Pull::new(arrivals, ended) })
    }
}

#[uniffi::export]
impl Arrivals {
    /// The next messages: waits for at least one, and returns it with those that are queued behind it. While the
    /// client is suspended, the call waits. Returns none if the client was shut down or is gone.
    ///
    /// Throws `Cancelled`, which loses nothing, and `Storage`; the next call then tries again.
    #[uniffi::method(default(cancel = None))]
    pub async fn next(&self, cancel: Option<Arc<CancelToken>>) -> Result<Option<Vec<Message>>> {
        self.pull.next(cancel).await
    }
}

impl View for core::Arrivals {
    type Update = Message;

    async fn next_batch(&mut self, max: usize) -> Option<Result<Vec<Message>>> {
        let batch = Self::next_batch(self, max).await?;
        Some(batch.map(|messages| messages.into_iter().map(Message::from).collect()).map_err(Into::into))
    }

    fn refresh(&mut self) {
        self.repeat();
    }
}
