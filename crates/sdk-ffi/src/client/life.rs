//! Suspending, resuming and shutting down a client.

use std::sync::Arc;

use super::Client;
use crate::{Result, SealpostError, runtime};

#[uniffi::export]
impl Client {
    /// Closes the connection, finishes pending transactions, and closes the database. Use this when the app goes to
    /// the background: the system may then freeze or kill the app. Until `resume`, other calls throw `Misuse`.
    pub async fn suspend(&self) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.suspend().await?) }).await
    }

    /// Opens the database again and connects. Does nothing if the client is not suspended.
    ///
    /// Throws `Storage`; `Misuse` after `shutdown`.
    pub async fn resume(&self) -> Result<()> {
        let (core, ended) = (self.core.clone(), Arc::clone(&self.ended));
        runtime::run(async move {
            if !ended.is_cancelled()? {
                core.resume().await?;
            }
            // Also if it was shut down in the meantime.
            if ended.is_cancelled()? {
                core.suspend().await?;
                return Err(SealpostError::misuse("the client was shut down"));
            }
            Ok(())
        })
        .await
    }

    /// Like `suspend`, but permanently. When this returns, the database can be opened again or deleted, whatever
    /// objects of this client still exist. The client's views end.
    pub async fn shutdown(&self) -> Result<()> {
        self.ended.cancel()?;
        self.suspend().await
    }
}
