//! AES-256-CTR, followed by HMAC-SHA256 truncated to 10 bytes. Sealed sender uses it for one recipient.

use aes::Aes256;
use ctr::Ctr32BE;
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::kdf;
use super::secret::Secret;
use crate::error::NotAuthentic;

/// Length of the truncated MAC, in bytes.
const MAC_LEN: usize = 10;

/// The keys of one ciphertext. The counter starts at zero, because the keys are used once.
#[derive(Debug)]
pub(crate) struct StreamKeys {
    pub(crate) cipher: Secret<32>,
    pub(crate) mac: Secret<32>,
}

impl StreamKeys {
    /// `ciphertext || MAC`.
    pub(crate) fn seal(self, plaintext: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(plaintext.len().saturating_add(MAC_LEN));
        out.extend_from_slice(plaintext);
        self.apply(&mut out);
        let mac = self.tag(&out);
        out.extend_from_slice(&mac);
        out
    }

    /// Checks the MAC, and only then decrypts.
    pub(crate) fn open(self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotAuthentic> {
        let (ciphertext, mac) = sealed.split_last_chunk::<MAC_LEN>().ok_or(NotAuthentic)?;
        if !bool::from(self.tag(ciphertext).ct_eq(mac)) {
            return Err(NotAuthentic);
        }
        let mut out = Zeroizing::new(ciphertext.to_vec());
        self.apply(&mut out);
        Ok(out)
    }

    fn apply(&self, buffer: &mut [u8]) {
        Ctr32BE::<Aes256>::new(self.cipher.expose().into(), &[0; 16].into()).apply_keystream(buffer);
    }

    fn tag(&self, ciphertext: &[u8]) -> [u8; MAC_LEN] {
        let [a, b, c, d, e, f, g, h, i, j, ..] = kdf::hmac(self.mac.expose(), &[ciphertext]);
        [a, b, c, d, e, f, g, h, i, j]
    }
}

/// The first block of the key stream of AES-256-GCM (NIST SP 800-38D, section 7.1) with a nonce of zeros. Counter 1
/// is used for the tag, so the stream starts with 2.
pub(crate) fn first_block_of_gcm(key: &Secret<32>) -> Secret<16> {
    const COUNTER: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    Secret::fill(|block| {
        // The stream is XORed onto zeros.
        *block = [0; 16];
        Ctr32BE::<Aes256>::new(key.expose().into(), &COUNTER.into()).apply_keystream(block);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, bytes, secret};

    #[test]
    fn the_stream_agrees_with_the_vector() {
        let case = &vectors::load("misc-kats")["aes_ctr_zero_iv"];
        let keys = StreamKeys { cipher: secret(&case["key"]), mac: Secret::new([7; 32]) };
        let sealed = keys.seal(&bytes(&case["plaintext"]));
        assert_eq!(sealed[..35], bytes(&case["ciphertext"]));
    }

    /// Test case 14 of the authors of GCM encrypts a block of zeros.
    #[test]
    fn the_first_block_of_gcm_agrees_with_a_test_case() {
        let block = first_block_of_gcm(&Secret::new([0; 32]));
        assert_eq!(hex::encode(block.expose()), "cea7403d4d606b6e074ec5d3baf39d18");
    }

    #[test]
    fn any_change_is_detected() {
        let keys = || StreamKeys { cipher: Secret::new([1; 32]), mac: Secret::new([2; 32]) };
        let sealed = keys().seal(b"hello");
        assert_eq!(sealed.len(), 15);
        assert_eq!(**keys().open(&sealed).unwrap(), *b"hello");
        for position in 0..sealed.len() {
            let mut wrong = sealed.clone();
            wrong[position] ^= 1;
            assert_eq!(keys().open(&wrong), Err(NotAuthentic));
        }
        assert_eq!(keys().open(&sealed[..9]), Err(NotAuthentic));
        assert_eq!(**keys().open(&keys().seal(b"")).unwrap(), *b"");
    }
}
