//! The unidentified access key: what shows the relay that a sender may write to somebody, without saying who they are.

use crate::primitives::secret::Secret;
use crate::primitives::stream;

/// The access key of whoever has this profile key. A user tells it to the relay, and the profile key to their contacts:
/// so these can show that they are contacts, and the relay does not learn which of them it is.
///
/// It is AES-256-GCM of 16 zero bytes, under the profile key and a nonce of zeros, without its tag.
pub fn access_key(profile_key: &Secret<32>) -> Secret<16> {
    stream::first_block_of_gcm(profile_key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, bytes, secret};

    #[test]
    fn an_access_key_agrees_with_the_vector() {
        let case = &vectors::load("misc-kats")["access_key"];
        let key = access_key(&secret(&case["profile_key"]));
        assert_eq!(key.expose(), bytes(&case["access_key"]).as_slice());
    }
}
