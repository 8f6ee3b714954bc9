//! HPKE (RFC 9180): encrypts for the owner of an identity key, without a session and without authenticating the
//! sender.
//!
//! `type (1) || encapsulated key (32) || ciphertext || tag (16)`, where type 1 is base mode with X25519, HKDF-SHA256 and
//! AES-256-GCM.

use rand_core::CryptoRng;

use crate::error::{DecodeError, LowOrderPoint, NotAuthentic};
use crate::identity::{IdentityKey, IdentityKeyPair};
use crate::plaintext::Plaintext;
use crate::primitives::hpke;

/// The only suite.
const SUITE: u8 = 1;

/// The recipient's identity key makes every agreement predictable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bad identity key")]
pub struct BadIdentityKey;

/// Why nothing was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It has another suite, or is too short.
    #[error("malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// It is forged, damaged, for somebody else, or was sealed with another `info` or `associated`.
    #[error("not decryptable")]
    NotDecryptable,
}

/// Seals `plaintext` for the owner of `recipient`, who must know `info` (its purpose) and `associated` (the
/// associated data).
///
/// # Errors
/// [`BadIdentityKey`].
pub fn seal<R: CryptoRng + ?Sized>(
    recipient: &IdentityKey,
    info: &[u8],
    associated: &[u8],
    plaintext: &[u8],
    rng: &mut R,
) -> Result<Vec<u8>, BadIdentityKey> {
    let sealed = hpke::seal(recipient.public_key(), None, (info, associated), plaintext, rng);
    let (encapsulated, ciphertext) = sealed.map_err(|LowOrderPoint| BadIdentityKey)?;
    Ok([&[SUITE], encapsulated.as_slice(), &ciphertext].concat())
}

/// Opens what was sealed for `ours`, with the same `info` and `associated`.
///
/// # Errors
/// [`OpenError`].
pub fn open(
    ours: &IdentityKeyPair,
    info: &[u8],
    associated: &[u8],
    sealed: &[u8],
) -> Result<Plaintext, OpenError> {
    let (suite, rest) = sealed.split_first().ok_or(DecodeError::TooShort)?;
    if *suite != SUITE {
        return Err(DecodeError::UnknownVersion.into());
    }
    let (encapsulated, ciphertext) = rest.split_first_chunk().ok_or(DecodeError::TooShort)?;
    let opened = hpke::open(ours.key_pair(), None, (info, associated), encapsulated, ciphertext);
    opened.map(Plaintext).map_err(|NotAuthentic| OpenError::NotDecryptable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, bytes};
    use rand::{SeedableRng as _, rngs::StdRng};

    #[test]
    fn ciphertexts_of_another_implementation_are_opened() {
        let case = vectors::load("hpke");
        let stored = [
            &[0x0a, 33, 5],
            &bytes(&case["recipient_public"])[..],
            &[0x12, 32],
            &bytes(&case["recipient_private"]),
        ];
        let ours = IdentityKeyPair::from_bytes(&stored.concat()).unwrap();
        let opened = open(&ours, &bytes(&case["info"]), b"", &bytes(&case["sealed"])).unwrap();
        assert_eq!(opened.expose(), bytes(&case["plaintext"]));
    }

    #[test]
    fn only_the_recipient_can_open_it_and_only_unchanged() {
        let rng = &mut StdRng::seed_from_u64(1);
        let [alice, bob] = [(); 2].map(|()| IdentityKeyPair::generate(rng));
        let sealed = seal(bob.public(), b"info", b"associated", b"hello", rng).unwrap();
        assert_eq!(sealed.len(), 1 + 32 + 5 + 16);
        let outcome = |ours, info: &[u8], associated: &[u8], sealed: &[u8]| {
            open(ours, info, associated, sealed).map(|plaintext| plaintext.expose().to_vec())
        };
        assert_eq!(outcome(&bob, b"info", b"associated", &sealed), Ok(b"hello".to_vec()));
        let refused = Err(OpenError::NotDecryptable);
        assert_eq!(outcome(&alice, b"info", b"associated", &sealed), refused);
        assert_eq!(outcome(&bob, b"inf", b"associated", &sealed), refused);
        assert_eq!(outcome(&bob, b"info", b"", &sealed), refused);
        for position in 1..sealed.len() {
            let mut wrong = sealed.clone();
            wrong[position] ^= 1;
            assert_eq!(outcome(&bob, b"info", b"associated", &wrong), refused);
        }
        assert_eq!(outcome(&bob, b"info", b"associated", &sealed[..48]), refused);
        let low_order = [&[SUITE], &[0; 32][..], &sealed[33..]].concat();
        assert_eq!(outcome(&bob, b"info", b"associated", &low_order), refused);

        let malformed = |reason| Err(OpenError::Malformed(reason));
        assert_eq!(outcome(&bob, b"", b"", &[]), malformed(DecodeError::TooShort));
        assert_eq!(outcome(&bob, b"", b"", &sealed[..32]), malformed(DecodeError::TooShort));
        let other = [&[2], &sealed[1..]].concat();
        assert_eq!(outcome(&bob, b"", b"", &other), malformed(DecodeError::UnknownVersion));
        let low_order = IdentityKey::parse(&[&[5], &[0; 32][..]].concat()).unwrap();
        assert_eq!(seal(&low_order, b"", b"", b"", rng), Err(BadIdentityKey));
    }
}
