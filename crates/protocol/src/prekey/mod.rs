//! Pre-keys, which a device uploads to the relay so that others can start sessions with it while it is offline.

mod bundle;
mod kem;
mod one_time;
mod signed;

#[cfg(test)]
pub(crate) use bundle::TheirPreKey;
pub use bundle::{BundleError, PreKeyBundle, RawPreKeyBundle, RawSigned, VerifiedBundle};
pub use kem::KemPreKey;
pub use one_time::OneTimePreKey;
pub use signed::SignedPreKey;

use crate::error::DecodeError;
use crate::form::{Fields, written};
use crate::primitives::secret::Secret;
use crate::primitives::x25519::{KeyPair, PublicKey};
use crate::stored::StoredBytes;

/// The id of a signed pre-key of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SignedPreKeyId(pub u32);

/// The id of a one-time pre-key of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OneTimePreKeyId(pub u32);

/// The id of a KEM pre-key of a device, one-time or last-resort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KemPreKeyId(pub u32);

/// The kinds of pre-key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PreKeyKind {
    /// [`SignedPreKey`].
    Signed,
    /// [`OneTimePreKey`].
    OneTime,
    /// [`KemPreKey`].
    Kem,
}

/// Our pre-keys that a [`PreKeySignalMessage`](crate::PreKeySignalMessage) names, as far as they still exist.
#[derive(Debug, Clone, Copy)]
pub struct OurPreKeys<'a> {
    /// The key with its `signed_pre_key_id()`.
    pub signed: &'a SignedPreKey,
    /// The key with its `one_time_pre_key_id()`, if it names one.
    pub one_time: Option<&'a OneTimePreKey>,
    /// The key with its `kem_pre_key_id()`.
    pub kem: Option<&'a KemPreKey>,
}

/// The stored form of a pre-key: 1 id, 2 public, 3 secret, 4 signature, 5 creation time in milliseconds. One-time
/// pre-keys have neither of the last two.
#[derive(Default)]
struct Form<'a> {
    id: u32,
    public: &'a [u8],
    secret: &'a [u8],
    signature: &'a [u8],
    created_ms: u64,
}

impl<'a> Form<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let form = Fields::<6>::parse(bytes)?;
        Ok(Self {
            id: form.uint32(1)?,
            public: form.bytes(2)?,
            secret: form.bytes(3)?,
            signature: form.bytes(4)?,
            created_ms: form.fixed64(5)?,
        })
    }

    fn to_bytes(&self) -> StoredBytes {
        let Self { id, public, secret, signature, created_ms } = self;
        written(|out| {
            out.uint(1, *id);
            out.bytes(2, public);
            out.bytes(3, secret);
            out.bytes(4, signature);
            out.fixed64(5, *created_ms);
        })
    }

    /// The key pair of an X25519 pre-key.
    fn key_pair(&self) -> Result<KeyPair, DecodeError> {
        let private = Secret::from_slice(self.secret).ok_or(DecodeError::Length)?;
        Ok(KeyPair::from_parts(PublicKey::parse(self.public)?, private))
    }
}
