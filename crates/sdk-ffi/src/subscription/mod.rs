//! Live views, each to be pulled by one consumer: a snapshot, then batches of what changes.

mod arrivals;
mod client;
mod thread;

pub use arrivals::ArrivalSubscription;
pub use client::ClientSubscription;
pub use thread::ThreadSubscription;

use sealpost_core as core;

use crate::{Message, MessageId};

/// What changed in a thread.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum Change {
    /// The newest messages, newest first: at the start, whenever the app was too slow for the changes, and after the
    /// client was suspended.
    Snapshot {
        /// They replace what was shown.
        messages: Vec<Message>,
    },
    /// A message is new here.
    Added {
        /// It.
        message: Message,
    },
    /// A message changed: its state, or its place.
    Changed {
        /// How it is now.
        message: Message,
    },
    /// A message is gone.
    Removed {
        /// Which.
        id: MessageId,
    },
}

impl Change {
    /// A change of a kind that the binding does not know is none.
    pub(super) fn known(change: core::Change) -> Option<Self> {
        Some(match change {
            core::Change::Snapshot(messages) => {
                Self::Snapshot { messages: messages.into_iter().map(Message::from).collect() }
            }
            core::Change::Added(message) => Self::Added { message: message.into() },
            core::Change::Changed(message) => Self::Changed { message: message.into() },
            core::Change::Removed(id) => Self::Removed { id },
            _ => return None,
        })
    }
}
