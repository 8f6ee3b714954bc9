//! The cache of sealed sender.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use crate::error::LowOrderPoint;
use crate::identity::{IdentityKey, IdentityKeyPair};
use crate::primitives::kdf::sha512;
use crate::primitives::known_keys::KnownKeys;
use crate::primitives::secret::Secret;
use crate::primitives::x25519::PublicKey;
use crate::primitives::xeddsa::Signature;

/// Maximum number of cached signatures: two for each sender.
const MAX_SIGNATURES: usize = 512;
/// Maximum number of cached agreements: more than the largest group has members.
const MAX_AGREEMENTS: usize = 2_048;

/// Caches what the next message of the same sender would compute again: valid signatures, agreements with the
/// identity keys of others, and the [keys](KnownKeys) that signed, so that another certificate of the same server is
/// cheaper. Bounded to 0.4 MB plus the size of `KnownKeys`. Wiped on drop and owned by the caller; discarding it
/// costs nothing but time.
#[derive(Default)]
pub struct Remembered {
    /// Keys of the service, each of which signs for many senders.
    keys: KnownKeys,
    /// Hashes of the key, the signature and what was signed, oldest first.
    signatures: VecDeque<[u8; 32]>,
    /// `DH(ours, theirs)`.
    agreements: BTreeMap<Pair, Secret<32>>,
    /// The keys of `agreements`, oldest first.
    pairs: VecDeque<Pair>,
}

/// Ours, theirs.
type Pair = (IdentityKey, IdentityKey);

impl Remembered {
    /// Whether `signature` is a valid signature of `message` by `key`. Only valid ones are cached, because they
    /// remain valid.
    pub(super) fn verify(&mut self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        // Key and signature have fixed lengths, so that the concatenation is unambiguous.
        let [hash, _] = halves(sha512(&[key.as_bytes(), signature.as_bytes(), message]));
        if self.signatures.contains(&hash) {
            return true;
        }
        let good = self.keys.verify(key, message, signature);
        if good {
            push(&mut self.signatures, hash, MAX_SIGNATURES);
        }
        good
    }

    /// `DH(ours, theirs)`.
    pub(super) fn agree(
        &mut self,
        ours: &IdentityKeyPair,
        theirs: &IdentityKey,
    ) -> Result<Secret<32>, LowOrderPoint> {
        if let Some(known) = self.known(ours.public(), theirs) {
            return Ok(known.copy());
        }
        let secret = ours.key_pair().agree(theirs.public_key())?;
        self.remember(ours.public(), theirs, secret.copy());
        Ok(secret)
    }

    /// `DH(ours, theirs)`, if it is cached.
    pub(super) fn known(&self, ours: &IdentityKey, theirs: &IdentityKey) -> Option<&Secret<32>> {
        self.agreements.get(&(*ours, *theirs))
    }

    /// Caches `secret`, which is `DH(ours, theirs)`.
    pub(super) fn remember(&mut self, ours: &IdentityKey, theirs: &IdentityKey, secret: Secret<32>) {
        let pair = (*ours, *theirs);
        if self.agreements.insert(pair, secret).is_none()
            && let Some(oldest) = push(&mut self.pairs, pair, MAX_AGREEMENTS)
        {
            self.agreements.remove(&oldest);
        }
    }
}

/// Shows the size only.
impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keys: _, signatures, agreements, pairs: _ } = self;
        write!(f, "Remembered({}, {})", signatures.len(), agreements.len())
    }
}

/// Returns the element that was removed, if the queue was full.
fn push<T>(queue: &mut VecDeque<T>, item: T, max: usize) -> Option<T> {
    let oldest = if queue.len() >= max { queue.pop_front() } else { None };
    queue.push_back(item);
    oldest
}

fn halves(hash: [u8; 64]) -> [[u8; 32]; 2] {
    let mut halves = [[0; 32]; 2];
    halves.as_flattened_mut().copy_from_slice(&hash);
    halves
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::x25519::KeyPair;
    use crate::primitives::xeddsa;
    use rand::{SeedableRng as _, rngs::StdRng};

    #[test]
    fn only_valid_signatures_are_cached_up_to_a_limit() {
        let rng = &mut StdRng::seed_from_u64(1);
        let (key, mut remembered) = (KeyPair::generate(rng), Remembered::default());
        let signature = xeddsa::sign(&key, b"message", rng);
        assert!(!remembered.verify(key.public(), b"other", &signature));
        assert_eq!(remembered.signatures.len(), 0);
        for _ in 0..2 {
            assert!(remembered.verify(key.public(), b"message", &signature));
            assert!(!remembered.verify(key.public(), b"other", &signature));
            assert_eq!(remembered.signatures.len(), 1);
        }
        let first = remembered.signatures[0];
        for number in 0..MAX_SIGNATURES {
            let message = number.to_be_bytes();
            let signature = xeddsa::sign(&key, &message, rng);
            assert!(remembered.verify(key.public(), &message, &signature));
        }
        assert_eq!(remembered.signatures.len(), MAX_SIGNATURES);
        assert!(!remembered.signatures.contains(&first));
    }

    #[test]
    fn a_cached_signature_is_valid_only_for_its_key() {
        let rng = &mut StdRng::seed_from_u64(1);
        let [key, other] = [(); 2].map(|()| KeyPair::generate(rng));
        let mut remembered = Remembered::default();
        let [signature, again] = [(); 2].map(|()| xeddsa::sign(&key, b"message", rng));
        assert!(remembered.verify(key.public(), b"message", &signature));
        assert!(!remembered.verify(other.public(), b"message", &signature));
        // A signature of the same message with one bit changed is not mistaken for the valid one.
        let mut forged = *again.as_bytes();
        forged[0] ^= 1;
        assert!(!remembered.verify(key.public(), b"message", &Signature::parse(&forged).unwrap()));
        assert_eq!(remembered.signatures.len(), 1);
    }

    #[test]
    fn a_cached_agreement_is_found_only_by_both_keys() {
        let rng = &mut StdRng::seed_from_u64(1);
        let [alice, bob, carol] = [(); 3].map(|()| IdentityKeyPair::generate(rng));
        let mut remembered = Remembered::default();
        for _ in 0..2 {
            for (ours, theirs) in [(&alice, &bob), (&carol, &bob), (&alice, &carol), (&bob, &alice)] {
                let fresh = ours.key_pair().agree(theirs.public().public_key()).unwrap();
                assert_eq!(remembered.agree(ours, theirs.public()).unwrap().expose(), fresh.expose());
            }
            assert_eq!(remembered.agreements.len(), 4);
        }
        let many = |number: u64| {
            let mut u = [5; 33];
            u[1..9].copy_from_slice(&number.to_le_bytes());
            IdentityKey::parse(&u).unwrap()
        };
        for number in 0..MAX_AGREEMENTS as u64 {
            for _ in 0..2 {
                remembered.remember(alice.public(), &many(number), Secret::new([1; 32]));
            }
            let expected = usize::try_from(number + 5).unwrap().min(MAX_AGREEMENTS);
            assert_eq!((remembered.agreements.len(), remembered.pairs.len()), (expected, expected));
        }
        assert!(
            remembered.known(alice.public(), bob.public()).is_none(),
            "the oldest entry has been removed"
        );
        assert!(remembered.known(alice.public(), &many(0)).is_some());

        let low_order = IdentityKey::parse(&[&[5], &[0; 32][..]].concat()).unwrap();
        assert_eq!(remembered.agree(&alice, &low_order).err(), Some(LowOrderPoint));
        assert!(remembered.known(alice.public(), &low_order).is_none());
    }
}
