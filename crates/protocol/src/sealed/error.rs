//! Errors of sealed sender, one enum for each operation.

use crate::error::{DecodeError, LowOrderPoint, NotAuthentic};

/// Why nothing was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The certificate is for another identity key than ours: fetch a new one.
    #[error("the certificate is for another identity key")]
    WrongCertificate,
    /// A recipient's identity key makes every agreement predictable.
    #[error("bad identity key")]
    BadIdentityKey,
    /// The name of a recipient is not a service id.
    #[error("not a service id")]
    NotServiceId,
    /// The registration id of a recipient has more than 14 bits, which no device uses.
    #[error("registration id out of range")]
    RegistrationId,
    /// One user has two identity keys, or one device occurs twice.
    #[error("contradictory recipients")]
    Contradiction,
    /// A user is both excluded and a recipient, or excluded twice.
    #[error("redundant exclusion")]
    RedundantExclusion,
    /// An unencrypted content in version 2, which does not authenticate the sender.
    #[error("unencrypted content for several recipients")]
    Unbound,
    /// It is larger than 64 GiB.
    #[error("too long")]
    TooLong,
}

/// Why an envelope was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It is not an envelope.
    #[error("not an envelope: {0}")]
    Malformed(#[from] DecodeError),
    /// It is forged, damaged, or for somebody else.
    #[error("not decryptable")]
    NotDecryptable,
    /// The content cannot be parsed.
    #[error("bad content: {0}")]
    Content(DecodeError),
    /// The certificate inside belongs to another identity key than the one that sealed the envelope.
    #[error("the certificate names another sender")]
    WrongSender,
}

/// Why the claimed sender of a content is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The certificate refers to an unknown server certificate.
    #[error("unknown server certificate")]
    UnknownServer,
    /// The server certificate is revoked.
    #[error("revoked server certificate")]
    RevokedServer,
    /// No trust root signed the server certificate.
    #[error("untrusted server certificate")]
    UntrustedServer,
    /// The server did not sign the certificate.
    #[error("bad signature")]
    BadSignature,
    /// The certificate has expired.
    #[error("expired")]
    Expired,
    /// An unencrypted content in version 2, which does not authenticate the sender.
    #[error("unencrypted content in an envelope for several recipients")]
    Unbound,
    /// It was sent by this very device: somebody returned our own message.
    #[error("the message was sent by this device")]
    SelfSend,
}

impl From<LowOrderPoint> for SealError {
    fn from(_: LowOrderPoint) -> Self {
        Self::BadIdentityKey
    }
}

impl From<NotAuthentic> for OpenError {
    fn from(_: NotAuthentic) -> Self {
        Self::NotDecryptable
    }
}
