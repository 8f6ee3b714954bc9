//! What was decrypted.

use std::fmt;

use zeroize::Zeroizing;

/// What a message said. Wiped on drop, not printable.
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
