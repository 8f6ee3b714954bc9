//! The list of an account's devices: [`DeviceList`], which is signed; [`SignedDeviceList`], as it was received; and
//! [`VerifiedDeviceList`], whose signatures were checked.

use std::fmt;

use rand_core::CryptoRng;

use super::entry::{DeviceEntry, ENTRY_LEN};
use super::moves::{AccountMove, MAX_MOVES, MOVE_LEN};
use super::{AccountId, AccountKey, AccountKeyPair, KnownDeviceList, LIST};
use crate::address::DeviceId;
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
    /// An account key before has not named its successor, or the moves cannot have happened in this order.
    #[error("not moved by the account key before")]
    Move,
}

/// The devices of an account, in a valid order, before the account key signs them.
#[derive(Debug, Clone)]
pub struct DeviceList {
    version: u64,
    devices: Vec<DeviceEntry>,
    /// The latest moves of the account, the newest last.
    moves: Vec<AccountMove>,
}

impl DeviceList {
    /// The list with this version, which has to be higher than any earlier one of the account. `devices` are in ascending order of
    /// their numbers.
    ///
    /// # Errors
    /// [`ListError`], except [`ListError::Signature`] and [`ListError::Binding`].
    pub fn new(version: u64, devices: Vec<DeviceEntry>) -> Result<Self, ListError> {
        Self::with_moves(version, devices, Vec::new())
    }

    pub(super) fn with_moves(
        version: u64,
        devices: Vec<DeviceEntry>,
        moves: Vec<AccountMove>,
    ) -> Result<Self, ListError> {
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
        let versions = || moves.iter().map(AccountMove::version);
        if moves.len() > MAX_MOVES
            || !versions().is_sorted_by(|one, next| one < next)
            || versions().any(|at| !(1..=version).contains(&at))
        {
            return Err(ListError::Move);
        }
        Ok(Self { version, devices, moves })
    }

    pub(super) fn devices(&self) -> &[DeviceEntry] {
        &self.devices
    }

    /// Signs the list of the account `user`.
    pub fn sign<R: CryptoRng + ?Sized>(
        self,
        user: &AccountId,
        account: &AccountKeyPair,
        rng: &mut R,
    ) -> SignedDeviceList {
        let key = account.public();
        let signature = account.sign(&self.signed_bytes(user, &key), rng);
        SignedDeviceList { account: key, list: self, signature }
    }

    /// `type word || user || account key || canonical list || old account key and version of each move`, which is signed and hashed.
    fn signed_bytes(&self, user: &AccountId, account: &AccountKey) -> Vec<u8> {
        let mut bytes = [&LIST[..], user, account.as_bytes(), &self.canonical()].concat();
        self.moves.iter().for_each(|earlier| earlier.write_unsigned(&mut bytes));
        bytes
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
    /// `account key || version || number of entries || entries || signature || moves`, at most 956 bytes.
    pub fn serialize(&self) -> Vec<u8> {
        let mut bytes =
            [&self.account.as_bytes()[..], &self.list.canonical(), self.signature.as_bytes()].concat();
        self.list.moves.iter().for_each(|earlier| earlier.write(&mut bytes));
        bytes
    }

    /// Parses the serialized form. There is one form of each list.
    ///
    /// # Errors
    /// [`DecodeError`]; lists that [`DeviceList::new`] refuses are out of range.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (head, rest) = bytes.split_first_chunk::<HEAD_LEN>().ok_or(DecodeError::TooShort)?;
        let (account, numbers) = head.split_first_chunk::<PUBLIC_KEY_LEN>().ok_or(DecodeError::TooShort)?;
        let (version, count) = numbers.split_first_chunk().ok_or(DecodeError::TooShort)?;
        let count = count.first().copied().map(usize::from).ok_or(DecodeError::TooShort)?;
        let length = count.checked_mul(ENTRY_LEN).ok_or(DecodeError::Length)?;
        let (entries, rest) = rest.split_at_checked(length).ok_or(DecodeError::Length)?;
        let (signature, moves) = rest.split_first_chunk::<SIGNATURE_LEN>().ok_or(DecodeError::Length)?;
        let ((entries, _), (moves, remainder)) =
            (entries.as_chunks::<ENTRY_LEN>(), moves.as_chunks::<MOVE_LEN>());
        if !remainder.is_empty() {
            return Err(DecodeError::Length);
        }
        if entries.len() > MAX_DEVICES || moves.len() > MAX_MOVES {
            return Err(DecodeError::OutOfRange);
        }
        let devices = entries.iter().map(DeviceEntry::parse).collect::<Result<_, _>>()?;
        let moves = moves.iter().map(AccountMove::parse).collect::<Result<_, _>>()?;
        let list = DeviceList::with_moves(u64::from_be_bytes(*version), devices, moves);
        let signed = Self {
            account: AccountKey::parse(account)?,
            list: list.map_err(|_| DecodeError::OutOfRange)?,
            signature: Signature::parse(signature)?,
        };
        signed.check_moves().map_err(|_| DecodeError::OutOfRange)?;
        Ok(signed)
    }

