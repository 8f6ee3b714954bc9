//! One encrypted file; in each process that has it open, one writer and a few readers.
//!
//! [`Store::write`] runs a closure in one transaction on the one writer thread: all of it happens, or none, and
//! its events are published after the commit. The closure is synchronous, so nothing can wait for the network
//! inside it. What must not leave this device before it is on disk travels as [`Durable`].

mod account;
mod contact;
mod deferred;
mod error;
mod exit;
mod flock;
mod generation;
mod leaving;
mod lock;
mod log;
mod log_file;
mod login;
mod message;
mod outgoing;
mod parked;
mod pre_key;
mod readers;
mod reading;
mod schema;
mod search;
mod session;
mod settlement;
mod thread;
mod vault;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rusqlite::{Connection, Params};

use crate::config::DatabaseKey;
use crate::error::{Error, Result, Storage};
use crate::event::{Event, EventBus};
use crate::id::MessageId;
use crate::message::Position;

pub(crate) use account::{Account, Clocks, Registered, Tokens};
pub use contact::TrustState;
pub use thread::{ThreadCursor, ThreadKind};

pub(crate) use contact::Device;
pub(crate) use deferred::{Deferred, NewDeferred};
pub(crate) use exit::prepare as prepare_for_exit;
pub use exit::process_is_exiting;
pub(crate) use generation::Generation;
pub(crate) use leaving::{AccountStatus, LeaveRequest, StoredAccount};
pub(crate) use login::LoginKey;
pub(crate) use message::{Arrived, NewIncoming};
pub(crate) use outgoing::{Entry, NewOutgoing, OnItsWay, Outgoing, OutgoingId, Parcel};
pub(crate) use parked::{CiphertextId, EnvelopeName};
pub(crate) use pre_key::PreKeys;
pub(crate) use reading::MarkedRead;
pub(crate) use search::{INDEX_BATCH, INDEX_MERGE};
pub(crate) use session::PeerSessions;
pub(crate) use settlement::{Settled, Settlement};
pub(crate) use thread::{Gap, Listed, Thread};

use lock::{Claim, Lock};
use log::Log;
use readers::Readers;
use vault::Vault;
use writer::{Flush, Writer, WriterState};

/// Proof that `T` is on disk: it is made inside a transaction or from a row that was read, and leaves a transaction only with its
/// commit.
#[must_use]
#[derive(Debug, Clone)]
pub(crate) struct Durable<T>(T);

impl<T> Durable<T> {
    /// For tests of what is done with it.
    #[cfg(test)]
    pub(crate) const fn assumed(value: T) -> Self {
        Self(value)
    }

    pub(crate) fn get(&self) -> &T {
        &self.0
    }
}

/// The database of one account. Clones share it.
#[derive(Clone)]
pub(crate) struct Store {
    shared: Arc<Shared>,
}

/// How much a store may take of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Footprint {
    /// What makes it fast: readers beside the writer, room for what was read.
    Full,
    /// One connection, little memory.
    Small,
}

struct Shared {
    vault: Vault,
    footprint: Footprint,
    events: EventBus,
    file: Mutex<File>,
    /// Held while the file is being opened, which takes time; `file` never is.
    opening: Mutex<()>,
}

enum File {
    Open(Arc<Open>),
    /// May be opened again.
    Suspended,
    /// Never again.
    Gone,
}

struct Open {
    writer: Writer,
    readers: Arc<Readers>,
}

impl Open {
    /// Lets everybody finish, then closes every connection, the writer's last. Blocking.
    fn close(&self) {
        self.readers.close();
        self.writer.close();
    }
}

impl Drop for Open {
    /// What was handed over is finished.
    fn drop(&mut self) {
        self.close();
    }
}

