//! Messages as the app sees them.

use sealpost_core as core;

mod body;
mod change;
mod markup;
mod notice;
mod poll;
mod quote;

pub use body::{ContactCard, Location, MessageBody, UndecryptableCause};
pub use change::{Reaction, ReactionCount, Version};
pub use markup::{LinkPreview, Markup, Mention, StyledRange, TextRange, TextStyle, everybody};
pub use notice::{Notice, NoticeAction};
pub use poll::{Poll, PollOption, Vote};
pub use quote::Quote;

use crate::{MessageId, Position, ThreadId, UserId, millis};

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
    #[uniffi(default = 0)]
    pub sent_ms: i64,
    /// The message that it replies to.
    #[uniffi(default = None)]
    pub quote: Option<Quote>,
    /// Whether its author has forwarded it, that is, taken it from another message.
    #[uniffi(default = false)]
    pub is_forwarded: bool,
    /// The styles, mentions and link preview of its text; none if it has none of them.
    #[uniffi(default = None)]
    pub markup: Option<Markup>,
    /// The emoji with which people have reacted to it, the most frequent first, at most 20. `Thread.reactions` returns who has
    /// chosen which.
    #[uniffi(default = [])]
    pub reactions: Vec<ReactionCount>,
    /// When its author wrote the present version, in server time, in milliseconds since the Unix epoch; none if it was not edited.
    /// `Thread.versions` returns the earlier ones.
    #[uniffi(default = None)]
    pub edited_ms: Option<i64>,
    /// How long after it was read the message disappears, in seconds; 0 if it does not (`Thread.set_timer`).
    #[uniffi(default = 0)]
    pub timer_s: u32,
    /// When it disappears, in server time, in milliseconds since the Unix epoch; none as long as its timer does not run. The timer runs
    /// from the time when the message was read on this device or, for one of ours, from the time when the relay accepted it.
    #[uniffi(default = None)]
    pub expires_ms: Option<i64>,
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
            sent_ms: millis(message.sent_ms),
            quote: message.quote.map(|quote| Quote::from(*quote)),
            is_forwarded: message.is_forwarded,
            markup: message.markup.map(|markup| Markup::from(*markup)),
            reactions: message.reactions.into_iter().map(ReactionCount::from).collect(),
            edited_ms: message.edited_ms.map(millis),
            timer_s: message.timer_s,
            expires_ms: message.expires_ms.map(millis),
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
    /// A device of the recipient has decrypted it; in a group, a device of each member. `Thread.receipts` says whose.
    Delivered,
    /// The recipient has read it; in a group, each member.
    Read,
    /// It will not be sent unless the person retries it.
    Failed {
        /// The reason.
        reason: FailReason,
    },
    /// The relay had stored it, and nothing has said within 30 days that it arrived. The recipient may have switched receipts off. If
    /// something says later that it did arrive, it is delivered.
    Expired,
}

impl From<core::Delivery> for Delivery {
    fn from(delivery: core::Delivery) -> Self {
        match delivery {
            core::Delivery::Sent => Self::Sent,
            core::Delivery::Delivered => Self::Delivered,
            core::Delivery::Read => Self::Read,
            core::Delivery::Failed(reason) => Self::Failed { reason: reason.into() },
            core::Delivery::Expired => Self::Expired,
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
