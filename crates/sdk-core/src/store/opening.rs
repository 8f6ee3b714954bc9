//! Opening the file. The thread of the writer does it: it is the one that uses the connection afterwards.

use std::sync::Arc;

use super::lock::{Claim, Lock};
use super::log::Log;
use super::readers::Readers;
use super::vault::Vault;
use super::writer::{Writer, WriterState};
use super::{Footprint, Rows};
use crate::error::{Error, Result};
use crate::event::EventBus;

pub(super) const PANICKED: Error = Error::Bug("a panic while opening the database");

/// A file that is being opened. If it is dropped, the file is closed again once it is open.
pub(super) struct Opening {
    writer: Writer,
    readers: Arc<Readers>,
}

impl Opening {
    /// To be called once the file is open.
    pub(super) fn opened(self) -> Open {
        Open { writer: self.writer, readers: self.readers }
    }
}

/// A file that is open.
pub(super) struct Open {
    pub(super) writer: Writer,
    pub(super) readers: Arc<Readers>,
}

impl Open {
    /// Waits until all reads and transactions have finished, then closes every connection, the writer's last. Blocking.
    pub(super) fn close(&self) {
        self.readers.close();
        self.writer.close();
    }
}

impl Drop for Open {
    /// Finishes everything that was submitted.
    fn drop(&mut self) {
        self.close();
    }
}

/// Starts to open or create the file, and to read from it before anything else does. The result is passed to `opened`, on another
/// thread. After an error, nothing remains of the attempt.
///
/// # Errors
/// [`Error::Bug`] if there is no thread for it. Then, `opened` is not called, and neither is it after a panic.
pub(super) fn start<T: Send + 'static>(
    vault: impl FnOnce() -> Result<Arc<Vault>> + Send + 'static,
    (footprint, events): (Footprint, EventBus),
    read: impl FnOnce(&Rows<'_>) -> Result<T> + Send + 'static,
    opened: impl FnOnce(Result<(Arc<Vault>, T)>) + Send + 'static,
) -> Result<Opening> {
    let readers = Arc::<Readers>::default();
    let of_writer = Arc::clone(&readers);
    let open = move || {
        let vault = vault()?;
        let claim = Claim::acquire(vault.path())?;
        let lock = Lock::open(vault.path())?;
        let mut connection = {
            // If two processes create or migrate the file at the same time, the second one finds this done.
            let _held = lock.take()?;
            vault.connect(footprint)?
        };
        let found = connection.with(|connection| read(&Rows { connection }))?;
        let log = Log::new(vault.path());
        let state = WriterState::new(connection, lock, claim, log, of_writer, events)?;
        Ok((state, (vault, found)))
    };
    Ok(Opening { writer: Writer::start(open, opened)?, readers })
}
