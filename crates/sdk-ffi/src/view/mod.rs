//! Live views, each to be pulled by one consumer: a snapshot, followed by batches of changes.

mod arrivals;
mod calls;
mod feed;
mod notices;
mod threads;
mod timeline;
mod waits;

pub use arrivals::Arrivals;
pub use calls::Calls;
pub use feed::Feed;
pub use notices::Notices;
pub use threads::{Threads, ThreadsChange};
pub use timeline::Timeline;
pub use waits::Waits;

use sealpost_core as core;

use crate::{Message, MessageId, Page, Position, ThreadWaiting};

/// A change in a thread. `MessageList` applies it to the messages that an app shows.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum Change {
    /// The newest messages: at the start, whenever the app was too slow, and after the client was suspended.
    Snapshot {
        /// The page, which replaces what was shown.
        page: Page,
    },
    /// A message was added, at its position.
    Added {
        /// The message.
        message: Message,
    },
    /// The state or the position of a message has changed.
    Changed {
        /// The message in its present state and position.
        message: Message,
        /// Its previous position.
        was: Position,
    },
    /// A message was removed.
    Removed {
        /// Its id.
        id: MessageId,
        /// Its previous position.
        position: Position,
    },
    /// The oldest queued message, and what it is waiting for; none if no message is queued any more. Follows only if it differs from
    /// what the snapshot or the last such change has said.
    Waiting {
        /// What is waiting.
        waiting: Option<ThreadWaiting>,
    },
}

impl Change {
    /// A change of an unknown kind is ignored.
    pub(super) fn known(change: core::Change) -> Option<Self> {
        Some(match change {
            core::Change::Snapshot(page) => Self::Snapshot { page: page.into() },
            core::Change::Added(message) => Self::Added { message: message.into() },
            core::Change::Changed { message, was } => Self::Changed { message: message.into(), was },
            core::Change::Removed { id, position } => Self::Removed { id, position },
            core::Change::Waiting(waiting) => Self::Waiting { waiting: waiting.map(ThreadWaiting::from) },
            _ => return None,
        })
    }
}
