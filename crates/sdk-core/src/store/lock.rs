//! Who may use the database: one store of this process, and one transaction of all processes at a time.
//!
//! Processes exclude each other by a lock on the sibling file `<database>.lock`, for as long as one transaction takes:
//! an app that is frozen between two of them is in nobody's way. (Never by one on the database itself: closing any
//! descriptor of it would drop SQLite's own locks.) Who waits holds `<database>.turn`, and who has just written leaves
//! it to them, so that a process with much to write does not shut the others out.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::flock;
use super::vault::io_error;
use crate::error::{Result, Storage};

/// How long the transaction of another process is waited for: many times as long as any takes.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long somebody else is let go first. They may be frozen while they wait.
const COURTESY: Duration = Duration::from_millis(50);
const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(2);

/// The databases that are open in this process.
static OPEN_HERE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// The right of one store to be the only one in this process with this database, until dropped.
#[derive(Debug)]
pub(super) struct Claim(PathBuf);

impl Claim {
    /// # Errors
    /// [`Storage::InUse`] when somebody has it.
    pub(super) fn stake(database: &Path) -> Result<Self> {
        let mut open = OPEN_HERE.lock().unwrap_or_else(PoisonError::into_inner);
        if !open.insert(database.to_owned()) {
            return Err(Storage::InUse.into());
        }
        Ok(Self(database.to_owned()))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        OPEN_HERE.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// The lock between processes. The operating system drops it with the process, whatever becomes of that.
pub(super) struct Lock {
    file: File,
    turn: File,
}

impl Lock {
    /// # Errors
    /// [`Storage`](crate::Error::Storage) when the files can not be made.
    pub(super) fn open(database: &Path) -> Result<Self> {
        Ok(Self { file: beside(database, ".lock")?, turn: beside(database, ".turn")? })
    }

    /// Takes the lock. Blocking: for as long as others are at work, but no longer than for [`PATIENCE`].
    ///
    /// # Errors
    /// [`Storage::InUse`] when another process is at work for too long.
    pub(super) fn take(&self) -> Result<Held<'_>> {
        let turn = wait_for(&self.turn, COURTESY)?;
        let held = wait_for(&self.file, PATIENCE)?;
        drop(turn);
        held.ok_or_else(|| Storage::InUse.into())
    }
}

/// The lock, until dropped.
pub(super) struct Held<'l>(&'l File);

impl Drop for Held<'_> {
    /// Closing the file alone would not do: a program that this process is just starting has a copy of it for a moment.
    fn drop(&mut self) {
        let _ = flock::unlock(self.0);
    }
}

fn wait_for(file: &File, patience: Duration) -> Result<Option<Held<'_>>> {
    let (mut left, mut pause) = (patience, FIRST_PAUSE);
    while !flock::try_lock(file).map_err(io_error)? {
        if left.is_zero() {
            return Ok(None);
        }
        thread::sleep(pause);
        left = left.saturating_sub(pause);
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
    Ok(Some(Held(file)))
}

fn beside(database: &Path, ending: &str) -> Result<File> {
    let mut path = database.as_os_str().to_owned();
    path.push(ending);
    File::options().create(true).truncate(false).write(true).open(path).map_err(io_error)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use super::*;

    #[test]
    fn a_lock_is_let_go_even_where_somebody_inherited_it() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("a.db");
        let (one, other) = (Lock::open(&database).unwrap(), Lock::open(&database).unwrap());
        let held = one.take().unwrap();
        let inherited = one.file.try_clone().unwrap();
        assert!(!flock::try_lock(&other.file).unwrap());
        drop(held);
        assert!(flock::try_lock(&other.file).unwrap());
        drop(inherited);
        assert!(!flock::try_lock(&one.file).unwrap());
    }

    #[test]
    fn who_holds_it_for_too_long_is_told_of() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("a.db");
        let (one, other) = (Lock::open(&database).unwrap(), Lock::open(&database).unwrap());
        let _held = one.take().unwrap();
        assert_eq!(other.take().err(), Some(Storage::InUse.into()));
    }

    #[test]
    fn who_takes_it_again_and_again_lets_others_in_between() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("a.db");
        let (greedy, other) = (Lock::open(&database).unwrap(), Lock::open(&database).unwrap());
        let (times, stop) = (AtomicU32::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            let taking = scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    let _held = greedy.take().unwrap();
                    times.fetch_add(1, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(5));
                }
            });
            let mut waited = Vec::new();
            'rounds: for _ in 0..25 {
                let before = times.load(Ordering::SeqCst);
                while times.load(Ordering::SeqCst) == before {
                    // Its failure fails the test when the scope ends.
                    if taking.is_finished() {
                        break 'rounds;
                    }
                    thread::yield_now();
                }
                // It has it now.
                drop(other.take());
                waited.push(times.load(Ordering::SeqCst) - before);
            }
            stop.store(true, Ordering::SeqCst);
            // Mostly until it let go once; else for hundreds of times, if at all.
            waited.sort_unstable();
            assert!(waited[12] < 5, "{waited:?}");
        });
    }

    #[test]
    fn who_is_frozen_while_waiting_holds_nobody_up_for_long() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("a.db");
        let (one, frozen) = (Lock::open(&database).unwrap(), Lock::open(&database).unwrap());
        let _turn = wait_for(&frozen.turn, PATIENCE).unwrap();
        assert!(one.take().is_ok());
    }

    #[test]
    fn a_database_is_claimed_once_in_a_process() {
        let path = Path::new("/nowhere/at/all.db");
        let claim = Claim::stake(path).unwrap();
        assert_eq!(Claim::stake(path).err(), Some(Storage::InUse.into()));
        drop(claim);
        assert!(Claim::stake(path).is_ok());
    }
}
