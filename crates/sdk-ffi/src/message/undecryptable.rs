//! Why a message could not be opened.

use sealpost_core as core;

/// Why a message could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum UndecryptableCause {
    /// There is no session with the sending device.
    NoSession,
    /// It was sealed to a pre-key that is not here, or not any more.
    MissingPreKey,
    /// No session opens it: it was damaged, or its key is gone.
    NotDecryptable,
    /// Its version is not spoken here.
    UnsupportedVersion,
    /// Its bytes are not a message.
    Malformed,
    /// What is inside says that it belongs elsewhere: the relay, or the sender, lies.
    Misrouted,
    /// It was opened, but says something that this version does not understand.
    UnknownContent,
    /// It opens, but whoever sealed it has another identity key than the sender has now: an old device of theirs, or
    /// somebody who has its keys.
    SenderKeyReplaced,
    /// Another message was opened with its key: its sender came back from an older copy of a database.
    KeyUsedTwice,
    /// Something in this database that it needs is damaged.
    StorageDamaged,
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
            core::Undecryptable::KeyUsedTwice => Self::KeyUsedTwice,
            core::Undecryptable::StorageDamaged => Self::StorageDamaged,
            _ => Self::NotDecryptable,
        }
    }
}
