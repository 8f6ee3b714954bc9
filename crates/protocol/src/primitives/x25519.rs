//! X25519 (RFC 7748): key pairs and Diffie-Hellman.

use std::fmt;

use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::scalar::clamp_integer;
use rand_core::CryptoRng;

use super::secret::Secret;
use crate::error::{DecodeError, LowOrderPoint};

/// First byte of a serialized X25519 public key.
const KEY_TYPE: u8 = 0x05;
/// Length of a serialized public key: type byte and coordinate.
pub(crate) const PUBLIC_KEY_LEN: usize = 33;

/// The coordinates, below the prime, of the points whose order divides 8, on the curve and on its twist.
const LOW_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
        0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04,
        0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
    {
        let mut minus_one = [0xff; 32];
        minus_one[0] = 0xec;
        minus_one[31] = 0x7f;
        minus_one
    },
];

/// A public key in its serialized form, `0x05 || u`. Two keys are the same when their bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PublicKey([u8; PUBLIC_KEY_LEN]);

impl PublicKey {
    /// Takes the first 33 bytes; what follows them is ignored, as all implementations of this format do.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes.first() {
            Some(&KEY_TYPE) => bytes.first_chunk().copied().map(Self).ok_or(DecodeError::Length),
            _ => Err(DecodeError::KeyType),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8; PUBLIC_KEY_LEN] {
        &self.0
    }

    /// From the 32 bytes without the type.
    pub(crate) fn from_coordinate(coordinate: [u8; 32]) -> Self {
        let mut bytes = [KEY_TYPE; PUBLIC_KEY_LEN];
        if let Some(u) = bytes.last_chunk_mut() {
            *u = coordinate;
        }
        Self(bytes)
    }

    fn from_point(point: MontgomeryPoint) -> Self {
        Self::from_coordinate(point.to_bytes())
    }

    pub(crate) fn point(&self) -> MontgomeryPoint {
        let [_, u @ ..] = self.0;
        MontgomeryPoint(u)
    }

    /// Whether every Diffie-Hellman output with this key is zero.
    pub(crate) fn is_low_order(&self) -> bool {
        // Points are compared modulo the prime, so that this covers the other encodings of each.
        LOW_ORDER.into_iter().any(|u| MontgomeryPoint(u) == self.point())
    }

    /// Whether this is the one encoding of a point in the prime-order subgroup of the curve.
    pub(crate) fn is_canonical(&self) -> bool {
        self.point()
            .to_edwards(0)
            .is_some_and(|point| point.is_torsion_free() && Self::from_point(point.to_montgomery()) == *self)
    }
}

/// The first byte of the coordinate tells keys apart in a log.
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, a, b, ..] = self.0;
        write!(f, "PublicKey({a:02x}{b:02x}..)")
    }
}

/// A key pair. The private half is clamped.
#[derive(Debug)]
pub(crate) struct KeyPair {
    public: PublicKey,
    private: Secret<32>,
}

impl KeyPair {
    pub(crate) fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self::from_private(&Secret::random(rng))
    }

    /// Clamps `private` and computes the public half.
    pub(crate) fn from_private(private: &Secret<32>) -> Self {
        let private = clamped(private);
        // The table of multiples of the base point is for the Edwards form.
        let public = EdwardsPoint::mul_base_clamped(*private.expose()).to_montgomery();
        Self { public: PublicKey::from_point(public), private }
    }

    /// From a stored pair; the public half is taken at its word, for it was computed when the pair was made.
    pub(crate) fn from_parts(public: PublicKey, private: &Secret<32>) -> Self {
        Self { public, private: clamped(private) }
    }

    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(crate) fn private(&self) -> &Secret<32> {
        &self.private
    }

    /// `DH(self, theirs)`. Never zero.
    pub(crate) fn agree(&self, theirs: &PublicKey) -> Result<Secret<32>, LowOrderPoint> {
        let shared = Secret::new(theirs.point().mul_clamped(*self.private.expose()).to_bytes());
        if bool::from(subtle::ConstantTimeEq::ct_eq(shared.expose().as_slice(), &[0; 32])) {
            return Err(LowOrderPoint);
        }
        Ok(shared)
    }
}

