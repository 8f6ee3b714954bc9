//! The KEM of PQXDH: Kyber1024 of round 3.
//!
//! It is not ML-KEM (FIPS 203), whose keys and ciphertexts look the same, but whose shared secrets differ.

use std::fmt;

use bytes::Bytes;
use libcrux_ml_kem::kyber1024;
use libcrux_ml_kem::mlkem1024::{MlKem1024Ciphertext, MlKem1024PrivateKey, MlKem1024PublicKey};
use rand_core::CryptoRng;
use zeroize::Zeroize;

use super::secret::Secret;
use crate::error::DecodeError;

/// First byte of a serialized Kyber1024 key or ciphertext.
const KEY_TYPE: u8 = 0x08;
const PUBLIC_LEN: usize = 1568;
const SECRET_LEN: usize = 3168;
const CIPHERTEXT_LEN: usize = 1568;

/// A public key, serialized: type byte and 1,568 bytes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KemPublicKey(Bytes);

impl KemPublicKey {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        check::<PUBLIC_LEN>(bytes)?;
        Ok(Self(Bytes::copy_from_slice(bytes)))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Generates a shared secret, and the serialized ciphertext from which the owner of the secret key can compute
    /// it.
    pub(crate) fn encapsulate<R: CryptoRng + ?Sized>(
        &self,
        rng: &mut R,
    ) -> Result<(Bytes, Secret<32>), DecodeError> {
        let key = MlKem1024PublicKey::from(check::<PUBLIC_LEN>(&self.0)?);
        let (ciphertext, mut shared) = kyber1024::encapsulate(&key, *Secret::random(rng).expose());
        let secret = Secret::new(shared);
        shared.zeroize();
        Ok((tagged(ciphertext.as_slice()), secret))
    }
}

impl fmt::Debug for KemPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KemPublicKey(..)")
    }
}

/// A key pair.
#[derive(Debug)]
pub(crate) struct KemKeyPair {
    public: KemPublicKey,
    secret: Secret<SECRET_LEN>,
}

impl KemKeyPair {
    pub(crate) fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let pair = kyber1024::generate_key_pair(*Secret::random(rng).expose());
        let (secret, public) = pair.into_parts();
        let mut secret: [u8; SECRET_LEN] = secret.into();
        let kept = Secret::fill(|own| own.copy_from_slice(&secret));
        secret.zeroize();
        Self { public: KemPublicKey(tagged(public.as_slice())), secret: kept }
    }

    /// From the serialized halves.
    pub(crate) fn parse(public: &[u8], secret: &[u8]) -> Result<Self, DecodeError> {
        let secret = check::<SECRET_LEN>(secret)?;
        let secret = Secret::fill(|own| own.copy_from_slice(secret));
        Ok(Self { public: KemPublicKey::parse(public)?, secret })
    }

    pub(crate) fn public(&self) -> &KemPublicKey {
        &self.public
    }

    /// The serialized secret half: type byte and 3,168 bytes.
    pub(crate) fn secret_bytes(&self) -> zeroize::Zeroizing<Vec<u8>> {
        let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(SECRET_LEN.saturating_add(1)));
        bytes.push(KEY_TYPE);
        bytes.extend_from_slice(self.secret.expose());
        bytes
    }

    /// The shared secret of a serialized ciphertext. A ciphertext for another key results in a random secret.
    pub(crate) fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret<32>, DecodeError> {
        let ciphertext = MlKem1024Ciphertext::from(check::<CIPHERTEXT_LEN>(ciphertext)?);
        let key = MlKem1024PrivateKey::from(self.secret.expose());
        let mut shared = kyber1024::decapsulate(&key, &ciphertext);
        let mut key: [u8; SECRET_LEN] = key.into();
        key.zeroize();
        let secret = Secret::new(shared);
        shared.zeroize();
        Ok(secret)
    }
}

/// The bytes behind the type byte.
fn check<const N: usize>(bytes: &[u8]) -> Result<&[u8; N], DecodeError> {
    match bytes.split_first() {
        Some((&KEY_TYPE, body)) => body.try_into().map_err(|_| DecodeError::Length),
        _ => Err(DecodeError::KeyType),
    }
}

fn tagged(body: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(body.len().saturating_add(1));
    bytes.push(KEY_TYPE);
    bytes.extend_from_slice(body);
    bytes.into()
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;
    use crate::vectors::{self, bytes};

    fn vector() -> (KemKeyPair, Vec<u8>, Vec<u8>) {
        let file = vectors::load("kyber1024");
        let [public, secret, ciphertext, shared] =
            ["public_key_serialized", "secret_key_serialized", "ciphertext_serialized", "shared_secret"]
                .map(|name| bytes(&file[name]));
        (KemKeyPair::parse(&public, &secret).unwrap(), ciphertext, shared)
    }

    #[test]
    fn decapsulation_agrees_with_the_vector() {
        let (pair, ciphertext, shared) = vector();
        assert_eq!(pair.decapsulate(&ciphertext).unwrap().expose(), shared.as_slice());
    }

    #[test]
    fn kyber_and_ml_kem_derive_different_secrets() {
        let (pair, ciphertext, shared) = vector();
        let ciphertext = MlKem1024Ciphertext::from(check::<CIPHERTEXT_LEN>(&ciphertext).unwrap());
        let key = MlKem1024PrivateKey::from(pair.secret.expose());
        assert_ne!(libcrux_ml_kem::mlkem1024::decapsulate(&key, &ciphertext).as_slice(), shared);
    }

    #[test]
    fn what_is_encapsulated_is_decapsulated() {
        let mut rng = StdRng::seed_from_u64(1);
        let pair = KemKeyPair::generate(&mut rng);
        let pair = KemKeyPair::parse(pair.public().as_bytes(), &pair.secret_bytes()).unwrap();
        let (ciphertext, shared) = pair.public().encapsulate(&mut rng).unwrap();
        assert_eq!(pair.decapsulate(&ciphertext).unwrap().expose(), shared.expose());
    }

    #[test]
    fn type_and_length_are_checked() {
        let (pair, mut ciphertext, _) = vector();
        assert_eq!(pair.decapsulate(&ciphertext[..1568]).err(), Some(DecodeError::Length));
        ciphertext[0] = 0x0a;
        assert_eq!(pair.decapsulate(&ciphertext).err(), Some(DecodeError::KeyType));
        assert_eq!(pair.decapsulate(&[]).err(), Some(DecodeError::KeyType));
        assert_eq!(KemPublicKey::parse(&[0x0a; 1569]).err(), Some(DecodeError::KeyType));
        assert_eq!(KemPublicKey::parse(&[0x08; 1570]).err(), Some(DecodeError::Length));
    }
}
