//! Groups: their rosters, and messages that are the same for all devices.

use std::fmt;

use bytes::Bytes;
use sealpost_wire::Envelope;
use sealpost_wire::id::{ClientMsgId, ThreadId, UserId};
use sealpost_wire::roster::{Entry, Refusal};

use super::answer::Answer;
use super::jobs::{Fanout, JobId};
use super::lane::{Appended, BodyHash, Stored};
use super::order::Turn;
use crate::address::Address;

/// Groups, and what is posted in them.
pub trait Groups {
    /// Adds an entry to the roster of its group, or creates the group with its first one. The entry takes the next `server_seq`.
    fn enter(&self, new: NewEntry) -> Answer<Entered>;
    /// The entries after a version that this reader may see, and at least one if there is one; `None` if there is no such group for them.
    fn roster(&self, query: RosterQuery) -> Answer<Option<RosterEntries>>;
    /// Stores a message once for all devices of a group, except the sending one, and assigns the next `server_seq`.
    fn append_to_group(&self, post: GroupAppend) -> Answer<Appended>;
    /// Like [`Groups::append_to_group`], for one of the sends of a connection, as in [`Lanes::append_in_turn`].
    ///
    /// [`Lanes::append_in_turn`]: super::Lanes::append_in_turn
    fn append_to_group_in_turn(&self, post: GroupAppend, turn: Turn) -> Answer<Appended>;
    /// Whether both are in this group, as members or invited.
    fn are_fellows(&self, thread: ThreadId, member: UserId, other: UserId) -> Answer<bool>;
}

/// SHA-256 of the access token of a link.
pub type LinkTokenHash = [u8; 32];

/// An entry to add.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// The device that posts it, and that must be its author.
    pub author: Address,
    /// The entry.
    pub entry: Entry,
    /// With it, somebody can join who is not invited.
    pub link: Option<LinkTokenHash>,
    /// The number of the job, if the entry goes to many devices.
    pub job: JobId,
    /// When its rows are removed, even if they were not acknowledged.
    pub expires_ms: u64,
    /// The current time.
    pub now_ms: u64,
}

/// The result of a [`NewEntry`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entered {
    /// The entry is durable.
    Stored(Stored, Fanout),
    /// The same entry was stored before, with this position.
    Repeated(Stored),
    /// There is no such group for this user.
    NotFound,
    /// The author no longer exists.
    AuthorRevoked,
    /// It is not the next entry.
    StaleRoster {
        /// The current version of the roster.
        current: u64,
    },
    /// The roster does not allow it.
    NotAllowed(Refusal),
}

/// Who wants to read which entries.
#[derive(Debug, Clone, Copy)]
pub struct RosterQuery {
    /// The group.
    pub thread: ThreadId,
    /// The reader.
    pub reader: UserId,
    /// With it, somebody can read who is not in the group.
    pub link: Option<LinkTokenHash>,
    /// Entries up to this version are omitted.
    pub after: u64,
    /// The maximum size of the entries, in bytes.
    pub bytes: usize,
}

/// Entries, and whether there are more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RosterEntries {
    /// In order.
    pub rows: Vec<(Bytes, Stored)>,
    /// More entries exist after the last of these.
    pub more: bool,
}

/// A message that is the same for all devices of a group.
#[derive(Clone)]
pub struct GroupAppend {
    /// The sending device.
    pub sender: Address,
    /// As in [`Append`](super::Append).
    pub client_msg_id: ClientMsgId,
    /// The group.
    pub thread: ThreadId,
    /// The roster version that the message was made for.
    pub roster_version: u64,
    /// Distinguishes a repetition from another message with the same id.
    pub body_hash: BodyHash,
    /// Opaque to the relay.
    pub envelope: Envelope,
    /// When the rows are removed, even if they were not acknowledged.
    pub expires_ms: u64,
    /// The number of the job, if the message goes to many devices.
    pub job: JobId,
    /// The current time.
    pub now_ms: u64,
}

impl fmt::Debug for GroupAppend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupAppend").field("sender", &self.sender).finish_non_exhaustive()
    }
}
