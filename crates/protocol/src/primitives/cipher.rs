//! The cipher of one message: AES-256-CBC with PKCS#7 padding, then HMAC-SHA256 over what the caller binds to it.

use aes::Aes256;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::consts::{U16, U32, U80};
use aes::cipher::{Array, BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::kdf;
use super::secret::Secret;

/// Length of the truncated MAC, in bytes.
pub(crate) const MAC_LEN: usize = 8;

/// The MAC, the padding or the length is wrong. Which of them is not told: that would be an oracle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAuthentic;

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
        cbc::Encryptor::<Aes256>::new(key, iv).encrypt_padded_vec::<Pkcs7>(plaintext)
    }

    /// The MAC over the concatenated `parts`.
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> [u8; MAC_LEN] {
        let (_, key, _) = self.split();
        let [a, b, c, d, e, f, g, h, ..] = kdf::hmac(key.as_ref(), parts);
        [a, b, c, d, e, f, g, h]
    }

    /// Checks the MAC over `parts`, and only then decrypts `ciphertext`, which is one of them.
    pub(crate) fn open(
        &self,
        parts: &[&[u8]],
        mac: &[u8; MAC_LEN],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, NotAuthentic> {
        if !bool::from(self.mac(parts).ct_eq(mac)) || ciphertext.is_empty() {
            return Err(NotAuthentic);
        }
        let (key, _, iv) = self.split();
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let length = cbc::Decryptor::<Aes256>::new(key, iv)
            .decrypt_padded::<Pkcs7>(&mut buffer)
            .map_err(|_| NotAuthentic)?
            .len();
        buffer.truncate(length);
        Ok(buffer)
    }

    #[cfg(test)]
    pub(crate) fn expose(&self) -> &[u8; 80] {
        self.0.expose()
    }

    fn split(&self) -> Parts<'_> {
        let keys: &Array<u8, U80> = self.0.expose().into();
        let (cipher_key, rest) = keys.split_ref::<U32>();
        let (mac_key, iv) = rest.split_ref::<U32>();
        (cipher_key, mac_key, iv)
    }
}

/// Cipher key, MAC key, IV.
type Parts<'a> = (&'a Array<u8, U32>, &'a Array<u8, U32>, &'a Array<u8, U16>);

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
    fn every_fault_is_the_same_fault() {
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
