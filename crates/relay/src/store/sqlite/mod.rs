//! The default engine: SQLite in the process, one writer, several readers.

mod accounts;
mod append;
mod arrivals;
mod columns;
mod committer;
#[cfg(test)]
mod cost;
mod deferred;
mod fair;
#[cfg(test)]
mod grouped;
mod inbox;
mod keys;
mod lane;
mod operation;
mod readers;
mod requests;
mod room;
mod schema;
mod sweep;
mod threads;
mod tokens;
mod transaction;
mod trim;
mod writer;

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension as _};
use sealpost_wire::id::{ThreadId, UserId};
use sealpost_wire::{Bundle, DeviceInfo, KeyCounts};

use self::arrivals::Arrivals;
use self::deferred::Deferred;
use self::fair::Payer;
use self::readers::Readers;
use self::room::{Need, Room};
use self::writer::Writer;
use super::{
    Answer, Append, Appended, Arrival, Created, FamilyId, Health, InboxKey, KeysRefused, MailboxState,
    NewAccount, NewThread, Page, PageLimit, Revocations, Rotated, Rotation, Store, Swept, Take, Taken,
    ThreadRow,
};
use crate::address::Address;
use crate::clock::Clock;
use crate::fault::{self, Station};
use crate::keys::CheckedKeys;
use crate::limits::Limiter;
use crate::metrics::Metrics;
use crate::private;

pub use schema::OpenError;

/// Rows of an acknowledgement that are deleted in one operation: others come in between.
const ACK_PART: usize = 64;

/// Pages of 4 KiB in the write-ahead log before they go into the file.
const LOG_PAGES: u32 = 8_192;
/// What the writer keeps of the file in memory, in KiB: the ends of the indexes that messages go to.
const WRITER_CACHE_KIB: i64 = 32 << 10;

/// As [`ACK_PART`], and for the sweep, while the disk is full.
const FEW: usize = 8;

/// The store of one relay, in one folder.
#[derive(Debug)]
pub struct SqliteStore {
    // Dropped in this order: the writer is the last to close the database, and thereby empties its log; then
    // the folder is let go.
    readers: Readers,
    writer: Writer,
    arrivals: Arc<Arrivals>,
    revocations: Arc<Revocations>,
    limiter: Arc<Limiter>,
    clock: Arc<dyn Clock>,
    epoch: u64,
    _lock: File,
}

impl SqliteStore {
    /// Opens the store in this folder, or makes one. The limiter is told how long the writer worked for whom,
    /// and what came into whose mailboxes.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed but for migrations that went through.
    pub fn open(
        folder: &Path,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        limiter: Arc<Limiter>,
    ) -> Result<Self, OpenError> {
        let (lock, db) = open_files(folder)?;
        #[cfg(feature = "statements")]
        let db = count_statements(db, &metrics)?;
        Self::around(folder, lock, db, clock, (metrics, limiter))
    }

    fn around(
        folder: &Path,
        lock: File,
        db: Connection,
        clock: Arc<dyn Clock>,
        (metrics, limiter): (Arc<Metrics>, Arc<Limiter>),
    ) -> Result<Self, OpenError> {
        let (epoch, arrivals) = (read_epoch(&db)?, Arc::new(Arrivals::open(&db)?));
        let writer =
            Writer::start(db, Arc::clone(&clock), metrics, Arc::clone(&limiter), Room::open(folder))?;
        Ok(Self {
            readers: Readers::start(&database(folder))?,
            writer,
            arrivals,
            revocations: Arc::default(),
            limiter,
            clock,
            epoch,
            _lock: lock,
        })
    }

    /// Starts a new epoch, after an operator restored a backup: (thread, seq) pairs given since are void.
    ///
    /// # Errors
    /// [`OpenError`], also when the relay is running.
    pub fn new_epoch(folder: &Path) -> Result<u64, OpenError> {
        let (_lock, db) = open_files(folder)?;
        db.execute("UPDATE store_meta SET v = v + 1 WHERE k = 'epoch'", [])?;
        Ok(read_epoch(&db)?)
    }
}

impl SqliteStore {
    /// How many rows are deleted at a time. On a full disk few: what is deleted goes through the log.
    fn part(&self, usual: usize) -> usize {
        if self.writer.health() == Health::Full { usual.min(FEW) } else { usual }
    }
}

