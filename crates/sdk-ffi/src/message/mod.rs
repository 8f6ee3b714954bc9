//! A message as the app sees it.

mod body;
mod delivery;
mod direction;
mod fail_reason;
mod undecryptable;

use sealpost_core as core;

pub use body::MessageBody;
pub use delivery::Delivery;
pub use direction::Direction;
pub use fail_reason::FailReason;
pub use undecryptable::UndecryptableCause;

use crate::{MessageId, ThreadId, UserId};

/// A row of a thread.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Message {
    /// What names it on this device.
    pub id: MessageId,
    /// Where it stands.
    pub thread: ThreadId,
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
            sender: message.sender,
            direction: message.direction.into(),
            body: message.body.into(),
            sent_at_ms: i64::try_from(message.sent_ms).unwrap_or(i64::MAX),
        }
    }
}
