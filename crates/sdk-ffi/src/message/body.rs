//! What a message contains.

use std::fmt;

use sealpost_core as core;

use super::Poll;
use crate::UserId;

/// The contents of a message.
#[derive(Clone, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
pub enum MessageBody {
    /// A text.
    Text {
        /// The text.
        text: String,
    },
    /// A contact card.
    Contact {
        /// The card.
        card: ContactCard,
    },
    /// A place on the earth.
    Location {
        /// The place.
        location: Location,
    },
    /// A poll, and the votes in it so far.
    Poll {
        /// The poll.
        poll: Poll,
    },
    /// The sender has set the time after which messages of this thread disappear, as of this message.
    TimerChanged {
        /// The time after the message was read, in seconds; 0 if messages do not disappear any longer.
        seconds: u32,
    },
    /// Something that a later version of the library can show. It is kept, and shown once the app is updated.
    NotUnderstood,
    /// Its author has deleted it for everyone.
    Deleted,
    /// An envelope that could not be opened.
    Undecryptable {
        /// The reason.
        cause: UndecryptableCause,
    },
}

impl From<core::MessageBody> for MessageBody {
    fn from(body: core::MessageBody) -> Self {
        match body {
            core::MessageBody::Text(text) => Self::Text { text },
            core::MessageBody::Contact(card) => Self::Contact { card: (*card).into() },
            core::MessageBody::Location(location) => Self::Location { location: (*location).into() },
            core::MessageBody::Poll(poll) => Self::Poll { poll: (*poll).into() },
            core::MessageBody::TimerChanged { seconds } => Self::TimerChanged { seconds },
            core::MessageBody::Deleted => Self::Deleted,
            core::MessageBody::Undecryptable(cause) => Self::Undecryptable { cause: cause.into() },
            _ => Self::NotUnderstood,
        }
    }
}

/// Contains nothing that a person wrote, so that it cannot end up in a log.
impl fmt::Debug for MessageBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { text: _ } => f.write_str("Text(..)"),
            Self::Contact { card: _ } => f.write_str("Contact(..)"),
            Self::Location { location: _ } => f.write_str("Location(..)"),
            Self::Poll { poll: _ } => f.write_str("Poll(..)"),
            Self::TimerChanged { seconds } => write!(f, "TimerChanged({seconds})"),
            Self::NotUnderstood => f.write_str("NotUnderstood"),
            Self::Deleted => f.write_str("Deleted"),
            Self::Undecryptable { cause } => write!(f, "Undecryptable({cause:?})"),
        }
    }
}

/// How to reach a person. Each text has at most 256 bytes of UTF-8, and is what the sender states: nothing of it is verified.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
#[uniffi::export(Debug)]
pub struct ContactCard {
    /// The name; not empty.
    pub name: String,
    /// The account of the person, if it is known.
    #[uniffi(default = None)]
    pub user: Option<UserId>,
    /// A phone number; empty if there is none.
    #[uniffi(default = "")]
    pub phone: String,
    /// An e-mail address; empty if there is none.
    #[uniffi(default = "")]
    pub email: String,
}

impl From<core::ContactCard> for ContactCard {
    fn from(card: core::ContactCard) -> Self {
        let core::ContactCard { name, user, phone, email } = card;
        Self { name, user, phone, email }
    }
}

impl From<ContactCard> for core::ContactCard {
    fn from(card: ContactCard) -> Self {
        let ContactCard { name, user, phone, email } = card;
        Self { name, user, phone, email }
    }
}

/// Contains nothing about the person, so that it cannot end up in a log.
impl fmt::Debug for ContactCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContactCard(..)")
    }
}

/// A place on the earth (WGS 84), as the sender states it.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
#[uniffi::export(Debug)]
pub struct Location {
    /// The latitude in units of 0.0000001 degrees, from -900,000,000 to 900,000,000; positive in the north.
    pub latitude_e7: i32,
    /// The longitude in units of 0.0000001 degrees, from -1,800,000,000 to 1,800,000,000; positive in the east.
    pub longitude_e7: i32,
    /// The radius around it in which the sender is, in metres, at most 20,100,000; 0 if it is not known.
    #[uniffi(default = 0)]
    pub accuracy_m: u32,
    /// The name of the place, at most 256 bytes of UTF-8; empty if it has none.
    #[uniffi(default = "")]
    pub name: String,
}

impl From<core::Location> for Location {
    fn from(location: core::Location) -> Self {
        let core::Location { latitude_e7, longitude_e7, accuracy_m, name } = location;
        Self { latitude_e7, longitude_e7, accuracy_m, name }
    }
}

impl From<Location> for core::Location {
    fn from(location: Location) -> Self {
        let Location { latitude_e7, longitude_e7, accuracy_m, name } = location;
        Self { latitude_e7, longitude_e7, accuracy_m, name }
    }
}

/// Contains no place, so that it cannot end up in a log.
impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Location(..)")
    }
}

/// Why a message could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum UndecryptableCause {
    /// There is no session with the sending device.
    NoSession,
    /// It was sealed to a pre-key that does not exist (any more).
    MissingPreKey,
    /// No session can decrypt it: it was damaged, or its key is gone.
    NotDecryptable,
    /// Its version is not supported.
    UnsupportedVersion,
    /// Its bytes are not a message.
    Malformed,
    /// According to its content, it belongs elsewhere: the relay or the sender is not honest.
    Misrouted,
    /// It was decrypted by an earlier version, which did not understand its content and has not kept it. `MessageBody.NotUnderstood`
    /// is a content that was kept.
    UnknownContent,
    /// It was decrypted, but it was sealed with an identity key that the sender no longer has: by an old device, or
    /// by somebody who has its keys.
    SenderKeyReplaced,
    /// It was decrypted, but it comes from a device that is not on the list that the sender's account has signed.
    UnlistedDevice,
    /// Another message was decrypted with its key: the sender was restored from an older copy of a database.
    KeyUsedTwice,
    /// A part of this database that it needs is damaged. It is kept for a while and tried again. If it can be read later, its
    /// text takes the place of this message; if it is given up, the cause changes.
    StorageDamaged,
    /// It was sent in a group, and the keys for what its author sends there have not arrived yet. When they do, its content takes the place
    /// of this message.
    AwaitsSenderKey,
}

impl From<core::Undecryptable> for UndecryptableCause {
    fn from(cause: core::Undecryptable) -> Self {
        match cause {
            core::Undecryptable::NoSession => Self::NoSession,
            core::Undecryptable::MissingPreKey => Self::MissingPreKey,
            core::Undecryptable::UnsupportedVersion => Self::UnsupportedVersion,
            core::Undecryptable::Malformed => Self::Malformed,
            core::Undecryptable::Misrouted => Self::Misrouted,
            core::Undecryptable::UnknownContent => Self::UnknownContent,
            core::Undecryptable::SenderKeyReplaced => Self::SenderKeyReplaced,
            core::Undecryptable::UnlistedDevice => Self::UnlistedDevice,
            core::Undecryptable::KeyUsedTwice => Self::KeyUsedTwice,
            core::Undecryptable::StorageDamaged => Self::StorageDamaged,
            core::Undecryptable::AwaitsSenderKey => Self::AwaitsSenderKey,
            _ => Self::NotDecryptable,
        }
    }
}
