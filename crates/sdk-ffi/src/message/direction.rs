//! Whether a message came or went, and how far.

use sealpost_core as core;

use super::Delivery;

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
