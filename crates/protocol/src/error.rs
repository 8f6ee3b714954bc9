//! What is wrong with bytes that do not parse.
//!
//! Errors of an operation stand beside it: in `prekey`, `session`, `group`, `sealed`. All of them are small,
//! and none repeats anything of its input: they end up in logs.

/// Bytes from a peer, or from our own store, that are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Fewer bytes than any such message has.
    #[error("too short")]
    TooShort,
    /// A version from before X3DH (below 3), or a stored form from before the first release.
    #[error("version too old")]
    VersionTooOld,
    /// A version this library does not know.
    #[error("unknown version")]
    UnknownVersion,
    /// Not protobuf.
    #[error("malformed")]
    Malformed,
    /// A required field is absent.
    #[error("missing field")]
    MissingField,
    /// One of KEM pre-key id and KEM ciphertext without the other, or neither in version 4.
    #[error("incomplete KEM fields")]
    KemFields,
    /// The first byte of a key names another kind of key, or is absent.
    #[error("wrong key type")]
    KeyType,
    /// A key, signature or ciphertext of the wrong length.
    #[error("wrong length")]
    Length,
    /// A number outside its range: a device, a kind of message, a registration id.
    #[error("out of range")]
    OutOfRange,
    /// Somebody is named as a recipient and as none, or as none twice.
    #[error("redundant")]
    Redundant,
}

/// A public key that would make every Diffie-Hellman output zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("low-order point")]
pub(crate) struct LowOrderPoint;

/// The MAC, the tag, the padding or the length is wrong. Which of them is not told: that would be an oracle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAuthentic;
