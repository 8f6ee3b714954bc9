//! `CK`: the key of a chain, which gives a message key at every step.

use super::message_key::MessageKey;
use super::walk::{Chain, STEP_COST};
use crate::primitives::kdf;
use crate::primitives::secret::{Secret, Shared};

/// A chain key and the number of the message key it gives next.
#[derive(Debug, Clone)]
pub(crate) struct ChainKey {
    key: Shared<32>,
    index: u32,
}

impl ChainKey {
    /// The first of a chain.
    pub(crate) fn new(key: Secret<32>) -> Self {
        Self::at(key, 0)
    }

    pub(crate) fn at(key: Secret<32>, index: u32) -> Self {
        Self { key: key.into(), index }
    }

    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        self.key.expose()
    }
}

impl Chain for ChainKey {
    const COST: u32 = STEP_COST;

    fn next_number(&self) -> u32 {
        self.index
    }

    /// `CK, MK = KDF_CK(CK)` (Double Ratchet, section 3.5).
    fn step(&self) -> Option<(Self, MessageKey)> {
        let index = self.index.checked_add(1)?;
        let mut key = self.key.copy();
        let message_key = kdf::chain_step(key.expose_mut());
        Some((Self::at(key, index), MessageKey::new(message_key)))
    }

    fn skip(&self) -> Option<Self> {
        let index = self.index.checked_add(1)?;
        let mut key = self.key.copy();
        kdf::chain_skip(key.expose_mut());
        Some(Self::at(key, index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, bytes, secret};

    #[test]
    fn a_step_agrees_with_the_vector() {
        let case = &vectors::load("misc-kats")["chain_key_kat"];
        let (next, message_key) = ChainKey::new(secret(&case["chain_key"])).step().unwrap();
        assert_eq!(next.expose(), bytes(&case["next_chain_key"]).as_slice());
        assert_eq!(next.index(), 1);
        let keys = ["cipher_key", "mac_key", "iv"].map(|name| bytes(&case[name])).concat();
        assert_eq!(message_key.into_cipher_keys(None).expose(), keys.as_slice());
    }

    #[test]
    fn a_chain_ends() {
        let chain = || ChainKey::at(Secret::new([1; 32]), u32::MAX);
        assert!(chain().step().is_none());
        assert!(chain().skip().is_none());
    }
}
