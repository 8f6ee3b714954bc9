//! A message as the app sees it.

use sealpost_core as core;

use crate::{MessageId, Position, ThreadId, UserId};

/// A row of a thread.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Message {
    /// What names it on this device.
    pub id: MessageId,
    /// Which thread it is in.
    pub thread: ThreadId,
    /// Where it stands in its thread: of two messages, the one with the greater position is shown below the other. It changes
    /// when the relay has given the message its place, which is told.
    pub position: Position,
    /// Who wrote it.
    pub sender: UserId,
    /// Whether it came or went, and how far.
    pub direction: Direction,
    /// What it says.
    pub body: MessageBody,
    /// When its sender wrote it, by server time, in milliseconds since the Unix epoch.
    pub sent_at_ms: i64,
}

impl From<core::Message> for Message {
    fn from(message: core::Message) -> Self {
        Self {
            id: message.id,
            thread: message.thread,
            position: message.position,
            sender: message.sender,
            direction: message.direction.into(),
            body: message.body.into(),
            sent_at_ms: i64::try_from(message.sent_ms).unwrap_or(i64::MAX),
        }
    }
}

/// Whether a message came or went, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum Direction {
    /// Ours.
    Outgoing {
        /// How far it came.
        delivery: Delivery,
    },
    /// Theirs.
    Incoming {
        /// Whether the person here has read it.
        read: bool,
    },
}

impl From<core::Direction> for Direction {
    fn from(direction: core::Direction) -> Self {
        match direction {
            core::Direction::Outgoing(delivery) => Self::Outgoing { delivery: delivery.into() },
            core::Direction::Incoming { read } => Self::Incoming { read },
        }
    }
}

/// How far one of our messages came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum Delivery {
    /// Written down here; the relay has not answered yet.
    Queued,
    /// The relay has it on disk.
    Sent,
    /// A device of the other side has opened it.
    Delivered,
    /// The person on the other side has read it.
    Read,
    /// It will not be sent unless the person tries again.
    Failed {
        /// Why.
        reason: FailReason,
    },
}

impl From<core::Delivery> for Delivery {
    fn from(delivery: core::Delivery) -> Self {
        match delivery {
            core::Delivery::Sent => Self::Sent,
            core::Delivery::Delivered => Self::Delivered,
            core::Delivery::Read => Self::Read,
            core::Delivery::Failed(reason) => Self::Failed { reason: reason.into() },
            _ => Self::Queued,
        }
    }
}

/// Why a message was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum FailReason {
    /// The safety number of a verified contact changed: accept it first.
    IdentityChanged,
    /// The recipient has no devices any more.
    UnknownRecipient,
    /// The recipient has deleted their account.
    RecipientDeleted,
    /// The recipient's keys are not valid: the relay, or their client, is at fault.
    BadKeys,
    /// We are not, or no longer, a member of this thread.
    NotAMember,
    /// It waited for longer than the relay remembers (7 days): whether it arrived is unknown.
    TooOld,
    /// With a copy for each of the recipient's devices it is larger than the relay takes.
    TooLarge,
    /// The relay refuses it for good.
    Refused,
    /// The person has given it up after it had left, without an answer: whether it arrived is unknown.
    GivenUp,
}

impl From<core::FailReason> for FailReason {
    fn from(reason: core::FailReason) -> Self {
        match reason {
            core::FailReason::IdentityChanged => Self::IdentityChanged,
            core::FailReason::UnknownRecipient => Self::UnknownRecipient,
            core::FailReason::RecipientDeleted => Self::RecipientDeleted,
            core::FailReason::BadKeys => Self::BadKeys,
            core::FailReason::NotAMember => Self::NotAMember,
            core::FailReason::TooOld => Self::TooOld,
            core::FailReason::TooLarge => Self::TooLarge,
            core::FailReason::GivenUp => Self::GivenUp,
            _ => Self::Refused,
        }
    }
}

/// What a message says.
#[derive(Clone, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
pub enum MessageBody {
    /// Text.
    Text {
        /// What was written.
        text: String,
    },
    /// Something arrived that could not be opened.
    Undecryptable {
        /// Why.
        cause: UndecryptableCause,
    },
}

impl From<core::MessageBody> for MessageBody {
    fn from(body: core::MessageBody) -> Self {
        match body {
            core::MessageBody::Text(text) => Self::Text { text },
            core::MessageBody::Undecryptable(cause) => Self::Undecryptable { cause: cause.into() },
            _ => Self::Undecryptable { cause: UndecryptableCause::UnknownContent },
        }
    }
}

/// Nothing that a person wrote ends up in a log.
impl std::fmt::Debug for MessageBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text { text: _ } => f.write_str("Text(..)"),
            Self::Undecryptable { cause } => write!(f, "Undecryptable({cause:?})"),
        }
    }
}

/// Why a message could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum UndecryptableCause {
    /// There is no session with the sending device.
    NoSession,
    /// It was sealed to a pre-key that is not here, or not any more.
    MissingPreKey,
    /// No session opens it: it was damaged, or its key is gone.
    NotDecryptable,
    /// Its version is not spoken here.
    UnsupportedVersion,
    /// Its bytes are not a message.
    Malformed,
    /// What is inside says that it belongs elsewhere: the relay, or the sender, lies.
    Misrouted,
    /// It was opened, but says something that this version does not understand.
    UnknownContent,
    /// It opens, but whoever sealed it has another identity key than the sender has now: an old device of theirs, or
    /// somebody who has its keys.
    SenderKeyReplaced,
    /// Another message was opened with its key: its sender came back from an older copy of a database.
    KeyUsedTwice,
    /// Something in this database that it needs is damaged.
    StorageDamaged,
}

impl From<core::Undecryptable> for UndecryptableCause {
    fn from(cause: core::Undecryptable) -> Self {
        match cause {
            core::Undecryptable::NoSession => Self::NoSession,
            core::Undecryptable::MissingPreKey => Self::MissingPreKey,
            core::Undecryptable::UnsupportedVersion => Self::UnsupportedVersion,
            core::Undecryptable::Malformed => Self::Malformed,
            core::Undecryptable::Misrouted => Self::Misrouted,
            core::Undecryptable::UnknownContent => Self::UnknownContent,
            core::Undecryptable::SenderKeyReplaced => Self::SenderKeyReplaced,
            core::Undecryptable::KeyUsedTwice => Self::KeyUsedTwice,
            core::Undecryptable::StorageDamaged => Self::StorageDamaged,
            _ => Self::NotDecryptable,
        }
    }
}
