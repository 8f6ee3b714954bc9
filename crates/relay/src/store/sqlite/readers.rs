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
            let turns = Arc::clone(&readers.turns);
            let turn = turns.acquire_owned().await.map_err(|_closed| StoreError::Unavailable)?;
            let reading = tokio::task::spawn_blocking(move || {
                // Here, because a read goes on when nobody waits for it any more.
                let _turn = turn;
                readers.on_connection(work).map_err(store_error)
            });
            reading.await.unwrap_or(Err(StoreError::Unavailable))
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_read_that_nobody_waits_for_keeps_its_turn_until_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        let readers = Readers::new(&path);
        let (begun, has_begun) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let read = readers.read(move |_| {
            begun.send(()).unwrap();
            may_go_on.recv().unwrap();
            Ok(())
        });
        let waiting = tokio::spawn(read);
        tokio::task::spawn_blocking(move || has_begun.recv().unwrap()).await.unwrap();
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        assert_eq!(readers.turns.available_permits(), MAX_READERS - 1);
        go_on.send(()).unwrap();
        let all = u32::try_from(MAX_READERS).unwrap();
        drop(readers.turns.acquire_many(all).await.unwrap());
    }
}
