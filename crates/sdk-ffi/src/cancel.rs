//! Cancelling calls, in the same way in both languages.

use std::sync::Arc;

use tokio::sync::watch;

use crate::Result;

/// Cancels the calls that it was passed to; each of them throws `Cancelled`. Cancelling cannot be undone. Work that
/// the calls have started is finished or rolled back as a whole.
#[derive(Debug, Default, uniffi::Object)]
pub struct CancelToken {
    cancelled: watch::Sender<bool>,
}

#[uniffi::export]
impl CancelToken {
    /// Creates a token for any number of calls.
    #[uniffi::constructor]
    pub fn new() -> Result<Arc<Self>> {
        Ok(Arc::default())
    }

    /// Cancels the waiting calls, and those to come.
    pub fn cancel(&self) -> Result<()> {
        self.cancelled.send_replace(true);
        Ok(())
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> Result<bool> {
        Ok(*self.cancelled.borrow())
    }
}

impl CancelToken {
    /// Resolves when the token is cancelled.
    pub(crate) async fn cancelled(&self) {
        // The sender is a field of `self`, so this cannot fail.
        let _ = self.cancelled.subscribe().wait_for(|cancelled| *cancelled).await;
    }
}
