//! Errors of sender keys, one type for each operation.

/// The distribution message belongs to another distribution than the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message belongs to another distribution")]
pub struct WrongDistribution;

/// Why nothing was encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// The record has no chain of ours: distribute one first.
    #[error("no sender key")]
    NoSenderKey,
    /// 2^32 - 1 messages were sent: start a new chain.
    #[error("the chain is used up")]
    ChainUsedUp,
}

/// Why a message was not decrypted. The record is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// It was decrypted before, or its key was not kept, or it is older than the chain that we received. This is not
    /// a failure.
    #[error("duplicate")]
    Duplicate,
    /// We never received this chain, or it was dropped: ask the sender for it.
    #[error("no sender key")]
    NoSenderKey,
    /// It is more than 25,000 messages after the last one: ask the sender for the current state of the chain.
    #[error("too far ahead")]
    TooFarAhead,
    /// It is forged or damaged.
    #[error("not decryptable")]
    NotDecryptable,
}
