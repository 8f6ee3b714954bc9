//! Opens the database, and configures its connections.

use std::fs::{File, TryLockError};
use std::path::Path;
#[cfg(feature = "statements")]
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::fan_out;
use super::schema::{self, OpenError};
#[cfg(feature = "statements")]
use crate::metrics::Metrics;
use crate::private;

/// The number of 4 KiB pages in the write-ahead log after which they are copied into the database.
const LOG_PAGES: u32 = 8_192;
/// The writer's page cache in KiB, which holds the ends of the indexes that messages are added to.
const WRITER_CACHE_KIB: i64 = 32 << 10;

/// The database file.
pub(super) fn database(folder: &Path) -> std::path::PathBuf {
    folder.join("relay.db")
}

/// The exclusive right of one store to use a folder, until dropped or until the process ends.
#[derive(Debug)]
pub(super) struct FolderLock(File);

impl FolderLock {
    fn acquire(folder: &Path) -> Result<Self, OpenError> {
        let file = private::file(&folder.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse),
            Err(TryLockError::Error(error)) => Err(OpenError::Io(error)),
        }
    }
}

impl Drop for FolderLock {
    /// Closing the file would not be enough: a program that this process is just starting has a copy of it for a
    /// moment.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "the data folder could not be unlocked");
        }
    }
}

/// Locks the folder for this process and opens the database for writing.
pub(super) fn open_files(folder: &Path) -> Result<(FolderLock, Connection), OpenError> {
    private::folder(folder)?;
    let lock = FolderLock::acquire(folder)?;
    // SQLite gives its additional files the mode of this one.
    private::file(&database(folder))?;
    let mut db = Connection::open(database(folder))?;
    // There are no other writers; only emptying the log ever waits for readers.
    db.busy_timeout(Duration::from_millis(100))?;
    set_up(&db)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    // An answer guarantees that a power failure loses nothing, so every commit is synced to disk.
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "secure_delete", "ON")?;
    // A page that many messages change is copied from the log to the database less often. The sweep empties the log
    // once a minute.
    db.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    // A negative value is in kibibytes. A group that changes more than this has to write pages twice.
    db.pragma_update(None, "cache_size", WRITER_CACHE_KIB.saturating_neg())?;
    schema::migrate(&mut db)?;
    fan_out::forget_claims(&db)?;
    Ok((lock, db))
}

/// Settings of every connection.
pub(super) fn set_up(db: &Connection) -> rusqlite::Result<()> {
    // Data for undoing a statement or a savepoint stays in memory; as a file, it would be outside the data folder.
    db.pragma_update(None, "temp_store", "MEMORY")?;
    // The plan of a statement does not depend on bound values, so it is prepared once.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.set_prepared_statement_cache_capacity(128);
    Ok(())
}

#[cfg(feature = "statements")]
pub(super) fn count_statements(mut db: Connection, metrics: &Arc<Metrics>) -> rusqlite::Result<Connection> {
    let metrics = Arc::clone(metrics);
    let count = move |_: rusqlite::trace::TraceEvent<'_>| metrics.store_statements.count();
    db.trace_v2(rusqlite::trace::TraceEventCodes::SQLITE_TRACE_STMT, Some(count))?;
    Ok(db)
}

/// The number of times that a backup was restored, starting at 1.
pub(super) fn read_epoch(db: &Connection) -> rusqlite::Result<u64> {
    db.query_row("SELECT v FROM store_meta WHERE k = 'epoch'", [], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_unlocked_even_if_a_descriptor_of_its_lock_was_inherited() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::acquire(folder.path()).unwrap();
        let inherited = lock.0.try_clone().unwrap();
        assert!(matches!(FolderLock::acquire(folder.path()), Err(OpenError::InUse)));
        drop(lock);
        assert!(FolderLock::acquire(folder.path()).is_ok());
        drop(inherited);
    }
}
