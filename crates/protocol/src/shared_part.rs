//! The part of a message that is the same for several devices. It is encrypted once, with a random key that is used for nothing else. Each device
//! gets the key, and the hash of the ciphertext, in a message of its own session.
//!
//! The key alone would not say who has encrypted it, because every recipient knows the key. The hash, which only the two ends of a session can
//! have put there, does.

use std::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::plaintext::Plaintext;
use crate::primitives::gcm_siv;
use crate::primitives::kdf::sha256;
use crate::primitives::secret::{Secret, is_same};

/// What a device needs to open a shared part: `key (32) || SHA-256 of the ciphertext (32)`.
pub struct SharedPartKey {
    key: Secret<32>,
    hash: [u8; 32],
}

/// It is not the shared part to which the key belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another shared part")]
pub struct OtherPart;

impl SharedPartKey {
    /// Length of its serialized form.
    pub const LEN: usize = 64;

    /// Encrypts a shared part with a new key: AES-256-GCM-SIV (RFC 8452), `ciphertext || tag (16)`. None above 64 GiB.
    pub fn seal<R: CryptoRng + ?Sized>(plaintext: &[u8], rng: &mut R) -> Option<(Self, Vec<u8>)> {
        let key = Secret::random(rng);
        let sealed = gcm_siv::seal(key.copy(), plaintext)?;
        Some((Self { key, hash: sha256(&sealed) }, sealed))
    }

    /// The same key, for another device.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self { key: self.key.copy(), hash: self.hash }
    }

    /// Opens the shared part to which this key belongs.
    ///
    /// # Errors
    /// [`OtherPart`]
    pub fn open(&self, sealed: &[u8]) -> Result<Plaintext, OtherPart> {
        if !is_same(&sha256(sealed), &self.hash) {
            return Err(OtherPart);
        }
        gcm_siv::open(self.key.copy(), sealed).map(Plaintext).map_err(|_| OtherPart)
    }

    /// `key || hash`.
    pub fn serialize(&self) -> Zeroizing<[u8; Self::LEN]> {
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        let (key, hash) = bytes.split_at_mut(32);
        key.copy_from_slice(self.key.expose());
        hash.copy_from_slice(&self.hash);
        bytes
    }

    /// The inverse of [`SharedPartKey::serialize`]. None if the length is another one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (key, hash) = bytes.split_first_chunk::<32>()?;
        Some(Self { key: Secret::copied(key), hash: hash.try_into().ok()? })
    }
}

impl fmt::Debug for SharedPartKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedPartKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    fn sealed(seed: u64) -> (SharedPartKey, Vec<u8>) {
        SharedPartKey::seal(b"to all of them", &mut StdRng::seed_from_u64(seed)).unwrap()
    }

    #[test]
    fn whoever_has_the_key_opens_it() {
        let (key, part) = sealed(1);
        let key = SharedPartKey::parse(&*key.serialize()).unwrap();
        assert_eq!(key.open(&part).unwrap().expose(), b"to all of them");
        for length in [0, 31, 63, 65] {
            assert!(SharedPartKey::parse(&vec![1; length]).is_none(), "{length}");
        }
    }

    #[test]
    fn no_part_can_be_changed_also_not_by_somebody_who_has_the_key() {
        let (key, part) = sealed(1);
        for at in 0..part.len() {
            let mut wrong = part.clone();
            wrong[at] ^= 1;
            assert_eq!(key.open(&wrong).map(drop), Err(OtherPart), "{at}");
        }
        // Another recipient encrypts something else with the same key.
        let forged = gcm_siv::seal(key.key.copy(), b"something else").unwrap();
        assert_eq!(key.open(&forged).map(drop), Err(OtherPart));
        // The hash of the forgery with the key of the part, and the other way round.
        let (other, others) = sealed(2);
        let mixed = SharedPartKey { key: key.key.copy(), hash: other.hash };
        assert_eq!(mixed.open(&others).map(drop), Err(OtherPart));
        assert_eq!(mixed.open(&part).map(drop), Err(OtherPart));
    }
}
