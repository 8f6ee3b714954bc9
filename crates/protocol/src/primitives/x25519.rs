//! X25519 (RFC 7748): key pairs and Diffie-Hellman, both computed by AWS-LC (docs/adr/0006).

use std::fmt;
use std::sync::{LazyLock, OnceLock};

use aws_lc_rs::agreement;
use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::montgomery::MontgomeryPoint;
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

/// `5L - 1`, where `L` is the order of the prime-order subgroup: -1 there, and 0 modulo the cofactor 8. It is clamped.
const MINUS_ONE: [u8; 32] = [
    0xa0, 0x23, 0xcd, 0xd0, 0x83, 0xef, 0x5b, 0xb8, 0x2f, 0x10, 0xd6, 0x2e, 0x59, 0xe1, 0x5a, 0x68, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x50,
];

/// A public key in its serialized form, `0x05 || u`. Two keys are equal if their bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PublicKey([u8; PUBLIC_KEY_LEN]);

impl PublicKey {
    /// Parses the first 33 bytes; further bytes are ignored, as in all implementations of this format.
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

    pub(crate) fn point(&self) -> MontgomeryPoint {
        let [_, u @ ..] = self.0;
        MontgomeryPoint(u)
    }

    /// Whether every Diffie-Hellman output with this key is zero.
    pub(crate) fn is_low_order(&self) -> bool {
        // Points are compared modulo the prime, which covers the other encodings of each.
        LOW_ORDER.into_iter().any(|u| MontgomeryPoint(u) == self.point())
    }

    /// Whether this is the canonical encoding of a point in the prime-order subgroup of the curve.
    ///
    /// Only a point of that subgroup has the same coordinate as its multiple by `5L - 1`, which is its negative: the
    /// factor clears other components, and the twist has another order. The result is in its canonical encoding.
    pub(crate) fn is_canonical(&self) -> bool {
        static NEGATION: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::from_private(&Secret::new(MINUS_ONE)));
        NEGATION.agree(self).is_ok_and(|negative| Self::from_coordinate(*negative.expose()) == *self)
    }
}

/// Shows the first byte of the coordinate, to tell keys apart in a log.
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, a, b, ..] = self.0;
        write!(f, "PublicKey({a:02x}{b:02x}..)")
    }
}

/// A key pair. The private half is clamped.
pub(crate) struct KeyPair {
    public: PublicKey,
    private: Secret<32>,
    /// The private half as AWS-LC stores and wipes it. Creating it costs as much as generating a key pair, so a
    /// stored key gets it only when it is first used for an agreement.
    agreeing: OnceLock<agreement::PrivateKey>,
    /// The public half in the form that XEdDSA needs, once it has signed.
    edwards: OnceLock<[u8; 32]>,
}

impl KeyPair {
    pub(crate) fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self::of(clamped(Secret::random(rng)))
    }

    /// Clamps `private` and computes the public half.
    pub(crate) fn from_private(private: &Secret<32>) -> Self {
        Self::of(clamped(private.copy()))
    }

    fn of(private: Secret<32>) -> Self {
        let (agreeing, coordinate) = parse(&private);
        let public = PublicKey::from_coordinate(coordinate);
        Self { public, private, agreeing: agreeing.into(), edwards: OnceLock::new() }
    }

    /// From a stored pair. The public half is not checked, because it was computed when the pair was created.
    pub(crate) fn from_parts(public: PublicKey, private: Secret<32>) -> Self {
        Self { public, private: clamped(private), agreeing: OnceLock::new(), edwards: OnceLock::new() }
    }

    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(crate) fn private(&self) -> &Secret<32> {
        &self.private
    }

    /// `DH(self, theirs)`. Never zero: AWS-LC refuses that, in constant time.
    pub(crate) fn agree(&self, theirs: &PublicKey) -> Result<Secret<32>, LowOrderPoint> {
        let ours = self.agreeing.get_or_init(|| parse(&self.private).0);
        let [_, theirs @ ..] = theirs.0;
        let theirs = agreement::UnparsedPublicKey::new(&agreement::X25519, theirs);
        agreement::agree(ours, theirs, LowOrderPoint, |shared| {
            Secret::from_slice(shared).ok_or(LowOrderPoint)
        })
    }

    /// The public half as a compressed point of the Edwards curve, which XEdDSA uses.
    pub(super) fn edwards(&self) -> &[u8; 32] {
        let compute = || EdwardsPoint::mul_base_clamped(*self.private.expose()).compress().to_bytes();
        self.edwards.get_or_init(compute)
    }
}

/// Omits everything that follows from the private half.
impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { public, private, agreeing: _, edwards: _ } = self;
        f.debug_struct("KeyPair").field("public", public).field("private", private).finish()
    }
}

