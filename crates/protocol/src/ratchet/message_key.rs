//! `MK`: the key of one message, which is consumed by use.

use crate::primitives::cipher::CipherKeys;
use crate::primitives::kdf;
use crate::primitives::secret::Secret;

/// A message key. It remains a seed, the output of `KDF_CK`, until its message arrives: only then is the key of the
/// post-quantum ratchet known, if the session has one.
#[derive(Debug)]
pub(crate) struct MessageKey(Secret<32>);

impl MessageKey {
    pub(crate) fn new(seed: Secret<32>) -> Self {
        Self(seed)
    }

    /// The part that is stored for a skipped message.
    pub(crate) fn into_seed(self) -> Secret<32> {
        self.0
    }

    /// `HKDF(salt = key of the post-quantum ratchet or none, MK)` (Double Ratchet, section 7.2).
    pub(crate) fn into_cipher_keys(self, pq_key: Option<&Secret<32>>) -> CipherKeys {
        CipherKeys::new(kdf::hkdf(pq_key, &[self.0.expose()], kdf::MESSAGE_KEYS))
    }
}
