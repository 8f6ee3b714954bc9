//! The one error, and the only mapping from the client's.

use sealpost_core as core;

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
    /// The account of this user was deleted: there is nobody to talk to any more.
    #[error("the account of this user was deleted")]
    RecipientDeleted,
    /// The message is in another state than the call is for; it may have been sent, or have failed, in the meantime: look at it
    /// again.
    #[error("the message is in another state")]
    WrongState,
    /// The text is empty: there is nothing to send.
    #[error("the text is empty")]
    EmptyText,
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
            core::Error::RecipientDeleted => Self::RecipientDeleted,
            core::Error::WrongState => Self::WrongState,
            core::Error::EmptyText => Self::EmptyText,
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

#[uniffi::export]
impl SealpostError {
    /// A name for logs and reports that never changes.
    pub fn code(&self) -> String {
        let code = match self {
            Self::Offline { reason } => match reason {
                OfflineReason::Unreachable => "offline.unreachable",
                OfflineReason::TimedOut => "offline.timed_out",
                OfflineReason::Busy => "offline.busy",
                OfflineReason::NotARelay => "offline.not_a_relay",
                OfflineReason::Refused => "offline.refused",
                OfflineReason::Untrusted => "offline.untrusted",
            },
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not_found",
            Self::RecipientDeleted => "recipient_deleted",
            Self::WrongState => "wrong_state",
            Self::EmptyText => "empty_text",
            Self::TooLong { .. } => "too_long",
            Self::Storage { reason } => match reason {
                StorageReason::WrongKey => "storage.wrong_key",
                StorageReason::Corrupt => "storage.corrupt",
                StorageReason::Newer => "storage.newer",
                StorageReason::NoFolder => "storage.no_folder",
                StorageReason::NotAFile => "storage.not_a_file",
                StorageReason::ReadOnly => "storage.read_only",
                StorageReason::Full => "storage.full",
                StorageReason::InUse => "storage.in_use",
                StorageReason::Io => "storage.io",
            },
            Self::InvalidArgument { .. } => "invalid_argument",
            Self::Cancelled => "cancelled",
            Self::Misuse { .. } => "misuse",
            Self::Bug { .. } => "bug",
        };
        code.to_owned()
    }

    /// Whether the same call may succeed later without anything being changed.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Offline { reason } => *reason != OfflineReason::Refused,
            Self::Storage { reason } => matches!(reason, StorageReason::Full | StorageReason::InUse),
            _ => false,
        }
    }
}

/// Why the relay could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, uniffi::Enum)]
pub enum OfflineReason {
    /// No connection, or none that lasted.
    #[error("it is not reachable")]
    Unreachable,
    /// No answer in time: whether the relay did it is unknown.
    #[error("no answer in time")]
    TimedOut,
    /// It asked to come back later.
    #[error("it asks to come back later")]
    Busy,
    /// What answers there does not speak our protocol: a captive portal, another server, a proxy.
    #[error("what answers there is not a relay")]
    NotARelay,
    /// It refused the request.
    #[error("it refused")]
    Refused,
    /// Its certificate is not trusted.
    #[error("its certificate is not trusted")]
    Untrusted,
}

impl From<core::Offline> for OfflineReason {
    fn from(reason: core::Offline) -> Self {
        match reason {
            core::Offline::TimedOut => Self::TimedOut,
            core::Offline::Busy(_) => Self::Busy,
            core::Offline::NotARelay => Self::NotARelay,
            core::Offline::Refused(_) => Self::Refused,
            core::Offline::Untrusted => Self::Untrusted,
            _ => Self::Unreachable,
        }
    }
}

/// Why the database could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, uniffi::Enum)]
pub enum StorageReason {
    /// The key does not open this database. (Damage to its very first page looks the same.)
    #[error("the key does not open it")]
    WrongKey,
    /// The file is damaged, cut short, or not a database of this library.
    #[error("it is damaged or not a database")]
    Corrupt,
    /// The database was written by a newer version of this library.
    #[error("a newer version of this library wrote it")]
    Newer,
    /// The folder that the file is to be in does not exist: make it.
    #[error("its folder does not exist")]
    NoFolder,
    /// The path is that of a folder, or of something else that is not a file: choose another one.
    #[error("its path is not that of a file")]
    NotAFile,
    /// The file or its folder cannot be read and written.
    #[error("it cannot be written")]
    ReadOnly,
    /// The disk is full: nothing was changed.
    #[error("the disk is full")]
    Full,
    /// Another client of this process has it open, or another process was at work on it for too long.
    #[error("it is in use elsewhere")]
    InUse,
    /// Any other failure of the disk.
    #[error("the disk failed")]
    Io,
}

impl From<core::Storage> for StorageReason {
    fn from(reason: core::Storage) -> Self {
        match reason {
            core::Storage::WrongKey => Self::WrongKey,
            core::Storage::Corrupt => Self::Corrupt,
            core::Storage::Newer { .. } => Self::Newer,
            core::Storage::NoFolder => Self::NoFolder,
            core::Storage::NotAFile => Self::NotAFile,
            core::Storage::ReadOnly => Self::ReadOnly,
            core::Storage::Full => Self::Full,
            core::Storage::InUse => Self::InUse,
            _ => Self::Io,
        }
    }
}

#[cfg(test)]
mod tests;
