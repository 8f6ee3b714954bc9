//! The write-ahead log beside the database: how large it may become, and what has to be in the file itself.
//!
//! SQLite moves a log of 1000 pages into the file, and begins it anew when nobody reads from it. With one read after the other
//! that moment never comes, so beyond a limit the reads of this process are stopped for as long as it takes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::exit::Guarded;
use super::lock::Lock;
use super::readers::Readers;
use crate::error::Result;

/// What is left of the log's file when it begins anew: as much as SQLite lets it have in ordinary use.
pub(super) const KEPT_BYTES: u32 = 4 << 20;
/// How large the log may be while there is always somebody who reads.
pub(super) const MOST_BYTES: u64 = 16 << 20;
/// How long a reader of another process, which nobody can stop, is waited for.
const PATIENCE_WITH_OTHERS: Duration = Duration::from_millis(100);

pub(super) struct Log {
    path: PathBuf,
    /// The size beyond which it is moved: larger than [`MOST_BYTES`] while that does not succeed.
    limit: u64,
    needed: Needed,
}

/// Whether something that is in the log has to be in the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needed {
    No,
    Now,
    /// When there is nothing else to do.
    Later,
}

impl Log {
    /// What a process that has crashed left in the log goes into the file soon.
    pub(super) fn new(database: &Path) -> Self {
        let path = path_beside(database);
        let needed = if size(&path) > 0 { Needed::Later } else { Needed::No };
        Self { path, limit: MOST_BYTES, needed }
    }

    /// What was committed last has to be in the file.
    pub(super) const fn need_in_file(&mut self) {
        self.needed = Needed::Now;
    }

    /// There is nothing else to do.
    pub(super) fn idle(&mut self) {
        if self.needed == Needed::Later {
            self.needed = Needed::Now;
        }
    }

    /// Moves the log into the file and makes it empty, when that is needed or it has become too large. Blocking, at most for some
    /// seconds.
    pub(super) fn keep_small(&mut self, connection: &mut Guarded, lock: &Lock, readers: &Readers) {
        let size = size(&self.path);
        if self.needed != Needed::Now && size <= self.limit {
            return;
        }
        let moved = empty(connection, lock, readers).unwrap_or(Moved::Part);
        if moved == Moved::Part {
            tracing::debug!(size, "somebody still reads from the log");
        }
        self.needed = match (self.needed, moved) {
            (Needed::No, _) | (_, Moved::All | Moved::AllAndEmptied) => Needed::No,
            (_, Moved::Part) => Needed::Later,
        };
        self.limit = match moved {
            Moved::AllAndEmptied => MOST_BYTES,
            // Tried again when it has grown.
            Moved::All | Moved::Part => size.max(MOST_BYTES).saturating_add(KEPT_BYTES.into()),
        };
    }
}

fn empty(connection: &mut Guarded, lock: &Lock, readers: &Readers) -> Result<Moved> {
    let _held = lock.take()?;
    let _paused = readers.pause();
    connection.with(|connection| {
        connection.busy_timeout(PATIENCE_WITH_OTHERS)?;
        let moved = checkpoint(connection);
        connection.busy_timeout(super::vault::BUSY_TIMEOUT)?;
        moved
    })
}

/// What of the log is in the file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    AllAndEmptied,
    All,
    Part,
}

/// Moves the log into the file, and makes it empty unless somebody still reads from it.
pub(super) fn checkpoint(connection: &Connection) -> Result<Moved> {
    let (busy, frames, moved): (bool, i64, i64) =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    Ok(match busy {
        false => Moved::AllAndEmptied,
        true if frames == moved => Moved::All,
        true => Moved::Part,
    })
}

/// Whether there is a log that holds something.
pub(super) fn is_beside(database: &Path) -> bool {
    size(&path_beside(database)) > 0
}

fn path_beside(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    path.into()
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}
