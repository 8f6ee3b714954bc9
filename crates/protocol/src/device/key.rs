//! The account key, which signs the list of devices and is compared in safety numbers.

use std::fmt;

use rand_core::CryptoRng;

use crate::error::DecodeError;
use crate::identity::{IdentityKey, IdentityKeyPair};
use crate::primitives::x25519::PUBLIC_KEY_LEN;
use crate::primitives::xeddsa::{Signature, Verifier};
use crate::stored::StoredBytes;

/// The public half of the key of an account. It is a key of its own; for accounts from before device lists, it is the identity key of
/// their first device.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccountKey(IdentityKey);

impl AccountKey {
    /// Parses the serialized form: the type byte and 32 bytes.
    ///
    /// # Errors
    /// [`DecodeError::KeyType`], or [`DecodeError::Length`] for another length.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes.len() {
            PUBLIC_KEY_LEN => IdentityKey::parse(bytes).map(Self),
            _ => Err(DecodeError::Length),
        }
    }

    /// Type byte and 32 bytes.
    pub fn serialize(&self) -> [u8; PUBLIC_KEY_LEN] {
        self.0.serialize()
    }

    /// The key in the form in which a [`Party`](crate::Party) of a safety number has it.
    pub fn as_identity(&self) -> &IdentityKey {
        &self.0
    }

    pub(super) fn as_bytes(&self) -> &[u8; PUBLIC_KEY_LEN] {
        self.0.as_bytes()
    }

    pub(super) fn has_signed(&self, message: &[u8], signature: &Signature) -> bool {
        is_signed(&self.0, message, signature)
    }
}

/// The account key of an account from before device lists.
impl From<IdentityKey> for AccountKey {
    fn from(identity: IdentityKey) -> Self {
        Self(identity)
    }
}

/// Shows two bytes.
impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, a, b, ..] = self.0.as_bytes();
        write!(f, "AccountKey({a:02x}{b:02x}..)")
    }
}

/// The account key with its secret half, which only the primary device has.
pub struct AccountKeyPair {
    pair: IdentityKeyPair,
}

impl AccountKeyPair {
    /// Generates the key of a new account.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self { pair: IdentityKeyPair::generate(rng) }
    }

    /// The public half.
    pub fn public(&self) -> AccountKey {
        AccountKey(*self.pair.public())
    }

    /// The stored form, which is that of an identity key.
    pub fn to_bytes(&self) -> StoredBytes {
        self.pair.to_bytes()
    }

    /// Parses the stored form.
    ///
    /// # Errors
    /// [`DecodeError`] if it is not protobuf, or contains an invalid key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        IdentityKeyPair::from_bytes(bytes).map(Self::from)
    }

    pub(super) fn sign<R: CryptoRng + ?Sized>(&self, message: &[u8], rng: &mut R) -> Signature {
        self.pair.sign(message, rng)
    }
}

/// The account key of an account from before device lists.
impl From<IdentityKeyPair> for AccountKeyPair {
    fn from(pair: IdentityKeyPair) -> Self {
        Self { pair }
    }
}

impl fmt::Debug for AccountKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountKeyPair({:?}, ..)", self.public())
    }
}

pub(super) fn is_signed(key: &IdentityKey, message: &[u8], signature: &Signature) -> bool {
    Verifier::new(key.public_key()).is_some_and(|verifier| verifier.verify(message, signature))
}
