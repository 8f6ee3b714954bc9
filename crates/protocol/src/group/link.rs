//! The link by which people join a group, and the proof that somebody has it.

use std::fmt;

use rand_core::CryptoRng;

use super::GroupId;
use super::words::{JOIN, LINK_KEY, LINK_TOKEN};
use crate::address::DeviceId;
use crate::device::{AccountId, AccountKey};
use crate::error::DecodeError;
use crate::identity::{IdentityKey, IdentityKeyPair};
use crate::primitives::kdf::hkdf;
use crate::primitives::secret::Secret;
use crate::primitives::x25519::PUBLIC_KEY_LEN;
use crate::primitives::xeddsa::{SIGNATURE_LEN, Signature, Verifier};

/// Who joins: a device of an account.
#[derive(Clone, Copy)]
pub struct Joiner<'a> {
    /// The user.
    pub user: &'a AccountId,
    /// The device that signs the entry.
    pub device: DeviceId,
    /// The account key.
    pub account: &'a AccountKey,
}

/// Shows nothing that identifies the user.
impl fmt::Debug for Joiner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user: _, device, account } = self;
        f.debug_struct("Joiner").field("device", device).field("account", account).finish_non_exhaustive()
    }
}

/// The secret in a link.
pub struct LinkSecret(Secret<32>);

impl LinkSecret {
    /// Length of its serialized form.
    pub const LEN: usize = 32;

    /// Generates the secret of a new link.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(Secret::random(rng))
    }

    /// Parses the bytes in a link. None if the length is another one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        Secret::from_slice(bytes).map(Self)
    }

    /// The bytes that the link contains.
    pub fn expose(&self) -> &[u8; Self::LEN] {
        self.0.expose()
    }

    /// The public key, which the roster contains: 33 bytes.
    pub fn public_key(&self) -> [u8; PUBLIC_KEY_LEN] {
        self.pair().public().serialize()
    }

    /// The token with which the relay shows the roster to those who have the link. The roster contains its SHA-256.
    pub fn access_token(&self) -> Secret<32> {
        hkdf(None, &[self.0.expose()], LINK_TOKEN)
    }

    /// Proves that the joiner has the link: a signature of its key over `type word || group || user || device || account key`.
    pub fn prove<R: CryptoRng + ?Sized>(
        &self,
        group: &GroupId,
        joiner: &Joiner<'_>,
        rng: &mut R,
    ) -> JoinProof {
        JoinProof(self.pair().sign(&signed_bytes(group, joiner), rng))
    }

    fn pair(&self) -> IdentityKeyPair {
        let private: Secret<32> = hkdf(None, &[self.0.expose()], LINK_KEY);
        IdentityKeyPair::from_private(&private)
    }
}

impl fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkSecret(..)")
    }
}

/// The proof that somebody has the link.
#[derive(Debug, Clone, Copy)]
pub struct JoinProof(Signature);

impl JoinProof {
    /// Parses the proof, 64 bytes, which may be invalid.
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

    /// Whether this joiner has the link with this public key.
    pub fn is_valid(&self, public_key: &[u8; PUBLIC_KEY_LEN], group: &GroupId, joiner: &Joiner<'_>) -> bool {
        let Ok(key) = IdentityKey::parse(public_key) else { return false };
        let message = signed_bytes(group, joiner);
        Verifier::new(key.public_key()).is_some_and(|verifier| verifier.verify(&message, &self.0))
    }
}

fn signed_bytes(group: &GroupId, joiner: &Joiner<'_>) -> Vec<u8> {
    let Joiner { user, device, account } = joiner;
    [&JOIN[..], group, *user, &[device.byte()], &account.serialize()].concat()
}
