//! Sessions: what two devices share, and the steps from one message to the next.
//!
//! A [`SessionRecord`] holds all sessions with one address (Sesame): the active one, which sends, and inactive ones,
//! which still receive. No step changes a record: each returns the next one, [`Advanced`], which the caller stores in
//! the transaction that also queues the ciphertext or the plaintext.

mod codec;
mod error;
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
    /// What we drew when we registered.
    pub registration_id: u32,
}

/// What decrypting a message needs besides it and the record.
#[derive(Debug, Clone, Copy)]
pub struct Inbound<'a> {
    /// Our side.
    pub local: LocalDevice<'a>,
    /// The address it is from, whose record this is.
    pub remote: &'a Address,
    /// The kept keys for the message's ratchet key and number, of all sessions with this address.
    pub skipped: &'a [SkippedKey],
    /// Which sessions may begin and become active.
    pub policy: SessionPolicy,
    /// What time it is.
    pub now: UnixSeconds,
}

/// A message that opened.
#[derive(Debug)]
pub struct Decrypted {
    /// What it says.
    pub plaintext: Plaintext,
    /// The identity key of the peer whose session opened it: they sent it, or we did. The caller compares it with the one
    /// that it knows of this address now, also when the session was an inactive one, and stores nothing if it is another.
    pub authenticated_by: IdentityKey,
}

/// What an operation yields, with the record that must replace the old one.
#[derive(Debug)]
#[must_use = "the record inside must be stored, or the ratchet repeats itself"]
pub struct Advanced<T> {
    /// The record to store.
    pub next: SessionRecord,
    /// What to change about the skipped keys, in order, in the same transaction.
    pub skipped: Vec<SkippedChange>,
    /// The result.
    pub output: T,
}

/// What a pre-key message yields.
#[derive(Debug)]
#[must_use = "the record inside must be stored, or the message cannot be read again"]
pub struct Accepted {
    /// The plaintext and who sent it, and the record to store.
    pub advanced: Advanced<Decrypted>,
    /// The pre-keys that began a session; none when the session was known.
    pub consumed: Option<Consumed>,
}

/// The pre-keys that began a session. Delete the one-time ones in the transaction that stores the record.
///
/// A last-resort KEM pre-key stays. Its owner remembers `base_key` for the pair of KEM and signed pre-key, and refuses
/// a message that comes with one it has seen: otherwise a replay would begin the same session again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Consumed {
    /// To be deleted.
    pub one_time: Option<OneTimePreKeyId>,
    /// To be deleted, unless it is the last-resort one.
    pub kem: Option<KemPreKeyId>,
    /// Stays.
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
