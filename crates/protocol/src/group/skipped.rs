//! Keys of group messages that have not arrived yet: rows of the caller, like those of sessions.

use std::fmt;

use crate::distribution_id::DistributionId;
use crate::message::SenderKeyMessage;
use crate::ratchet::chain_key::ChainKey;
use crate::ratchet::skipped;
use crate::ratchet::walk::PassedOver;
use crate::time::UnixSeconds;

/// Identifies the message that a skipped key belongs to, among those of one sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SkippedKeyId {
    /// The distribution.
    pub distribution_id: DistributionId,
    /// The chain.
    pub chain_id: u32,
    /// The number in the chain.
    pub iteration: u32,
}

impl SkippedKeyId {
    /// The key that `message` would need if it arrived late.
    pub fn of(message: &SenderKeyMessage) -> Self {
        Self {
            distribution_id: message.distribution_id(),
            chain_id: message.chain_id(),
            iteration: message.iteration(),
        }
    }
}

/// The key of a message that has not arrived yet. It cannot be used after 30 days.
pub type SkippedKey = skipped::SkippedKey<SkippedKeyId>;

/// A change to the skipped keys of a sender. Apply all of them, in order, in the transaction that stores the record.
pub enum SkippedChange {
    /// A message was skipped: store its key.
    Keep(SkippedKey),
    /// A late message has arrived: its key has been used.
    Forget(SkippedKeyId),
    /// More than 2,000 keys would be stored: delete all keys of a chain except those with the `count` highest
    /// numbers.
    KeepNewest {
        /// The distribution.
        distribution_id: DistributionId,
        /// The chain.
        chain_id: u32,
        /// How many remain.
        count: u32,
    },
    /// The record dropped a chain: delete all its keys.
    ForgetChain {
        /// The distribution.
        distribution_id: DistributionId,
        /// The chain.
        chain_id: u32,
    },
}

/// The changes to the skipped keys, to be made if the message can be decrypted.
#[derive(Debug)]
pub(super) enum Pending {
    /// The message was late.
    Late(SkippedKeyId),
    /// The chain advances past these keys.
    Walk(SkippedKeyId, UnixSeconds, PassedOver<ChainKey>),
}

impl Pending {
    pub(super) fn into_changes(self) -> Vec<SkippedChange> {
        match self {
            Self::Late(id) => vec![SkippedChange::Forget(id)],
            Self::Walk(to, now, keys) => {
                let SkippedKeyId { distribution_id, chain_id, .. } = to;
                keys.into_changes(
                    |count| SkippedChange::KeepNewest { distribution_id, chain_id, count },
                    |(iteration, seed)| {
                        let (id, since) = (SkippedKeyId { iteration, ..to }, Some(now));
                        SkippedChange::Keep(SkippedKey { id, seed, since })
                    },
                )
            }
        }
    }
}

impl fmt::Debug for SkippedChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep(SkippedKey { id, seed: _, since: _ }) => write!(f, "Keep({id:?})"),
            Self::Forget(id) => write!(f, "Forget({id:?})"),
            Self::KeepNewest { distribution_id, chain_id, count } => {
                write!(f, "KeepNewest({distribution_id:?}, {chain_id}, {count})")
            }
            Self::ForgetChain { distribution_id, chain_id } => {
                write!(f, "ForgetChain({distribution_id:?}, {chain_id})")
            }
        }
    }
}
