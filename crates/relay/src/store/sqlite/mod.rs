//! The storage engine: an embedded SQLite database with one writer and several readers.

mod accounts;
mod append;
mod arrivals;
mod audience;
mod blocks;
mod columns;
mod committer;
#[cfg(test)]
mod cost;
mod dedupe;
mod deferred;
mod device_lists;
mod devices;
mod fair;
mod fan_out;
mod group;
mod group_append;
#[cfg(test)]
mod grouped;
mod groups;
mod history;
#[cfg(test)]
mod holders;
mod inbox;
mod keys;
mod lane;
mod linking;
mod mail;
mod open;
mod operation;
mod payload;
mod readers;
mod requests;
mod room;
mod roster;
mod roster_rows;
mod schema;
mod sweep;
mod threads;
mod tokens;
mod transaction;
mod trim;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, OptionalExtension as _};
use sealpost_wire::id::{ThreadId, UserId};
use sealpost_wire::{Bundle, KeyCounts};

use self::arrivals::Arrivals;
use self::dedupe::Submission;
use self::deferred::Deferred;
use self::fair::Payer;
use self::history::History;
use self::open::{FolderLock, database, open_files, read_epoch};
use self::readers::Readers;
use self::room::{Need, Room};
use self::writer::Writer;
use super::{
    Answer, Append, Appended, Arrival, Audience, Created, Health, InboxKey, KeysRefused, Lanes, Mail,
    MailClass, MailPage, MailSeq, MailboxState, Mailboxes, NewMail, NewThread, Page, PageLimit, Posted,
    PreKeys, Revocations, StoreError, StoreVersion, Swept, Take, Taken, ThreadRow, Threads, Turn, Upkeep,
};
use crate::address::Address;
use crate::clock::Clock;
use crate::keys::CheckedKeys;
use crate::limits::Limiter;
use crate::metrics::Metrics;

pub use schema::OpenError;

/// The number of rows of an acknowledgement that are deleted in one operation, so that others can run in between.
const ACK_ROWS: usize = 64;

/// The same while the disk is full, also for the sweep.
const ROWS_WHEN_FULL: usize = 8;

/// The store of one relay, in one folder.
#[derive(Debug)]
pub struct SqliteStore {
    // Dropped in this order: the writer is the last to close the database, which empties its log; then the folder is
    // unlocked.
    readers: Readers,
    writer: Writer,
    arrivals: Arc<Arrivals>,
    revocations: Arc<Revocations>,
    limiter: Arc<Limiter>,
    clock: Arc<dyn Clock>,
    epoch: Arc<AtomicU64>,
    history: Arc<History>,
    _lock: FolderLock,
}

impl SqliteStore {
    /// Opens the store in this folder, or creates one. The time that the writer works for each user, and the bytes
    /// delivered to each recipient, are charged to the limiter.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed, except by migrations that succeeded.
    pub fn open(
        folder: &Path,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        limiter: Arc<Limiter>,
    ) -> Result<Self, OpenError> {
        let (lock, db) = open_files(folder)?;
        #[cfg(feature = "statements")]
        let db = open::count_statements(db, &metrics)?;
        Self::from_parts(folder, lock, db, clock, (metrics, limiter))
    }

    fn from_parts(
        folder: &Path,
        lock: FolderLock,
        db: Connection,
        clock: Arc<dyn Clock>,
        (metrics, limiter): (Arc<Metrics>, Arc<Limiter>),
    ) -> Result<Self, OpenError> {
        let (epoch, arrivals) = (read_epoch(&db)?, Arc::new(Arrivals::open(&db)?));
        let history = Arc::new(History::open(&db)?);
        let writer = Writer::start(
            db,
            Arc::clone(&clock),
            metrics,
            Arc::clone(&limiter),
            Room::open(folder),
            Some(Arc::clone(&history)),
        )?;
        Ok(Self {
            readers: Readers::start(&database(folder))?,
            writer,
            arrivals,
            revocations: Arc::default(),
            limiter,
            clock,
            epoch: Arc::new(AtomicU64::new(epoch)),
            history,
            _lock: lock,
        })
    }

