//! Errors of sessions, one enum for each operation.

use crate::prekey::PreKeyKind;

/// Why a session was not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InitiateError {
    /// The bundle has no KEM pre-key, and the policy requires one.
    #[error("the bundle has no KEM pre-key")]
    NoKemPreKey,
    /// The bundle belongs to another device than the address.
    #[error("the bundle belongs to another device")]
    WrongDevice,
    /// A bug in this library.
    #[error("bug: {0}")]
    Bug(&'static str),
}

/// Why nothing was encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// There is no active session: start one.
    #[error("no active session")]
    NoSession,
    /// The peer has not answered for 30 days, and may have deleted the keys that it would need: start a new session.
    #[error("the session is stale")]
    Stale,
    /// 2^32 - 1 messages were sent without an answer: start a new session.
    #[error("the sending chain is used up")]
    ChainUsedUp,
    /// A bug in this library.
    #[error("bug: {0}")]
    Bug(&'static str),
}

/// Why a message was not decrypted. The record is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// It was decrypted before, or its key was not kept. This is not a failure.
    #[error("duplicate")]
    Duplicate,
    /// There is no session with this peer.
    #[error("no session")]
    NoSession,
    /// No session decrypts it: it is forged, damaged, for somebody else, too far ahead, or belongs to a session that
    /// we lost.
    #[error("not decryptable")]
    NotDecryptable,
    /// It starts a session with a pre-key that does not exist (any more).
    #[error("unknown {0:?} pre-key")]
    MissingPreKey(PreKeyKind),
    /// It starts a session with an ephemeral key that is not the canonical encoding of a point of prime order.
    #[error("bad base key")]
    BadBaseKey,
    /// It starts a session with an identity key that makes every agreement predictable.
    #[error("bad identity key")]
    BadIdentityKey,
    /// It starts a session with something that is not a ciphertext of our KEM.
    #[error("bad KEM ciphertext")]
    BadKemCiphertext,
    /// It starts a session of a version that the policy does not allow, or without SPQR although the policy requires
    /// it.
    #[error("unsupported version")]
    UnsupportedVersion,
    /// A bug in this library.
    #[error("bug: {0}")]
    Bug(&'static str),
}
