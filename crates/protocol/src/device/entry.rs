//! A device in a list, and its statement that it belongs to the account.

use rand_core::CryptoRng;

use super::key::is_signed;
use super::{AccountId, AccountKey, BINDING};
use crate::address::DeviceId;
use crate::error::DecodeError;
use crate::identity::{IdentityKey, IdentityKeyPair};
use crate::primitives::x25519::PUBLIC_KEY_LEN;
use crate::primitives::xeddsa::{SIGNATURE_LEN, Signature};

/// The length of an entry, in bytes: device, flags, identity key, time, binding.
pub(super) const ENTRY_LEN: usize = 1 + 1 + PUBLIC_KEY_LEN + 8 + SIGNATURE_LEN;
const PRIMARY: u8 = 1;

/// A device states, with its identity key, that it is this device of this account. It makes the statement once, and every later list
/// contains it.
#[derive(Debug, Clone, Copy)]
pub struct DeviceBinding(Signature);

impl DeviceBinding {
    /// The statement of the device `device`, with the identity key `identity`.
    pub fn sign<R: CryptoRng + ?Sized>(
        user: &AccountId,
        device: DeviceId,
        identity: &IdentityKeyPair,
        account: &AccountKey,
        rng: &mut R,
    ) -> Self {
        Self(identity.sign(&signed_bytes(user, device, identity.public(), account), rng))
    }

    /// Parses the signature, 64 bytes, which may be invalid.
    ///
    /// # Errors
    /// [`DecodeError::Length`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        Signature::parse(bytes).map(Self)
    }

    /// The signature.
    pub fn as_bytes(&self) -> &[u8; SIGNATURE_LEN] {
        self.0.as_bytes()
    }
}

/// A device in a list.
#[derive(Debug, Clone, Copy)]
pub struct DeviceEntry {
    /// Its number, which no other device of the account ever gets.
    pub device: DeviceId,
    /// Its identity key.
    pub identity: IdentityKey,
    /// When it was added by the clock of the primary device, in milliseconds since 1970.
    pub added_ms: u64,
    /// Whether it holds the account key. Exactly one device of a list does.
    pub is_primary: bool,
    /// Its statement that it belongs to the account.
    pub binding: DeviceBinding,
}

impl DeviceEntry {
    /// Whether the device has stated that it belongs to this account.
    pub fn is_bound(&self, user: &AccountId, account: &AccountKey) -> bool {
        let message = signed_bytes(user, self.device, &self.identity, account);
        is_signed(&self.identity, &message, &self.binding.0)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(self.device.byte());
        out.push(if self.is_primary { PRIMARY } else { 0 });
        out.extend(self.identity.as_bytes());
        out.extend(self.added_ms.to_be_bytes());
        out.extend(self.binding.as_bytes());
    }

    pub(super) fn parse(bytes: &[u8; ENTRY_LEN]) -> Result<Self, DecodeError> {
        let ([device, flags], rest) = bytes.split_first_chunk().ok_or(DecodeError::TooShort)?;
        let (identity, rest) = rest.split_first_chunk::<PUBLIC_KEY_LEN>().ok_or(DecodeError::TooShort)?;
        let (added_ms, binding) = rest.split_first_chunk().ok_or(DecodeError::TooShort)?;
        Ok(Self {
            device: DeviceId::new(u32::from(*device)).map_err(|_| DecodeError::OutOfRange)?,
            identity: IdentityKey::parse(identity)?,
            added_ms: u64::from_be_bytes(*added_ms),
            is_primary: match *flags {
                0 => false,
                PRIMARY => true,
                _ => return Err(DecodeError::OutOfRange),
            },
            binding: DeviceBinding::parse(binding)?,
        })
    }
}

/// `type word || user || device || identity key || account key`.
fn signed_bytes(user: &AccountId, device: DeviceId, identity: &IdentityKey, account: &AccountKey) -> Vec<u8> {
    [&BINDING[..], user, &[device.byte()], identity.as_bytes(), account.as_bytes()].concat()
}
