//! `RK`: the root key, an input of the next DH ratchet step.

use super::chain_key::ChainKey;
use crate::error::LowOrderPoint;
use crate::primitives::kdf;
use crate::primitives::secret::Secret;
use crate::primitives::x25519::{KeyPair, PublicKey};

#[derive(Debug)]
pub(crate) struct RootKey(Secret<32>);

impl RootKey {
    pub(crate) fn new(key: Secret<32>) -> Self {
        Self(key)
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// The next root key and a chain key: `RK, CK = KDF_RK(RK, DH(DHs, DHr))` (Double Ratchet, section 3.5).
    pub(crate) fn step(
        root_key: &[u8; 32],
        ours: &KeyPair,
        theirs: &PublicKey,
    ) -> Result<(Self, ChainKey), LowOrderPoint> {
        let agreement = ours.agree(theirs)?;
        let [root_key, chain_key] = kdf::hkdf_keys(Some(root_key), &[agreement.expose()], kdf::ROOT);
        Ok((Self::new(root_key), ChainKey::new(chain_key)))
    }
}
