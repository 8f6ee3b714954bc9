//! What can go wrong with sealed sender, one enum for each operation.

use crate::error::{DecodeError, LowOrderPoint, NotAuthentic};

/// Why nothing was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The certificate is for another identity key than ours: fetch a new one.
    #[error("the certificate is for another identity key")]
    WrongCertificate,
    /// A recipient's identity key makes every agreement known to everybody.
    #[error("bad identity key")]
    BadIdentityKey,
    /// The name of a recipient is not a service id.
    #[error("not a service id")]
    NotServiceId,
    /// The registration id of a recipient has more than 14 bits, which no device draws.
    #[error("registration id out of range")]
    RegistrationId,
    /// One user with two identity keys, or one device twice.
    #[error("contradictory recipients")]
    Contradiction,
    /// Excluded and a recipient, or excluded twice.
    #[error("redundant exclusion")]
    RedundantExclusion,
    /// A content in the clear, for version 2, which does not prove who wrote it.
    #[error("a content in the clear for many recipients")]
    Unbound,
    /// More than 64 GiB.
    #[error("too long")]
    TooLong,
}

/// Why an envelope was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It is no envelope.
    #[error("not an envelope: {0}")]
    Malformed(#[from] DecodeError),
    /// Forged, damaged or for somebody else.
    #[error("not decryptable")]
    NotDecryptable,
    /// What was inside does not parse.
    #[error("bad content: {0}")]
    Content(DecodeError),
    /// The certificate inside is for another identity key than the one that sealed it.
    #[error("sealed by another than the certificate names")]
    WrongSender,
}

/// Why a content is not believed to be from whom it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The certificate refers to a server certificate that we were not told of.
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
    /// The certificate is past its time.
    #[error("expired")]
    Expired,
    /// A content in the clear that came in version 2, which does not prove who wrote it.
    #[error("a content in the clear in an envelope for many")]
    Unbound,
    /// It is from this very device: somebody sent us our own message back.
    #[error("from ourselves")]
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
