//! One encrypted file; in each process that has it open, one writer and a few readers.
//!
//! [`Store::write`] runs a closure in one transaction on the one writer thread: all of it happens, or none, and
//! its events are published after the commit. The closure is synchronous, so nothing can wait for the network
//! inside it. A value that must not leave this device before it is on disk has the type [`Durable`].

mod account;
mod account_move;
mod account_state;
mod bootstrap;
mod chain;
mod change;
mod clean_up;
mod clearing;
mod contact;
mod deferred;
mod deletion;
mod delivery;
mod device_list;
mod edit;
mod error;
mod exit;
mod flock;
mod generation;
mod heard;
mod held;
mod lane;
mod leaving;
mod linking;
mod list_due;
mod lock;
mod log;
mod log_file;
mod login;
mod mail;
mod mark;
mod message;
mod news;
mod notice;
mod number;
mod opening;
mod outgoing;
mod own_devices;
mod parked;
mod pin;
mod pre_key;
mod privacy;
mod profile;
mod reaction;
mod readers;
mod reading;
mod receipt;
mod request;
mod right;
mod roster;
mod roster_change;
mod schema;
mod search;
mod session;
mod settlement;
mod stage;
mod thread;
mod timer;
mod transaction;
mod unknown;
mod vault;
mod vote;
mod waiting;
mod weak;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use tokio::sync::oneshot;

use crate::config::DatabaseKey;
use crate::error::{Error, Result};
use crate::event::EventBus;

pub(crate) use account::{Account, Clocks, Registered, Tokens};
pub(crate) use account_state::STATE_SLOT;
#[cfg(test)]
pub(crate) use account_state::StateCursor;
pub(crate) use bootstrap::{Import, Incoming, OutgoingBootstrap, Phase, Place};
pub use contact::TrustState;
pub use privacy::PrivacySetting;
pub use thread::{Folder, ThreadCursor, ThreadKind};

pub(crate) use chain::{ChainIn, ChainOut, DISTRIBUTION_SLOT, GroupHead, Holder, Writable};
pub(crate) use contact::Device;
pub(crate) use deferred::{Deferred, NewDeferred, UNSEEN_MS};
pub(crate) use deletion::RESTORABLE_MS;
pub(crate) use exit::prepare as prepare_for_exit;
pub use exit::process_is_exiting;
pub(crate) use generation::Generation;
pub(crate) use heard::{HeardPost, HeardRun};
pub(crate) use lane::NEVER_MS;
pub(crate) use leaving::{AccountStatus, LeaveRequest, StoredAccount};
pub(crate) use linking::{LinkAttempt, NewAttempt};
pub(crate) use list_due::DueList;
pub(crate) use login::LoginKey;
pub(crate) use mail::{
    DueMail, MailDropped, MailId, MailOutcome, MailSlot, NewMail, QueuedMail, SettledMail,
};
pub(crate) use mark::{MarkKind, MarkOf};
pub(crate) use message::{Arrived, NewIncoming, POSITION_PENDING, position as order_of};
pub(crate) use news::News;
pub(crate) use notice::DueNotices;
pub(crate) use number::OwnNumbers;
pub(crate) use outgoing::{Entry, NewOutgoing, Outgoing, OutgoingId, Parcel, SendProgress};
pub(crate) use own_devices::{LinkState, NewOwnLink, OwnLink};
pub(crate) use parked::{CiphertextId, EnvelopeName};
pub(crate) use pre_key::PreKeys;
pub(crate) use reading::DueRead;
#[cfg(test)]
pub(crate) use receipt::Numbered;
pub(crate) use request::DueBlock;
pub(crate) use roster::{EntryState, ShownTo};
pub(crate) use roster_change::DueChange;
pub(crate) use search::{INDEX_BATCH, INDEX_MERGE};
pub(crate) use session::PeerSessions;
pub(crate) use settlement::{Settled, Settlement};
pub(crate) use thread::{Gap, Listed, Other, Thread, note_to_self};
pub(crate) use transaction::{Durable, Rows, Tx, contained};
pub(crate) use unknown::Kept;
pub(crate) use vault::Footprint;
pub(crate) use waiting::{Found, Origin, WaitsFor};
pub(crate) use weak::WeakStore;

use opening::Open;
use transaction::{AfterCommit, from_sql, narrow, to_sql};
use vault::Vault;
use writer::{Flush, Once, Repeatable};

/// The version of the library, and the kinds of content that it reads: another one may be able to read what this one cannot.
pub(crate) const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), "+10,11,12,13,14,15,16,17,18,19,20,21,22,23,26,27,28,29,31,32,33");

/// The database of one account. Clones share it.
#[derive(Clone)]
pub(crate) struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    vault: Arc<Vault>,
    footprint: Footprint,
    events: EventBus,
    file: Mutex<File>,
    /// Locked while the file is being opened, which takes long. `file` is never locked for long.
    opening: Mutex<()>,
}

enum File {
    Open(Arc<Open>),
    /// The file is closed, and can be opened again.
    Suspended,
    /// The file is closed, and cannot be opened again.
    Gone,
}

impl Store {
    /// Opens or creates the file. Blocking.
    ///
    /// # Errors
    /// [`Error::Storage`].
    #[cfg(test)]
    pub(crate) fn open(
        path: PathBuf,
        key: DatabaseKey,
        events: EventBus,
        footprint: Footprint,
    ) -> Result<Self> {
        let store = Self::closed(Arc::new(Vault::new(&path, key)?), events, footprint);
        store.reopen()?;
        Ok(store)
    }

