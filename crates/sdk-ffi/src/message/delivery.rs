//! How far one of our messages came.

use sealpost_core as core;

use super::FailReason;

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
