//! Read-only connections: a read sees one snapshot and never waits for the writer.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::writer::store_error;
use crate::store::{Answer, StoreError};

/// Most reads at once; more wait their turn.
const MAX_READERS: usize = 4;

/// A small pool of read-only connections.
#[derive(Debug, Clone)]
pub(super) struct Readers {
    path: Arc<PathBuf>,
    turns: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: Arc::new(path.to_owned()),
            turns: Arc::new(Semaphore::new(MAX_READERS)),
            idle: Arc::default(),
        }
    }

    /// Runs `work` on a snapshot, on a thread where it may block.
    pub(super) fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<T> {
        let readers = self.clone();
        Box::pin(async move {
            let _turn = readers.turns.acquire().await.map_err(|_closed| StoreError::Unavailable)?;
            let pool = readers.clone();
            tokio::task::spawn_blocking(move || pool.on_connection(work).map_err(store_error))
                .await
                .unwrap_or(Err(StoreError::Unavailable))
        })
    }

    fn on_connection<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let db = idle.map_or_else(|| self.open(), Ok)?;
        // Several statements of one piece of work see the same snapshot.
        let tx = db.unchecked_transaction()?;
        let result = work(&tx)?;
        drop(tx);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(db);
        Ok(result)
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(self.path.as_path(), flags)?;
        db.busy_timeout(Duration::from_secs(5))?;
        Ok(db)
    }
}
