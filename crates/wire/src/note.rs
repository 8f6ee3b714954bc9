//! The note to self: the thread of which an account is the only member, and by which its devices reach each other.

use sha2::{Digest as _, Sha256};

use crate::id::{ThreadId, UserId};

/// What is hashed before the user.
const LABEL: &[u8] = b"Sealpost note to self v1\0";

/// The id of the note to self of a user. It is derived, so all devices of an account and the relay know the same one without having told
/// each other. It is no secret.
pub fn note_to_self(user: UserId) -> ThreadId {
    let digest = Sha256::new().chain_update(LABEL).chain_update(user.as_bytes()).finalize();
    ThreadId::from_bytes(std::array::from_fn(|at| digest.get(at).copied().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It must never change: the notes of an account are under this id.
    #[test]
    fn the_id_is_derived_from_the_user() {
        let user = UserId::from_bytes([1; 16]);
        assert_eq!(note_to_self(user).to_string(), "d912596f-08ae-837d-9117-9b1bc963ebe6");
        assert_ne!(note_to_self(user), note_to_self(UserId::from_bytes([2; 16])));
    }
}
