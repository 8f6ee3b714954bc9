//! The secret of a group, which changes with every removal, and what comes from it.

use std::fmt;

use rand_core::CryptoRng;

use super::GroupId;
use super::words::{COMMITMENT, DETAILS};
use crate::error::NotAuthentic;
use crate::plaintext::Plaintext;
use crate::primitives::gcm_siv;
use crate::primitives::kdf::{hkdf_about, sha256};
use crate::primitives::secret::{Secret, is_same};
use zeroize::Zeroizing;

/// Random bytes in front of the details, so that no key is used twice.
const SALT_LEN: usize = 16;

/// The details were encrypted with another secret, for another group, or for another kind of entry; or they are damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the details of a group cannot be opened")]
pub struct OtherDetails;

/// What the members of a group know, and nobody else.
pub struct GroupSecret(Secret<32>);

impl GroupSecret {
    /// Length of its serialized form.
    pub const LEN: usize = 32;

    /// Generates a new secret.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(Secret::random(rng))
    }

    /// Parses the bytes that members give each other. None if the length is another one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        Secret::from_slice(bytes).map(Self)
    }

    /// The bytes, for other members and for storing.
    pub fn expose(&self) -> &[u8; Self::LEN] {
        self.0.expose()
    }

    /// What the roster contains of it: `SHA-256(type word || secret)`.
    pub fn commitment(&self) -> [u8; 32] {
        let message = Zeroizing::new([&COMMITMENT[..], self.0.expose()].concat());
        sha256(&message)
    }

    /// Whether it is the secret that the roster means.
    pub fn is_meant_by(&self, commitment: &[u8; 32]) -> bool {
        is_same(&self.commitment(), commitment)
    }

    /// Encrypts the details for an entry of this kind: `salt (16) || ciphertext || tag (16)`. None above 64 GiB.
    pub fn seal_details<R: CryptoRng + ?Sized>(
        &self,
        group: &GroupId,
        kind: u8,
        details: &[u8],
        rng: &mut R,
    ) -> Option<Vec<u8>> {
        let mut salt = [0; SALT_LEN];
        rng.fill_bytes(&mut salt);
        let sealed = gcm_siv::seal(self.details_key(group, kind, &salt), details)?;
        Some([&salt[..], &sealed].concat())
    }

    /// Opens the details of an entry of this kind.
    ///
    /// # Errors
    /// [`OtherDetails`]
    pub fn open_details(&self, group: &GroupId, kind: u8, sealed: &[u8]) -> Result<Plaintext, OtherDetails> {
        let (salt, sealed) = sealed.split_first_chunk::<SALT_LEN>().ok_or(OtherDetails)?;
        let opened = gcm_siv::open(self.details_key(group, kind, salt), sealed);
        opened.map(Plaintext).map_err(|NotAuthentic| OtherDetails)
    }

    /// HKDF-SHA256 of the secret; the info is `type word || group || kind || salt`.
    fn details_key(&self, group: &GroupId, kind: u8, salt: &[u8; SALT_LEN]) -> Secret<32> {
        hkdf_about(None, &[self.0.expose()], &[DETAILS, group, &[kind], salt])
    }
}

impl fmt::Debug for GroupSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupSecret(..)")
    }
}
