//! Which parts of the client cannot do their work, and why.

use sealpost_core as core;

use crate::StorageReason;

/// A part of the client that works in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum Part {
    /// What arrives is stored.
    Receiving,
    /// What is queued is sealed and sent.
    Sending,
    /// Fresh pre-keys are uploaded, and old rows and sessions are removed.
    PreKeys,
    /// Threads that others began are accepted at the relay, which holds back all but their first messages until then.
    Acceptance,
    /// What arrives can be searched for.
    Search,
    /// One that this version of the binding does not know.
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
            _ => Self::Other,
        }
    }
}

/// Why a part cannot do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum PartFailure {
    /// The database cannot be used.
    Storage {
        /// Why.
        reason: StorageReason,
    },
    /// The relay refuses what the part asks for.
    Refused {
        /// With this status.
        status: u16,
    },
    /// A mistake of the library: please report it, with the log.
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

/// A part that cannot do its work, and why. It is tried again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct FailedPart {
    /// Which.
    pub part: Part,
    /// Why.
    pub failure: PartFailure,
}

impl From<core::FailedPart> for FailedPart {
    fn from(failed: core::FailedPart) -> Self {
        Self { part: failed.part.into(), failure: failed.failure.into() }
    }
}
