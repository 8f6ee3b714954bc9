//! Decrypted messages.

use std::fmt;

use zeroize::Zeroizing;

/// The plaintext of a message. It is wiped on drop and cannot be printed.
pub struct Plaintext(pub(crate) Zeroizing<Vec<u8>>);

impl Plaintext {
    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plaintext(..)")
    }
}
