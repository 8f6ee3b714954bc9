//! What the operations of a group have changed and not written yet: where threads end, and what mailboxes hold.
//!
//! Messages that are committed together are often of one thread and to one mailbox, so the rows that count them are
//! written once for all of them: before anybody else reads or changes these rows, and before the commit.

use std::collections::BTreeMap;

use rusqlite::{Connection, Result};
use sealpost_wire::id::ThreadId;

use super::lane::Lanes;
use super::trim::{self, Change};
use crate::address::Address;

/// Belongs to one transaction or savepoint, and is dropped with it.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    pub(super) lanes: Lanes,
    pub(super) mailboxes: Mailboxes,
}

impl Deferred {
    /// Writes everything. When it fails, the transaction or savepoint has to be undone.
    pub(super) fn write(&mut self, tx: &Connection) -> Result<()> {
        self.lanes.write(tx)?;
        self.mailboxes.write_all(tx)
    }
}

/// With so many bytes that came, a mailbox is written at once. To make room for them may take long, and the time for it
/// belongs to the operation that brings them.
const MANY_BYTES: u64 = 16 << 10;

/// Changes of what mailboxes hold, by owner and thread.
#[derive(Debug, Default)]
pub(super) struct Mailboxes(BTreeMap<Address, BTreeMap<ThreadId, Change>>);

impl Mailboxes {
    /// A row came into a mailbox. `request`: its owner has not accepted the thread.
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

    /// Rows left a mailbox.
    pub(super) fn shrink(&mut self, owner: Address, thread: ThreadId, bytes: u64) {
        if bytes > 0 {
            let change = self.change(owner, thread);
            change.went = change.went.saturating_add(bytes);
        }
    }

    /// Writes what is known of one mailbox, so that its rows say what it holds.
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