/// A multiple of the cofactor, of fixed length (RFC 7748, section 5).
fn clamped(private: &Secret<32>) -> Secret<32> {
    Secret::new(clamp_integer(*private.expose()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, bytes, secret};

    fn key(u: [u8; 32]) -> PublicKey {
        PublicKey::from_point(MontgomeryPoint(u))
    }

    #[test]
    fn parsing_checks_type_then_length_and_ignores_the_rest() {
        assert_eq!(PublicKey::parse(&[]), Err(DecodeError::KeyType));
        assert_eq!(PublicKey::parse(&[8; 33]), Err(DecodeError::KeyType));
        assert_eq!(PublicKey::parse(&[5; 32]), Err(DecodeError::Length));
        assert_eq!(PublicKey::parse(&[5; 40]).unwrap().as_bytes(), &[5; 33]);
    }

    #[test]
    fn low_order_points_are_those_whose_agreement_is_refused() {
        let ours = KeyPair::from_private(&Secret::new([0x42; 32]));
        let mut prime = [0xff; 32];
        (prime[0], prime[31]) = (0xed, 0x7f);
        let mut high_bit = [0; 32];
        high_bit[31] = 0x80;
        for u in LOW_ORDER.into_iter().chain([prime, high_bit]) {
            assert!(key(u).is_low_order());
            assert_eq!(ours.agree(&key(u)).err(), Some(LowOrderPoint));
            assert!(!key(u).is_canonical());
        }
        assert!(!ours.public().is_low_order());
        assert!(ours.public().is_canonical());
    }

    /// Where the vectors leave it to the reader, only an agreement of zero is refused.
    #[test]
    fn agreements_are_those_of_wycheproof() {
        let mut refused = 0;
        let cases = vectors::load_wycheproof("x25519");
        for case in &cases {
            let ours = KeyPair::from_private(&secret(&case["private"]));
            let theirs = PublicKey::from_coordinate(bytes(&case["public"]).try_into().unwrap());
            let is_zero = vectors::is_flagged(case, "ZeroSharedSecret");
            let expected = if is_zero { Err(LowOrderPoint) } else { Ok(bytes(&case["shared"])) };
            let agreed = ours.agree(&theirs).map(|shared| shared.expose().to_vec());
            assert_eq!(agreed, expected, "case {}", case["tcId"]);
            assert_eq!(theirs.is_low_order(), is_zero, "case {}", case["tcId"]);
            let other = ["NonCanonicalPublic", "Twist", "LowOrderPublic"];
            if other.iter().any(|flag| vectors::is_flagged(case, flag)) {
                assert!(!theirs.is_canonical(), "case {}", case["tcId"]);
            }
            refused += usize::from(is_zero);
        }
        assert_eq!((cases.len(), refused), (518, 31));
    }

    #[test]
    fn a_private_half_is_clamped_wherever_it_comes_from() {
        let made = KeyPair::from_private(&Secret::new([0xff; 32]));
        let stored = KeyPair::from_parts(*made.public(), &Secret::new([0xff; 32]));
        assert_eq!(made.private().expose(), stored.private().expose());
        assert_eq!((made.private().expose()[0], made.private().expose()[31]), (0xf8, 0x7f));
    }

    #[test]
    fn a_key_has_one_canonical_encoding() {
        let ours = KeyPair::from_private(&Secret::new([0x42; 32]));
        let mut other = *ours.public();
        other.0[32] |= 0x80;
        assert!(!other.is_canonical());
        assert!(ours.agree(&other).is_ok());
        // u = 2 is on the twist.
        let mut twist = [0; 32];
        twist[0] = 2;
        assert!(!key(twist).is_canonical());
    }
}
