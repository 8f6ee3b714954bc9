//! Pre-keys: what a device leaves at the relay so that others can meet it while it is away.

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

use prost::Message as _;
use zeroize::Zeroizing;

use crate::error::DecodeError;
use crate::guarded::{self, guarded};
use crate::primitives::secret::Secret;
use crate::primitives::x25519::{KeyPair, PublicKey};

/// Which signed pre-key of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SignedPreKeyId(pub u32);

/// Which one-time pre-key of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OneTimePreKeyId(pub u32);

/// Which KEM pre-key of a device, one-time or last-resort.
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

/// The pre-keys of ours that a [`PreKeySignalMessage`](crate::PreKeySignalMessage) names, as far as we still have them.
#[derive(Debug, Clone, Copy)]
pub struct OurPreKeys<'a> {
    /// The one of its `signed_pre_key_id()`.
    pub signed: &'a SignedPreKey,
    /// The one of its `one_time_pre_key_id()`, if it names one.
    pub one_time: Option<&'a OneTimePreKey>,
    /// The one of its `kem_pre_key_id()`.
    pub kem: Option<&'a KemPreKey>,
}

/// The stored form of a pre-key: 1 id, 2 public, 3 secret, 4 signature, 5 creation time in milliseconds. One-time
/// pre-keys have neither of the last two.
#[derive(prost::Message)]
#[prost(skip_debug)]
struct Form {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(bytes = "vec", tag = "2")]
    public: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    secret: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    signature: Vec<u8>,
    #[prost(fixed64, tag = "5")]
    created_ms: u64,
}

guarded! {
    Form: secret;
}

impl Form {
    fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode(guarded::shared(bytes)).map_err(|_| DecodeError::Malformed)
    }

    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.encode_to_vec())
    }

    /// Of a pre-key that is one of X25519.
    fn key_pair(&self) -> Result<KeyPair, DecodeError> {
        let private = Secret::from_slice(&self.secret).ok_or(DecodeError::Length)?;
        Ok(KeyPair::from_parts(PublicKey::parse(&self.public)?, &private))
    }
}
