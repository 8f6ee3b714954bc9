//! What can go wrong for the app, sorted by what it can do about it.
//!
//! A message that cannot be opened is not here: it is a row with a cause
//! ([`Undecryptable`](crate::Undecryptable)) and an event.

use std::time::Duration;

/// The one error of the API. Each variant names its remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The relay did not do it: try again when there is a connection.
    #[error("the relay could not be used: {0}")]
    Offline(#[from] Offline),
    /// The relay no longer accepts this device: the device was removed or logged out, or its account was deleted. What is in the
    /// database stays readable. Register again in another database to go on.
    #[error("the relay no longer accepts this device")]
    Unauthorized,
    /// The relay does not know this device, which cannot prove that it was registered there. The relay was restored from a backup
    /// that is older than the device and has lost the key that would recognise it, or the backup is older than the device's login
    /// key. Tell the operator: the device is accepted again when the relay has a better backup, and tries that by itself. If there
    /// is none, register again in another database; what is in this one stays readable.
    #[error("the relay does not know this device")]
    UnknownDevice,
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
    #[error("the text is longer than {max} bytes")]
    TooLong {
        /// The most bytes a text may have, in UTF-8.
        max: usize,
    },
    /// The database cannot be used.
    #[error("the database cannot be used: {0}")]
    Storage(#[from] Storage),
    /// The call is not allowed now: a mistake in the app.
    #[error("not allowed now: {0}")]
    Misuse(&'static str),
    /// A mistake of ours: please report it.
    #[error("a bug in the library: {0}")]
    Bug(&'static str),
}

impl Error {
    /// Whether the same call may succeed later without anything being changed.
    pub const fn is_retryable(&self) -> bool {
        match self {
            // What was refused is refused again.
            Self::Offline(reason) => !matches!(reason, Offline::Refused(_)),
            Self::Storage(reason) => matches!(reason, Storage::Full | Storage::InUse),
            _ => false,
        }
    }
}

/// Why the relay could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Offline {
    /// No connection, or none that lasted.
    #[error("it is not reachable")]
    Unreachable,
    /// No answer in time: whether the relay did it is unknown.
    #[error("no answer in time")]
    TimedOut,
    /// It asked to come back later.
    #[error("it asks to come back in {0:?}")]
    Busy(Duration),
    /// What answers there does not speak our protocol: a captive portal, another server, a proxy.
    #[error("what answers there is not a relay")]
    NotARelay,
    /// It refused the request, with a status we have no remedy for.
    #[error("it refused with status {0}")]
    Refused(u16),
    /// Its certificate is not trusted.
    #[error("its certificate is not trusted")]
    Untrusted,
}

/// Why the database could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Storage {
    /// The key does not open this database. (Damage to its very first page looks the same.)
    #[error("the key does not open it")]
    WrongKey,
    /// The file is damaged, cut short, or not a database of ours.
    #[error("it is damaged or not a database")]
    Corrupt,
    /// The database was written by a newer version of this library.
    #[error("it has schema version {found}, this library knows {known}")]
    Newer {
        /// The version in the file.
        found: u32,
        /// The newest version this library knows.
        known: u32,
    },
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

/// Short for what most calls return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
