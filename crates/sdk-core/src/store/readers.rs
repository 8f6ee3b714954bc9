//! A few connections beside the writer: a person scrolling never waits for a backlog.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::vault::Vault;
use super::{Rows, SUSPENDED};
use crate::error::Result;

/// Most connections that read.
const MAX_READERS: usize = 3;

pub(super) struct Readers {
    permits: Arc<Semaphore>,
    pool: Mutex<Pool>,
    /// Told whenever somebody has done reading.
    done: Condvar,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Connection>,
    reading: usize,
    closed: bool,
}

impl Readers {
    pub(super) fn new() -> Self {
        let permits = Arc::new(Semaphore::new(MAX_READERS));
        Self { permits, pool: Mutex::default(), done: Condvar::new() }
    }

    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        let permits = Arc::clone(&self.permits);
        permits.acquire_owned().await.map_err(|_| SUSPENDED)
    }

    /// Runs `work` on one snapshot. Blocking; needs a permit.
    pub(super) fn run<T>(&self, vault: &Vault, work: impl FnOnce(&Rows<'_>) -> Result<T>) -> Result<T> {
        let mut reading = self.begin()?;
        let connection = match &mut reading.connection {
            Some(connection) => connection,
            none => none.insert(vault.connect_reader()?),
        };
        let snapshot = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
        work(&Rows { connection: &snapshot })
    }

    /// Lets nobody begin, waits for those who read, then closes every connection. Blocking.
    pub(super) fn close(&self) {
        self.permits.close();
        let mut pool = self.pool();
        pool.closed = true;
        let reading = self.done.wait_while(pool, |pool| pool.reading > 0);
        reading.unwrap_or_else(PoisonError::into_inner).idle.clear();
    }

    fn begin(&self) -> Result<Reading<'_>> {
        let mut pool = self.pool();
        if pool.closed {
            return Err(SUSPENDED);
        }
        pool.reading = pool.reading.saturating_add(1);
        Ok(Reading { connection: pool.idle.pop(), readers: self })
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who reads; counted until dropped.
struct Reading<'r> {
    readers: &'r Readers,
    connection: Option<Connection>,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut pool = self.readers.pool();
        pool.idle.extend(self.connection.take());
        pool.reading = pool.reading.saturating_sub(1);
        self.readers.done.notify_all();
    }
}
