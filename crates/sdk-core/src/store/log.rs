//! The write-ahead log next to the database: how large it may become, and what must be in the database file itself.
//!
//! SQLite checkpoints a log of 1000 pages into the file, and restarts the log when no reader uses it. If reads overlap
//! all the time, that never happens, so above a limit this process briefly blocks its own reads.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::exit::Guarded;
use super::lock::Lock;
use super::log_file::{BUSY_TIMEOUT, KEPT_BYTES, path_beside, size};
use super::readers::Readers;
use crate::error::Result;

/// The size that the log may reach under continuous reads.
pub(super) const MAX_BYTES: u64 = 16 << 20;
/// How long to wait for a reader in another process, which this process cannot stop.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_millis(100);

pub(super) struct Log {
    path: PathBuf,
    /// The size above which the log is checkpointed. It is larger than [`MAX_BYTES`] after a checkpoint that was not
    /// complete.
    limit: u64,
    needed: Needed,
}

/// Whether the contents of the log must be moved to the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needed {
    No,
    Now,
    /// As soon as the writer is idle.
    Later,
}

impl Log {
    /// If a process that crashed has left data in the log, the data is moved to the file when the writer is idle.
    pub(super) fn new(database: &Path) -> Self {
        let path = path_beside(database);
        let needed = if size(&path) > 0 { Needed::Later } else { Needed::No };
        Self { path, limit: MAX_BYTES, needed }
    }

    /// Requires that everything committed so far is moved to the file.
    pub(super) const fn need_in_file(&mut self) {
        self.needed = Needed::Now;
    }

    /// The writer calls this when it is idle.
    pub(super) fn idle(&mut self) {
        if self.needed == Needed::Later {
            self.needed = Needed::Now;
        }
    }

    /// Moves the log to the file and empties it if that is needed or if the log has become too large. Blocks, for a
    /// few seconds at most.
    pub(super) fn keep_small(&mut self, connection: &mut Guarded, lock: &Lock, readers: &Readers) {
        let size = size(&self.path);
        if self.needed != Needed::Now && size <= self.limit {
            return;
        }
        let moved = empty(connection, lock, readers).unwrap_or(Moved::Part);
        if moved == Moved::Part {
            tracing::debug!(size, "the write-ahead log is still in use");
        }
        self.needed = match (self.needed, moved) {
            (Needed::No, _) | (_, Moved::All | Moved::AllAndEmptied) => Needed::No,
            (_, Moved::Part) => Needed::Later,
        };
        self.limit = match moved {
            Moved::AllAndEmptied => MAX_BYTES,
            // Try again once the log has grown further.
            Moved::All | Moved::Part => size.max(MAX_BYTES).saturating_add(KEPT_BYTES.into()),
        };
    }
}

fn empty(connection: &mut Guarded, lock: &Lock, readers: &Readers) -> Result<Moved> {
    let _held = lock.take()?;
    let _paused = readers.pause();
    connection.with(|connection| {
        connection.busy_timeout(CHECKPOINT_TIMEOUT)?;
        let moved = checkpoint(connection);
        connection.busy_timeout(BUSY_TIMEOUT)?;
        moved
    })
}

/// How much of the log has been moved to the file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    AllAndEmptied,
    All,
    Part,
}

/// Moves the log to the file, and empties it unless someone is still reading from it.
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
