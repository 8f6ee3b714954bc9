//! Sender Keys: a message to a group is encrypted once.
//!
//! Each device of a group has a chain of its own, and a key pair to sign with. It hands out the chain key and the public
//! key once, through a session with every other device, its owner's included: a
//! [`SenderKeyDistributionMessage`](crate::SenderKeyDistributionMessage). From then on one
//! [`SenderKeyMessage`](crate::SenderKeyMessage) serves all.
//!
//! ```text
//!    CK ──▶ KDF_CK ──▶ CK ──▶ KDF_CK ──▶ CK      the chain, as in the Double Ratchet (section 2.2)
//!             │                 │
//!             MK                MK                IV and cipher key = HKDF(MK)
//! ```
//!
//! A [`SenderKeyRecord`] holds the chains of one sender for one distribution id, the newest first. Ours is no different:
//! it can sign. As with sessions, no step changes a record: each returns the next one, [`Advanced`]. And as with
//! sessions, keys of messages that have not come yet are rows of their own, so that a message that was skipped 2,000
//! times over does not make every later one rewrite 80 kB.
//!
//! A chain only goes forward: whoever has a chain key reads everything after it. When somebody leaves, every sender
//! begins anew, with an empty record.

mod codec;
mod error;
mod record;
mod sender_key;
mod skipped;

pub use error::{DecryptError, EncryptError, WrongDistribution};
pub use record::SenderKeyRecord;
pub use skipped::{SkippedChange, SkippedKey, SkippedKeyId};

/// What an operation yields, with the record that must replace the old one.
#[derive(Debug)]
#[must_use = "the record inside must be stored, or the chain repeats itself"]
pub struct Advanced<T> {
    /// The record to store.
    pub next: SenderKeyRecord,
    /// What to change about the skipped keys, in order, in the same transaction.
    pub skipped: Vec<SkippedChange>,
    /// The result.
    pub output: T,
}