    /// The key that is said to have signed the list.
    pub fn account_key(&self) -> &AccountKey {
        &self.account
    }

    /// Its version.
    pub fn version(&self) -> u64 {
        self.list.version
    }

    /// Whether it is said to name this device.
    pub fn names(&self, device: DeviceId, identity: &IdentityKey) -> bool {
        self.list.devices.iter().any(|entry| entry.device == device && entry.identity == *identity)
    }

    /// Checks that the account key has signed this list for the account `user`, and that each device has stated that it belongs to
    /// the account. Whether it is the account key of the right person must be determined by people.
    ///
    /// # Errors
    /// [`ListError::Signature`] or [`ListError::Binding`].
    pub fn verify(self, user: &AccountId) -> Result<VerifiedDeviceList, ListError> {
        let message = self.list.signed_bytes(user, &self.account);
        if !self.account.has_signed(&message, &self.signature) {
            return Err(ListError::Signature);
        }
        let mut successor = &self.account;
        for earlier in self.list.moves.iter().rev() {
            if !earlier.is_signed(user, successor) {
                return Err(ListError::Move);
            }
            successor = &earlier.from;
        }
        let is_bound = |entry: &DeviceEntry| {
            // What a device has stated about an account key holds for the successor that this key has named. To become the primary
            // device, a device has to agree.
            let earlier = self.list.moves.iter().filter(|_| !entry.is_primary).map(AccountMove::from);
            std::iter::once(&self.account).chain(earlier).any(|key| entry.is_bound(user, key))
        };
        if !self.list.devices.iter().all(is_bound) {
            return Err(ListError::Binding);
        }
        Ok(VerifiedDeviceList { digest: sha256(&message), signed: self })
    }

    /// No account key is used twice.
    pub(super) fn check_moves(&self) -> Result<(), ListError> {
        let mut later = self.list.moves.iter().enumerate();
        let is_repeated = |(at, earlier): (usize, &AccountMove)| {
            earlier.from == self.account
                || self.list.moves.iter().skip(at.saturating_add(1)).any(|other| other.from == earlier.from)
        };
        if later.any(is_repeated) { Err(ListError::Move) } else { Ok(()) }
    }

    pub(super) fn devices(&self) -> &[DeviceEntry] {
        &self.list.devices
    }

    pub(super) fn moves(&self) -> &[AccountMove] {
        &self.list.moves
    }

    /// The same signature over another list.
    pub(super) fn with_list(self, list: DeviceList) -> Self {
        Self { list, ..self }
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

    /// The latest moves of the account, the newest last.
    pub fn moves(&self) -> &[AccountMove] {
        &self.signed.list.moves
    }

    /// If the account was moved from this account key, perhaps with others in between: the version with which it was replaced.
    pub fn moved_from(&self, key: &AccountKey) -> Option<u64> {
        self.moves().iter().find(|earlier| earlier.from == *key).map(AccountMove::version)
    }

    /// The list that follows this one, with other devices and the same account key.
    ///
    /// # Errors
    /// As for [`DeviceList::new`].
    pub fn next(&self, version: u64, devices: Vec<DeviceEntry>) -> Result<DeviceList, ListError> {
        DeviceList::with_moves(version, devices, self.moves().to_vec())
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

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
