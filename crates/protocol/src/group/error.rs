//! What can go wrong with sender keys, one type for each operation.

/// The distribution message is for another distribution than the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("of another distribution")]
pub struct WrongDistribution;

/// Why nothing was encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// The record has no chain of ours: hand one out first.
    #[error("no sender key")]
    NoSenderKey,
    /// After 2^32 - 1 messages: begin a new chain.
    #[error("the chain is used up")]
    ChainUsedUp,
}

/// Why a message was not decrypted. The record is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// It was decrypted before, or its key was not kept, or it is older than what we were given. Not a failure.
    #[error("duplicate")]
    Duplicate,
    /// Nobody handed us this chain, or it was dropped: ask the sender for it.
    #[error("no sender key")]
    NoSenderKey,
    /// More than 25,000 messages after the last one: ask the sender for the chain as it is now.
    #[error("too far ahead")]
    TooFarAhead,
    /// Forged or damaged.
    #[error("not decryptable")]
    NotDecryptable,
}
