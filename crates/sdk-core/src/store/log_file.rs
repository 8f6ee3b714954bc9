//! The file of the write-ahead log, and how long a connection waits for others at work on the database.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a connection waits for another process.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The size to which the log file is truncated when it starts anew: as large as SQLite lets it grow in ordinary use.
pub(super) const KEPT_BYTES: u32 = 4 << 20;

/// Whether a log exists next to the database and is not empty.
pub(super) fn is_beside(database: &Path) -> bool {
    size(&path_beside(database)) > 0
}

/// Where the log of a database is.
pub(super) fn path_beside(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    path.into()
}

/// In bytes; 0 when there is none.
pub(super) fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}