impl Store {
    /// Opens or creates the file. Blocking.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) fn open(
        path: PathBuf,
        key: DatabaseKey,
        events: EventBus,
        footprint: Footprint,
    ) -> Result<Self> {
        let vault = Vault::new(&path, key)?;
        let (file, opening) = (Mutex::new(File::Suspended), Mutex::default());
        let store = Self { shared: Arc::new(Shared { vault, footprint, events, file, opening }) };
        store.reopen()?;
        Ok(store)
    }

    /// Opens the file again after [`Store::close`]; nothing when it is open. Blocking; whoever uses the store meanwhile
    /// is told that it is closed.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) fn reopen(&self) -> Result<()> {
        let _one_at_a_time = self.shared.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if self.shared.is_open()? {
            return Ok(());
        }
        let opened = Arc::new(self.shared.open()?);
        let mut file = self.shared.file();
        if matches!(*file, File::Gone) {
            drop(file);
            opened.close();
            return Err(GONE);
        }
        *file = File::Open(opened);
        Ok(())
    }

    /// Lets every transaction that was handed over finish, then closes the file. Not beside [`Store::reopen`].
    pub(crate) async fn close(&self) {
        if let Some(open) = self.shared.close_as(File::Suspended) {
            let _ = tokio::task::spawn_blocking(move || open.close()).await;
        }
    }

    /// As [`Store::close`], but for good, whoever else has a clone. Blocking.
    pub(crate) fn end(&self) {
        if let Some(open) = self.shared.close_as(File::Gone) {
            open.close();
        }
    }

    /// Runs `work` in one transaction on the one writer. Once this was called the work is done, whether or not
    /// the future is awaited to its end.
    ///
    /// # Errors
    /// What `work` returns (its changes are undone), or [`Error::Storage`].
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let open = self.current()?;
        open.writer.run(Flush::Yes, work, self.shared.events.clone()).await
    }

    /// As [`Store::write`], but does not wait for the disk. A power failure may undo the transaction, until a later one is on disk;
    /// the end of the process does not. Only for what would then be learnt again. No [`Durable`] can be returned, because it is not
    /// `Copy`.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub(crate) async fn write_unflushed<T: Copy + Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let open = self.current()?;
        open.writer.run(Flush::No, work, self.shared.events.clone()).await
    }

    /// Runs `work` on a snapshot, beside the writer where there is room for it.
    ///
    /// # Errors
    /// What `work` returns, or [`Error::Storage`].
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Rows<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if self.shared.footprint == Footprint::Small {
            return self.write(move |tx| work(tx)).await;
        }
        let shared = Arc::clone(&self.shared);
        let readers = Arc::clone(&self.current()?.readers);
        readers::read(&readers, move |readers| readers.run(&shared.vault, work)).await
    }

    /// Like [`Store::read`], for what takes no longer than a page: if the writer has nothing else to do, it reads. The pages that it
    /// has changed are in its cache, whereas SQLite drops all of a reader's when the file has changed; and when the database was just
    /// opened, the reader's connection would first have to be opened, which takes longer than the page.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub(crate) async fn glance<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Rows<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let open = self.current()?;
        if open.writer.has_time_to_read() { open.writer.look(work).await } else { self.read(work).await }
    }

    pub(crate) fn downgrade(&self) -> WeakStore {
        WeakStore { shared: Arc::downgrade(&self.shared) }
    }

    fn current(&self) -> Result<Arc<Open>> {
        match &*self.shared.file() {
            File::Open(open) => Ok(Arc::clone(open)),
            File::Suspended => Err(SUSPENDED),
            File::Gone => Err(GONE),
        }
    }
}

impl Shared {
    fn file(&self) -> MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_open(&self) -> Result<bool> {
        match *self.file() {
            File::Open(_) => Ok(true),
            File::Suspended => Ok(false),
            File::Gone => Err(GONE),
        }
    }

    fn open(&self) -> Result<Open> {
        let claim = Claim::stake(self.vault.path())?;
        let lock = Lock::open(self.vault.path())?;
        let connection = {
            // Of two processes that make or migrate the file, one finds it done.
            let _held = lock.take()?;
            self.vault.connect(self.footprint)?
        };
        let (readers, log) = (Arc::new(Readers::default()), Log::new(self.vault.path()));
        let events = self.events.clone();
        let state = WriterState::new(connection, lock, claim, log, Arc::clone(&readers), events)?;
        Ok(Open { writer: Writer::start(state)?, readers })
    }

    /// What has to be closed, when something has.
    fn close_as(&self, closed: File) -> Option<Arc<Open>> {
        let mut file = self.file();
        if matches!(*file, File::Gone) {
            return None;
        }
        match std::mem::replace(&mut *file, closed) {
            File::Open(open) => Some(open),
            File::Suspended | File::Gone => None,
        }
    }
}

const SUSPENDED: Error = Error::Misuse("the client is suspended");
const GONE: Error = Error::Misuse("the client is gone");

/// A store that may be gone: who only watches does not keep the file open.
#[derive(Clone)]
pub(crate) struct WeakStore {
    shared: Weak<Shared>,
}

