//! XEdDSA signatures with X25519 keys (XEdDSA, section 3, in the variant that carries the sign bit).
//!
//! The paper fixes the sign of the Edwards key and negates the scalar to match. Here the key keeps its sign, and the
//! unused top bit of the signature tells it to the verifier.

use std::fmt;

use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::Scalar;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::kdf::sha512;
use super::secret::Secret;
use super::x25519::{KeyPair, PublicKey};
use crate::error::DecodeError;

/// Length of a signature, in bytes.
pub(crate) const SIGNATURE_LEN: usize = 64;

/// A signature, `R || s`. Whether it is valid is another question.
#[derive(Clone, Copy)]
pub(crate) struct Signature([u8; SIGNATURE_LEN]);

impl Signature {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        bytes.try_into().map(Self).map_err(|_| DecodeError::Length)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; SIGNATURE_LEN] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(..)")
    }
}

/// Separates the nonce from every other use of SHA-512: `2^256 - 2` in little-endian.
const NONCE_PREFIX: [u8; 32] = {
    let mut prefix = [0xff; 32];
    prefix[0] = 0xfe;
    prefix
};

const SIGN_BIT: u8 = 0x80;

/// Signs `message`. Two signatures of one message differ.
pub(crate) fn sign<R: CryptoRng + ?Sized>(key: &KeyPair, message: &[u8], rng: &mut R) -> Signature {
    sign_with(key, message, &Secret::random(rng))
}

/// `r = H(2^256 - 2 || k || M || Z)`, `R = rB`, `h = H(R || A || M)`, `s = r + ha`; the signature is `R || s`.
fn sign_with(key: &KeyPair, message: &[u8], random: &Secret<64>) -> Signature {
    let private = key.private().expose();
    let a = Zeroizing::new(Scalar::from_bytes_mod_order(*private));
    let public = key.edwards();
    let digest = Zeroizing::new(sha512(&[&NONCE_PREFIX, private, message, random.expose()]));
    let r = Zeroizing::new(Scalar::from_bytes_mod_order_wide(&digest));
    let commitment = EdwardsPoint::mul_base(&r).compress().to_bytes();
    let h = Scalar::from_bytes_mod_order_wide(&sha512(&[&commitment, public, message]));
    let mut s = (h * *a + *r).to_bytes();
    if let (Some(top), Some(sign)) = (s.last_mut(), public.last()) {
        *top = (*top & !SIGN_BIT) | (sign & SIGN_BIT);
    }
    let mut signature = [0; SIGNATURE_LEN];
    let (left, right) = signature.split_at_mut(32);
    left.copy_from_slice(&commitment);
    right.copy_from_slice(&s);
    Signature(signature)
}

