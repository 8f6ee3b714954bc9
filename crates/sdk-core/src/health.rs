//! The parts of the client that cannot do their work, and the reasons.

use crate::error::{Error, Offline, Storage};

/// A part of the client that works in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
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
}

/// A part that cannot do its work, and the reason. It is retried automatically.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedPart {
    /// The part.
    pub part: Part,
    /// The reason.
    pub failure: Failure,
}

/// Why a part cannot do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The database cannot be used.
    #[error("the database cannot be used: {0}")]
    Storage(Storage),
    /// The relay refuses the request of the part, with this HTTP status.
    #[error("the relay refuses the request with status {0}")]
    Refused(u16),
    /// A bug in this library: please report it.
    #[error("a bug in the library: {0}")]
    Bug(&'static str),
    /// A bug in this library: the part panicked and was restarted.
    #[error("the part panicked")]
    Panicked,
}

impl Failure {
    /// The failure that an error means for the part; `None` if it concerns the connection, whose state the app knows.
    pub(crate) const fn of(error: &Error) -> Option<Self> {
        match error {
            Error::Storage(reason) => Some(Self::Storage(*reason)),
            Error::Bug(what) => Some(Self::Bug(what)),
            Error::Offline(Offline::Refused(status)) => Some(Self::Refused(*status)),
            _ => None,
        }
    }
}