    /// Starts a new epoch after an operator has restored a backup: (thread, seq) pairs assigned since then are void.
    ///
    /// # Errors
    /// [`OpenError`], also if the relay is running.
    pub fn new_epoch(folder: &Path) -> Result<u64, OpenError> {
        let (_lock, db) = open_files(folder)?;
        db.execute("UPDATE store_meta SET v = v + 1 WHERE k = 'epoch'", [])?;
        Ok(read_epoch(&db)?)
    }
}

impl SqliteStore {
    fn append_at(&self, append: Append, turn: Option<Turn>) -> Answer<Appended> {
        let arrivals = Arc::clone(&self.arrivals);
        let (limiter, clock) = (Arc::clone(&self.limiter), Arc::clone(&self.clock));
        let (sender, place) = (append.sender.user, turn.as_ref().map(Turn::place));
        let work = move |tx: &Connection, deferred: &mut Deferred| {
            let mut inbound = Vec::new();
            let appended = match &place {
                Some(place) if place.is_stopped() => append::stopped(tx, &Submission::of_message(&append))?,
                _ => append::append(tx, deferred, &arrivals, &append, &mut inbound)?,
            };
            if let Some(place) = &place {
                place.ran(!matches!(appended, Appended::Stored(_) | Appended::Duplicate(_)));
            }
            Ok((appended, inbound))
        };
        // If the send does not become durable, its turn is dropped with this closure, which stops its lane before the
        // next one runs.
        let then = move |(appended, inbound): (_, Vec<_>)| {
            if let Some(turn) = turn {
                turn.over();
            }
            limiter.delivered(sender, &inbound, clock.monotonic());
            appended
        };
        self.writer.write_deferring(Payer::User(sender), Need::Grows, work, then)
    }

    /// How many rows are deleted at a time: few on a full disk, because deletions are written to the log.
    fn rows_at_once(&self, usual: usize) -> usize {
        if self.writer.health() == Health::Full { usual.min(ROWS_WHEN_FULL) } else { usual }
    }
}

/// The number of rows that several operations removed.
async fn sum(parts: Vec<Answer<u32>>) -> Result<u32, StoreError> {
    let mut removed: u32 = 0;
    for part in parts {
        removed = removed.saturating_add(part.await?);
    }
    Ok(removed)
}

impl PreKeys for SqliteStore {
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
}

impl Threads for SqliteStore {
    fn create_thread(&self, new: NewThread) -> Answer<Created> {
        self.writer.write(Payer::User(new.creator), Need::Grows, move |tx| threads::create(tx, &new))
    }

    fn accept_thread(&self, thread: ThreadId, member: UserId) -> Answer<bool> {
        self.writer.write(Payer::User(member), Need::Frees, move |tx| threads::accept(tx, thread, member))
    }

    fn block(&self, user: UserId, blocked: UserId) -> Answer<bool> {
        self.writer.write(Payer::User(user), Need::Grows, move |tx| blocks::block(tx, user, blocked))
    }

    fn unblock(&self, user: UserId, blocked: UserId) -> Answer<()> {
        self.writer.write(Payer::User(user), Need::Frees, move |tx| blocks::unblock(tx, user, blocked))
    }

    fn thread(&self, thread: ThreadId, member: UserId) -> Answer<Option<ThreadRow>> {
        self.readers.read(member, move |tx| threads::get(tx, thread, member))
    }

    fn audience(&self, thread: ThreadId, member: UserId, named: Vec<UserId>) -> Answer<Option<Audience>> {
        self.readers.read(member, move |tx| audience::of(tx, thread, member, &named))
    }
}

impl Lanes for SqliteStore {
    fn append(&self, append: Append) -> Answer<Appended> {
        self.append_at(append, None)
    }

