//! Transactions: what their closures can read and change, and what follows the commit.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::{Connection, Params};

use crate::error::{Error, Result, Storage};
use crate::event::Event;
use crate::id::MessageId;
use crate::message::Position;

/// Proof that `T` is on disk. It is created inside a transaction, or from a row that was read, and a transaction returns it
/// only after its commit.
#[must_use]
#[derive(Debug, Clone)]
pub(crate) struct Durable<T>(pub(super) T);

impl<T> Durable<T> {
    /// For tests of code that requires the proof.
    #[cfg(test)]
    pub(crate) const fn assumed(value: T) -> Self {
        Self(value)
    }

    pub(crate) fn get(&self) -> &T {
        &self.0
    }
}

/// Read access to the database, inside or outside of a transaction.
pub(crate) struct Rows<'c> {
    pub(super) connection: &'c Connection,
}

/// A transaction, which can read and change the database.
pub(crate) struct Tx<'c> {
    pub(super) rows: Rows<'c>,
    pub(super) events: Vec<Event>,
    /// Whether more has changed than the events report.
    pub(super) must_look: bool,
    pub(super) needed_in_file: bool,
    /// Whether timers of messages were started.
    pub(super) timers_started: bool,
    /// Whether our other devices are to be told something.
    pub(super) is_state_noted: bool,
    /// Whether this device was removed from our account.
    pub(super) is_unlinked: bool,
    /// Whether what changes was changed on another device of ours, which tells the others.
    pub(super) is_merging: bool,
    /// Whether the account has other devices, once that was asked.
    pub(super) companions: Cell<Option<bool>>,
    /// The previous positions of messages that have moved, until the changes are reported.
    pub(super) moved: BTreeMap<MessageId, Position>,
    pub(super) after_commit: Vec<AfterCommit>,
    parts: Parts,
    /// Whether a part was to be undone that has no savepoint.
    part_failed: bool,
}

/// How the parts of a transaction are undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parts {
    /// Each part has a savepoint.
    Savepoints,
    /// Parts cost nothing. If one of them fails, the whole transaction is undone and repeated with savepoints.
    Repeatable,
}

/// A function that is called once a transaction is committed.
pub(super) type AfterCommit = Box<dyn FnOnce() + Send>;

/// A part of a transaction that can be rolled back by itself. It starts with [`Tx::begin_part`]; parts are not nested. In a
/// transaction that can be repeated ([`Store::write_repeatable`](super::Store::write_repeatable)), parts need no savepoints for as
/// long as none of them fails.
#[must_use]
pub(crate) struct Part {
    /// The number of events before this part.
    events: usize,
    must_look: bool,
    after_commit: usize,
}

impl<'c> Tx<'c> {
    #[cfg(test)]
    pub(super) const fn new(connection: &'c Connection) -> Self {
        Self::with_parts(connection, Parts::Savepoints)
    }

    pub(super) const fn with_parts(connection: &'c Connection, parts: Parts) -> Self {
        Self {
            rows: Rows { connection },
            events: Vec::new(),
            must_look: false,
            needed_in_file: false,
            timers_started: false,
            is_state_noted: false,
            is_unlinked: false,
            is_merging: false,
            companions: Cell::new(None),
            moved: BTreeMap::new(),
            after_commit: Vec::new(),
            parts,
            part_failed: false,
        }
    }

    /// Whether the transaction must be undone, and repeated with savepoints.
    pub(super) const fn part_has_failed(&self) -> bool {
        self.part_failed
    }

