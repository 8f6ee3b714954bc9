//! The cipher of one message: AES-256-CBC with PKCS#7 padding, then HMAC-SHA256 over the parts that the caller
//! authenticates.

use aes::cipher::Array;
use aes::cipher::consts::{U32, U80};
use zeroize::Zeroizing;

use super::cbc;
use super::kdf;
use super::secret::{Secret, is_same};
use crate::error::NotAuthentic;

/// The length of the truncated MAC, in bytes.
pub(crate) const MAC_LEN: usize = 8;

/// `cipher key (32) || MAC key (32) || IV (16)`, for one message.
#[derive(Debug)]
pub(crate) struct CipherKeys(Secret<80>);

impl CipherKeys {
    pub(crate) fn new(keys: Secret<80>) -> Self {
        Self(keys)
    }

    /// The ciphertext. [`mac`](Self::mac) must follow.
    pub(crate) fn encrypt(&self, plaintext: &[u8]) -> Vec<u8> {
        let (key, _, iv) = self.split();
        cbc::encrypt(key, iv, plaintext)
    }

    /// The MAC over the concatenated `parts`.
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> [u8; MAC_LEN] {
        let (_, key, _) = self.split();
        let [a, b, c, d, e, f, g, h, ..] = kdf::hmac(key, parts);
        [a, b, c, d, e, f, g, h]
    }

    /// Verifies the MAC over `parts`, and only then decrypts `ciphertext`, which is one of them.
    pub(crate) fn open(
        &self,
        parts: &[&[u8]],
        mac: &[u8; MAC_LEN],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, NotAuthentic> {
        if !is_same(&self.mac(parts), mac) {
            return Err(NotAuthentic);
        }
        let (key, _, iv) = self.split();
        cbc::decrypt(key, iv, ciphertext)
    }

    #[cfg(test)]
    pub(crate) fn expose(&self) -> &[u8; 80] {
        self.0.expose()
    }

    fn split(&self) -> Parts<'_> {
        let keys: &Array<u8, U80> = self.0.expose().into();
        let (cipher_key, rest) = keys.split_ref::<U32>();
        let (mac_key, iv) = rest.split_ref::<U32>();
        (cipher_key.into(), mac_key.into(), iv.into())
    }
}

/// Cipher key, MAC key, IV.
type Parts<'a> = (&'a [u8; 32], &'a [u8; 32], &'a [u8; 16]);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, bytes};

    fn keys(cipher_key: &[u8], iv: &[u8]) -> CipherKeys {
        CipherKeys::new(Secret::from_slice(&[cipher_key, &[7; 32], iv].concat()).unwrap())
    }

    #[test]
    fn encryption_agrees_with_the_vector() {
        let case = &vectors::load("misc-kats")["aes_cbc_pkcs7"];
        let keys = keys(&bytes(&case["key"]), &bytes(&case["iv"]));
        let (plaintext, ciphertext) = (bytes(&case["plaintext"]), bytes(&case["ciphertext"]));
        assert_eq!(keys.encrypt(&plaintext), ciphertext);
        let mac = keys.mac(&[b"header", &ciphertext]);
        assert_eq!(*keys.open(&[b"header", &ciphertext], &mac, &ciphertext).unwrap(), plaintext);
    }

    #[test]
    fn all_failures_to_decrypt_return_the_same_error() {
        let keys = keys(&[1; 32], &[2; 16]);
        let open = |ciphertext: &[u8], mac: [u8; MAC_LEN]| {
            keys.open(&[ciphertext], &mac, ciphertext).map(|p| p.to_vec())
        };
        let sealed = keys.encrypt(&[]);
        assert_eq!(sealed.len(), 16);
        assert_eq!(open(&sealed, keys.mac(&[&sealed])), Ok(vec![]));
        let bad_padding = [&sealed[..], &[0; 16]].concat();
        for wrong in [&sealed[..15], &[], &bad_padding] {
            assert_eq!(open(wrong, keys.mac(&[wrong])), Err(NotAuthentic));
        }
        assert_eq!(open(&sealed, [0; MAC_LEN]), Err(NotAuthentic));
    }
}
