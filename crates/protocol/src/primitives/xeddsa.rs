//! XEdDSA signatures with X25519 keys (XEdDSA, section 3, in the variant that transmits the sign bit).
//!
//! The specification fixes the sign of the Edwards key and negates the scalar to match. Here, the key keeps its sign,
//! and the unused top bit of the signature transmits it to the verifier.

use std::fmt;

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::VartimeEdwardsPrecomputation;
use curve25519_dalek::traits::VartimePrecomputedMultiscalarMul as _;
use curve25519_dalek::{EdwardsPoint, Scalar};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::kdf::sha512;
use super::secret::Secret;
use super::x25519::{KeyPair, PublicKey};
use crate::error::DecodeError;

/// Length of a signature, in bytes.
pub(crate) const SIGNATURE_LEN: usize = 64;

/// A signature, `R || s`, which may be invalid.
#[derive(Clone, Copy)]
pub(crate) struct Signature([u8; SIGNATURE_LEN]);

impl Signature {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        bytes.try_into().map(Self).map_err(|_| DecodeError::Length)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; SIGNATURE_LEN] {
        &self.0
    }

    /// The sign of the Edwards key, which is in the unused bit.
    fn sign(&self) -> bool {
        let [.., top] = self.0;
        top & SIGN_BIT != 0
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

/// Signs `message`. Two signatures of the same message differ.
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

/// Whether `signature` is a valid signature of `message` by `key`.
#[cfg(test)]
pub(crate) fn verify(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    Verifier::new(key).is_some_and(|verifier| verifier.verify(message, signature))
}

/// The values of a key that verifying needs, independent of the message and of the sign in the signature.
pub(crate) struct Verifier {
    /// `A` with the sign 0, and with the sign 1.
    points: [Point; 2],
    /// Multiples of `B` and of `-A`, some 20 kB, for one of the signs.
    table: Option<(bool, VartimeEdwardsPrecomputation)>,
}

/// One of the two points that have the coordinate of a key.
struct Point {
    /// `-A`.
    negative: EdwardsPoint,
    /// `A`, as it is hashed.
    encoded: [u8; 32],
}

impl Verifier {
    /// `None` for a key that is not a point of the curve and thus has no valid signatures.
    pub(crate) fn new(key: &PublicKey) -> Option<Self> {
        let point = key.point().to_edwards(0)?;
        let encoded = point.compress().to_bytes();
        let mut opposite = encoded;
        let [.., top] = &mut opposite;
        // The negative of a point of order 2 is the point itself, in one encoding.
        if point != -point {
            *top |= SIGN_BIT;
        }
        let points = [Point { negative: -point, encoded }, Point { negative: point, encoded: opposite }];
        Some(Self { points, table: None })
    }

    /// Computes the table for the sign of `signature`, which a signer does not change. This is worthwhile for a key
    /// that signs often.
    pub(super) fn tabulate(&mut self, signature: &Signature) {
        let sign = signature.sign();
        let points = [ED25519_BASEPOINT_POINT, self.point(sign).negative];
        self.table = Some((sign, VartimeEdwardsPrecomputation::new(points)));
    }

    #[cfg(test)]
    pub(super) fn has_table(&self) -> bool {
        self.table.is_some()
    }

    /// Whether `signature` is a valid signature of `message` by this key: `sB - hA` must be `R`. It is not
    /// constant-time, because nothing here is secret.
    pub(crate) fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        let (Some(commitment), Some(mut s)) =
            (signature.0.first_chunk::<32>(), signature.0.last_chunk::<32>().copied())
        else {
            return false;
        };
        let [.., top] = &mut s;
        *top &= !SIGN_BIT;
        // Signers produce s below 2^253, and others refuse the rest; no implementation checks that s is below the
        // group order.
        if *top & 0xe0 != 0 {
            return false;
        }
        let sign = signature.sign();
        let Point { negative, encoded } = self.point(sign);
        let h = Scalar::from_bytes_mod_order_wide(&sha512(&[commitment, encoded, message]));
        let s = Scalar::from_bytes_mod_order(s);
        let point = match &self.table {
            Some((of, table)) if *of == sign => table.vartime_multiscalar_mul([s, h]),
            _ => EdwardsPoint::vartime_double_scalar_mul_basepoint(&h, negative, &s),
        };
        point.compress().as_bytes() == commitment
    }

    fn point(&self, sign: bool) -> &Point {
        let [positive, opposite] = &self.points;
        if sign { opposite } else { positive }
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::EIGHT_TORSION;

    use super::*;
    use crate::vectors::{self, bytes, secret};

    /// Verifies with and without cached values of the key, and with and without its table.
    fn verify(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        let verdict = super::verify(key, message, signature);
        assert_eq!(defined(key, message, signature), verdict);
        for sign in [0, SIGN_BIT] {
            let mut other = *signature;
            other.0[63] = (other.0[63] & !SIGN_BIT) | sign;
            let Some(mut verifier) = Verifier::new(key) else { continue };
            verifier.tabulate(&other);
            assert_eq!(verifier.verify(message, signature), verdict);
        }
        verdict
    }

    /// The definition, without precomputed or shared values.
    fn defined(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        let (commitment, s) = signature.0.split_at(32);
        let mut s: [u8; 32] = s.try_into().unwrap();
        s[31] &= !SIGN_BIT;
        let Some(public) = key.point().to_edwards(u8::from(signature.sign())) else { return false };
        let hash = sha512(&[commitment, public.compress().as_bytes(), message]);
        let h = Scalar::from_bytes_mod_order_wide(&hash);
        let point = Scalar::from_bytes_mod_order(s) * ED25519_BASEPOINT_POINT - h * public;
        s[31] < 0x20 && point.compress().as_bytes() == commitment
    }

    /// Keys that no honest signer has: of small order, with a component of small order, or on the twist. A signature
    /// by the remaining component of such a key is valid if its hash makes the small component vanish.
    #[test]
    fn unusual_keys_are_verified_as_in_the_definition() {
        let (mut good, mut bad) = (0, 0);
        for number in 0..8_u8 {
            let scalar = Scalar::from(u64::from(number % 4));
            for torsion in EIGHT_TORSION {
                let point = EdwardsPoint::mul_base(&scalar) + torsion;
                let key = PublicKey::from_coordinate(point.to_montgomery().to_bytes());
                let messages = (0..16_u8).map(|message| [number, message]);
                for (message, sign) in messages.flat_map(|message| [(message, 0), (message, SIGN_BIT)]) {
                    let own = key.point().to_edwards(sign >> 7).unwrap();
                    // `R = rB`, `s = r + h * scalar` is valid if the torsion component vanishes.
                    let (r, encoded) = (Scalar::from(9_u64), own.compress());
                    let commitment = EdwardsPoint::mul_base(&r).compress();
                    let hash = sha512(&[commitment.as_bytes(), encoded.as_bytes(), &message]);
                    let h = Scalar::from_bytes_mod_order_wide(&hash);
                    for scalar in [scalar, -scalar] {
                        let mut signature = [0; SIGNATURE_LEN];
                        signature[..32].copy_from_slice(commitment.as_bytes());
                        signature[32..].copy_from_slice((r + h * scalar).as_bytes());
                        signature[63] |= sign;
                        let signature = Signature(signature);
                        if verify(&key, &message, &signature) { good += 1 } else { bad += 1 }
                    }
                }
            }
        }
        assert!(good > 100 && bad > 100, "{good} {bad}");
        // u = 2 is on the twist, and u = -1 would be a point at infinity.
        let mut twist = [0; 32];
        twist[0] = 2;
        let mut infinite = [0xff; 32];
        (infinite[0], infinite[31]) = (0xec, 0x7f);
        for key in [twist, infinite].map(PublicKey::from_coordinate) {
            assert!(Verifier::new(&key).is_none());
            assert!(!verify(&key, b"message", &Signature([0; SIGNATURE_LEN])));
        }
    }

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
