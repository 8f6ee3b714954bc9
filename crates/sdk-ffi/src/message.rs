//! Messages as the app sees them.

use sealpost_core as core;

use crate::{MessageId, Position, ThreadId, UserId};

/// A message in a thread.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Message {
    /// Its id on this device.
    pub id: MessageId,
    /// Which thread it is in.
    pub thread: ThreadId,
    /// Its position in the thread. Of two messages, the one with the greater position is shown below the other. The
    /// position changes when the relay assigns a sequence number to the message, which is reported as a change.
    pub position: Position,
    /// The author.
    pub sender: UserId,
    /// Whether it is incoming or outgoing, and its state.
    pub direction: Direction,
    /// Its contents.
    pub body: MessageBody,
    /// When the author wrote it, in server time, in milliseconds since the Unix epoch.
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

/// Whether a message is incoming or outgoing, and its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum Direction {
    /// Our message.
    Outgoing {
        /// Its state.
        delivery: Delivery,
    },
    /// A message of somebody else.
    Incoming {
        /// Whether the person on this device has read it.
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

/// The state of an outgoing message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum Delivery {
    /// Stored on this device; the relay has not answered yet. The thread says what the message is waiting for.
    Queued,
    /// The relay has stored it on disk.
    Sent,
    /// A device of the recipient has decrypted it.
    Delivered,
    /// The recipient has read it.
    Read,
    /// It will not be sent unless the person retries it.
    Failed {
        /// The reason.
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
    /// The safety number of a verified contact has changed; accept it first.
    IdentityChanged,
    /// The recipient has no devices any more.
    UnknownRecipient,
    /// The recipient has deleted their account.
    RecipientDeleted,
    /// The recipient's keys are invalid; the relay or the recipient's client is at fault.
    BadKeys,
    /// We are not a member of this thread (any more).
    NotAMember,
    /// It was queued for longer than the relay remembers ids (7 days); it is unknown whether it arrived.
    TooOld,
    /// With a copy for each of the recipient's devices, it is larger than the relay accepts.
    TooLarge,
    /// The relay refuses it permanently.
    Refused,
    /// The person gave it up after it had left the device without an answer; it is unknown whether it arrived.
    GivenUp,
    /// The account was left before the message was sent.
    LoggedOut,
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
            core::FailReason::LoggedOut => Self::LoggedOut,
            _ => Self::Refused,
        }
    }
}

/// The contents of a message.
#[derive(Clone, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
pub enum MessageBody {
    /// A text.
    Text {
        /// The text.
        text: String,
    },
    /// An envelope that could not be opened.
    Undecryptable {
        /// The reason.
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

/// Contains nothing that a person wrote, so that it cannot end up in a log.
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
    /// It was sealed to a pre-key that does not exist (any more).
    MissingPreKey,
    /// No session can decrypt it: it was damaged, or its key is gone.
    NotDecryptable,
    /// Its version is not supported.
    UnsupportedVersion,
    /// Its bytes are not a message.
    Malformed,
    /// According to its content, it belongs elsewhere: the relay or the sender is not honest.
    Misrouted,
    /// It was decrypted, but this version does not understand its content.
    UnknownContent,
    /// It was decrypted, but it was sealed with an identity key that the sender no longer has: by an old device, or
    /// by somebody who has its keys.
    SenderKeyReplaced,
    /// Another message was decrypted with its key: the sender was restored from an older copy of a database.
    KeyUsedTwice,
    /// A part of this database that it needs is damaged. It is kept for a while and tried again. If it can be read later, its
    /// text takes the place of this message; if it is given up, the cause changes.
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
