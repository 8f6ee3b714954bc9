//! The digits that both devices show, and that a person compares.

use std::fmt;

use super::{LinkCode, LinkNonce, SHORT_CODE};
use crate::primitives::kdf::{hmac, sha256};

/// Eight digits, which are equal if both devices have sent and received the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShortCode(u32);

const DIGITS: u64 = 100_000_000;

impl ShortCode {
    /// The digits after an offer, the answer to it and the nonce.
    pub fn new(code: &LinkCode, offer: &[u8], answer: &[u8], nonce: &LinkNonce) -> Self {
        // Each part has a fixed length.
        let [shown, offer, answer] = [&code.public_part(), offer, answer].map(sha256);
        let mac = hmac(code.secret.expose(), &[SHORT_CODE, &shown, &offer, &answer, nonce.as_bytes()]);
        let first = mac.first_chunk().copied().map_or(0, u64::from_be_bytes);
        Self(u32::try_from(first % DIGITS).unwrap_or_default())
    }
}

/// Two groups of four digits.
impl fmt::Display for ShortCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04} {:04}", self.0 / 10_000, self.0 % 10_000)
    }
}

/// It is for the person's eyes only.
impl fmt::Debug for ShortCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShortCode(..)")
    }
}
