//! The parts of the client that cannot do their work, and the reasons.

use sealpost_core as core;

use crate::StorageReason;

/// A part of the client that works in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum Part {
    /// Stores incoming messages.
    Receiving,
    /// Encrypts and sends queued messages.
    Sending,
    /// Uploads new pre-keys, and removes old rows and sessions.
    PreKeys,
    /// Accepts threads that others started, at the relay. Until then, the relay holds back all but their first
    /// messages.
    Acceptance,
    /// Indexes messages for search.
    Search,
    /// Uploads the list of our devices, and fetches the lists of others that are not known.
    DeviceLists,
    /// A part that this version of the binding does not know.
    Other,
}

impl From<core::Part> for Part {
    fn from(part: core::Part) -> Self {
        match part {
            core::Part::Receiving => Self::Receiving,
            core::Part::Sending => Self::Sending,
            core::Part::PreKeys => Self::PreKeys,
            core::Part::Acceptance => Self::Acceptance,
            core::Part::Search => Self::Search,
            core::Part::DeviceLists => Self::DeviceLists,
            _ => Self::Other,
        }
    }
}

/// Why a part cannot do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum PartFailure {
    /// The database cannot be used.
    Storage {
        /// The reason.
        reason: StorageReason,
    },
    /// The relay refuses the request of the part.
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// A bug in the library: please report it, with the log.
    Bug,
}

impl From<core::Failure> for PartFailure {
    fn from(failure: core::Failure) -> Self {
        match failure {
            core::Failure::Storage(reason) => Self::Storage { reason: reason.into() },
            core::Failure::Refused(status) => Self::Refused { status },
            _ => Self::Bug,
        }
    }
}

/// A part that cannot do its work, and the reason. It is retried automatically.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct FailedPart {
    /// The part.
    pub part: Part,
    /// The reason.
    pub failure: PartFailure,
}

impl From<core::FailedPart> for FailedPart {
    fn from(failed: core::FailedPart) -> Self {
        Self { part: failed.part.into(), failure: failed.failure.into() }
    }
}
