//! Keys of group messages that have not come yet: rows of the caller, as those of sessions are.

use std::fmt;

use crate::distribution_id::DistributionId;
use crate::message::SenderKeyMessage;
use crate::ratchet::chain_key::ChainKey;
use crate::ratchet::skipped;
use crate::ratchet::walk::PassedOver;
use crate::time::UnixSeconds;

/// Names the message a skipped key is for, among those of one sender.
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
    /// The key that `message` would need if it came late.
    pub fn of(message: &SenderKeyMessage) -> Self {
        Self {
            distribution_id: message.distribution_id(),
            chain_id: message.chain_id(),
            iteration: message.iteration(),
        }
    }
}

/// The key of a message that has not come yet. It is of no use after 30 days.
pub type SkippedKey = skipped::SkippedKey<SkippedKeyId>;

/// What a step changes about the skipped keys of its sender. Apply all of them, in order, in the transaction that stores
/// the record.
pub enum SkippedChange {
    /// A message was skipped: keep its key.
    Keep(SkippedKey),
    /// A late message came: its key is spent.
    Forget(SkippedKeyId),
    /// More than 2,000 would be kept: forget all keys of a chain but those of the `count` highest numbers.
    KeepNewest {
        /// The distribution.
        distribution_id: DistributionId,
        /// The chain.
        chain_id: u32,
        /// How many remain.
        count: u32,
    },
    /// The record dropped a chain: forget all of it.
    ForgetChain {
        /// The distribution.
        distribution_id: DistributionId,
        /// The chain.
        chain_id: u32,
    },
}

/// What a message changes about the skipped keys, should it be decryptable.
#[derive(Debug)]
pub(super) enum Pending {
    /// It was late.
    Late(SkippedKeyId),
    /// The chain moves past these keys.
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