    /// Adds an event. Events are published after the commit, in this order.
    pub(crate) fn emit(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Makes listeners read the database again after the commit: too much has changed to report each change.
    pub(crate) const fn look_again(&mut self) {
        self.must_look = true;
    }

    /// Registers a function to be called after the commit, even if the future of the transaction was dropped. The functions of
    /// all transactions are called in order, on the writer's thread, and must not block.
    pub(crate) fn after_commit(&mut self, next: impl FnOnce() + Send + 'static) {
        self.after_commit.push(Box::new(next));
    }

    /// Requires that the changes of this transaction are in the database file itself, and not only in its log, before the
    /// transaction returns.
    pub(crate) const fn need_in_file(&mut self) {
        self.needed_in_file = true;
    }

    /// Marks a value that this transaction has written or read as durable. This is correct because the transaction returns
    /// it only after the commit.
    pub(crate) const fn durable<T>(&self, value: T) -> Durable<T> {
        Durable(value)
    }

    /// Starts a part of the transaction that can be rolled back by itself.
    pub(crate) fn begin_part(&mut self) -> Result<Part> {
        self.savepoint("SAVEPOINT part")?;
        let after_commit = self.after_commit.len();
        Ok(Part { events: self.events.len(), must_look: self.must_look, after_commit })
    }

    /// Keeps the changes of the part.
    pub(crate) fn keep_part(&mut self, _part: Part) -> Result<()> {
        self.savepoint("RELEASE part")
    }

    /// Rolls back the changes of the part, and discards its events.
    ///
    /// # Errors
    /// Fails if the part has no savepoint. The caller must then return an error, and the transaction is repeated.
    pub(crate) fn undo_part(&mut self, part: Part) -> Result<()> {
        if self.parts == Parts::Repeatable {
            self.part_failed = true;
            return Err(Error::Bug("a part of a transaction is repeated"));
        }
        self.savepoint("ROLLBACK TO part")?;
        self.events.truncate(part.events);
        self.must_look = part.must_look;
        self.after_commit.truncate(part.after_commit);
        self.keep_part(part)
    }

    fn savepoint(&self, sql: &str) -> Result<()> {
        match self.parts {
            Parts::Savepoints => Ok(self.connection.prepare_cached(sql)?.execute([]).map(drop)?),
            Parts::Repeatable => Ok(()),
        }
    }

    /// Changes exactly one row.
    pub(super) fn change_one(&self, sql: &str, params: impl Params) -> Result<()> {
        match self.change(sql, params)? {
            1 => Ok(()),
            _ => Err(Error::Bug("a statement did not change exactly one row")),
        }
    }

    /// Changes any number of rows, and returns how many.
    pub(super) fn change(&self, sql: &str, params: impl Params) -> Result<usize> {
        Ok(self.connection.prepare_cached(sql)?.execute(params)?)
    }
}

impl<'c> Deref for Tx<'c> {
    type Target = Rows<'c>;

    fn deref(&self) -> &Rows<'c> {
        &self.rows
    }
}

/// Runs a part of a transaction, and turns a panic into an error, so that a bug stops this part only. The caller undoes what it leaves
/// unfinished.
pub(crate) fn contained<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Error::Bug("a panic in a part of a transaction")))
}

/// Converts a number for SQLite, which has no unsigned integers. A number that does not fit is a bug, because nothing that
/// is counted here becomes so large.
pub(super) fn to_sql(number: u64) -> Result<i64> {
    i64::try_from(number).map_err(|_| Error::Bug("a number too large for the database"))
}

/// The inverse of [`to_sql`]. A negative number was not written by this library.
pub(super) fn from_sql(number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|_| Error::Storage(Storage::Corrupt))
}

/// A number that was written from a narrower type.
pub(super) fn narrow<T: TryFrom<i64>>(number: i64) -> Result<T> {
    T::try_from(number).map_err(|_| Error::Storage(Storage::Corrupt))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_stops_one_part_and_a_full_disk_stops_all() {
        let panicked = contained::<()>(|| panic!("a bug"));
        assert!(matches!(&panicked, Err(error @ Error::Bug(_)) if !error.stops_everything()));
        assert_eq!(contained(|| Ok(7)), Ok(7));
        let full = contained::<()>(|| Err(Storage::Full.into()));
        assert!(matches!(&full, Err(error) if error.stops_everything()));
    }
}
