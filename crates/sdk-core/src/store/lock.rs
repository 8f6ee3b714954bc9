//! Controls access to the database: one store in this process, and one transaction at a time among all processes.
//!
//! Processes exclude each other by a lock on the sibling file `<database>.lock`, which is held for one transaction:
//! an app that is frozen between two transactions blocks nobody. (The lock is never on the database itself, because
//! closing any descriptor of it would release SQLite's own locks.) A waiting process holds `<database>.turn`, and a
//! process that has just written lets it go first, so that a process with many writes does not block the others.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::error::io_error;
use super::flock;
use crate::error::{Result, Storage};

/// How long to wait for the transaction of another process: many times as long as any transaction takes.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to let another process that is waiting go first. It may be frozen while it waits.
const TURN_TIMEOUT: Duration = Duration::from_millis(50);
const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(2);

/// The databases that are open in this process.
static OPEN_HERE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// The exclusive right of one store in this process to use a database, until dropped.
#[derive(Debug)]
pub(super) struct Claim(PathBuf);

impl Claim {
    /// # Errors
    /// [`Storage::InUse`] if another store has it.
    pub(super) fn acquire(database: &Path) -> Result<Self> {
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

/// The lock between processes. The operating system releases it when the process ends, for whatever reason.
pub(super) struct Lock {
    file: File,
    turn: File,
}

impl Lock {
    /// # Errors
    /// [`Storage`](crate::Error::Storage) if the files cannot be created.
    pub(super) fn open(database: &Path) -> Result<Self> {
        Ok(Self { file: beside(database, ".lock")?, turn: beside(database, ".turn")? })
    }

    /// Takes the lock. Blocks while another process holds it, for at most [`LOCK_TIMEOUT`].
    ///
    /// # Errors
    /// [`Storage::InUse`] if another process holds it for too long.
    pub(super) fn take(&self) -> Result<Held<'_>> {
        let turn = wait_for(&self.turn, TURN_TIMEOUT)?;
        let held = wait_for(&self.file, LOCK_TIMEOUT)?;
        drop(turn);
        held.ok_or_else(|| Storage::InUse.into())
    }
}

/// The lock, which is held until this is dropped.
pub(super) struct Held<'l>(&'l File);

impl Drop for Held<'_> {
    /// Closing the file would not be enough: a program that this process is just starting has a copy of it for a
    /// moment.
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
    fn a_lock_is_released_even_if_its_descriptor_was_inherited() {
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
    fn a_lock_that_is_held_for_too_long_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("a.db");
        let (one, other) = (Lock::open(&database).unwrap(), Lock::open(&database).unwrap());
        let _held = one.take().unwrap();
        assert_eq!(other.take().err(), Some(Storage::InUse.into()));
    }

    #[test]
    fn a_holder_that_takes_it_repeatedly_lets_others_in_between() {
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
                    // If it failed, the test fails when the scope ends.
                    if taking.is_finished() {
                        break 'rounds;
                    }
                    thread::yield_now();
                }
                // The other holder has just taken the lock.
                drop(other.take());
                waited.push(times.load(Ordering::SeqCst) - before);
            }
            stop.store(true, Ordering::SeqCst);
            // If waiting holders are let in, a release or two suffice. Otherwise there are hundreds.
            waited.sort_unstable();
            assert!(waited[12] < 5, "{waited:?}");
        });
    }

    #[test]
    fn a_process_that_is_frozen_while_it_waits_delays_others_only_briefly() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("a.db");
        let (one, frozen) = (Lock::open(&database).unwrap(), Lock::open(&database).unwrap());
        let _turn = wait_for(&frozen.turn, LOCK_TIMEOUT).unwrap();
        assert!(one.take().is_ok());
    }

    #[test]
    fn a_database_is_claimed_once_in_a_process() {
        let path = Path::new("/nowhere/at/all.db");
        let claim = Claim::acquire(path).unwrap();
        assert_eq!(Claim::acquire(path).err(), Some(Storage::InUse.into()));
        drop(claim);
        assert!(Claim::acquire(path).is_ok());
    }
}