impl WeakStore {
    pub(crate) fn upgrade(&self) -> Option<Store> {
        let shared = self.shared.upgrade().filter(|shared| !matches!(*shared.file(), File::Gone))?;
        Some(Store { shared })
    }
}

impl fmt::Debug for WeakStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakStore")
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

/// What can be read, inside a transaction or beside it.
pub(crate) struct Rows<'c> {
    connection: &'c Connection,
}

/// A transaction: what can be read, and what can be changed.
pub(crate) struct Tx<'c> {
    rows: Rows<'c>,
    events: Vec<Event>,
    /// Whether more has changed than the events report.
    must_look: bool,
    needed_in_file: bool,
    /// Where messages stood that have got another place, until it is told.
    moved: BTreeMap<MessageId, Position>,
    after_commit: Vec<AfterCommit>,
}

/// What is called once a transaction is committed.
type AfterCommit = Box<dyn FnOnce() + Send>;

/// A part of a transaction, from [`Tx::begin_part`] on; the next one begins when it has ended.
#[must_use]
pub(crate) struct Part {
    /// How many events there were before it.
    events: usize,
    must_look: bool,
    after_commit: usize,
}

impl<'c> Tx<'c> {
    const fn new(connection: &'c Connection) -> Self {
        Self {
            rows: Rows { connection },
            events: Vec::new(),
            must_look: false,
            needed_in_file: false,
            moved: BTreeMap::new(),
            after_commit: Vec::new(),
        }
    }

    /// To be published after the commit, in this order.
    pub(crate) fn emit(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Makes listeners read the database again after the commit: too much has changed to report each change.
    const fn look_again(&mut self) {
        self.must_look = true;
    }

    /// Calls this once the transaction is committed, in the order of the transactions, and even if nobody waits for its result any
    /// more. It runs on the writer's thread and must not block.
    pub(crate) fn after_commit(&mut self, next: impl FnOnce() + Send + 'static) {
        self.after_commit.push(Box::new(next));
    }

    /// What this transaction writes has to be in the file itself before anybody is answered, not only in its log.
    pub(crate) const fn need_in_file(&mut self) {
        self.needed_in_file = true;
    }

    /// What this transaction has written or read is on disk once it is committed, and not out before.
    pub(crate) const fn durable<T>(&self, value: T) -> Durable<T> {
        Durable(value)
    }

    /// Begins a part of the transaction that can be undone by itself.
    pub(crate) fn begin_part(&mut self) -> Result<Part> {
        self.connection.prepare_cached("SAVEPOINT part")?.execute([])?;
        let after_commit = self.after_commit.len();
        Ok(Part { events: self.events.len(), must_look: self.must_look, after_commit })
    }

    /// The part stays.
    pub(crate) fn keep_part(&mut self, _part: Part) -> Result<()> {
        self.connection.prepare_cached("RELEASE part")?.execute([])?;
        Ok(())
    }

    /// Nothing of the part has happened.
    pub(crate) fn undo_part(&mut self, part: Part) -> Result<()> {
        self.connection.prepare_cached("ROLLBACK TO part")?.execute([])?;
        self.events.truncate(part.events);
        self.must_look = part.must_look;
        self.after_commit.truncate(part.after_commit);
        self.keep_part(part)
    }

    /// Changes exactly one row.
    fn change_one(&self, sql: &str, params: impl Params) -> Result<()> {
        match self.change(sql, params)? {
            1 => Ok(()),
            _ => Err(Error::Bug("a statement did not change exactly one row")),
        }
    }

    /// Changes any number of rows, and says how many.
    fn change(&self, sql: &str, params: impl Params) -> Result<usize> {
        Ok(self.connection.prepare_cached(sql)?.execute(params)?)
    }
}

impl<'c> Deref for Tx<'c> {
    type Target = Rows<'c>;

    fn deref(&self) -> &Rows<'c> {
        &self.rows
    }
}

/// SQLite has no unsigned integers: what would not fit is a bug, as nothing we count comes near.
fn to_sql(number: u64) -> Result<i64> {
    i64::try_from(number).map_err(|_| Error::Bug("a number too large for the database"))
}

/// The inverse of [`to_sql`]: a negative number was not written by us.
fn from_sql(number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|_| Error::Storage(Storage::Corrupt))
}

/// A number that was written from a narrower type.
fn narrow<T: TryFrom<i64>>(number: i64) -> Result<T> {
    T::try_from(number).map_err(|_| Error::Storage(Storage::Corrupt))
}
