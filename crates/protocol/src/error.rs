//! Errors of parsing.
//!
//! Errors of an operation are defined next to it: in `prekey`, `session`, `group`, `sealed`. All of them are small,
//! and none contains any of its input, because they end up in logs.

/// Bytes from a peer, or from our own store, that are not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// There are fewer bytes than any such message has.
    #[error("too short")]
    TooShort,
    /// A version from before X3DH (below 3), or a stored form from before the first release.
    #[error("version too old")]
    VersionTooOld,
    /// A version that this library does not know.
    #[error("unknown version")]
    UnknownVersion,
    /// The bytes are not protobuf.
    #[error("malformed")]
    Malformed,
    /// A required field is missing.
    #[error("missing field")]
    MissingField,
    /// A KEM pre-key id without a KEM ciphertext or vice versa, or neither of them in version 4.
    #[error("incomplete KEM fields")]
    KemFields,
    /// The first byte of a key denotes another type of key, or is missing.
    #[error("wrong key type")]
    KeyType,
    /// A key, signature or ciphertext of the wrong length.
    #[error("wrong length")]
    Length,
    /// A number is outside its range: a device, a kind of message, a registration id.
    #[error("out of range")]
    OutOfRange,
    /// A user is both a recipient and excluded, or excluded twice.
    #[error("redundant")]
    Redundant,
}

/// A public key that would make every Diffie-Hellman output zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("low-order point")]
pub(crate) struct LowOrderPoint;

/// The MAC, the tag, the padding or the length is wrong. Which of them is not revealed, because that would be an
/// oracle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAuthentic;