/// The private half as AWS-LC stores it, and the coordinate of the public half.
fn parse(private: &Secret<32>) -> (agreement::PrivateKey, [u8; 32]) {
    let parse = || {
        let key = agreement::PrivateKey::from_private_key(&agreement::X25519, private.expose()).ok()?;
        let coordinate = key.compute_public_key().ok()?.as_ref().try_into().ok()?;
        Some((key, coordinate))
    };
    #[expect(
        clippy::expect_used,
        reason = "all strings of 32 bytes are keys; it only fails if memory is exhausted, as `Box` does"
    )]
    parse().expect("memory for a key")
}

/// A multiple of the cofactor, of fixed length (RFC 7748, section 5).
fn clamped(private: Secret<32>) -> Secret<32> {
    // A stored key has this form already, and nothing more is revealed about it.
    if let [first, .., last] = private.expose()
        && (first & 7, last & 0xc0) == (0, 0x40)
    {
        return private;
    }
    private.changed(|[first, .., last]| {
        *first &= 0xf8;
        *last = (*last & 0x7f) | 0x40;
    })
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::EIGHT_TORSION;

    use super::*;
    use crate::primitives::kdf::sha512;
    use crate::vectors::{self, bytes, secret};

    fn key(u: [u8; 32]) -> PublicKey {
        PublicKey::from_coordinate(u)
    }

    #[test]
    fn parsing_checks_type_then_length_and_ignores_the_rest() {
        assert_eq!(PublicKey::parse(&[]), Err(DecodeError::KeyType));
        assert_eq!(PublicKey::parse(&[8; 33]), Err(DecodeError::KeyType));
        assert_eq!(PublicKey::parse(&[5; 32]), Err(DecodeError::Length));
        assert_eq!(PublicKey::parse(&[5; 40]).unwrap().as_bytes(), &[5; 33]);
    }

    #[test]
    fn agreements_with_low_order_points_are_refused() {
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

    /// Where the vectors allow either result, only an agreement of zero is refused.
    #[test]
    fn agreements_match_wycheproof() {
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
    fn every_private_key_is_clamped() {
        let made = KeyPair::from_private(&Secret::new([0xff; 32]));
        let stored = KeyPair::from_parts(*made.public(), Secret::new([0xff; 32]));
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

    /// Compares with the definition, including points that almost satisfy it.
    #[test]
    fn canonical_keys_match_the_definition() {
        let defined = |key: &PublicKey| {
            key.point().to_edwards(0).is_some_and(|point| {
                let encoded = point.to_montgomery().to_bytes();
                point.is_torsion_free() && PublicKey::from_coordinate(encoded) == *key
            })
        };
        let mut canonical = 0;
        for number in 0..64 {
            let pair = KeyPair::from_private(&Secret::new([number; 32]));
            let Some(point) = pair.public().point().to_edwards(number & 1) else { panic!() };
            let near = EIGHT_TORSION.map(|torsion| (point + torsion).to_montgomery().to_bytes());
            let mut high = near[0];
            high[31] |= 0x80;
            // About half of all strings are on the twist.
            let any = sha512(&[&[number]]);
            let strings = near.into_iter().chain([high, any[..32].try_into().unwrap()]);
            for key in strings.map(PublicKey::from_coordinate) {
                assert_eq!(key.is_canonical(), defined(&key), "{:?}", key.0);
                canonical += usize::from(key.is_canonical());
            }
        }
        assert!((64..128).contains(&canonical), "{canonical}");
        // The small numbers and their other encodings, with the prime added.
        for (low, top) in (0..=255).flat_map(|low| [(low, 0), (low, 0x7f), (low, 0xff)]) {
            let mut u = [if top == 0 { 0 } else { 0xff }; 32];
            (u[0], u[31]) = (low, top);
            assert_eq!(key(u).is_canonical(), defined(&key(u)), "{low} {top}");
        }
    }

    #[test]
    fn a_key_pair_agrees_and_signs_the_same_after_storing_it() {
        let made = KeyPair::from_private(&Secret::new([0x42; 32]));
        let stored = KeyPair::from_parts(*made.public(), made.private().copy());
        let theirs = *KeyPair::from_private(&Secret::new([0x31; 32])).public();
        for _ in 0..2 {
            assert_eq!(made.agree(&theirs).unwrap().expose(), stored.agree(&theirs).unwrap().expose());
            assert_eq!(made.edwards(), stored.edwards());
        }
        let sign = made.edwards()[31] >> 7;
        assert_eq!(made.public().point().to_edwards(sign).unwrap().compress().as_bytes(), made.edwards());
    }
}
