//! Mailboxes: the rows that wait for each device.

use std::fmt;

use sealpost_wire::id::ToWire as _;
use sealpost_wire::id::{ClientMsgId, ThreadId};
use sealpost_wire::{Deliver, Envelope};

use super::answer::Answer;
use crate::address::Address;

/// The rows that wait for each device.
pub trait Mailboxes {
    /// What a new connection needs to know about its mailbox.
    fn mailbox(&self, address: Address) -> Answer<MailboxState>;
    /// Rows in order of arrival, after the given one. Rows of one thread arrive in order of `server_seq`, and no row
    /// becomes visible at or before an arrival that was already read.
    fn inbox_arrivals(&self, address: Address, after: Arrival, limit: PageLimit) -> Answer<Page>;
    /// Rows in (thread, seq) order, after the given one, which need not exist.
    fn inbox_after(&self, address: Address, after: Option<InboxKey>, limit: PageLimit) -> Answer<Page>;
    /// Deletes acknowledged rows, and returns how many there were. Many rows may be deleted in several transactions:
    /// after an error, some of them may be gone, and the call can be repeated.
    fn inbox_ack(&self, address: Address, keys: Vec<InboxKey>) -> Answer<u32>;
    /// Stores how far rows were pushed.
    fn mark_pushed(&self, address: Address, up_to: Arrival) -> Answer<()>;
    /// Stores how many trimmed rows the device knows of, limited to the number that there are.
    fn mark_reported(&self, address: Address, trimmed: u64) -> Answer<()>;
}

/// Identifies a row of a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InboxKey {
    /// The thread.
    pub thread: ThreadId,
    /// The sequence number in it.
    pub server_seq: u64,
}

/// When a row arrived, as a number that only grows; 0 is before all rows.
pub type Arrival = u64;

/// The number of mail in the mailbox of its device, from 1.
pub type MailSeq = u64;

/// The maximum size of a page. A page always has at least one row if there is one.
#[derive(Debug, Clone, Copy)]
pub struct PageLimit {
    /// The number of rows.
    pub rows: u32,
    /// The number of bytes of ciphertext.
    pub bytes: usize,
    /// Rows that have expired at this time are omitted.
    pub now_ms: u64,
}

/// A row of a mailbox.
#[derive(Clone)]
pub struct Row {
    /// When it arrived.
    pub arrival: Arrival,
    /// Its key.
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
    /// The row as it is sent to a device. `attempt` is 1 for the first push on any connection.
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

/// The contents of a row.
#[derive(Clone)]
pub struct Message {
    /// Its hybrid logical clock.
    pub hlc: u64,
    /// The sending device.
    pub sender: Address,
    /// The id chosen by the sender.
    pub client_msg_id: ClientMsgId,
    /// The roster version that it was made for.
    pub roster_version: u64,
    /// Opaque to the relay.
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
    /// In the requested order.
    pub rows: Vec<Row>,
    /// More rows exist after the last of these.
    pub more: bool,
    /// The number of rows that were ever trimmed from this mailbox.
    pub trimmed: u64,
}

/// What a new connection needs to know about its mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MailboxState {
    /// The number of rows that were ever trimmed from it.
    pub trimmed: u64,
    /// How many of those the device knows of.
    pub reported: u64,
    /// Rows up to this one were pushed before.
    pub pushed: Arrival,
    /// The number of its last mail; 0 if there was none.
    pub last_mail: MailSeq,
}
