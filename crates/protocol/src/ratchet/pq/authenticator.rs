//! Proves that keys and ciphertexts of the braid come from the peer (ML-KEM Braid, "ratcheted authenticator").
//!
//! ```text
//! root || MAC key = HKDF(0, root || secret of epoch e, "..:Authenticator Update" || e)
//! ```
//!
//! The header of epoch `e` is authenticated with the key before the update with that epoch's secret, and the
//! ciphertext with the key after it.

use crate::primitives::kdf;
use crate::primitives::mlkem::{Ct1, Ct2, Header};
use crate::primitives::secret::{Secret, SharedKeys, is_same};

/// A MAC of the braid. It is not truncated.
pub(crate) type Mac = [u8; 32];

#[derive(Debug, Clone)]
pub(crate) struct Authenticator {
    /// The root and the MAC key, which change together.
    keys: SharedKeys<2>,
}

impl Authenticator {
    /// The first authenticator, derived from the key of the handshake.
    pub(crate) fn new(auth_key: &Secret<32>) -> Self {
        Self::derive(&[0; 32], 1, auth_key)
    }

    pub(crate) fn from_parts(root: &[u8; 32], mac_key: &[u8; 32]) -> Self {
        Self { keys: SharedKeys::of([root, mac_key]) }
    }

    /// The root, and the MAC key.
    pub(crate) fn expose(&self) -> (&[u8; 32], &[u8; 32]) {
        let [root, mac_key] = self.keys.expose();
        (root, mac_key)
    }

    fn root(&self) -> &[u8; 32] {
        self.expose().0
    }

    fn mac_key(&self) -> &[u8; 32] {
        self.expose().1
    }

    /// The next authenticator, after the secret of `epoch`.
    pub(crate) fn update(&self, epoch: u64, secret: &Secret<32>) -> Self {
        Self::derive(self.root(), epoch, secret)
    }

    pub(crate) fn header_mac(&self, epoch: u64, [rho, hash]: &Header) -> Mac {
        let epoch = epoch.to_be_bytes();
        kdf::hmac(self.mac_key(), &[kdf::PQ_HEADER_MAC, &epoch, rho, hash])
    }

    pub(crate) fn ciphertext_mac(&self, epoch: u64, ct1: &Ct1, ct2: &Ct2) -> Mac {
        let epoch = epoch.to_be_bytes();
        let parts = [kdf::PQ_CIPHERTEXT_MAC, &epoch, ct1.as_flattened(), ct2.as_flattened()];
        kdf::hmac(self.mac_key(), &parts)
    }

    /// Whether `mac` is the MAC of this header.
    pub(crate) fn verifies_header(&self, epoch: u64, header: &Header, mac: &Mac) -> bool {
        is_same(&self.header_mac(epoch, header), mac)
    }

    /// Whether `mac` is the MAC of this ciphertext.
    pub(crate) fn verifies_ciphertext(&self, epoch: u64, ct1: &Ct1, ct2: &Ct2, mac: &Mac) -> bool {
        is_same(&self.ciphertext_mac(epoch, ct1, ct2), mac)
    }

    fn derive(root: &[u8; 32], epoch: u64, key: &Secret<32>) -> Self {
        let info: [&[u8]; 2] = [kdf::PQ_AUTHENTICATOR, &epoch.to_be_bytes()];
        let [root, mac_key] = kdf::hkdf_keys_about(None, &[root, key.expose()], &info);
        Self::from_parts(root.expose(), mac_key.expose())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, bytes, secret};

    fn blocks<const K: usize>(value: &serde_json::Value) -> [[u8; 32]; K] {
        bytes(value).as_chunks().0.try_into().unwrap()
    }

    #[test]
    fn updates_and_macs_agree_with_the_vectors() {
        let file = vectors::load_spqr("kat_components");
        let mut authenticator = Authenticator::new(&secret(&file["auth_key"]));
        let begin = &file["auth_init"];
        let (number, key) = (begin["epoch"].as_u64().unwrap(), secret(&begin["input_key"]));
        let nothing = Authenticator::from_parts(secret(&begin["root_before"]).expose(), &[0; 32]);
        for made in [&authenticator, &nothing.update(number, &key)] {
            assert_eq!(made.root(), bytes(&begin["root"]).as_slice());
            assert_eq!(made.mac_key(), bytes(&begin["mac_key"]).as_slice());
        }
        for epoch in file["epochs"].as_array().unwrap() {
            assert_eq!(authenticator.mac_key(), bytes(&epoch["hdr_mac_key"]).as_slice());
            let number = epoch["epoch"].as_u64().unwrap();
            let (header, mac) = (blocks(&epoch["hdr"]), bytes(&epoch["hdr_mac"]).try_into().unwrap());
            assert!(authenticator.verifies_header(number, &header, &mac));
            authenticator = authenticator.update(number, &secret(&epoch["epoch_secret"]));
            let (ct1, ct2) = (blocks(&epoch["ct1"]), blocks(&epoch["ct2"]));
            let mac = bytes(&epoch["ct_mac"]).try_into().unwrap();
            assert!(authenticator.verifies_ciphertext(number, &ct1, &ct2, &mac));
            assert_eq!(authenticator.root(), bytes(&epoch["auth_root_after"]).as_slice());
            assert_eq!(authenticator.mac_key(), bytes(&epoch["auth_mac_key_after"]).as_slice());
        }
    }
}
