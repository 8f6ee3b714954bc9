//! Sessions: the shared state of two devices, and the steps from one message to the next.
//!
//! A [`SessionRecord`] contains all sessions with one address (Sesame): the active one, which sends, and inactive
//! ones, which can still receive. No step changes a record: each returns the next one, [`Advanced`], which the caller
//! stores in the transaction that also stores the ciphertext or the plaintext.

mod codec;
mod error;
mod inactive;
mod policy;
mod record;
mod state;
#[cfg(test)]
mod tests;
mod trial;

use std::fmt;

use crate::address::Address;
use crate::identity::{IdentityKey, IdentityKeyPair};
use crate::plaintext::Plaintext;
use crate::prekey::{KemPreKeyId, OneTimePreKeyId, SignedPreKeyId};
use crate::primitives::x25519::PUBLIC_KEY_LEN;
use crate::ratchet::skipped::{SkippedChange, SkippedKey};
use crate::time::UnixSeconds;

pub use codec::{SessionChange, Standing, StoredSession};
pub use error::{DecryptError, EncryptError, InitiateError};
pub use policy::SessionPolicy;
pub use record::SessionRecord;

/// Our side of every session.
#[derive(Debug, Clone, Copy)]
pub struct LocalDevice<'a> {
    /// Our identity.
    pub identity: &'a IdentityKeyPair,
    /// Our address, as the peer knows it.
    pub address: &'a Address,
    /// Our registration id.
    pub registration_id: u32,
}

/// What decrypting a message needs besides the message and the record.
#[derive(Debug, Clone, Copy)]
pub struct Inbound<'a> {
    /// Our side.
    pub local: LocalDevice<'a>,
    /// The address that it came from, to which the record belongs.
    pub remote: &'a Address,
    /// The stored keys for the message's ratchet keys and numbers, of all sessions with this address.
    pub skipped: &'a [SkippedKey],
    /// Which sessions may be started and become active.
    pub policy: SessionPolicy,
    /// The current time.
    pub now: UnixSeconds,
}

/// A message that was decrypted.
#[derive(Debug)]
pub struct Decrypted {
    /// What it says.
    pub plaintext: Plaintext,
    /// The identity key of the peer whose session decrypted it: the peer sent the message, or we did. The caller
    /// compares it with the key that it currently knows for this address, even if the session was inactive, and
    /// stores nothing if it differs.
    pub authenticated_by: IdentityKey,
}

/// The result of an operation, with the record that replaces the old one.
#[derive(Debug)]
#[must_use = "the record inside must be stored, or the ratchet repeats itself"]
pub struct Advanced<T> {
    /// The record to store.
    pub next: SessionRecord,
    /// The changes to the skipped keys, to be applied in order in the same transaction.
    pub skipped: Vec<SkippedChange>,
    /// The result.
    pub output: T,
}

/// The result of a pre-key message.
#[derive(Debug)]
#[must_use = "the record inside must be stored, or the message cannot be read again"]
pub struct Accepted {
    /// The plaintext and its sender, and the record to store.
    pub advanced: Advanced<Decrypted>,
    /// The pre-keys that started a session; none if the session was known.
    pub consumed: Option<Consumed>,
}

/// The pre-keys that started a session. Delete the one-time keys in the transaction that stores the record.
///
/// A last-resort KEM pre-key is kept. Its owner stores `base_key` for the pair of KEM and signed pre-key, and refuses
/// a message with one that was used before: otherwise a replay would start the same session again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Consumed {
    /// To be deleted.
    pub one_time: Option<OneTimePreKeyId>,
    /// To be deleted, unless it is the last-resort one.
    pub kem: Option<KemPreKeyId>,
    /// To be kept.
    pub signed: SignedPreKeyId,
    /// The ephemeral key of the initiator, serialized.
    pub base_key: [u8; PUBLIC_KEY_LEN],
}

impl fmt::Debug for Consumed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { one_time, kem, signed, base_key: _ } = self;
        f.debug_struct("Consumed")
            .field("one_time", one_time)
            .field("kem", kem)
            .field("signed", signed)
            .finish_non_exhaustive()
    }
}
