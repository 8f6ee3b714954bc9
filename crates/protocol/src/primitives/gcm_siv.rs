//! AES-256-GCM-SIV (RFC 8452) with a key that serves once, so that the nonce can be zero: the cipher of sealed sender
//! for many recipients.

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

/// The plaintext, if the tag is right.
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

    #[test]
    fn any_change_is_noticed() {
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
