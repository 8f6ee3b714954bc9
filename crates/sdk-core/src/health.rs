//! Which parts of the client cannot do their work, and why.

use crate::error::{Error, Offline, Storage};

/// A part of the client that works in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
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
}

/// A part that cannot do its work, and why. It is tried again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedPart {
    /// Which.
    pub part: Part,
    /// Why.
    pub failure: Failure,
}

/// Why a part cannot do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The database cannot be used.
    #[error("the database cannot be used: {0}")]
    Storage(Storage),
    /// The relay refuses what the part asks for, with this status.
    #[error("the relay refuses with status {0}")]
    Refused(u16),
    /// A mistake of ours: please report it.
    #[error("a bug in the library: {0}")]
    Bug(&'static str),
    /// A mistake of ours: the part panicked, and was started again.
    #[error("the part panicked")]
    Panicked,
}

impl Failure {
    /// What an error says about the part that met it. Nothing, when it is about the connection, whose state the app knows.
    pub(crate) const fn of(error: &Error) -> Option<Self> {
        match error {
            Error::Storage(reason) => Some(Self::Storage(*reason)),
            Error::Bug(what) => Some(Self::Bug(what)),
            Error::Offline(Offline::Refused(status)) => Some(Self::Refused(*status)),
            _ => None,
        }
    }
}
