//! Sessions: what two devices share, and the steps from one message to the next.
//!
//! A [`SessionRecord`] holds all sessions with one address (Sesame): the active one, which sends, and inactive ones,
//! which still receive. No step changes a record: each returns the next one, [`Advanced`], which the caller stores in
//! the transaction that also queues the ciphertext or the plaintext.

mod codec;
mod error;
mod record;
mod state;

use std::fmt;

use crate::address::Address;
use crate::identity::IdentityKeyPair;
use crate::plaintext::Plaintext;
use crate::prekey::{KemPreKeyId, OneTimePreKeyId, SignedPreKeyId};
use crate::primitives::secret::Secret;
use crate::primitives::x25519::PUBLIC_KEY_LEN;
use crate::ratchet::pq::chain::Direction;
use crate::ratchet::pq::{Negotiation, Spqr};
use crate::ratchet::skipped::SkippedChange;

pub use codec::{SessionChange, StoredSession};
pub use error::{DecryptError, EncryptError, InitiateError};
pub use record::SessionRecord;

/// Seconds since 1970, by the caller's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixSeconds(pub u64);

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

/// Which sessions may begin. Sessions that exist go on under every policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SessionPolicy {
    /// Version 4 only, and only with SPQR: every message is safe against a quantum computer.
    #[default]
    TripleRatchet,
    /// Version 4 only. SPQR is offered, and goes on where the peer takes it up: with a peer from before it, only the
    /// handshake is safe against a quantum computer.
    Pqxdh,
    /// Also version 3, with a peer whose bundle has no KEM pre-key. Not safe against a quantum computer.
    X3dh,
}

impl SessionPolicy {
    /// What a new session with a KEM secret begins with: both sides derive the key, and need not use it.
    fn spqr(self, direction: Direction, auth_key: Option<&Secret<32>>) -> Spqr {
        let negotiation = match self {
            Self::TripleRatchet => Negotiation::Required,
            Self::Pqxdh | Self::X3dh => Negotiation::Offered,
        };
        auth_key.map_or(Spqr::Off, |auth_key| Spqr::new(direction, negotiation, auth_key))
    }
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
    /// The plaintext, and the record to store.
    pub advanced: Advanced<Plaintext>,
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
