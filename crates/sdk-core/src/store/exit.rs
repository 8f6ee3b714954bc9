//! What happens when the process exits: no thread may be inside SQLCipher at that moment.
//!
//! SQLCipher and OpenSSL free their memory in exit handlers while other threads are still running. A handler of our
//! own therefore runs before theirs, lets running work finish and makes all later calls fail (docs/adr/0019).

use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;

use crate::error::{Error, Result};

/// How long the exit waits for running work: many times as long as any transaction takes.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_micros(100);

const ENDED: Error = Error::Misuse("the process is ending");

static ENDING: AtomicBool = AtomicBool::new(false);
static AT_WORK: AtomicUsize = AtomicUsize::new(0);
/// The process whose exit waits. `None` if the handler could not be registered.
static PROCESS: OnceLock<Option<u32>> = OnceLock::new();

thread_local! {
    /// How many of the counted uses belong to this thread, nested in one another.
    static OF_THIS_THREAD: Cell<usize> = const { Cell::new(0) };
}

/// Marks the current thread as possibly inside SQLCipher, until dropped.
#[must_use]
pub(super) struct AtWork {
    not_send: PhantomData<*const ()>,
}

impl AtWork {
    /// # Errors
    /// Returns [`Error::Misuse`] once the process is exiting. A thread that is already counted may continue.
    pub(super) fn begin() -> Result<Self> {
        // Count first, then check. The exit handler works in the opposite order, so that one of the two always sees
        // the other.
        AT_WORK.fetch_add(1, Ordering::SeqCst);
        let depth = OF_THIS_THREAD.get();
        OF_THIS_THREAD.set(depth.saturating_add(1));
        let at_work = Self { not_send: PhantomData };
        if depth == 0 && ENDING.load(Ordering::SeqCst) {
            return Err(ENDED);
        }
        Ok(at_work)
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        OF_THIS_THREAD.set(OF_THIS_THREAD.get().saturating_sub(1));
        AT_WORK.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Makes the exit of the process wait for running work from now on. The first call blocks while SQLCipher
/// initialises, which takes a millisecond or two; later calls do nothing.
///
/// # Errors
/// Returns [`Error::Bug`] if the handler cannot be registered or the process is exiting.
pub(crate) fn prepare() -> Result<()> {
    let process = PROCESS.get_or_init(|| {
        // Handlers run in the reverse order of their registration. SQLCipher registers its own when SQLite is first
        // used, and draws random bytes at that time, which makes OpenSSL register its handlers too.
        drop(Connection::open_in_memory());
        shutdown_hooks::add_shutdown_hook(at_exit).then(process::id)
    });
    process.map(drop).ok_or(Error::Bug("no handler for the end of the process"))
}

/// Whether the process is exiting: `exit` was called, or `main` has returned. From then on, calls that use the database
/// fail, even on threads that are still running.
pub fn process_is_exiting() -> bool {
    ENDING.load(Ordering::SeqCst)
}

extern "C" fn at_exit() {
    // A forked child inherits its parent's counts, but not its threads.
    if PROCESS.get() != Some(&Some(process::id())) {
        return;
    }
    ENDING.store(true, Ordering::SeqCst);
    // A thread that exits the process from inside a transaction cannot wait for itself.
    let own = OF_THIS_THREAD.get();
    let mut left = EXIT_TIMEOUT;
    while AT_WORK.load(Ordering::SeqCst) > own && !left.is_zero() {
        thread::sleep(PAUSE);
        left = left.saturating_sub(PAUSE);
    }
}

/// A connection that is used and closed only while the process is not exiting.
pub(super) struct Guarded {
    /// `None` only while being dropped.
    connection: Option<Connection>,
}

impl Guarded {
    /// Wraps a connection that the current, counted thread has opened.
    pub(super) const fn new(connection: Connection, _at_work: &AtWork) -> Self {
        Self { connection: Some(connection) }
    }

    /// # Errors
    /// Returns what `work` returns, or [`Error::Misuse`] once the process is exiting.
    pub(super) fn with<T>(&mut self, work: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let _at_work = AtWork::begin()?;
        work(self.connection.as_mut().ok_or(Error::Bug("a connection that was already closed"))?)
    }

    #[cfg(test)]
    pub(super) fn unguarded(mut self) -> Connection {
        self.connection.take().unwrap()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        match AtWork::begin() {
            Ok(_at_work) => drop(connection),
            // The operating system will close the file.
            Err(_) => {
                let _left_open = ManuallyDrop::new(connection);
            }
        }
    }
}

impl std::fmt::Debug for Guarded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Guarded")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_work_is_counted_for_its_thread() {
        let outer = AtWork::begin().unwrap();
        let inner = AtWork::begin().unwrap();
        assert_eq!(OF_THIS_THREAD.get(), 2);
        thread::spawn(|| assert_eq!(OF_THIS_THREAD.get(), 0)).join().unwrap();
        drop((inner, outer));
        assert_eq!(OF_THIS_THREAD.get(), 0);
    }
}
