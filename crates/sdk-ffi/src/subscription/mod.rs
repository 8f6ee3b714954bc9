//! Live views, each to be pulled by one consumer: a snapshot, then batches of what changes.

mod arrivals;
mod client;
mod thread;

pub use arrivals::ArrivalSubscription;
pub use client::ClientSubscription;
pub use thread::ThreadSubscription;

use sealpost_core as core;

use crate::{Message, MessageId, Page, Position};

/// What changed in a thread. `MessageList` applies it to what an app shows.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum Change {
    /// The newest messages: at the start, whenever the app was too slow for the changes, and after the
    /// client was suspended.
    Snapshot {
        /// It replaces what was shown.
        page: Page,
    },
    /// A message is new here, at its position.
    Added {
        /// It.
        message: Message,
    },
    /// A message changed: its state, or its place.
    Changed {
        /// How it is now, and where.
        message: Message,
        /// Where it was before.
        was: Position,
    },
    /// A message is gone.
    Removed {
        /// Which.
        id: MessageId,
        /// Where it was.
        position: Position,
    },
}

impl Change {
    /// A change of a kind that the binding does not know is none.
    pub(super) fn known(change: core::Change) -> Option<Self> {
        Some(match change {
            core::Change::Snapshot(page) => Self::Snapshot { page: page.into() },
            core::Change::Added(message) => Self::Added { message: message.into() },
            core::Change::Changed { message, was } => Self::Changed { message: message.into(), was },
            core::Change::Removed { id, position } => Self::Removed { id, position },
            _ => return None,
        })
    }
}
