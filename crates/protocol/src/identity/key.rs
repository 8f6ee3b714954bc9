//! `IK`: the long-term key of an account.

use std::fmt;

use rand_core::CryptoRng;

use crate::error::DecodeError;
use crate::form::{Fields, written};
use crate::primitives::secret::Secret;
use crate::primitives::x25519::{KeyPair, PUBLIC_KEY_LEN, PublicKey};
use crate::primitives::xeddsa::{self, Signature};
use crate::stored::StoredBytes;

/// Who somebody is: the public half of their identity key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdentityKey(PublicKey);

impl IdentityKey {
    /// From its serialized form: type byte and 32 bytes. Bytes behind those are ignored.
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

    /// Whether `signature` is one of `message` by this identity.
    #[cfg(test)]
    pub(crate) fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        xeddsa::verify(&self.0, message, signature)
    }
}

/// Two bytes: enough to tell keys apart in a log, not enough to name a person.
impl fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, a, b, ..] = self.0.as_bytes();
        write!(f, "IdentityKey({a:02x}{b:02x}..)")
    }
}

/// Our identity key, with the secret half. It agrees and signs within the protocol only, where what is derived and what is
/// signed cannot be taken for something else.
pub struct IdentityKeyPair {
    public: IdentityKey,
    pair: KeyPair,
}

impl IdentityKeyPair {
    /// A new identity.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self::new(KeyPair::generate(rng))
    }

    /// The identity with this private half.
    pub fn from_private(private: &Secret<32>) -> Self {
        Self::new(KeyPair::from_private(private))
    }

    /// The half that others know.
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

    /// From its stored form.
    ///
    /// # Errors
    /// [`DecodeError`] when it is not protobuf, or a key in it is not one.
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
    fn a_stored_identity_is_the_same_one() {
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
