//! `IK`: the long-term key of an account.

use std::fmt;

use rand_core::CryptoRng;

use crate::error::DecodeError;
use crate::form::{Fields, written};
use crate::primitives::secret::Secret;
use crate::primitives::x25519::{KeyPair, PUBLIC_KEY_LEN, PublicKey};
use crate::primitives::xeddsa::{self, Signature};
use crate::stored::StoredBytes;

/// The identity of a user: the public half of their identity key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdentityKey(PublicKey);

impl IdentityKey {
    /// Parses the serialized form: the type byte and 32 bytes. Further bytes are ignored.
    ///
    /// # Errors
    /// [`DecodeError::KeyType`] or [`DecodeError::Length`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        PublicKey::parse(bytes).map(Self)
    }

    /// Type byte and 32 bytes.
    pub fn serialize(&self) -> [u8; PUBLIC_KEY_LEN] {
        *self.0.as_bytes()
    }

    pub(crate) fn as_bytes(&self) -> &[u8; PUBLIC_KEY_LEN] {
        self.0.as_bytes()
    }

    pub(crate) fn public_key(&self) -> &PublicKey {
        &self.0
    }

    /// Whether `signature` is a valid signature of `message` by this identity.
    #[cfg(test)]
    pub(crate) fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        xeddsa::verify(&self.0, message, signature)
    }
}

/// Shows two bytes: enough to tell keys apart in a log, but not enough to identify a person.
impl fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, a, b, ..] = self.0.as_bytes();
        write!(f, "IdentityKey({a:02x}{b:02x}..)")
    }
}

/// Our identity key, with the secret half. It is used for agreements and signatures only within the protocol, where
/// derived secrets and signed data cannot be mistaken for something else.
pub struct IdentityKeyPair {
    public: IdentityKey,
    pair: KeyPair,
}

impl IdentityKeyPair {
    /// Generates a new identity.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self::new(KeyPair::generate(rng))
    }

    /// The identity with this private half.
    pub fn from_private(private: &Secret<32>) -> Self {
        Self::new(KeyPair::from_private(private))
    }

    /// The public half.
    pub fn public(&self) -> &IdentityKey {
        &self.public
    }

    /// The stored form: protobuf, 1 public (33 bytes), 2 private (32 bytes).
    pub fn to_bytes(&self) -> StoredBytes {
        written(|out| {
            out.bytes(1, self.public.as_bytes());
            out.bytes(2, self.pair.private().expose());
        })
    }

    /// Parses the stored form.
    ///
    /// # Errors
    /// [`DecodeError`] if it is not protobuf, or contains an invalid key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let form = Fields::<3>::parse(bytes)?;
        let public = PublicKey::parse(form.bytes(1)?)?;
        let private = Secret::from_slice(form.bytes(2)?).ok_or(DecodeError::Length)?;
        Ok(Self::new(KeyPair::from_parts(public, private)))
    }

    pub(crate) fn key_pair(&self) -> &KeyPair {
        &self.pair
    }

    pub(crate) fn sign<R: CryptoRng + ?Sized>(&self, message: &[u8], rng: &mut R) -> Signature {
        xeddsa::sign(&self.pair, message, rng)
    }

    fn new(pair: KeyPair) -> Self {
        Self { public: IdentityKey(*pair.public()), pair }
    }
}

impl fmt::Debug for IdentityKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { public, pair: _ } = self;
        f.debug_struct("IdentityKeyPair").field("public", public).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, bytes};

    #[test]
    fn an_identity_is_the_same_after_storing_it() {
        let file = vectors::load("session-v4-nospqr");
        let (public, private) =
            (bytes(&file["alice"]["identity_public"]), bytes(&file["alice"]["identity_private"]));
        let stored = [&[0x0a, 33][..], &public, &[0x12, 32], &private].concat();
        let identity = IdentityKeyPair::from_bytes(&stored).unwrap();
        assert_eq!(identity.public().serialize().as_slice(), public);
        assert_eq!(*identity.to_bytes(), *stored);
        assert_eq!(KeyPair::from_private(identity.pair.private()).public(), identity.pair.public());
    }

    #[test]
    fn a_short_private_half_is_refused() {
        let stored = [&[0x0a, 33][..], &[5; 33], &[0x12, 31], &[1; 31]].concat();
        assert_eq!(IdentityKeyPair::from_bytes(&stored).err(), Some(DecodeError::Length));
        assert_eq!(IdentityKeyPair::from_bytes(&[0xff]).err(), Some(DecodeError::Malformed));
        assert_eq!(IdentityKeyPair::from_bytes(&[]).err(), Some(DecodeError::KeyType));
    }
}
