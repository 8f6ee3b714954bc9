//! A live view of calls.

use std::sync::Arc;

use sealpost_core as core;

use crate::pull::{Pull, View};
use crate::{CallEvent, CancelToken, Result};

/// What happens in calls: the offers of those that ring, followed by everything that the other sides say, and the ends of calls. To be
/// pulled by one consumer. Nothing of it is in the database. Memory use is bounded: a consumer that is more than 512 events behind gets the
/// offers of the calls that still ring again, and loses the rest.
#[derive(Debug, uniffi::Object)]
pub struct Calls {
    pull: Pull<core::Calls>,
}

impl Calls {
    pub(crate) fn new(calls: core::Calls, ended: Arc<CancelToken>) -> Arc<Self> {
        Arc::new(Self { pull: Pull::new(calls, ended) })
    }
}

#[uniffi::export]
impl Calls {
    /// The next events: waits for at least one, and returns it with those that are queued behind it. Returns none if the client was shut
    /// down or is gone.
    ///
    /// Throws `Cancelled`, which loses nothing.
    #[uniffi::method(default(cancel = None))]
    pub async fn next(&self, cancel: Option<Arc<CancelToken>>) -> Result<Option<Vec<CallEvent>>> {
        self.pull.next(cancel).await
    }
}

impl View for core::Calls {
    type Update = CallEvent;

    async fn next_batch(&mut self, max: usize) -> Option<Result<Vec<CallEvent>>> {
        let batch = Self::next_batch(self, max).await?;
        Some(Ok(batch.into_iter().filter_map(CallEvent::known).collect()))
    }

    fn refresh(&mut self) {
        self.repeat();
    }
}
