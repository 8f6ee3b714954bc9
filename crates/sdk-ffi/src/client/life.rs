//! The background, the foreground, and the end of a client.

use std::sync::Arc;

use super::Client;
use crate::{Result, SealpostError, runtime};

#[uniffi::export]
impl Client {
    /// Ends the connection, lets every transaction finish, and closes the database. For an app that goes to
    /// the background: the system may freeze or kill it from here on. Calls throw `Misuse` until `resume`.
    pub async fn suspend(&self) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.suspend().await?) }).await
    }

    /// Opens the database again and connects. Nothing when it is open.
    ///
    /// Throws `Storage`; `Misuse` after `shutdown`.
    pub async fn resume(&self) -> Result<()> {
        let (core, ended) = (self.core.clone(), Arc::clone(&self.ended));
        runtime::run(async move {
            if !ended.is_cancelled()? {
                core.resume().await?;
            }
            // Also when it was shut down in the meantime.
            if ended.is_cancelled()? {
                core.suspend().await?;
                return Err(SealpostError::misuse("the client was shut down"));
            }
            Ok(())
        })
        .await
    }

    /// As `suspend`, for good: when this returns, the database may be opened again or deleted, whatever objects of this
    /// client are still there. Its views end.
    pub async fn shutdown(&self) -> Result<()> {
        self.ended.cancel()?;
        self.suspend().await
    }
}
