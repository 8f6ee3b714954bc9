//! Stopping to wait, in the same way in both languages.

use std::sync::Arc;

use tokio::sync::watch;

use crate::Result;

/// Ends the calls it was given to, each with `Cancelled`, once and for all. What they had begun is finished or undone as a
/// whole.
#[derive(Debug, Default, uniffi::Object)]
pub struct CancelToken {
    cancelled: watch::Sender<bool>,
}

#[uniffi::export]
impl CancelToken {
    /// A token for any number of calls.
    #[uniffi::constructor]
    pub fn new() -> Result<Arc<Self>> {
        Ok(Arc::default())
    }

    /// Ends the calls that wait, and those to come.
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
    /// Resolves when it is cancelled.
    pub(crate) async fn cancelled(&self) {
        // The sender lives as long as this.
        let _ = self.cancelled.subscribe().wait_for(|cancelled| *cancelled).await;
    }
}
