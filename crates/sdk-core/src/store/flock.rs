//! An advisory lock on a whole file. It belongs to the open file, not to the process: two openings in one process
//! exclude each other like two processes do. The operating system releases it when the process ends.

use std::fs::File;
use std::io;

pub(super) use os::{try_lock, unlock};

/// Our own call of `flock`: on Android, the standard library has no file locks before Rust 1.98.
#[cfg(unix)]
mod os {
    use rustix::fs::{FlockOperation, flock};
    use rustix::io::Errno;

    use super::{File, io};

    /// Tries to take the lock; returns false if somebody else holds it.
    pub(in crate::store) fn try_lock(file: &File) -> io::Result<bool> {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Releases the lock, even if another process inherited the file.
    pub(in crate::store) fn unlock(file: &File) -> io::Result<()> {
        Ok(flock(file, FlockOperation::Unlock)?)
    }
}

#[cfg(not(unix))]
mod os {
    use std::fs::TryLockError;

    use super::{File, io};

    /// Tries to take the lock; returns false if somebody else holds it.
    pub(in crate::store) fn try_lock(file: &File) -> io::Result<bool> {
        match file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Releases the lock, even if another process inherited the file.
    pub(in crate::store) fn unlock(file: &File) -> io::Result<()> {
        file.unlock()
    }
}
