//! Mailboxes: what waits for each device.

use std::fmt;

use sealpost_wire::id::{ClientMsgId, ThreadId};
use sealpost_wire::{Deliver, Envelope};

use super::answer::Answer;
use crate::address::Address;

/// What waits for each device.
pub trait Mailboxes {
    /// What a new connection must know of its mailbox.
    fn mailbox(&self, address: Address) -> Answer<MailboxState>;
    /// Rows in order of arrival, after one. Rows of one thread arrive in order of `server_seq`, and no row
    /// becomes visible at or before an arrival that was already read.
    fn inbox_arrivals(&self, address: Address, after: Arrival, limit: PageLimit) -> Answer<Page>;
    /// Rows in (thread, seq) order, after one, whether that one still exists or not.
    fn inbox_after(&self, address: Address, after: Option<InboxKey>, limit: PageLimit) -> Answer<Page>;
    /// Deletes acknowledged rows; the number that were there. Many rows may go in several transactions: after an error
    /// some of them may be gone, and it may be repeated.
    fn inbox_ack(&self, address: Address, keys: Vec<InboxKey>) -> Answer<u32>;
    /// Remembers how far rows were pushed.
    fn mark_pushed(&self, address: Address, up_to: Arrival) -> Answer<()>;
    /// Remembers that the device knows of so many trimmed rows. It cannot know of more than there are.
    fn mark_told(&self, address: Address, trimmed: u64) -> Answer<()>;
}

/// Names a row of a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InboxKey {
    /// The thread.
    pub thread: ThreadId,
    /// The place in it.
    pub server_seq: u64,
}

/// When a row came, as a number that grows; 0 is before all.
pub type Arrival = u64;

/// How much one page may hold. A page always holds at least one row, if there is one.
#[derive(Debug, Clone, Copy)]
pub struct PageLimit {
    /// Rows.
    pub rows: u32,
    /// Bytes of ciphertext.
    pub bytes: usize,
    /// Rows that expired by now are not given.
    pub now_ms: u64,
}

/// A row of a mailbox.
#[derive(Clone)]
pub struct Row {
    /// When it came.
    pub arrival: Arrival,
    /// What it is called.
    pub key: InboxKey,
    /// The message.
    pub message: Message,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row").field("arrival", &self.arrival).field("key", &self.key).finish_non_exhaustive()
    }
}

impl Row {
    /// The row as a device gets it. `attempt` is 1 for the first push on any connection.
    pub fn into_deliver(self, epoch: u64, attempt: u32) -> Deliver {
        let Self { key, message, .. } = self;
        Deliver {
            key: Some(sealpost_wire::InboxKey {
                thread_id: key.thread.to_wire(),
                server_seq: key.server_seq,
            }),
            hlc: message.hlc,
            epoch,
            sender_user_id: message.sender.user.to_wire(),
            sender_device_id: message.sender.device.get(),
            client_msg_id: message.client_msg_id.to_wire(),
            roster_version: message.roster_version,
            envelope: Some(message.envelope),
            attempt,
        }
    }
}

/// What a row says.
#[derive(Clone)]
pub struct Message {
    /// Its hybrid logical clock.
    pub hlc: u64,
    /// Who sent it.
    pub sender: Address,
    /// What the sender calls it.
    pub client_msg_id: ClientMsgId,
    /// For which roster it was made.
    pub roster_version: u64,
    /// Opaque.
    pub envelope: Envelope,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("hlc", &self.hlc).finish_non_exhaustive()
    }
}

/// Rows, and whether there are more.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// In the order asked for.
    pub rows: Vec<Row>,
    /// More rows exist after the last of these.
    pub more: bool,
    /// Rows ever trimmed from this mailbox.
    pub trimmed: u64,
}

/// What a new connection must know of its mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MailboxState {
    /// Rows ever trimmed from it.
    pub trimmed: u64,
    /// How many of those the device knows of.
    pub told: u64,
    /// Rows up to here were pushed before.
    pub pushed: Arrival,
}
