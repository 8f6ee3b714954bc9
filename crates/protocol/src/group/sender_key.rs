//! One chain of one sender, and the steps along it.

use std::sync::Arc;

use rand_core::CryptoRng;

use super::skipped::{Pending, SkippedKey, SkippedKeyId};
use crate::distribution_id::DistributionId;
use crate::message::SenderKeyDistributionMessage;
use crate::primitives::cbc::IvAndKey;
use crate::primitives::kdf;
use crate::primitives::secret::Secret;
use crate::primitives::x25519::{KeyPair, PublicKey};
use crate::ratchet::chain_key::ChainKey;
use crate::ratchet::message_key::MessageKey;
use crate::ratchet::walk::{Jump, Limits, Walked, Work, walk};
use crate::time::UnixSeconds;

/// A chain, and the key that signs its messages.
#[derive(Debug)]
pub(super) struct SenderKey {
    pub(super) chain_id: u32,
    pub(super) chain_key: ChainKey,
    pub(super) signing: SigningKey,
    /// How many skipped keys are stored for this chain.
    pub(super) kept: u32,
}

/// The signing key: ours, or the public key of the sender.
#[derive(Debug, Clone)]
pub(super) enum SigningKey {
    Ours(Arc<KeyPair>),
    Theirs(PublicKey),
}

/// Why there is no key for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The key was already used, or is too old to have been kept.
    Duplicate,
    /// More than 25,000 messages would be skipped, or the chain ends before this message.
    TooFarAhead,
}

/// The key of one message, and the state of the chain to adopt once the message has been decrypted.
pub(super) type Step = (IvAndKey, SenderKey, Pending);

impl SigningKey {
    pub(super) fn public(&self) -> &PublicKey {
        match self {
            Self::Ours(pair) => pair.public(),
            Self::Theirs(key) => key,
        }
    }
}

impl SenderKey {
    /// Generates a new chain of our own.
    pub(super) fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self {
            // Other implementations read this as a signed number.
            chain_id: rng.next_u32() >> 1,
            chain_key: ChainKey::new(Secret::random(rng)),
            signing: SigningKey::Ours(Arc::new(KeyPair::generate(rng))),
            kept: 0,
        }
    }

    /// The chain in a distribution message that we received.
    pub(super) fn of(message: &SenderKeyDistributionMessage) -> Self {
        Self {
            chain_id: message.chain_id(),
            chain_key: ChainKey::at(message.chain_key().copy(), message.iteration()),
            signing: SigningKey::Theirs(*message.signing_key()),
            kept: 0,
        }
    }

    /// The current state of the chain, for the other members.
    pub(super) fn distribution(&self, distribution_id: DistributionId) -> SenderKeyDistributionMessage {
        let Self { chain_id, chain_key, signing, kept: _ } = self;
        let key = Secret::new(*chain_key.expose());
        SenderKeyDistributionMessage::new(
            distribution_id,
            *chain_id,
            chain_key.index(),
            key,
            *signing.public(),
        )
    }

    /// The key of the next message, and the chain after it. `None` at the end of the chain.
    pub(super) fn send(&self) -> Option<(IvAndKey, Self)> {
        let mut chain_key = self.chain_key.copy();
        let message_key = chain_key.place().step::<ChainKey>()?;
        Some((cipher_key(message_key), self.at(chain_key, self.kept)))
    }

    /// The key of message `id`, taken from the chain or, if the message is late, from `skipped`.
    pub(super) fn receive(
        &self,
        id: SkippedKeyId,
        skipped: Option<&SkippedKey>,
        now: UnixSeconds,
    ) -> Result<Step, NoKey> {
        if id.iteration >= self.chain_key.index() {
            return self.advance(id, now);
        }
        let key = skipped.filter(|key| key.id == id && key.is_good(now)).ok_or(NoKey::Duplicate)?;
        let next = self.at(self.chain_key.copy(), self.kept.saturating_sub(1));
        let message_key = MessageKey::new(key.seed.copy());
        Ok((cipher_key(message_key), next, Pending::Late(id)))
    }

    /// The key of message `id`, which the chain has not passed, together with the keys that are skipped on the way.
    fn advance(&self, id: SkippedKeyId, now: UnixSeconds) -> Result<Step, NoKey> {
        let (limits, work) = (Limits::new(Jump::Limited), &mut Work::new(Jump::Limited));
        let mut chain_key = self.chain_key.copy();
        let walked = walk(chain_key.place(), id.iteration, self.kept, limits, work);
        let Walked { key, kept, passed } = walked.ok_or(NoKey::TooFarAhead)?;
        Ok((cipher_key(key), self.at(chain_key, kept), Pending::Walk(id, now, passed)))
    }

    fn at(&self, chain_key: ChainKey, kept: u32) -> Self {
        Self { chain_id: self.chain_id, chain_key, signing: self.signing.clone(), kept }
    }
}

/// `IV || cipher key = HKDF(MK)`.
fn cipher_key(message_key: MessageKey) -> IvAndKey {
    IvAndKey::new(kdf::hkdf(None, &[message_key.into_seed().expose()], kdf::SENDER_KEY_MESSAGE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, bytes};

    #[test]
    fn every_key_of_the_chain_agrees_with_the_vectors() {
        let file = vectors::load("sender-keys");
        let message = SenderKeyDistributionMessage::parse(&bytes(&file["skdm"])).unwrap();
        let mut chain = SenderKey::of(&message);
        for case in file["keys"].as_array().unwrap() {
            assert_eq!(chain.chain_key.index(), u32::try_from(case["iteration"].as_u64().unwrap()).unwrap());
            assert_eq!(chain.chain_key.expose(), bytes(&case["chain_key"]).as_slice());
            let seed = chain.chain_key.copy().place().step::<ChainKey>().unwrap();
            assert_eq!(seed.into_seed().expose(), bytes(&case["message_seed"]).as_slice());
            let (keys, next) = chain.send().unwrap();
            let expected = [bytes(&case["iv"]), bytes(&case["cipher_key"])].concat();
            assert_eq!(keys.expose(), expected.as_slice());
            chain = next;
        }
    }

    #[test]
    fn a_chain_of_ours_has_a_31_bit_id() {
        let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(1);
        let ids: Vec<_> = (0..64).map(|_| SenderKey::generate(&mut rng).chain_id).collect();
        assert!(ids.iter().all(|id| i32::try_from(*id).is_ok()));
        assert!(ids.iter().any(|id| *id > u32::MAX >> 2));
    }
}
