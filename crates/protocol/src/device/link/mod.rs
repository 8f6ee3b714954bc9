//! Linking a companion device to an account.
//!
//! The companion shows a [`LinkCode`] with its keys and a secret that is never sent. Whoever knows the secret can answer, so the primary device is
//! authenticated by having read the code, and the companion by having made it:
//!
//! 1. The primary device sends an [`Offer`]: the account, its list, and a token for the relay, encrypted to the companion's key with HPKE and the
//!    secret as pre-shared key. It contains the hash of a nonce that the primary device keeps.
//! 2. The companion sends an [`Answer`]: its statement that it belongs to the account, and its name.
//! 3. The primary device sends the nonce. Both show the same [`ShortCode`], which is made of the secret and of everything before. Neither
//!    side could choose what it sent so as to get a certain code, because of the nonce that it did not know.
//! 4. After the person has confirmed, the primary device signs the list with the companion and sends it.
//!
//! The bytes are defined in `docs/wire.md`.

mod answer;
mod code;
mod offer;
mod release;
mod short_code;
pub(crate) mod text;

use std::fmt;

pub use answer::Answer;
pub use code::{CodeError, LINK_ID_LEN, LinkCode, LinkKeys};
pub use offer::{NewOffer, Offer, SealedOffer};
pub use release::Release;
pub use short_code::ShortCode;

use super::ListError;
use crate::error::DecodeError;
use crate::primitives::kdf::{hkdf_about, sha256};
use crate::primitives::secret::Secret;

/// Length of the token with which the relay registers the companion, in bytes.
pub const LINK_TOKEN_LEN: usize = 32;
/// Length of the nonce of the primary device, in bytes.
const NONCE_LEN: usize = 32;

const OFFER: &[u8; 24] = b"Sealpost link offer v1\0\0";
const ANSWER: &[u8; 24] = b"Sealpost link answer v1\0";
const RELEASE: &[u8; 24] = b"Sealpost link release v1";
const NONCE: &[u8; 24] = b"Sealpost link nonce v1\0\0";
const SHORT_CODE: &[u8; 24] = b"Sealpost link code v1\0\0\0";

/// Why a message of the other device is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// It is not from the device that has read, or made, the code, or it was changed.
    #[error("not from the other device")]
    NotAuthentic,
    /// It is authentic, but cannot be parsed.
    #[error("malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// Its device list cannot be used.
    #[error("the device list cannot be used: {0}")]
    List(#[from] ListError),
    /// Its device list does not fit: it is signed by another account key, has not the right devices, or is too old.
    #[error("the device list does not fit")]
    OtherList,
    /// The companion has not stated that it belongs to the account.
    #[error("the companion does not belong to the account")]
    Binding,
    /// The nonce is not the one whose hash was sent.
    #[error("another nonce")]
    Nonce,
}

/// The nonce of the primary device, which it sends after it has the companion's answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LinkNonce([u8; NONCE_LEN]);

impl LinkNonce {
    /// Parses the nonce that the primary device has sent.
    ///
    /// # Errors
    /// [`DecodeError::Length`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        bytes.try_into().map(Self).map_err(|_| DecodeError::Length)
    }

    /// The bytes to send.
    pub fn as_bytes(&self) -> &[u8; NONCE_LEN] {
        &self.0
    }

    fn hash(&self) -> [u8; 32] {
        sha256(&[&NONCE[..], &self.0].concat())
    }
}

impl fmt::Debug for LinkNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkNonce(..)")
    }
}

/// The key of a message that follows the offer: from the secret of the code and the seed in the offer, so that somebody who has only seen
/// the code can neither read nor write it.
fn message_key(secret: &Secret<32>, seed: &Secret<32>, word: &[u8; 24]) -> Secret<32> {
    hkdf_about(Some(seed), &[secret.expose()], &[word])
}

#[cfg(test)]
mod tests;