impl Store for SqliteStore {
    fn create_account(&self, new: NewAccount) -> Answer<Address> {
        let (revocations, fresh) = (Arc::clone(&self.revocations), new.address);
        let create = move |tx: &Connection| {
            let address = accounts::create(tx, &new)?;
            fault::at(Station::RegisterBeforeCommit);
            Ok(address)
        };
        // A device that was there before has lost its tokens.
        self.writer.write_and_then(Payer::Anonymous, Need::Grows, create, move |device| {
            if device != fresh {
                revocations.note(device);
            }
            device
        })
    }

    fn devices(&self, user: UserId) -> Answer<Vec<DeviceInfo>> {
        self.readers.read(user, move |tx| accounts::devices(tx, user))
    }

    fn revoke_device(&self, address: Address) -> Answer<bool> {
        let revocations = Arc::clone(&self.revocations);
        self.writer.write_and_then(
            Payer::User(address.user),
            Need::Frees,
            move |tx| accounts::revoke(tx, address),
            move |was_there| {
                if was_there {
                    revocations.note(address);
                }
                was_there
            },
        )
    }

    fn delete_account(&self, user: UserId, now_ms: u64) -> Answer<Vec<Address>> {
        let revocations = Arc::clone(&self.revocations);
        let delete = move |tx: &Connection| {
            let devices = accounts::delete(tx, user, now_ms)?;
            fault::at(Station::DeleteBeforeCommit);
            Ok(devices)
        };
        self.writer.write_and_then(Payer::User(user), Need::Frees, delete, move |devices| {
            devices.iter().for_each(|device| revocations.note(*device));
            devices
        })
    }

    fn is_deleted(&self, user: UserId) -> Answer<bool> {
        self.readers.read(user, move |tx| accounts::is_deleted(tx, user))
    }

    fn is_live(&self, address: Address, family: FamilyId) -> Answer<bool> {
        self.readers.read(address.user, move |tx| tokens::is_live(tx, address, family))
    }

    fn rotate_refresh(&self, rotation: Rotation) -> Answer<Rotated> {
        let revocations = Arc::clone(&self.revocations);
        self.writer.write_and_then(
            Payer::Anonymous,
            Need::Frees,
            move |tx| tokens::rotate(tx, &rotation),
            move |rotated| {
                if let Rotated::ReuseDetected(device) = rotated {
                    revocations.note(device);
                }
                rotated
            },
        )
    }

    fn end_family(&self, family: FamilyId) -> Answer<Option<Address>> {
        let revocations = Arc::clone(&self.revocations);
        self.writer.write_and_then(
            Payer::Relay,
            Need::Frees,
            move |tx| tokens::end(tx, family),
            move |owner| {
                if let Some(device) = owner {
                    revocations.note(device);
                }
                owner
            },
        )
    }

    fn put_keys(&self, address: Address, keys: CheckedKeys) -> Answer<Result<KeyCounts, KeysRefused>> {
        self.writer
            .write(Payer::User(address.user), Need::Grows, move |tx| keys::put(tx, address, keys.get()))
    }

    fn key_counts(&self, address: Address) -> Answer<KeyCounts> {
        self.readers.read(address.user, move |tx| keys::counts(tx, address))
    }

    fn take_bundles(&self, take: Take) -> Answer<Taken> {
        self.writer.write(Payer::User(take.requester.user), Need::Grows, move |tx| keys::take(tx, &take))
    }

    fn repeated_take(&self, take: Take) -> Answer<Option<Vec<Bundle>>> {
        self.readers.read(take.requester.user, move |tx| keys::repeated(tx, &take))
    }

    fn create_thread(&self, new: NewThread) -> Answer<Created> {
        self.writer.write(Payer::User(new.creator), Need::Grows, move |tx| threads::create(tx, &new))
    }

    fn accept_thread(&self, thread: ThreadId, member: UserId) -> Answer<bool> {
        self.writer.write(Payer::User(member), Need::Frees, move |tx| threads::accept(tx, thread, member))
    }

    fn thread(&self, thread: ThreadId, member: UserId) -> Answer<Option<ThreadRow>> {
        self.readers.read(member, move |tx| threads::get(tx, thread, member))
    }

    fn append(&self, append: Append) -> Answer<Appended> {
        let arrivals = Arc::clone(&self.arrivals);
        let (limiter, clock) = (Arc::clone(&self.limiter), Arc::clone(&self.clock));
        let sender = append.sender.user;
        let work = move |tx: &Connection, deferred: &mut Deferred| {
            let mut inbound = Vec::new();
            let appended = append::append(tx, deferred, &arrivals, &append, &mut inbound)?;
            Ok((appended, inbound))
        };
        self.writer.write_deferring(Payer::User(sender), Need::Grows, work, move |(appended, inbound)| {
            limiter.delivered(sender, &inbound, clock.monotonic());
            appended
        })
    }

