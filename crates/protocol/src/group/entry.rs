//! The signature of an entry of a roster.

use rand_core::CryptoRng;

use super::words::ENTRY;
use crate::error::DecodeError;
use crate::identity::{IdentityKey, IdentityKeyPair};
use crate::primitives::xeddsa::{SIGNATURE_LEN, Signature, Verifier};

/// The signature of a device of a member under an entry (XEdDSA).
#[derive(Debug, Clone, Copy)]
pub struct EntrySignature(Signature);

impl EntrySignature {
    /// Signs an entry without its signature.
    pub fn sign<R: CryptoRng + ?Sized>(unsigned: &[u8], identity: &IdentityKeyPair, rng: &mut R) -> Self {
        Self(identity.sign(&[ENTRY, unsigned].concat(), rng))
    }

    /// Parses the signature, 64 bytes, which may be invalid.
    ///
    /// # Errors
    /// [`DecodeError::Length`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        Signature::parse(bytes).map(Self)
    }

    /// The 64 bytes.
    pub fn as_bytes(&self) -> &[u8; SIGNATURE_LEN] {
        self.0.as_bytes()
    }

    /// Whether the device with this identity key has signed this entry. Bytes that are signed for any other purpose are no entry.
    pub fn is_of(&self, identity: &IdentityKey, unsigned: &[u8]) -> bool {
        let message = [ENTRY, unsigned].concat();
        Verifier::new(identity.public_key()).is_some_and(|verifier| verifier.verify(&message, &self.0))
    }
}
