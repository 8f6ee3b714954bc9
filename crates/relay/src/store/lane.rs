//! Lanes: the one order of the messages of each thread.

use std::fmt;

use sealpost_wire::id::{ClientMsgId, ThreadId};
use sealpost_wire::{DeviceMismatch, Envelope};

use super::answer::Answer;
use super::order::Turn;
use crate::address::Address;

/// The order of the messages of each thread.
pub trait Lanes {
    /// Stores a message for all its devices and gives it the next `server_seq`, or says why not.
    fn append(&self, append: Append) -> Answer<Appended>;
    /// As [`Lanes::append`], for one of the sends of a connection: in their order, it is refused when its lane is stopped.
    fn append_in_turn(&self, append: Append, turn: Turn) -> Answer<Appended>;
}

/// SHA-256 of the encoded `Send`.
pub type BodyHash = [u8; 32];

/// A message for one device.
#[derive(Clone)]
pub struct Copy {
    /// The device.
    pub to: Address,
    /// The registration it was encrypted for.
    pub registration_id: u32,
    /// Opaque.
    pub envelope: Envelope,
    /// When the row leaves the mailbox unread.
    pub expires_ms: u64,
}

impl fmt::Debug for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copy").field("to", &self.to).finish_non_exhaustive()
    }
}

/// A message to store.
#[derive(Debug, Clone)]
pub struct Append {
    /// Who sends.
    pub sender: Address,
    /// The name the sender gave it; unique for the sending user. When it may be forgotten follows from the time inside.
    pub client_msg_id: ClientMsgId,
    /// Where.
    pub thread: ThreadId,
    /// For which roster.
    pub roster_version: u64,
    /// Tells a repetition from another message under the same name.
    pub body_hash: BodyHash,
    /// One for each live device of each member, but for the sending one.
    pub copies: Vec<Copy>,
    /// Now.
    pub now_ms: u64,
}

/// The place a message got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// 1, 2, 3, ... in each thread, without a hole.
    pub server_seq: u64,
    /// Hybrid logical clock: 48 bits of milliseconds, 16 bits of counter; strictly growing in each thread.
    pub hlc: u64,
}

/// What became of an [`Append`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// Durable.
    Stored(Stored),
    /// It was stored before, with the same body; the first place.
    Duplicate(Stored),
    /// The name was used for another body.
    MsgIdReuse,
    /// The sending device is no more.
    SenderRevoked,
    /// No such thread, or the sender is not a member.
    NotMember,
    /// Made for another roster.
    StaleRoster {
        /// The roster of now.
        current: u64,
    },
    /// The copies do not name exactly the live devices.
    MismatchedDevices(Vec<DeviceMismatch>),
    /// A copy was made for an older registration.
    StaleDevices(Vec<DeviceMismatch>),
    /// The accounts of all other members were deleted.
    RecipientDeleted,
    /// A member has not accepted the thread, and it has brought them as much as it may until then.
    NotAccepted,
    /// One before it on the same connection was refused, and it does not resume the lane.
    LaneStopped,
    /// The name is older than names are remembered, and is not known: whether it was stored once, nobody knows.
    TooOld,
    /// The name is of a time that has not come yet, and is not known: it was not stored.
    ClockSkew,
}
