//! The error type, and the only mapping from the errors of `sealpost-core`.

mod content;
mod link;

use sealpost_core as core;

pub use content::InvalidContentReason;
pub use link::{CodeError, LinkFailure};

/// The result of every call.
pub(crate) type Result<T, E = SealpostError> = std::result::Result<T, E>;

/// Everything that can go wrong, classified by what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
pub enum SealpostError {
    /// The relay did not carry out the request. Try again when there is a connection.
    #[error("the relay could not be used: {reason}")]
    Offline {
        /// The reason.
        reason: OfflineReason,
    },
    /// The relay no longer accepts this device: the device was removed or logged out, or its account was deleted. The
    /// database can still be read. Register again in another database to continue.
    #[error("the relay does not accept this device")]
    Unauthorized,
    /// The relay does not know this device, and the device cannot prove that it was registered there: the relay was
    /// restored from a backup that is too old. Tell the operator. The device is accepted again, without any call, once
    /// the relay has a better backup. If there is none, register again in another database; this one can still be read.
    #[error("the relay does not know this device")]
    UnknownDevice,
    /// This device was unlinked from the account: it was removed by the primary device, or was not connected for 45 days. The database
    /// can still be read. To continue, link it again in another database.
    #[error("this device was unlinked from the account")]
    Unlinked,
    /// A device could not be linked, removed or named.
    #[error("the device was not linked: {reason}")]
    Link {
        /// The reason.
        reason: LinkFailure,
    },
    /// What was scanned or pasted is not a code of a device to link.
    #[error("the code cannot be used: {reason}")]
    InvalidCode {
        /// The reason.
        reason: CodeError,
    },
    /// There is no such user, thread or message.
    #[error("no such user, thread or message")]
    NotFound,
    /// The user has deleted their account, so nobody can receive messages there any more.
    #[error("the user has deleted their account")]
    RecipientDeleted,
    /// The message is not in a state that allows this. It may have been sent, or have failed, in the meantime;
    /// read it again. Or one of two people calls the other already.
    #[error("the state of the message or of a call does not allow this")]
    WrongState,
    /// The text is empty.
    #[error("the text is empty")]
    EmptyText,
    /// The text is longer than a message can carry. Ask the person to shorten it.
    #[error("the text is longer than {max_bytes} bytes")]
    TooLong {
        /// The maximum size of a text in bytes of UTF-8.
        max_bytes: u32,
    },
    /// Something that was to be sent is outside of its bounds, and recipients would refuse it. Nothing was sent.
    #[error("it cannot be sent: {reason}")]
    InvalidContent {
        /// The reason.
        reason: InvalidContentReason,
    },
    /// The database cannot be used.
    #[error("the database cannot be used: {reason}")]
    Storage {
        /// The reason.
        reason: StorageReason,
    },
    /// An argument does not have the required form. Ask the person again, or fix the app.
    #[error("the argument {argument} is not valid")]
    InvalidArgument {
        /// The name of the argument.
        argument: String,
    },
    /// The call was cancelled by its token. Work that it had started is finished or rolled back as a whole.
    #[error("the call was cancelled")]
    Cancelled,
    /// The call is not allowed now. This is a mistake in the app.
    #[error("not allowed now: {what}")]
    Misuse {
        /// A description of the mistake.
        what: String,
    },
    /// A bug in this library. Please report it.
    #[error("a bug in the library: {what}")]
    Bug {
        /// A description of the bug.
        what: String,
    },
}

impl From<core::Error> for SealpostError {
    fn from(error: core::Error) -> Self {
        match error {
            core::Error::Offline(reason) => Self::Offline { reason: reason.into() },
            core::Error::Unauthorized => Self::Unauthorized,
            core::Error::UnknownDevice => Self::UnknownDevice,
            core::Error::Unlinked => Self::Unlinked,
            core::Error::Link(failure) => Self::Link { reason: failure.into() },
            core::Error::NotFound => Self::NotFound,
            core::Error::RecipientDeleted => Self::RecipientDeleted,
            core::Error::WrongState => Self::WrongState,
            core::Error::EmptyText => Self::EmptyText,
            core::Error::TooLong { max } => {
                Self::TooLong { max_bytes: u32::try_from(max).unwrap_or(u32::MAX) }
            }
            core::Error::InvalidContent(reason) => Self::InvalidContent { reason: reason.into() },
            core::Error::Storage(reason) => Self::Storage { reason: reason.into() },
            core::Error::Misuse(what) => Self::misuse(what),
            core::Error::Bug(what) => Self::bug(what),
            _ => Self::bug("the binding does not know this error"),
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
    /// A name for logs and reports, which never changes.
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
            Self::UnknownDevice => "unknown_device",
            Self::Unlinked => "unlinked",
            Self::Link { reason } => reason.code(),
            Self::InvalidCode { reason } => reason.code(),
            Self::NotFound => "not_found",
            Self::RecipientDeleted => "recipient_deleted",
            Self::WrongState => "wrong_state",
            Self::EmptyText => "empty_text",
            Self::TooLong { .. } => "too_long",
            Self::InvalidContent { reason } => reason.code(),
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

    /// Whether the same call may succeed later without any change.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Offline { reason } => *reason != OfflineReason::Refused,
            Self::Storage { reason } => matches!(reason, StorageReason::Full | StorageReason::InUse),
            Self::Link { reason } => *reason == LinkFailure::Busy,
            _ => false,
        }
    }
}

/// Why the relay could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, uniffi::Enum)]
pub enum OfflineReason {
    /// There is no connection, or it was lost.
    #[error("it cannot be reached")]
    Unreachable,
    /// There was no answer in time; it is unknown whether the relay carried out the request.
    #[error("it did not answer in time")]
    TimedOut,
    /// The relay asked the client to come back later.
    #[error("it is busy and asks to try again later")]
    Busy,
    /// Something that does not support our protocol answers at its address: a captive portal, another server, a
    /// proxy.
    #[error("another kind of server answers at its address")]
    NotARelay,
    /// The relay refused the request.
    #[error("it refused the request")]
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
    /// The key does not open this database. (Damage to the first page looks the same.)
    #[error("the key does not open it")]
    WrongKey,
    /// The file is damaged, truncated, or not a database of this library.
    #[error("the file is damaged, or is not a database of this library")]
    Corrupt,
    /// The database was written by a newer version of this library.
    #[error("it was written by a newer version of this library")]
    Newer,
    /// The folder of the file does not exist. Create it.
    #[error("the folder of the file does not exist")]
    NoFolder,
    /// The path is that of a folder, or of something else that is not a file. Choose another path.
    #[error("its path does not lead to a file")]
    NotAFile,
    /// The file or its folder cannot be read and written.
    #[error("the file or its folder cannot be written")]
    ReadOnly,
    /// The disk is full. Nothing was changed.
    #[error("the disk is full")]
    Full,
    /// Another client of this process has the database open, or another process has held the lock for too long.
    #[error("another client or process is using it")]
    InUse,
    /// Any other disk failure.
    #[error("reading or writing the disk failed")]
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
