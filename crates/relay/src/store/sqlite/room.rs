//! Manages disk space: growth stops while there is still enough space for deleting.
//!
//! Deleting writes too: the pages that it frees are first overwritten in the log. A file beside the database
//! therefore reserves space. When the disk is almost full, the file is deleted, and only operations that free space
//! or change rows in place are allowed, a few at a time; the log is emptied into the database after each step. Space
//! that was freed inside the database is used again. Once the disk has space for the reserve again, normal operation
//! resumes.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::private;
use crate::store::StoreError;

/// The size of the reserve in bytes, if the disk is large: more than the log and a group of operations together.
const RESERVE: u64 = 64 << 20;
/// With less free space than this, in bytes, groups are small, so that the log stays small compared with the reserve.
const LOW_SPACE: u64 = 192 << 20;
/// The number of free pages inside the database that an operation may need: the largest message and its indexes,
/// twice.
const MIN_FREE_PAGES: u64 = 64;

/// Whether an operation needs disk space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// It adds rows.
    Grows,
    /// It deletes rows, or changes them in place.
    Frees,
}

/// The restrictions for a group of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    /// Whether operations that grow may run.
    pub(super) grow: bool,
    /// Maximum number of operations.
    pub(super) operations: usize,
    /// Whether the log is emptied afterwards.
    pub(super) empty_log: bool,
}

impl Terms {
    /// How an operation that grows is refused, if it is.
    pub(super) fn refusal(&self) -> Option<StoreError> {
        (!self.grow).then_some(StoreError::Full)
    }
}

/// The disk space of one data folder.
#[derive(Debug)]
pub(super) struct Room {
    folder: PathBuf,
    reserve: u64,
    is_held: bool,
}

impl Room {
    /// Creates the reserve, if there is space for it.
    pub(super) fn open(folder: &Path) -> Self {
        let folder = folder.to_owned();
        let held = fs::metadata(reserve_file(&folder)).map_or(0, |file| file.len());
        let free = free(&folder).unwrap_or(RESERVE).saturating_add(held);
        let mut room = Self { folder, reserve: RESERVE.min(free / 4), is_held: false };
        room.is_held = held == room.reserve || room.hold();
        room
    }

    /// Checks the disk before a group of operations.
    pub(super) fn check(&mut self, db: &Connection, most: usize) -> Terms {
        // If the free space cannot be queried, the disk is assumed to have some until a write fails.
        let free = free(&self.folder).unwrap_or(u64::MAX);
        if self.is_held && free < self.reserve / 8 {
            self.release();
        } else if !self.is_held && free >= self.reserve.saturating_add(self.reserve / 2) {
            self.is_held = self.hold();
        }
        if self.is_held {
            let near = free < LOW_SPACE;
            return Terms { grow: true, operations: if near { 8 } else { most }, empty_log: near };
        }
        let grow = free_pages(db) >= MIN_FREE_PAGES;
        Terms { grow, operations: 1, empty_log: true }
    }

    /// A write found no space, so the reserve is needed now.
    pub(super) fn release(&mut self) {
        if std::mem::take(&mut self.is_held) {
            tracing::error!("the disk is full: only operations that free space are run");
        }
        fs::remove_file(reserve_file(&self.folder)).ok();
    }

    fn hold(&self) -> bool {
        let held = self.write_reserve().is_ok();
        if held {
            tracing::debug!(bytes = self.reserve, "the reserve of disk space was created");
        } else {
            // A partial reserve would only waste space.
            fs::remove_file(reserve_file(&self.folder)).ok();
        }
        held
    }

    fn write_reserve(&self) -> io::Result<()> {
        let file = private::file(&reserve_file(&self.folder))?;
        file.set_len(0)?;
        if fallocate(&file, FallocateFlags::empty(), 0, self.reserve).is_ok() {
            return Ok(());
        }
        // Not every file system supports allocation.
        fill(file, self.reserve)
    }
}

fn fill(mut file: File, bytes: u64) -> io::Result<()> {
    let zeros = [0; 64 << 10];
    let mut left = bytes;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
        file.write_all(zeros.get(..part).unwrap_or(&zeros))?;
        left = left.saturating_sub(u64::try_from(part).unwrap_or(u64::MAX));
    }
    Ok(())
}

fn reserve_file(folder: &Path) -> PathBuf {
    folder.join("reserve")
}

/// The space that is free for the relay's user, in bytes.
fn free(folder: &Path) -> Option<u64> {
    let disk = statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn free_pages(db: &Connection) -> u64 {
    db.pragma_query_value(None, "freelist_count", |row| row.get(0)).unwrap_or(0)
}

#[cfg(test)]
impl Room {
    /// The space of a disk on which no reserve fits.
    pub(super) fn without_reserve(folder: &Path) -> Self {
        // Larger than any disk.
        Self { folder: folder.to_owned(), reserve: u64::MAX / 4, is_held: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_created_released_and_created_again() {
        let folder = tempfile::tempdir().unwrap();
        let db = Connection::open_in_memory().unwrap();
        let mut room = Room { folder: folder.path().to_owned(), reserve: 1 << 20, is_held: false };
        assert!(room.check(&db, 100).grow);
        let held = || fs::metadata(reserve_file(folder.path())).map(|file| file.len()).ok();
        assert_eq!(held(), Some(1 << 20));
        room.release();
        assert_eq!(held(), None);
        assert!(room.check(&db, 100).grow, "there is space again");
        assert_eq!(held(), Some(1 << 20));
        assert!(Room::open(folder.path()).is_held);
        assert!(held() > Some(1 << 20), "as large as the disk allows");
    }

    #[test]
    fn without_a_reserve_the_database_grows_only_into_freed_pages() {
        let folder = tempfile::tempdir().unwrap();
        let db = Connection::open(folder.path().join("a.db")).unwrap();
        db.execute_batch("CREATE TABLE t (b BLOB) STRICT; INSERT INTO t VALUES (zeroblob(1000000));")
            .unwrap();
        let mut room = Room::without_reserve(folder.path());
        let terms = room.check(&db, 100);
        assert_eq!(terms, Terms { grow: false, operations: 1, empty_log: true });
        assert_eq!(terms.refusal(), Some(StoreError::Full));
        db.execute_batch("DELETE FROM t").unwrap();
        assert!(room.check(&db, 100).grow);
        assert!(!reserve_file(folder.path()).exists(), "a partial reserve is deleted");
    }

    #[test]
    fn a_reserve_is_filled_where_it_cannot_be_allocated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reserve");
        fill(File::create(&path).unwrap(), 100_001).unwrap();
        assert_eq!(fs::metadata(path).unwrap().len(), 100_001);
    }
}