    fn append_in_turn(&self, append: Append, turn: Turn) -> Answer<Appended> {
        self.append_at(append, Some(turn))
    }
}

impl Mailboxes for SqliteStore {
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
                inbox::acknowledge(tx, deferred, address, &part)
            };
            self.writer.write_deferring(Payer::User(address.user), Need::Frees, work, |removed| removed)
        };
        let parts: Vec<_> = keys.chunks(self.rows_at_once(ACK_ROWS)).map(part).collect();
        Box::pin(sum(parts))
    }

    fn mark_pushed(&self, address: Address, up_to: Arrival) -> Answer<()> {
        // This changes no sums.
        let work = move |tx: &Connection, _: &mut Deferred| inbox::mark_pushed(tx, address, up_to);
        self.writer.write_deferring(Payer::User(address.user), Need::Frees, work, |()| ())
    }

    fn mark_reported(&self, address: Address, trimmed: u64) -> Answer<()> {
        self.writer.write(Payer::User(address.user), Need::Frees, move |tx| {
            inbox::mark_reported(tx, address, trimmed)
        })
    }
}

impl Mail for SqliteStore {
    fn post_mail(&self, new: NewMail) -> Answer<Posted> {
        let (arrivals, sender) = (Arc::clone(&self.arrivals), new.sender.user);
        let (limiter, clock) = (Arc::clone(&self.limiter), Arc::clone(&self.clock));
        let work = move |tx: &Connection, deferred: &mut Deferred| {
            let mut inbound = Vec::new();
            let posted = mail::post(tx, deferred, &arrivals, &new, &mut inbound)?;
            Ok((posted, inbound))
        };
        let then = move |(posted, inbound): (_, Vec<_>)| {
            limiter.delivered(sender, &inbound, clock.monotonic());
            posted
        };
        self.writer.write_deferring(Payer::User(sender), Need::Grows, work, then)
    }

    fn mail(&self, owner: Address, class: MailClass, after: MailSeq, limit: PageLimit) -> Answer<MailPage> {
        self.readers.read(owner.user, move |tx| mail::page(tx, owner, class, after, limit))
    }

    fn mail_ack(&self, owner: Address, seqs: Vec<MailSeq>) -> Answer<u32> {
        let part = |part: &[MailSeq]| {
            let part = part.to_vec();
            let work = move |tx: &Connection, deferred: &mut Deferred| {
                mail::acknowledge(tx, &mut deferred.mailboxes, owner, &part)
            };
            self.writer.write_deferring(Payer::User(owner.user), Need::Frees, work, |removed| removed)
        };
        let parts: Vec<_> = seqs.chunks(self.rows_at_once(ACK_ROWS)).map(part).collect();
        Box::pin(sum(parts))
    }
}

impl Upkeep for SqliteStore {
    fn sweep(&self, now_ms: u64, budget: u32) -> Answer<Swept> {
        self.writer.request_empty_log();
        let budget =
            u32::try_from(self.rows_at_once(usize::try_from(budget).unwrap_or(usize::MAX))).unwrap_or(budget);
        self.writer.write(Payer::Relay, Need::Frees, move |tx| sweep::sweep(tx, now_ms, budget))
    }

    fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    fn health(&self) -> Health {
        self.writer.health()
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    fn version(&self) -> StoreVersion {
        self.history.version(self.epoch())
    }

    fn has_had_version(&self, version: &StoreVersion) -> bool {
        version.epoch < self.epoch() || self.history.contains(version)
    }

    fn begin_epoch(&self, over: u64) -> Answer<u64> {
        let epoch = Arc::clone(&self.epoch);
        let work = move |tx: &Connection| {
            tx.execute(
                "UPDATE store_meta SET v = ?1 WHERE k = 'epoch' AND v < ?1",
                [over.saturating_add(1)],
            )?;
            read_epoch(tx)
        };
        self.writer.write_and_then(Payer::Relay, Need::Frees, work, move |now| {
            epoch.fetch_max(now, Ordering::AcqRel);
            now
        })
    }
}
