//! The Signal protocol as pure functions.

mod address;
mod error;
mod identity;
mod prekey;
mod primitives;
#[cfg(test)]
mod vectors;

pub use address::{Address, DeviceId, InvalidDeviceId};
pub use error::{DecodeError, LowOrderPoint};
pub use identity::{IdentityKey, IdentityKeyPair, Party, SafetyNumber};
pub use prekey::{
    BundleError, KemPreKey, KemPreKeyId, OneTimePreKey, OneTimePreKeyId, PreKeyBundle, PreKeyKind,
    RawPreKeyBundle, RawSigned, SignedPreKey, SignedPreKeyId, VerifiedBundle,
};
pub use primitives::secret::Secret;
