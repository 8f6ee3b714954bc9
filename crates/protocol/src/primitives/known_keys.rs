//! Caches keys whose signatures were valid, so that their next signatures are verified faster.
//!
//! Half of the work of a verification depends on the key only: its point on the Edwards curve, which takes a square
//! root, and the encoding of that point, which takes an inversion. A key that signs often gets a table of multiples
//! as well.

use std::collections::VecDeque;
use std::fmt;

use super::x25519::PublicKey;
use super::xeddsa::{Signature, Verifier};

/// Maximum number of keys.
const MAX_KEYS: usize = 64;
/// The number of valid signatures after which a key gets its table. Computing the table takes as long as a few
/// verifications with vector instructions, and as long as several dozen without.
const TABLE_AFTER: u32 = 32;

/// The last 64 keys whose signatures were valid, with precomputed values for verifying the next one: 0.5 KB for each,
/// and 20 KB more once it has signed 32 times; 1.4 MB in all, however many keys there are. Nothing in it is secret.
/// It is owned by the caller, and discarding it costs nothing but time.
///
/// Only a valid signature adds a key, so a forgery changes nothing. Somebody who has many keys can displace those of
/// others, whose verifications then cost what they did before.
#[derive(Default)]
pub struct KnownKeys {
    /// The most recently used key is first.
    keys: VecDeque<Known>,
}

struct Known {
    key: PublicKey,
    verifier: Verifier,
    uses: u32,
}

impl KnownKeys {
    /// How many keys are known.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether `signature` is a valid signature of `message` by `key`.
    pub(crate) fn verify(&mut self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        let place = self.keys.iter().position(|known| known.key == *key);
        match place.and_then(|place| self.keys.remove(place)) {
            Some(mut known) => {
                let good = known.verifier.verify(message, signature);
                if good {
                    known.uses = known.uses.saturating_add(1);
                    if known.uses == TABLE_AFTER {
                        known.verifier.tabulate(signature);
                    }
                }
                self.keys.push_front(known);
                good
            }
            None => {
                let Some(verifier) = Verifier::new(key) else { return false };
                let good = verifier.verify(message, signature);
                if good {
                    self.keys.truncate(MAX_KEYS.saturating_sub(1));
                    self.keys.push_front(Known { key: *key, verifier, uses: 1 });
                }
                good
            }
        }
    }
}

/// Shows the number of keys only.
impl fmt::Debug for KnownKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keys } = self;
        write!(f, "KnownKeys({})", keys.len())
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;
    use crate::primitives::x25519::KeyPair;
    use crate::primitives::xeddsa;

    #[test]
    fn a_verdict_is_the_same_before_and_after_a_key_has_its_table() {
        let rng = &mut StdRng::seed_from_u64(1);
        let [key, other] = [(); 2].map(|()| KeyPair::generate(rng));
        let mut known = KnownKeys::default();
        for number in 0..TABLE_AFTER + 3 {
            let message = number.to_be_bytes();
            let signature = xeddsa::sign(&key, &message, rng);
            let mut forged = *signature.as_bytes();
            forged[usize::try_from(number).unwrap()] ^= 1;
            let forged = Signature::parse(&forged).unwrap();
            assert!(!known.verify(key.public(), &message, &forged));
            assert!(!known.verify(other.public(), &message, &signature));
            assert!(known.verify(key.public(), &message, &signature));
            assert!(!known.verify(key.public(), b"other", &signature));
            assert_eq!(known.len(), 1, "a key without a valid signature is not added");
            assert_eq!(known.keys[0].uses, number + 1);
            assert_eq!(known.keys[0].verifier.has_table(), number + 1 >= TABLE_AFTER);
        }
    }

    #[test]
    fn the_64_most_recently_used_keys_are_known() {
        let rng = &mut StdRng::seed_from_u64(1);
        let mut known = KnownKeys::default();
        let friend = KeyPair::generate(rng);
        let good = |key: &KeyPair, known: &mut KnownKeys, rng: &mut StdRng| {
            let signature = xeddsa::sign(key, b"message", rng);
            assert!(known.verify(key.public(), b"message", &signature));
        };
        for number in 0..2 * MAX_KEYS {
            good(&KeyPair::generate(rng), &mut known, rng);
            assert_eq!(known.len(), (2 * number + 1).min(number + 2).min(MAX_KEYS));
            good(&friend, &mut known, rng);
            assert!(known.len() <= MAX_KEYS);
        }
        assert_eq!(known.keys.iter().filter(|known| known.key == *friend.public()).count(), 1);
        // A flood of keys displaces those that are not used meanwhile.
        for _ in 0..MAX_KEYS {
            good(&KeyPair::generate(rng), &mut known, rng);
        }
        assert!(known.keys.iter().all(|known| known.key != *friend.public()));
        assert_eq!(known.len(), MAX_KEYS);
    }
}
