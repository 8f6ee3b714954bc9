//! Changes that the operations of a group have made and not written yet: the last positions of threads, the sums of
//! mailboxes, and the holders of payloads.
//!
//! Messages that are committed together often belong to one thread and one mailbox, so the rows that count them are
//! written once for all of them: before any other operation reads or changes these rows, and before the commit.

use std::collections::BTreeMap;

use rusqlite::{Connection, Result};
use sealpost_wire::id::ThreadId;

use super::group::Groups;
use super::lane::Lanes;
use super::payload::Released;
use super::trim::{self, Change};
use crate::address::Address;

/// Belongs to one transaction or savepoint, and is dropped with it.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    pub(super) lanes: Lanes,
    pub(super) groups: Groups,
    pub(super) mailboxes: Mailboxes,
    pub(super) released: Released,
}

impl Deferred {
    /// Writes everything. If this fails, the transaction or savepoint has to be rolled back.
    pub(super) fn write(&mut self, tx: &Connection) -> Result<()> {
        self.lanes.write(tx)?;
        self.groups.write(tx)?;
        self.mailboxes.write_all(tx)?;
        self.released.write(tx)
    }
}

/// After this many new bytes, a mailbox is written immediately. Trimming it may take long, and that time is charged
/// to the operation that added the bytes.
const MANY_BYTES: u64 = 16 << 10;

/// Changes to the sums of mailboxes, by owner and thread.
#[derive(Debug, Default)]
pub(super) struct Mailboxes(BTreeMap<Address, BTreeMap<ThreadId, Change>>);

impl Mailboxes {
    /// A row was added to a mailbox. `request` means that its owner has not accepted the thread.
    pub(super) fn grow(
        &mut self,
        tx: &Connection,
        owner: Address,
        thread: ThreadId,
        (bytes, request): (u64, bool),
    ) -> Result<()> {
        let change = self.change(owner, thread);
        change.rows = change.rows.saturating_add(1);
        change.came = change.came.saturating_add(bytes);
        change.request |= request;
        if change.came >= MANY_BYTES { self.write(tx, owner) } else { Ok(()) }
    }

    /// Rows were removed from a mailbox.
    pub(super) fn shrink(&mut self, owner: Address, thread: ThreadId, bytes: u64) {
        if bytes > 0 {
            let change = self.change(owner, thread);
            change.went = change.went.saturating_add(bytes);
        }
    }

    /// Writes the changes of one mailbox, so that its rows contain its actual sums.
    pub(super) fn write(&mut self, tx: &Connection, owner: Address) -> Result<()> {
        match self.0.remove(&owner) {
            Some(changes) => trim::change(tx, owner, &changes),
            None => Ok(()),
        }
    }

    fn write_all(&mut self, tx: &Connection) -> Result<()> {
        for (owner, changes) in std::mem::take(&mut self.0) {
            trim::change(tx, owner, &changes)?;
        }
        Ok(())
    }

    fn change(&mut self, owner: Address, thread: ThreadId) -> &mut Change {
        self.0.entry(owner).or_default().entry(thread).or_default()
    }
}
