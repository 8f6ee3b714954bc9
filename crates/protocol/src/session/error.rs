//! What can go wrong with a session, one enum for each operation.

use crate::prekey::PreKeyKind;

/// Why a session was not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InitiateError {
    /// The bundle has no KEM pre-key, and the policy asks for one.
    #[error("the bundle has no KEM pre-key")]
    NoKemPreKey,
    /// The bundle is of another device than the address.
    #[error("the bundle is of another device")]
    WrongDevice,
    /// Our own fault.
    #[error("bug: {0}")]
    Bug(&'static str),
}

/// Why nothing was encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// There is no active session: begin one.
    #[error("no active session")]
    NoSession,
    /// The peer has not answered for 30 days, and may have lost the keys it would need: begin a new session.
    #[error("the session is stale")]
    Stale,
    /// After 2^32 - 1 messages without an answer: begin a new session.
    #[error("the sending chain is used up")]
    ChainUsedUp,
    /// Our own fault.
    #[error("bug: {0}")]
    Bug(&'static str),
}

/// Why a message was not decrypted. The record is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// It was decrypted before, or its key was not kept. Not a failure.
    #[error("duplicate")]
    Duplicate,
    /// There is no session at all with this peer.
    #[error("no session")]
    NoSession,
    /// No session opens it: forged, damaged, for somebody else, too far ahead, or of a session we lost.
    #[error("not decryptable")]
    NotDecryptable,
    /// It begins a session with a pre-key that we do not have, or no longer.
    #[error("unknown {0:?} pre-key")]
    MissingPreKey(PreKeyKind),
    /// It begins a session with an ephemeral key that is not the one encoding of a point of prime order.
    #[error("bad base key")]
    BadBaseKey,
    /// It begins a session with an identity key that makes every agreement known to everybody.
    #[error("bad identity key")]
    BadIdentityKey,
    /// It begins a session with something that is no ciphertext of our KEM.
    #[error("bad KEM ciphertext")]
    BadKemCiphertext,
    /// It begins a session of a version that the policy does not allow, or without the SPQR that the policy asks for.
    #[error("unsupported version")]
    UnsupportedVersion,
    /// Our own fault.
    #[error("bug: {0}")]
    Bug(&'static str),
}
