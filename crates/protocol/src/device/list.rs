//! The list of an account's devices: [`DeviceList`], which is signed; [`SignedDeviceList`], as it was received; and
//! [`VerifiedDeviceList`], whose signatures were checked.

use std::fmt;

use rand_core::CryptoRng;

use super::entry::{DeviceEntry, ENTRY_LEN};
use super::{AccountId, AccountKey, AccountKeyPair, KnownDeviceList, LIST};
use crate::error::DecodeError;
use crate::identity::IdentityKey;
use crate::primitives::kdf::sha256;
use crate::primitives::x25519::PUBLIC_KEY_LEN;
use crate::primitives::xeddsa::{SIGNATURE_LEN, Signature};

/// The number of devices of an account, including the primary one.
pub const MAX_DEVICES: usize = 5;
/// Versions begin at 1, and fit into a signed number.
const MAX_VERSION: u64 = i64::MAX as u64;
/// Account key, version and number of entries.
const HEAD_LEN: usize = PUBLIC_KEY_LEN + 8 + 1;

/// Why a list cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// The version is 0 or too large.
    #[error("the version is out of range")]
    Version,
    /// There is no device, or more than five.
    #[error("no device, or too many")]
    Count,
    /// The devices are not in ascending order, or one is named twice.
    #[error("the devices are not in order")]
    Order,
    /// There is no primary device, or more than one.
    #[error("not exactly one primary device")]
    Primary,
    /// Two devices have the same identity key, or it would make agreements predictable.
    #[error("an identity key that a device cannot have")]
    IdentityKey,
    /// The account key has not signed this list of this user.
    #[error("not signed by the account key")]
    Signature,
    /// A device has not stated that it belongs to the account.
    #[error("a device does not belong to the account")]
    Binding,
}

/// The devices of an account, in a valid order, before the account key signs them.
#[derive(Debug, Clone)]
pub struct DeviceList {
    version: u64,
    devices: Vec<DeviceEntry>,
}

impl DeviceList {
    /// The list with this version, which has to be higher than any earlier one of the account. `devices` are in ascending order of
    /// their numbers.
    ///
    /// # Errors
    /// [`ListError`], except [`ListError::Signature`] and [`ListError::Binding`].
    pub fn new(version: u64, devices: Vec<DeviceEntry>) -> Result<Self, ListError> {
        if !(1..=MAX_VERSION).contains(&version) {
            return Err(ListError::Version);
        }
        if !(1..=MAX_DEVICES).contains(&devices.len()) {
            return Err(ListError::Count);
        }
        if !devices.is_sorted_by(|one, next| one.device < next.device) {
            return Err(ListError::Order);
        }
        if devices.iter().filter(|entry| entry.is_primary).count() != 1 {
            return Err(ListError::Primary);
        }
        let mut keys = devices.iter().enumerate().map(|(at, entry)| (at, &entry.identity));
        let is_bad = |(at, key): (usize, &IdentityKey)| {
            let is_repeated = devices.iter().take(at).any(|earlier| earlier.identity == *key);
            is_repeated || key.public_key().is_low_order()
        };
        if keys.any(is_bad) {
            return Err(ListError::IdentityKey);
        }
        Ok(Self { version, devices })
    }

    /// Signs the list of the account `user`.
    pub fn sign<R: CryptoRng + ?Sized>(
        self,
        user: &AccountId,
        account: &AccountKeyPair,
        rng: &mut R,
    ) -> SignedDeviceList {
        let (key, bytes) = (account.public(), self.canonical());
        let signature = account.sign(&signed_bytes(user, &key, &bytes), rng);
        SignedDeviceList { account: key, list: self, signature }
    }

    /// `version || number of entries || entries`.
    fn canonical(&self) -> Vec<u8> {
        let mut bytes = self.version.to_be_bytes().to_vec();
        bytes.extend(u8::try_from(self.devices.len()));
        self.devices.iter().for_each(|entry| entry.write(&mut bytes));
        bytes
    }
}

/// A list and its signature, which nobody has checked yet.
#[derive(Debug, Clone)]
pub struct SignedDeviceList {
    account: AccountKey,
    list: DeviceList,
    signature: Signature,
}

