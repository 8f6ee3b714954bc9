//! How the file is opened, and what every connection is set to.

use std::fs::{File, TryLockError};
use std::path::Path;
#[cfg(feature = "statements")]
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::schema::{self, OpenError};
#[cfg(feature = "statements")]
use crate::metrics::Metrics;
use crate::private;

/// Pages of 4 KiB in the write-ahead log before they go into the file.
const LOG_PAGES: u32 = 8_192;
/// What the writer keeps of the file in memory, in KiB: the ends of the indexes that messages go to.
const WRITER_CACHE_KIB: i64 = 32 << 10;

/// The file in which everything is.
pub(super) fn database(folder: &Path) -> std::path::PathBuf {
    folder.join("relay.db")
}

/// Takes the folder for this process alone and opens the database for writing.
pub(super) fn open_files(folder: &Path) -> Result<(File, Connection), OpenError> {
    private::folder(folder)?;
    let lock = private::file(&folder.join("lock"))?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => OpenError::InUse,
        TryLockError::Error(error) => OpenError::Io(error),
    })?;
    // SQLite gives the files beside it the mode of this one.
    private::file(&database(folder))?;
    let mut db = Connection::open(database(folder))?;
    // Nobody else writes; only emptying the log ever waits for readers.
    db.busy_timeout(Duration::from_millis(100))?;
    set_up(&db)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    // An answer promises that a power cut loses nothing, so every commit reaches the disk.
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "secure_delete", "ON")?;
    // A page that many messages change goes from the log into the file less often. Once a minute the sweep empties it.
    db.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    // Negative: in kibibytes. A group that changes more than that has to write pages twice.
    db.pragma_update(None, "cache_size", WRITER_CACHE_KIB.saturating_neg())?;
    schema::migrate(&mut db)?;
    Ok((lock, db))
}

/// What every connection is set to.
pub(super) fn set_up(db: &Connection) -> rusqlite::Result<()> {
    // What a statement or a savepoint may have to undo stays in memory: as a file it would lie outside the data folder.
    db.pragma_update(None, "temp_store", "MEMORY")?;
    // The plan of a statement depends on no bound value, so that it is prepared once.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(())
}

#[cfg(feature = "statements")]
pub(super) fn count_statements(mut db: Connection, metrics: &Arc<Metrics>) -> rusqlite::Result<Connection> {
    let metrics = Arc::clone(metrics);
    let count = move |_: rusqlite::trace::TraceEvent<'_>| metrics.store_statements.count();
    db.trace_v2(rusqlite::trace::TraceEventCodes::SQLITE_TRACE_STMT, Some(count))?;
    Ok(db)
}

/// How often a backup was restored, from 1.
pub(super) fn read_epoch(db: &Connection) -> rusqlite::Result<u64> {
    db.query_row("SELECT v FROM store_meta WHERE k = 'epoch'", [], |row| row.get(0))
}
