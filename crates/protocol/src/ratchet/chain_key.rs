//! `CK`: the key of a chain, which yields one message key per step.

use super::message_key::MessageKey;
use super::walk::{Chain, Place, STEP_COST};
use crate::primitives::kdf;
use crate::primitives::secret::Secret;

/// A chain key, and the number of the message key that it yields next.
#[derive(Debug)]
pub(crate) struct ChainKey {
    key: Secret<32>,
    index: u32,
}

impl ChainKey {
    /// The first chain key of a chain.
    pub(crate) fn new(key: Secret<32>) -> Self {
        Self::at(key, 0)
    }

    pub(crate) fn at(key: Secret<32>, index: u32) -> Self {
        Self { key, index }
    }

    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        self.key.expose()
    }

    pub(crate) fn into_key(self) -> Secret<32> {
        self.key
    }

    /// A copy that can be advanced independently.
    pub(crate) fn copy(&self) -> Self {
        Self::at(self.key.copy(), self.index)
    }

    pub(crate) fn place(&mut self) -> Place<'_> {
        Place { index: &mut self.index, key: self.key.expose_mut() }
    }
}

/// The chains of the Double Ratchet and of sender keys. Their index is the number of the next message.
impl Chain for ChainKey {
    const COST: u32 = STEP_COST;

    fn next_number(index: u32) -> u32 {
        index
    }

    /// `CK, MK = KDF_CK(CK)` (Double Ratchet, section 3.5).
    fn step(key: &mut [u8; 32], _: u32) -> MessageKey {
        MessageKey::new(kdf::chain_step(key))
    }

    fn skip(key: &mut [u8; 32], _: u32) {
        kdf::chain_skip(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, bytes, secret};

    #[test]
    fn a_step_agrees_with_the_vector() {
        let case = &vectors::load("misc-kats")["chain_key_kat"];
        let mut next = ChainKey::new(secret(&case["chain_key"]));
        let message_key = next.place().step::<ChainKey>().unwrap();
        assert_eq!(next.expose(), bytes(&case["next_chain_key"]).as_slice());
        assert_eq!(next.index(), 1);
        let keys = ["cipher_key", "mac_key", "iv"].map(|name| bytes(&case[name])).concat();
        assert_eq!(message_key.into_cipher_keys(None).expose(), keys.as_slice());
    }

    #[test]
    fn a_chain_ends() {
        let mut chain = ChainKey::at(Secret::new([1; 32]), u32::MAX);
        assert!(chain.place().step::<ChainKey>().is_none());
        assert!(chain.place().skip::<ChainKey>().is_none());
        assert_eq!((chain.index(), chain.expose()), (u32::MAX, &[1; 32]), "it stays where it is");
    }
}
