//! The errors of the API, classified by what the app can do about them.
//!
//! A message that cannot be decrypted is not an error of a call: it is stored with its cause
//! ([`Undecryptable`](crate::Undecryptable)) and reported as an event.

use std::time::Duration;

/// Everything that can go wrong in a call, classified by what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The relay did not carry out the request. Try again when there is a connection.
    #[error("the relay could not be used: {0}")]
    Offline(#[from] Offline),
    /// The relay no longer accepts this device: the device was removed or logged out, or its account was deleted. The
    /// database can still be read. Register again in another database to continue.
    #[error("the relay no longer accepts this device")]
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
    #[error("the device was not linked: {0}")]
    Link(#[from] LinkFailure),
    /// There is no such user, thread or message.
    #[error("no such user, thread or message")]
    NotFound,
    /// The user has deleted their account, so nobody can receive messages there any more.
    #[error("the user has deleted their account")]
    RecipientDeleted,
    /// The message is not in a state that allows this. It may have been sent, or have failed, in the meantime;
    /// read it again. Or one of two people calls the other already ([`Thread::call`](crate::Thread::call)).
    #[error("the state of the message or of a call does not allow this")]
    WrongState,
    /// The text is empty or consists of white space.
    #[error("the text is empty")]
    EmptyText,
    /// The text is longer than a message can carry. Ask the person to shorten it.
    #[error("the text is longer than {max} bytes")]
    TooLong {
        /// The maximum size of a text in bytes of UTF-8.
        max: usize,
    },
    /// Something that was to be sent is outside of its bounds, and recipients would refuse it. Nothing was sent.
    #[error("it cannot be sent: {0}")]
    InvalidContent(#[from] InvalidContent),
    /// The database cannot be used.
    #[error("the database cannot be used: {0}")]
    Storage(#[from] Storage),
    /// The call is not allowed now. This is a mistake in the app.
    #[error("not allowed now: {0}")]
    Misuse(&'static str),
    /// A bug in this library. Please report it.
    #[error("a bug in the library: {0}")]
    Bug(&'static str),
}

impl Error {
    /// Whether the same call may succeed later without any change.
    pub const fn is_retryable(&self) -> bool {
        match self {
            // The relay would refuse the same request again.
            Self::Offline(reason) => !matches!(reason, Offline::Refused(_)),
            Self::Storage(reason) => matches!(reason, Storage::Full | Storage::InUse),
            Self::Link(reason) => matches!(reason, LinkFailure::Busy),
            _ => false,
        }
    }

    /// Whether nothing else of the same transaction can be done either: the disk is full, failing or in use. Other errors concern
    /// what they occurred in.
    pub(crate) const fn stops_everything(&self) -> bool {
        matches!(
            self,
            Self::Storage(Storage::Full | Storage::Io | Storage::InUse | Storage::ReadOnly) | Self::Misuse(_)
        )
    }
}

/// Why a device was not linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkFailure {
    /// The code is too old, or was cancelled at the other device. Begin again with a new code.
    #[error("the code has expired")]
    Expired,
    /// Another device has read the code before. If it was none of the person's, somebody else has seen the code.
    #[error("another device has used the code")]
    Taken,
    /// What came is not from the device that has shown, or read, the code: the relay, or somebody with it, is not honest.
    #[error("the other device is not the one with the code")]
    NotAuthentic,
    /// The person has refused at the primary device.
    #[error("it was refused at the primary device")]
    Refused,
    /// The device is linked to this account.
    #[error("it is linked already")]
    AlreadyLinked,
    /// Only the primary device of an account can do this, or this can be done to companions only.
    #[error("this needs the primary device")]
    NotPrimary,
    /// The account has five devices. Remove one first.
    #[error("the account has as many devices as it may have")]
    TooManyDevices,
    /// The account has had 127 devices, and no number is left for another one.
    #[error("the account has no number left for a device")]
    DeviceIdsUsedUp,
    /// A companion is being linked or gets what it has missed, or the account is being moved to another device. Wait, or call that off.
    #[error("a device is being linked, or the account is being moved")]
    Busy,
    /// The name is empty, or has more than [`MAX_DEVICE_NAME`](crate::MAX_DEVICE_NAME) bytes.
    #[error("the name is empty or too long")]
    Name,
}

/// What is wrong with something that was to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidContent {
    /// A [`ContactCard`](crate::ContactCard) without a name, or with a field of more than
    /// [`MAX_CARD_FIELD`](crate::MAX_CARD_FIELD) bytes.
    #[error("a contact card needs a name, and its fields have a maximum size")]
    ContactCard,
    /// A [`Location`](crate::Location) that is not on the earth, or whose name has more than
    /// [`MAX_PLACE_NAME`](crate::MAX_PLACE_NAME) bytes.
    #[error("a location must be on the earth, and its name has a maximum size")]
    Location,
    /// A poll without a question, with fewer than 2 or more than [`MAX_OPTIONS`](crate::MAX_OPTIONS) options, with two equal
    /// options, or with a text that is empty or too long.
    #[error("a poll needs a question and 2 to 32 different options of limited size")]
    Poll,
    /// Choices that the poll does not have, or several where only one is allowed.
    #[error("the poll does not allow these choices")]
    Choices,
    /// [`Markup`](crate::Markup) with a range that is not within the text or begins or ends inside of a character, with mentions that
    /// overlap, with two equal ranges, with the preview of a link that is not in the text, or with too much of something.
    #[error("the styles, mentions or link preview do not fit the text")]
    Markup,
    /// A [`Profile`](crate::Profile) with a field that is too long.
    #[error("the fields of a profile have a maximum size")]
    Profile,
    /// A timer of more than [`MAX_TIMER_S`](crate::MAX_TIMER_S) seconds.
    #[error("the timer is too long")]
    Timer,
    /// More than [`MAX_PINNED`](crate::MAX_PINNED) pinned messages in a thread.
    #[error("too many messages are pinned")]
    TooManyPinned,
}

/// Why the relay could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Offline {
    /// There is no connection, or it was lost.
    #[error("it cannot be reached")]
    Unreachable,
    /// There was no answer in time; it is unknown whether the relay carried out the request.
    #[error("it did not answer in time")]
    TimedOut,
    /// The relay asked the client to come back after this time.
    #[error("it is busy and asks to try again in {0:?}")]
    Busy(Duration),
    /// Something that does not support our protocol answers at its address: a captive portal, another server, a proxy.
    #[error("another kind of server answers at its address")]
    NotARelay,
    /// The relay refused the request with this HTTP status.
    #[error("it refused the request with status {0}")]
    Refused(u16),
    /// Its certificate is not trusted.
    #[error("its certificate is not trusted")]
    Untrusted,
}

/// Why the database could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Storage {
    /// The key does not open this database. (Damage to the first page looks the same.)
    #[error("the key does not open it")]
    WrongKey,
    /// The file is damaged, truncated, or not a database of this library.
    #[error("the file is damaged, or is not a database of this library")]
    Corrupt,
    /// The database was written by a newer version of this library.
    #[error("its schema version is {found}, but this version of the library supports {known} at most")]
    Newer {
        /// The version in the file.
        found: u32,
        /// The newest version that this library supports.
        known: u32,
    },
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

/// The result of most calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;
