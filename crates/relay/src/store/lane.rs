//! Lanes: the total order of the messages of each thread.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use sealpost_wire::id::{ClientMsgId, ThreadId};
use sealpost_wire::{DeviceMismatch, Envelope};

use super::answer::Answer;
use super::jobs::Fanout;
use super::order::Turn;
use crate::address::Address;

/// The order of the messages of each thread.
pub trait Lanes {
    /// Stores a message for all its devices and assigns the next `server_seq`, or says why not.
    fn append(&self, append: Append) -> Answer<Appended>;
    /// Like [`Lanes::append`], for one of the sends of a connection: they are processed in their order, and a send is
    /// refused if its lane is stopped.
    fn append_in_turn(&self, append: Append, turn: Turn) -> Answer<Appended>;
}

/// SHA-256 of the encoded `Send`.
pub type BodyHash = [u8; 32];

/// A message for one device.
#[derive(Clone)]
pub struct Copy {
    /// The recipient.
    pub to: Address,
    /// The registration that it was encrypted for.
    pub registration_id: u32,
    /// Opaque to the relay.
    pub envelope: Envelope,
    /// What follows its ciphertext, and is the same for other devices; empty if there is nothing. It is joined with the ciphertext when the row is
    /// written, so that a message that waits takes no more memory than its frame had.
    pub shared: Bytes,
    /// When the row is removed from the mailbox, even if it was not acknowledged.
    pub expires_ms: u64,
}

impl fmt::Debug for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copy").field("to", &self.to).finish_non_exhaustive()
    }
}

impl Copy {
    /// The length of the ciphertext of the row.
    pub fn ciphertext_len(&self) -> usize {
        self.envelope.ciphertext.len().saturating_add(self.shared.len())
    }

    /// The ciphertext of the row.
    pub fn ciphertext(&self) -> Cow<'_, [u8]> {
        match self.shared.is_empty() {
            true => Cow::Borrowed(&self.envelope.ciphertext),
            false => Cow::Owned([&self.envelope.ciphertext[..], &self.shared].concat()),
        }
    }
}

/// A message to store.
#[derive(Debug, Clone)]
pub struct Append {
    /// The sending device.
    pub sender: Address,
    /// The id chosen by the sender, unique for the sending user. The time inside determines how long it is
    /// remembered.
    pub client_msg_id: ClientMsgId,
    /// The thread.
    pub thread: ThreadId,
    /// The roster version that the message was made for.
    pub roster_version: u64,
    /// Distinguishes a repetition from another message with the same id.
    pub body_hash: BodyHash,
    /// One for each live device of each member, except the sending device.
    pub copies: Vec<Copy>,
    /// The current time.
    pub now_ms: u64,
}

/// The position that a message was assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// 1, 2, 3, ... in each thread, without gaps.
    pub server_seq: u64,
    /// Hybrid logical clock: 48 bits of milliseconds, 16 bits of counter; strictly growing in each thread.
    pub hlc: u64,
}

/// The result of an [`Append`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// The message is durable.
    Stored(Stored),
    /// A message of a group is durable.
    ForGroup(Stored, Fanout),
    /// It was stored before, with the same body and this position.
    Duplicate(Stored),
    /// The id was used for another body.
    MsgIdReuse,
    /// The sending device no longer exists.
    SenderRevoked,
    /// There is no such thread, or the sender is not a member.
    NotMember,
    /// The message was made for another version of the roster.
    StaleRoster {
        /// The current version of the roster.
        current: u64,
    },
    /// The sender may not write in this group.
    MayNotWrite,
    /// The copies do not name exactly the live devices.
    MismatchedDevices(Vec<DeviceMismatch>),
    /// A copy was made for an older registration.
    StaleDevices(Vec<DeviceMismatch>),
    /// The accounts of all other members were deleted.
    RecipientDeleted,
    /// A member has not accepted the thread, which has already delivered as much as it may until then, or blocks the
    /// sender. The two are not distinguished.
    NotAccepted,
    /// An earlier send on the same connection was refused, and this one does not resume the lane.
    LaneStopped,
    /// The id is unknown and older than the relay remembers ids, so it cannot be determined whether the message was
    /// stored.
    TooOld,
    /// The time of the id is too far in the future or in the past, and the message was not stored.
    ClockSkew,
}
