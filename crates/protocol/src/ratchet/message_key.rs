//! `MK`: the key of one message, used by value.

use crate::primitives::cipher::CipherKeys;
use crate::primitives::kdf;
use crate::primitives::secret::Secret;

/// A message key. It stays what `KDF_CK` gave, a seed, until its message is there: only then is the key of the
/// post-quantum ratchet known, if the session has one.
#[derive(Debug)]
pub(crate) struct MessageKey(Secret<32>);

impl MessageKey {
    pub(crate) fn new(seed: Secret<32>) -> Self {
        Self(seed)
    }

    /// What is kept of a skipped message key.
    pub(crate) fn into_seed(self) -> Secret<32> {
        self.0
    }

    /// `HKDF(salt = key of the post-quantum ratchet or none, MK)` (Double Ratchet, section 7.2).
    pub(crate) fn into_cipher_keys(self, pq_key: Option<&Secret<32>>) -> CipherKeys {
        CipherKeys::new(kdf::hkdf(pq_key, &[self.0.expose()], kdf::MESSAGE_KEYS))
    }
}
