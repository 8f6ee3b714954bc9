#![doc = include_str!("../README.md")]
//!
//! ## Modules
//!
//! ```text
//!   session  group  sealed  hpke    records of one device, and of a group; envelopes
//!      │
//!   pqxdh  ratchet  message     the handshake; the keys; the bytes
//!      │
//!   prekey  device  identity  session_id  distribution_id  address
//!      │
//!   form  stored  time          what is stored, and since when
//!      │
//!   primitives  error           the only folder that names a cryptographic crate
//! ```

mod address;
pub mod device;
mod distribution_id;
mod error;
mod form;
pub mod group;
pub mod hpke;
mod identity;
mod message;
mod plaintext;
mod pqxdh;
mod prekey;
mod primitives;
mod ratchet;
pub mod sealed;
mod session;
mod session_id;
mod shared_part;
mod shared_work;
mod stored;
mod time;
#[cfg(test)]
mod vectors;

pub use address::{Address, DeviceId, InvalidDeviceId};
pub use distribution_id::DistributionId;
pub use error::DecodeError;
pub use identity::{
    IdentityKey, IdentityKeyPair, InvalidIterations, Party, SafetyNumber, ScanError, StableIdKind,
};
pub use message::{
    Ciphertext, DecryptionErrorMessage, MessageType, PlaintextContent, PreKeySignalMessage, RetryError,
    SenderKeyDistributionMessage, SenderKeyMessage, SignalMessage,
};
pub use plaintext::Plaintext;
pub use prekey::{
    BundleError, KemPreKey, KemPreKeyId, OneTimePreKey, OneTimePreKeyId, OurPreKeys, PreKeyBundle,
    PreKeyKind, RawPreKeyBundle, RawSigned, SignedPreKey, SignedPreKeyId, VerifiedBundle,
};
pub use primitives::known_keys::KnownKeys;
pub use primitives::secret::Secret;
pub use ratchet::skipped::{SkippedChange, SkippedKey, SkippedKeyId, SkippedKeyName, SkippedKeys};
pub use session::{
    Accepted, Advanced, Consumed, DecryptError, Decrypted, EncryptError, Inbound, InitiateError, LocalDevice,
    SessionChange, SessionPolicy, SessionRecord, Standing, StoredSession,
};
pub use session_id::{SessionId, SessionVersion};
pub use shared_part::{OtherPart, SharedPartKey};
pub use stored::StoredBytes;
pub use time::UnixSeconds;
