//! Sender Keys: a message to a group is encrypted once.
//!
//! Each device of a group has its own chain, and a key pair for signing. It distributes the chain key and the public
//! key once, in a [`SenderKeyDistributionMessage`](crate::SenderKeyDistributionMessage), through a session with every
//! other device, including its owner's. From then on, one [`SenderKeyMessage`](crate::SenderKeyMessage) is sent to
//! all.
//!
//! ```text
//!    CK ──▶ KDF_CK ──▶ CK ──▶ KDF_CK ──▶ CK      the chain, as in the Double Ratchet (section 2.2)
//!             │                 │
//!             MK                MK                IV and cipher key = HKDF(MK)
//! ```
//!
//! A [`SenderKeyRecord`] contains the chains of one sender for one distribution id, the newest first. Our own record
//! differs only in that it can sign. As with sessions, no step changes a record: each returns the next one,
//! [`Advanced`]. And as with sessions, keys of messages that have not arrived yet are separate rows, so that 2,000
//! skipped messages do not make every later message rewrite 80 kB.
//!
//! A chain only goes forward: whoever has a chain key can read everything after it. When somebody leaves, every
//! sender starts a new chain with an empty record.
//!
//! What is not part of Signal's protocol is the roster of a group: the signatures of its entries ([`EntrySignature`]), the secret of the
//! members ([`GroupSecret`]), links ([`LinkSecret`]), and how sender keys belong to it ([`distribution_id`]). The bytes are defined in
//! `docs/wire.md`; the forms of entries and the rules are in `sealpost-wire`.

mod codec;
mod distribution;
mod entry;
mod error;
mod link;
mod link_text;
mod record;
mod secret;
mod sender_key;
mod skipped;
mod words;

pub use distribution::distribution_id;
pub use entry::EntrySignature;
pub use error::{DecryptError, EncryptError, WrongDistribution};
pub use link::{JoinProof, Joiner, LinkSecret};
pub use link_text::{GroupLink, GroupLinkError};
pub use record::SenderKeyRecord;
pub use secret::{GroupSecret, OtherDetails};
pub use skipped::{SkippedChange, SkippedKey, SkippedKeyId};

/// A group: the 16 bytes of its id.
pub type GroupId = [u8; 16];

/// The result of an operation, with the record that replaces the old one.
#[derive(Debug)]
#[must_use = "the record inside must be stored, or the chain repeats itself"]
pub struct Advanced<T> {
    /// The record to store.
    pub next: SenderKeyRecord,
    /// The changes to the skipped keys, to be applied in order in the same transaction.
    pub skipped: Vec<SkippedChange>,
    /// The result.
    pub output: T,
}

#[cfg(test)]
mod tests;