/// Whether `signature` is one of `message` by `key`: `sB - hA` must be `R`. Not constant-time: nothing here is secret.
pub(crate) fn verify(key: &PublicKey, message: &[u8], Signature(signature): &Signature) -> bool {
    let (Some(commitment), Some(mut s)) =
        (signature.first_chunk::<32>(), signature.last_chunk::<32>().copied())
    else {
        return false;
    };
    let [.., top] = &mut s;
    let sign = *top >> 7;
    *top &= !SIGN_BIT;
    // Signers give s below 2^253, and others refuse the rest; that s is below the group order nobody checks.
    if *top & 0xe0 != 0 {
        return false;
    }
    let Some(public) = key.point().to_edwards(sign) else { return false };
    let h = Scalar::from_bytes_mod_order_wide(&sha512(&[commitment, public.compress().as_bytes(), message]));
    let s = Scalar::from_bytes_mod_order(s);
    EdwardsPoint::vartime_double_scalar_mul_basepoint(&h, &-public, &s).compress().as_bytes() == commitment
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, bytes, secret};

    #[test]
    fn agreement_agrees_with_the_vectors() {
        for case in vectors::load("curve-xeddsa")["agreement"].as_array().unwrap() {
            for (private, public) in [("priv_a", "pub_b"), ("priv_b", "pub_a")] {
                let ours = KeyPair::from_private(&secret(&case[private]));
                let theirs = PublicKey::parse(&bytes(&case[public])).unwrap();
                assert_eq!(ours.agree(&theirs).unwrap().expose(), bytes(&case["shared"]).as_slice());
            }
        }
    }

    #[test]
    fn signatures_agree_with_the_vectors() {
        let file = vectors::load("curve-xeddsa");
        for case in file["xeddsa_deterministic"].as_array().unwrap() {
            let key = KeyPair::from_private(&secret(&case["private"]));
            assert_eq!(key.public().as_bytes(), bytes(&case["public"]).as_slice());
            let signature = sign_with(&key, &bytes(&case["msg"]), &secret(&case["Z"]));
            assert_eq!(signature.as_bytes(), bytes(&case["sig"]).as_slice());
            assert!(verify(key.public(), &bytes(&case["msg"]), &signature));
        }
    }

    #[test]
    fn verification_agrees_with_the_vectors() {
        let file = vectors::load("curve-xeddsa");
        let of = |list: &str, public: &str| {
            let cases = file[list].as_array().unwrap().iter();
            let cases = cases.map(|case| (bytes(&case[public]), bytes(&case["msg"]), bytes(&case["sig"])));
            cases.collect::<Vec<_>>()
        };
        for (public, message, signature) in [of("xeddsa_verify", "pub"), of("xeddsa_js", "public")].concat() {
            let key = PublicKey::parse(&public).unwrap();
            assert!(verify(&key, &message, &Signature::parse(&signature).unwrap()));
            for bit in [0, 7, 255, 256, 504, 509, 510, 511] {
                let mut wrong = signature.clone();
                wrong[bit / 8] ^= 1 << (bit % 8);
                assert!(!verify(&key, &message, &Signature::parse(&wrong).unwrap()), "bit {bit}");
            }
            let right = Signature::parse(&signature).unwrap();
            assert!(!verify(&key, &[&message[..], b"x"].concat(), &right));
            assert!(Signature::parse(&signature[..63]).is_err());
            assert!(Signature::parse(&[&signature[..], b"x"].concat()).is_err());
        }
    }

    /// `s + n * order`, with its sign bit kept.
    #[expect(clippy::arithmetic_side_effects, reason = "two bytes and a carry fit in 16 bits")]
    fn unreduced(Signature(mut signature): Signature, n: u8) -> Signature {
        // 2^252 + 27742317777372353535851937790883648493
        let order = vectors::hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
        let sign = signature[63] & SIGN_BIT;
        signature[63] &= !SIGN_BIT;
        for _ in 0..n {
            let mut carry = 0;
            for (byte, add) in signature[32..].iter_mut().zip(&order) {
                let sum = u16::from(*byte) + u16::from(*add) + carry;
                *byte = sum as u8;
                carry = sum >> 8;
            }
        }
        signature[63] |= sign;
        Signature(signature)
    }

    #[test]
    fn an_unreduced_s_is_accepted_below_2_to_the_253() {
        let key = KeyPair::from_private(&Secret::new([0x31; 32]));
        let signature = sign_with(&key, b"message", &Secret::new([5; 64]));
        assert!(verify(key.public(), b"message", &unreduced(signature, 1)));
        assert!(!verify(key.public(), b"message", &unreduced(signature, 2)));
    }

    #[test]
    fn the_high_bit_of_the_key_is_ignored() {
        let key = KeyPair::from_private(&Secret::new([0x31; 32]));
        let signature = sign_with(&key, b"message", &Secret::new([5; 64]));
        let mut high = *key.public().as_bytes();
        high[32] |= 0x80;
        assert!(verify(&PublicKey::parse(&high).unwrap(), b"message", &signature));
    }
}
