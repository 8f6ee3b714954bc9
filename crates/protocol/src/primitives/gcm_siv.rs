//! AES-256-GCM-SIV (RFC 8452) with a key that is used once, so that the nonce can be zero. Sealed sender uses it for
//! several recipients.

use aes_gcm_siv::aead::AeadInOut as _;
use aes_gcm_siv::{Aes256GcmSiv, KeyInit as _, Nonce};
use zeroize::Zeroizing;

use super::secret::Secret;
use crate::error::NotAuthentic;

/// Length of the tag, in bytes.
pub(crate) const TAG_LEN: usize = 16;

/// `ciphertext || tag`. `None` above 64 GiB.
pub(crate) fn seal(key: Secret<32>, plaintext: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = Zeroizing::new(Vec::with_capacity(plaintext.len().saturating_add(TAG_LEN)));
    buffer.extend_from_slice(plaintext);
    cipher(&key).encrypt_in_place(&Nonce::default(), b"", &mut *buffer).ok()?;
    Some(std::mem::take(&mut *buffer))
}

/// Returns the plaintext, if the tag is correct.
pub(crate) fn open(key: Secret<32>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotAuthentic> {
    let mut buffer = Zeroizing::new(sealed.to_vec());
    let opened = cipher(&key).decrypt_in_place(&Nonce::default(), b"", &mut *buffer);
    opened.map(|()| buffer).map_err(|_| NotAuthentic)
}

fn cipher(key: &Secret<32>) -> Aes256GcmSiv {
    Aes256GcmSiv::new(key.expose().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, bytes};

    /// Only two of the cases have our nonce and no associated data; the others go through the cipher of both functions.
    #[test]
    fn ciphertexts_match_wycheproof() {
        let (mut valid, mut invalid, mut ours, mut other_keys) = (0, 0, 0, 0);
        for case in vectors::load_wycheproof("aes_gcm_siv") {
            let [nonce, aad, plaintext, ciphertext, tag] =
                ["iv", "aad", "msg", "ct", "tag"].map(|name| bytes(&case[name]));
            let Some(key) = Secret::from_slice(&bytes(&case["key"])) else {
                other_keys += 1;
                continue;
            };
            let (is_valid, sealed) = (case["result"] == "valid", [ciphertext, tag].concat());
            if nonce == [0; 12] && aad.is_empty() {
                assert_eq!(seal(key.copy(), &plaintext).unwrap(), sealed);
                assert_eq!(**open(key.copy(), &sealed).unwrap(), *plaintext);
                ours += 1;
            }
            let nonce = Nonce::try_from(nonce.as_slice()).unwrap();
            let mut buffer = sealed.clone();
            let opened = cipher(&key).decrypt_in_place(&nonce, &aad, &mut buffer);
            assert_eq!(opened.is_ok(), is_valid, "case {}", case["tcId"]);
            if is_valid {
                assert_eq!(buffer, plaintext, "case {}", case["tcId"]);
                cipher(&key).encrypt_in_place(&nonce, &aad, &mut buffer).unwrap();
                assert_eq!(buffer, sealed, "case {}", case["tcId"]);
            }
            if is_valid { valid += 1 } else { invalid += 1 }
        }
        assert_eq!((valid, invalid, ours, other_keys), (69, 34, 2, 99));
    }

    #[test]
    fn any_change_is_detected() {
        let key = || Secret::new([1; 32]);
        let sealed = seal(key(), b"hello").unwrap();
        assert_eq!(sealed.len(), 5 + TAG_LEN);
        assert_eq!(**open(key(), &sealed).unwrap(), *b"hello");
        for position in 0..sealed.len() {
            let mut wrong = sealed.clone();
            wrong[position] ^= 1;
            assert_eq!(open(key(), &wrong), Err(NotAuthentic));
        }
        assert_eq!(open(key(), &sealed[..TAG_LEN - 1]), Err(NotAuthentic));
        assert_eq!(open(Secret::new([2; 32]), &sealed), Err(NotAuthentic));
    }
}
