//! Safety numbers: what two people compare to know that nobody stands between them.

use std::fmt;

use super::key::IdentityKey;
use crate::primitives::kdf::sha512;

/// Hash rounds, each of which an attacker who searches for a similar number has to pay.
const ITERATIONS: u32 = 5200;
/// Version of the fingerprint, hashed in front.
const VERSION: [u8; 2] = [0, 0];
/// Groups of five digits for each party.
const GROUPS: usize = 6;

/// One of the two people.
#[derive(Clone, Copy)]
pub struct Party<'a> {
    /// What the service never changes about them, such as the 16 bytes of their account id.
    pub stable_id: &'a [u8],
    /// Their identity key.
    pub key: &'a IdentityKey,
}

impl fmt::Debug for Party<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stable_id: _, key } = self;
        f.debug_struct("Party").field("key", key).finish_non_exhaustive()
    }
}

/// The number: sixty digits, the same on both sides.
#[derive(Clone, PartialEq, Eq)]
pub struct SafetyNumber([[u32; GROUPS]; 2]);

impl SafetyNumber {
    /// The number of these two people, in either order.
    pub fn new(ours: Party<'_>, theirs: Party<'_>) -> Self {
        let mut halves = [half(ours), half(theirs)];
        // Groups have equal width, so that their order is the order of their digits.
        halves.sort_unstable();
        Self(halves)
    }
}

/// Sixty digits without separators.
impl fmt::Display for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_flattened().iter().try_for_each(|group| write!(f, "{group:05}"))
    }
}

/// It names a pair of people.
impl fmt::Debug for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SafetyNumber(..)")
    }
}

/// `h = SHA-512(version || key || id || key)`, then repeatedly `h = SHA-512(h || key)`; five bytes of it for each group,
/// modulo 100,000.
fn half(party: Party<'_>) -> [u32; GROUPS] {
    let key = party.key.as_bytes();
    let mut hash = sha512(&[&VERSION, key, party.stable_id, key]);
    for _ in 1..ITERATIONS {
        hash = sha512(&[&hash, key]);
    }
    let mut groups = [0; GROUPS];
    for (group, bytes) in groups.iter_mut().zip(hash.as_chunks::<5>().0) {
        *group = bytes.iter().fold(0, |rest, byte| ((rest << 8) | u32::from(*byte)) % 100_000);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, bytes};

    #[test]
    fn displays_agree_with_the_vectors() {
        let file = vectors::load("fingerprint");
        assert_eq!(file["iterations"], ITERATIONS);
        for case in file["cases"].as_array().unwrap() {
            let [local_id, remote_id] = ["local_id", "remote_id"].map(|name| bytes(&case[name]));
            let [local, remote] =
                ["local_key", "remote_key"].map(|name| IdentityKey::parse(&bytes(&case[name])).unwrap());
            let ours = Party { stable_id: &local_id, key: &local };
            let theirs = Party { stable_id: &remote_id, key: &remote };
            let number = SafetyNumber::new(ours, theirs);
            assert_eq!(number.to_string(), case["display"].as_str().unwrap());
            assert_eq!(number, SafetyNumber::new(theirs, ours));
        }
    }
}