impl SignedDeviceList {
    /// `account key || version || number of entries || entries || signature`, at most 641 bytes.
    pub fn serialize(&self) -> Vec<u8> {
        [&self.account.as_bytes()[..], &self.list.canonical(), self.signature.as_bytes()].concat()
    }

    /// Parses the serialized form. There is one form of each list.
    ///
    /// # Errors
    /// [`DecodeError`]; lists that [`DeviceList::new`] refuses are out of range.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (head, rest) = bytes.split_first_chunk::<HEAD_LEN>().ok_or(DecodeError::TooShort)?;
        let (account, numbers) = head.split_first_chunk::<PUBLIC_KEY_LEN>().ok_or(DecodeError::TooShort)?;
        let (version, count) = numbers.split_first_chunk().ok_or(DecodeError::TooShort)?;
        let (entries, signature) = rest.split_last_chunk::<SIGNATURE_LEN>().ok_or(DecodeError::TooShort)?;
        let (entries, remainder) = entries.as_chunks::<ENTRY_LEN>();
        if !remainder.is_empty() || u8::try_from(entries.len()).ok() != count.first().copied() {
            return Err(DecodeError::Length);
        }
        if entries.len() > MAX_DEVICES {
            return Err(DecodeError::OutOfRange);
        }
        let devices = entries.iter().map(DeviceEntry::parse).collect::<Result<_, _>>()?;
        Ok(Self {
            account: AccountKey::parse(account)?,
            list: DeviceList::new(u64::from_be_bytes(*version), devices)
                .map_err(|_| DecodeError::OutOfRange)?,
            signature: Signature::parse(signature)?,
        })
    }

    /// The key that is said to have signed the list.
    pub fn account_key(&self) -> &AccountKey {
        &self.account
    }

    /// Its version.
    pub fn version(&self) -> u64 {
        self.list.version
    }

    /// Checks that the account key has signed this list for the account `user`, and that each device has stated that it belongs to
    /// the account. Whether it is the account key of the right person must be determined by people.
    ///
    /// # Errors
    /// [`ListError::Signature`] or [`ListError::Binding`].
    pub fn verify(self, user: &AccountId) -> Result<VerifiedDeviceList, ListError> {
        let message = signed_bytes(user, &self.account, &self.list.canonical());
        if !self.account.has_signed(&message, &self.signature) {
            return Err(ListError::Signature);
        }
        if !self.list.devices.iter().all(|entry| entry.is_bound(user, &self.account)) {
            return Err(ListError::Binding);
        }
        Ok(VerifiedDeviceList { digest: sha256(&message), signed: self })
    }
}

/// Proof that the account key in it has signed a list, and that each of its devices belongs to the account.
#[derive(Clone)]
pub struct VerifiedDeviceList {
    signed: SignedDeviceList,
    digest: [u8; 32],
}

impl VerifiedDeviceList {
    /// Its version.
    pub fn version(&self) -> u64 {
        self.signed.list.version
    }

    /// The account key that has signed it.
    pub fn account_key(&self) -> &AccountKey {
        &self.signed.account
    }

    /// SHA-256 of what was signed: 32 bytes by which two people notice that they were shown different lists.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The devices, in ascending order of their numbers.
    pub fn devices(&self) -> &[DeviceEntry] {
        &self.signed.list.devices
    }

    /// The device that holds the account key.
    pub fn primary(&self) -> Option<&DeviceEntry> {
        self.devices().iter().find(|entry| entry.is_primary)
    }

    /// What has to be remembered of the list to compare later ones with it.
    pub fn known(&self) -> KnownDeviceList {
        KnownDeviceList { account: self.signed.account, version: self.version(), digest: self.digest }
    }

    /// The serialized form of the signed list.
    pub fn serialize(&self) -> Vec<u8> {
        self.signed.serialize()
    }
}

impl fmt::Debug for VerifiedDeviceList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signed, digest: _ } = self;
        f.debug_tuple("VerifiedDeviceList").field(signed).finish()
    }
}

/// `type word || user || account key || canonical list`, which is signed and hashed.
fn signed_bytes(user: &AccountId, account: &AccountKey, list: &[u8]) -> Vec<u8> {
    [&LIST[..], user, account.as_bytes(), list].concat()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
