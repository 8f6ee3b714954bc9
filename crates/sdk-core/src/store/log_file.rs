//! The file of the write-ahead log, and how long a connection waits for other processes that use the database.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a connection waits for another process.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The size to which the log file is truncated when the log is restarted: about the size of a log of 1000 pages, at
/// which SQLite checkpoints it.
pub(super) const KEPT_BYTES: u32 = 4 << 20;

/// Whether a log exists next to the database and is not empty.
pub(super) fn is_beside(database: &Path) -> bool {
    size(&path_beside(database)) > 0
}

/// The path of a database's log.
pub(super) fn path_beside(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    path.into()
}

/// The size of a log in bytes; 0 if it does not exist.
pub(super) fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}
