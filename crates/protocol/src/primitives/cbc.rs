//! AES-256-CBC with PKCS#7 padding. It does not authenticate: it is always combined with a MAC or a signature.

use aes::Aes256;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::consts::{U16, U48};
use aes::cipher::{Array, BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use zeroize::Zeroizing;

use super::secret::Secret;
use crate::error::NotAuthentic;

/// `IV (16) || cipher key (32)`, for one message of a sender key.
#[derive(Debug)]
pub(crate) struct IvAndKey(Secret<48>);

impl IvAndKey {
    pub(crate) fn new(keys: Secret<48>) -> Self {
        Self(keys)
    }

    pub(crate) fn encrypt(self, plaintext: &[u8]) -> Vec<u8> {
        let (key, iv) = self.split();
        encrypt(key, iv, plaintext)
    }

    pub(crate) fn decrypt(self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotAuthentic> {
        let (key, iv) = self.split();
        decrypt(key, iv, ciphertext)
    }

    #[cfg(test)]
    pub(crate) fn expose(&self) -> &[u8; 48] {
        self.0.expose()
    }

    fn split(&self) -> (&[u8; 32], &[u8; 16]) {
        let keys: &Array<u8, U48> = self.0.expose().into();
        let (iv, key) = keys.split_ref::<U16>();
        (key.into(), iv.into())
    }
}

pub(super) fn encrypt(key: &[u8; 32], iv: &[u8; 16], plaintext: &[u8]) -> Vec<u8> {
    cbc::Encryptor::<Aes256>::new(key.into(), iv.into()).encrypt_padded_vec::<Pkcs7>(plaintext)
}

pub(super) fn decrypt(
    key: &[u8; 32],
    iv: &[u8; 16],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, NotAuthentic> {
    // There is always padding.
    if ciphertext.is_empty() {
        return Err(NotAuthentic);
    }
    let mut buffer = Zeroizing::new(ciphertext.to_vec());
    let length = cbc::Decryptor::<Aes256>::new(key.into(), iv.into())
        .decrypt_padded::<Pkcs7>(&mut buffer)
        .map_err(|_| NotAuthentic)?
        .len();
    buffer.truncate(length);
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, bytes};

    /// Bad padding, no padding and no ciphertext look the same.
    #[test]
    fn ciphertexts_match_wycheproof() {
        let (mut valid, mut invalid, mut other_keys) = (0, 0, 0);
        for case in vectors::load_wycheproof("aes_cbc_pkcs5") {
            let [key, iv, plaintext, ciphertext] = ["key", "iv", "msg", "ct"].map(|name| bytes(&case[name]));
            let Some(keys) = Secret::from_slice(&[iv, key].concat()) else {
                other_keys += 1;
                continue;
            };
            let keys = || IvAndKey::new(keys.copy());
            let opened = keys().decrypt(&ciphertext).map(|plaintext| plaintext.to_vec());
            if case["result"] == "valid" {
                assert_eq!(keys().encrypt(&plaintext), ciphertext, "case {}", case["tcId"]);
                assert_eq!(opened, Ok(plaintext), "case {}", case["tcId"]);
                valid += 1;
            } else {
                assert_eq!(opened, Err(NotAuthentic), "case {}", case["tcId"]);
                invalid += 1;
            }
        }
        assert_eq!((valid, invalid, other_keys), (24, 48, 144));
    }
}
