#![doc = include_str!("../README.md")]
//!
//! ## Where is what
//!
//! ```text
//!   session     records of sessions: initiate, accept, encrypt, decrypt, store
//!      │
//!   pqxdh  ratchet  message     the handshake; the keys; the bytes
//!      │
//!   prekey  identity  session_id  address
//!      │
//!   primitives  error           the only folder that names a cryptographic crate
//! ```

mod address;
mod error;
mod guarded;
mod identity;
mod message;
mod pqxdh;
mod prekey;
mod primitives;
mod ratchet;
mod session;
mod session_id;
#[cfg(test)]
mod vectors;

pub use address::{Address, DeviceId, InvalidDeviceId};
pub use error::DecodeError;
pub use identity::{IdentityKey, IdentityKeyPair, Party, SafetyNumber};
pub use message::{Ciphertext, MessageType, PreKeySignalMessage, SignalMessage};
pub use prekey::{
    BundleError, KemPreKey, KemPreKeyId, OneTimePreKey, OneTimePreKeyId, OurPreKeys, PreKeyBundle,
    PreKeyKind, RawPreKeyBundle, RawSigned, SignedPreKey, SignedPreKeyId, VerifiedBundle,
};
pub use primitives::secret::Secret;
pub use ratchet::skipped::{SkippedChange, SkippedKey, SkippedKeyId, SkippedKeyName, SkippedKeys};
pub use session::{
    Accepted, Advanced, Consumed, DecryptError, EncryptError, InitiateError, LocalDevice, Plaintext,
    SessionChange, SessionPolicy, SessionRecord, StoredSession, UnixSeconds,
};
pub use session_id::{SessionId, SessionVersion};
