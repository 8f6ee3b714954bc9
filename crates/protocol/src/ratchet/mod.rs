//! The Double Ratchet (revision 3, section 3), as a value that is replaced with each message.
//!
//! | Spec | Here | |
//! |---|---|---|
//! | `DHs` | [`DoubleRatchet`](double::DoubleRatchet) | our ratchet key pair; its public half is in [`SendingHead`](double::SendingHead) |
//! | `DHr` | [`ReceivingHead::ratchet_key`](double::ReceivingHead) | theirs; the newest chain has the newest |
//! | `RK` | [`RootKey`](root_key::RootKey) | |
//! | `CKs`, `CKr` | [`ChainKey`](chain_key::ChainKey) | one for sending, up to five for receiving in a [list](chain_list) |
//! | `Ns`, `Nr` | [`SendingHead::index`](double::SendingHead::index), [`ReceivingHead::index`](double::ReceivingHead::index) | number of the next message |
//! | `PN` | [`Header::previous`](crate::message::Header) | one less than in the specification |
//! | `MK` | [`MessageKey`](message_key::MessageKey) | |
//! | `MKSKIPPED`, `MAX_SKIP` | [`SkippedKey`](skipped::SkippedKey), [`walk`] | kept by the caller |
//!
//! ```text
//!          DH(DHs, DHr)            DH(DHs', DHr)
//!               │                       │
//!   RK ─────▶ KDF_RK ──────▶ RK ─────▶ KDF_RK ──────▶ RK          a new DHr: two steps of the root chain
//!               │                       │
//!              CKr                     CKs
//!               │                       │
//!             KDF_CK ─▶ MK            KDF_CK ─▶ MK                 every message: one step of a chain
//!               │                       │
//!              CKr'                    CKs'
//! ```
//!
//! Two things differ from the specification, for compatibility with existing implementations. Chains are not closed
//! at `PN`: each of the last five receiving chains keeps its chain key, and late messages continue it. And a message
//! key remains a seed until its message arrives, so that a post-quantum ratchet can add its own key.
//!
//! That ratchet is [SPQR](pq); the combination of both is the [Triple Ratchet](triple).

pub(crate) mod chain_key;
pub(crate) mod chain_list;
pub(crate) mod double;
pub(crate) mod message_key;
pub(crate) mod pq;
pub(crate) mod root_key;
pub(crate) mod skipped;
pub(crate) mod terms;
pub(crate) mod triple;
pub(crate) mod walk;