    /// Opens or creates the file, and reads from it before anything else does. If the future is dropped, the file is closed again.
    ///
    /// # Errors
    /// [`Error::Storage`], or the error of `read`. The file is then closed.
    pub(crate) async fn open_and_read<T: Send + 'static>(
        path: PathBuf,
        key: DatabaseKey,
        events: EventBus,
        footprint: Footprint,
        read: impl FnOnce(&Rows<'_>) -> Result<T> + Send + 'static,
    ) -> Result<(Self, T)> {
        let (answer, answered) = oneshot::channel();
        let vault = move || Vault::new(&path, key).map(Arc::new);
        let opening =
            opening::start(vault, (footprint, events.clone()), read, |opened| drop(answer.send(opened)))?;
        let (vault, found) = answered.await.map_err(|_| opening::PANICKED)??;
        let store = Self::closed(vault, events, footprint);
        *store.shared.file() = File::Open(Arc::new(opening.opened()));
        Ok((store, found))
    }

    fn closed(vault: Arc<Vault>, events: EventBus, footprint: Footprint) -> Self {
        let (file, opening) = (Mutex::new(File::Suspended), Mutex::default());
        Self { shared: Arc::new(Shared { vault, footprint, events, file, opening }) }
    }

    /// Opens the file again after [`Store::close`], or does nothing if it is open. Blocking. Until the file is open, other
    /// calls fail because it is closed.
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

    pub(crate) fn footprint(&self) -> Footprint {
        self.shared.footprint
    }

    /// Finishes every transaction that was submitted, then closes the file. Must not run concurrently with
    /// [`Store::reopen`].
    pub(crate) async fn close(&self) {
        if let Some(open) = self.shared.close_as(File::Suspended) {
            let _ = tokio::task::spawn_blocking(move || open.close()).await;
        }
    }

    /// Like [`Store::close`], but permanently and for all clones. Blocking.
    pub(crate) fn end(&self) {
        if let Some(open) = self.shared.close_as(File::Gone) {
            open.close();
        }
    }

    /// Runs `work` in one transaction on the writer. The work is submitted when this future is first polled, and is then
    /// executed even if the future is dropped.
    ///
    /// # Errors
    /// Returns the error of `work`, whose changes are then rolled back, or [`Error::Storage`].
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let open = self.current()?;
        open.writer.run(Flush::Yes, Once(Some(work)), self.shared.events.clone()).await
    }

    /// Like [`Store::write`], for work that can run more than once: if something fails that shares its commit, or one of its
    /// parts, its changes are undone and it runs again. This spares savepoints. Apart from the transaction, the work must not
    /// change anything, or only what it may change again.
    ///
    /// # Errors
    /// The same as [`Store::write`].
    pub(crate) async fn write_repeatable<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let open = self.current()?;
        open.writer.run(Flush::Yes, Repeatable(work), self.shared.events.clone()).await
    }

    /// Like [`Store::write_repeatable`], but does not wait until the transaction is on disk. Until a later transaction is, a power failure
    /// can undo this one; the end of the process cannot. Use it only for information that can be obtained again. It cannot
    /// return a [`Durable`], which is not `Copy`.
    ///
    /// # Errors
    /// The same as [`Store::write`].
    pub(crate) async fn write_unflushed<T: Copy + Send + 'static>(
        &self,
        work: impl FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let open = self.current()?;
        open.writer.run(Flush::No, Repeatable(work), self.shared.events.clone()).await
    }

    /// Like [`Store::write_unflushed`], for work whose result nobody waits for: it shares the next commit, or is committed after
    /// 0.3 seconds.
    ///
    /// # Errors
    /// The same as [`Store::write`].
    pub(crate) async fn write_later<T: Copy + Send + 'static>(
        &self,
        work: impl FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let open = self.current()?;
        open.writer.run(Flush::Later, Repeatable(work), self.shared.events.clone()).await
    }

    /// Runs `work` on a snapshot, concurrently with the writer unless the store has a small footprint.
    ///
    /// # Errors
    /// Returns the error of `work`, or [`Error::Storage`].
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Rows<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if self.shared.footprint == Footprint::Small {
            return self.write(move |tx| work(tx)).await;
        }
        let (shared, work) = (Arc::clone(&self.shared), self.shown(work));
        let readers = Arc::clone(&self.current()?.readers);
        readers::read(&readers, move |readers| readers.run(&shared.vault, work)).await
    }

    /// Like [`Store::read`], for reads that take no longer than a page. The writer does the read if it has nothing else to do. Its
    /// cache contains the pages that it has changed, whereas SQLite discards all cached pages of a reader when the file has
    /// changed. And after the database was opened, no reader has to be opened first, which takes longer than reading a page.
    ///
    /// # Errors
    /// The same as [`Store::read`].
    pub(crate) async fn glance<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Rows<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let open = self.current()?;
        match open.writer.has_time_to_read() {
            true => open.writer.look(self.shown(work)).await,
            false => self.read(work).await,
        }
    }

    /// A read after which no listener that subscribes later gets a message as new that the read can have seen. It may see a
    /// message before its event is published, or before this process has noticed that another one has written.
    fn shown<T>(
        &self,
        work: impl FnOnce(&Rows<'_>) -> Result<T> + Send + 'static,
    ) -> impl FnOnce(&Rows<'_>) -> Result<T> + Send + 'static {
        let events = self.shared.events.clone();
        move |rows| {
            let found = work(rows)?;
            events.begin_after(rows.last_message()?);
            Ok(found)
        }
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
        let (answer, answered) = mpsc::channel();
        let (vault, settings) = (Arc::clone(&self.vault), (self.footprint, self.events.clone()));
        let opening =
            opening::start(|| Ok(vault), settings, |_| Ok(()), move |opened| drop(answer.send(opened)))?;
        answered.recv().map_err(|_| opening::PANICKED)??;
        Ok(opening.opened())
    }

    /// Marks the file as closed, and returns what the caller has to close.
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

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}
