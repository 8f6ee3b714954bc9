//! The unidentified access key, with which a sender shows the relay that they may write to somebody, without
//! identifying themselves.

use crate::primitives::secret::Secret;
use crate::primitives::stream;

/// The access key that belongs to a profile key. A user gives it to the relay, and the profile key to their contacts.
/// These can then show that they are contacts, without the relay learning which one.
///
/// It is AES-256-GCM of 16 zero bytes, with the profile key and a nonce of zeros, without the tag.
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
