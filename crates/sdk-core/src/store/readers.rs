//! A few connections beside the writer: a person scrolling never waits for a backlog.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Rows;
use super::vault::Vault;
use crate::error::{Error, Result};

/// Most connections that read.
const MAX_READERS: u32 = 3;

pub(super) struct Readers {
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(MAX_READERS as usize)), idle: Mutex::new(Vec::new()) }
    }

    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        let permits = Arc::clone(&self.permits);
        permits.acquire_owned().await.map_err(|_| Error::Misuse("the client is suspended"))
    }

    /// Runs `work` on one snapshot. Blocking; needs a permit.
    pub(super) fn run<T>(&self, vault: &Vault, work: impl FnOnce(&Rows<'_>) -> Result<T>) -> Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => vault.connect_reader()?,
        };
        let result = {
            let snapshot = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
            work(&Rows { connection: &snapshot })
        };
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        result
    }

    /// Waits for those who read, then closes every connection.
    pub(super) async fn close(&self) {
        let all = self.permits.acquire_many(MAX_READERS).await;
        self.permits.close();
        drop(all);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
