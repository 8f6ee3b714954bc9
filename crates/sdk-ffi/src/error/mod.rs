//! The one error, and the only mapping from the client's.

mod code;
mod offline;
mod storage;
#[cfg(test)]
mod tests;

use sealpost_core as core;

pub use offline::OfflineReason;
pub use storage::StorageReason;

/// Short for what every call returns.
pub(crate) type Result<T, E = SealpostError> = std::result::Result<T, E>;

/// What can go wrong, sorted by what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
pub enum SealpostError {
    /// The relay did not do it: try again when there is a connection.
    #[error("the relay could not be used: {reason}")]
    Offline {
        /// Why.
        reason: OfflineReason,
    },
    /// The relay does not know this device, or not any more: register again.
    #[error("the relay does not accept this device")]
    Unauthorized,
    /// There is no such user, thread or message.
    #[error("no such user, thread or message")]
    NotFound,
    /// The text is longer than a message can carry: shorten it.
    #[error("the text is longer than {max_bytes} bytes")]
    TooLong {
        /// The most bytes a text may have, in UTF-8.
        max_bytes: u32,
    },
    /// The database cannot be used.
    #[error("the database cannot be used: {reason}")]
    Storage {
        /// Why.
        reason: StorageReason,
    },
    /// An argument does not have the form it must have: ask the person again, or correct the app.
    #[error("the argument {argument} does not have the right form")]
    InvalidArgument {
        /// Its name.
        argument: String,
    },
    /// The call was cancelled by its token. What it had begun is finished or undone as a whole.
    #[error("cancelled")]
    Cancelled,
    /// The call is not allowed now: a mistake in the app.
    #[error("not allowed now: {what}")]
    Misuse {
        /// Which mistake.
        what: String,
    },
    /// A mistake in this library: please report it.
    #[error("a bug in the library: {what}")]
    Bug {
        /// Which mistake.
        what: String,
    },
}

impl From<core::Error> for SealpostError {
    fn from(error: core::Error) -> Self {
        match error {
            core::Error::Offline(reason) => Self::Offline { reason: reason.into() },
            core::Error::Unauthorized => Self::Unauthorized,
            core::Error::NotFound => Self::NotFound,
            core::Error::TooLong { max } => {
                Self::TooLong { max_bytes: u32::try_from(max).unwrap_or(u32::MAX) }
            }
            core::Error::Storage(reason) => Self::Storage { reason: reason.into() },
            core::Error::Misuse(what) => Self::misuse(what),
            core::Error::Bug(what) => Self::bug(what),
            _ => Self::bug("an error that the binding does not know"),
        }
    }
}

impl SealpostError {
    pub(crate) fn invalid(argument: &str) -> Self {
        Self::InvalidArgument { argument: argument.to_owned() }
    }

    pub(crate) fn misuse(what: &str) -> Self {
        Self::Misuse { what: what.to_owned() }
    }

    pub(crate) fn bug(what: &str) -> Self {
        Self::Bug { what: what.to_owned() }
    }
}