    fn mailbox(&self, address: Address) -> Answer<MailboxState> {
        self.readers
            .read(address.user, move |tx| Ok(inbox::state(tx, address).optional()?.unwrap_or_default()))
    }

    fn inbox_arrivals(&self, address: Address, after: Arrival, limit: PageLimit) -> Answer<Page> {
        self.readers.read(address.user, move |tx| inbox::arrivals(tx, address, after, limit))
    }

    fn inbox_after(&self, address: Address, after: Option<InboxKey>, limit: PageLimit) -> Answer<Page> {
        self.readers.read(address.user, move |tx| inbox::after(tx, address, after, limit))
    }

    fn inbox_ack(&self, address: Address, keys: Vec<InboxKey>) -> Answer<u32> {
        let part = |part: &[InboxKey]| {
            let part = part.to_vec();
            let work = move |tx: &Connection, deferred: &mut Deferred| {
                inbox::acknowledge(tx, &mut deferred.mailboxes, address, &part)
            };
            self.writer.write_deferring(Payer::User(address.user), Need::Frees, work, |removed| removed)
        };
        let parts: Vec<_> = keys.chunks(self.part(ACK_PART)).map(part).collect();
        Box::pin(async move {
            let mut removed: u32 = 0;
            for part in parts {
                removed = removed.saturating_add(part.await?);
            }
            Ok(removed)
        })
    }

    fn mark_pushed(&self, address: Address, up_to: Arrival) -> Answer<()> {
        // It changes no sum.
        let work = move |tx: &Connection, _: &mut Deferred| inbox::mark_pushed(tx, address, up_to);
        self.writer.write_deferring(Payer::User(address.user), Need::Frees, work, |()| ())
    }

    fn mark_told(&self, address: Address, trimmed: u64) -> Answer<()> {
        self.writer
            .write(Payer::User(address.user), Need::Frees, move |tx| inbox::mark_told(tx, address, trimmed))
    }

    fn sweep(&self, now_ms: u64, budget: u32) -> Answer<Swept> {
        self.writer.tidy();
        let budget =
            u32::try_from(self.part(usize::try_from(budget).unwrap_or(usize::MAX))).unwrap_or(budget);
        self.writer.write(Payer::Relay, Need::Frees, move |tx| sweep::sweep(tx, now_ms, budget))
    }

    fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    fn health(&self) -> Health {
        self.writer.health()
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }
}

fn database(folder: &Path) -> std::path::PathBuf {
    folder.join("relay.db")
}

/// Takes the folder for this process alone and opens the database for writing.
fn open_files(folder: &Path) -> Result<(File, Connection), OpenError> {
    private::folder(folder)?;
    let lock = private::file(&folder.join("lock"))?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => OpenError::InUse,
        TryLockError::Error(error) => OpenError::Io(error),
    })?;
    // SQLite gives the files beside it the mode of this one.
    private::file(&database(folder))?;
    let mut db = Connection::open(database(folder))?;
    // Nobody else writes; only emptying the log ever waits for readers.
    db.busy_timeout(Duration::from_millis(100))?;
    set_up(&db)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    // An answer promises that a power cut loses nothing, so every commit reaches the disk.
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "secure_delete", "ON")?;
    // A page that many messages change goes from the log into the file less often. Once a minute the sweep empties it.
    db.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    // Negative: in kibibytes. A group that changes more than that has to write pages twice.
    db.pragma_update(None, "cache_size", WRITER_CACHE_KIB.saturating_neg())?;
    schema::migrate(&mut db)?;
    Ok((lock, db))
}

/// What every connection is set to.
fn set_up(db: &Connection) -> rusqlite::Result<()> {
    // What a statement or a savepoint may have to undo stays in memory: as a file it would lie outside the data folder.
    db.pragma_update(None, "temp_store", "MEMORY")?;
    // The plan of a statement depends on no bound value, so that it is prepared once.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(())
}

#[cfg(feature = "statements")]
fn count_statements(mut db: Connection, metrics: &Arc<Metrics>) -> rusqlite::Result<Connection> {
    let metrics = Arc::clone(metrics);
    let count = move |_: rusqlite::trace::TraceEvent<'_>| metrics.store_statements.count();
    db.trace_v2(rusqlite::trace::TraceEventCodes::SQLITE_TRACE_STMT, Some(count))?;
    Ok(db)
}

fn read_epoch(db: &Connection) -> rusqlite::Result<u64> {
    db.query_row("SELECT v FROM store_meta WHERE k = 'epoch'", [], |row| row.get(0))
}
