//! The device list that an entry carries.

use super::device_set::DeviceSet;
use super::reader::{FormError, Reader};
use super::value::AccountKey;
use crate::id::DeviceId;
use crate::limits::{MAX_DEVICE_LIST, MAX_DEVICES};

/// Flags, identity key, time and binding of a device.
const ENTRY_REST: usize = 1 + 33 + 8 + 64;
const SIGNATURE: usize = 64;
/// Version and signature of a move.
const MOVE_REST: usize = 8 + 64;
const MAX_MOVES: usize = 3;
/// Versions fit into a signed number.
const MAX_VERSION: u64 = i64::MAX as u64;

/// The signed device list of the author of an entry: its bytes, and what the rules need of it. No signature was verified.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorList {
    bytes: Vec<u8>,
    account_key: AccountKey,
    version: u64,
    devices: DeviceSet,
    moved_from: Vec<AccountKey>,
}

impl AuthorList {
    /// Parses the serialized form of a signed device list.
    ///
    /// # Errors
    /// [`FormError`] if it cannot be a list.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormError> {
        if bytes.len() > MAX_DEVICE_LIST {
            return Err(FormError);
        }
        let mut reader = Reader::new(bytes);
        let account_key = AccountKey::read(&mut reader)?;
        let version = reader.long()?;
        let count = reader.byte()?;
        if !(1..=MAX_VERSION).contains(&version) || !(1..=MAX_DEVICES).contains(&u32::from(count)) {
            return Err(FormError);
        }
        let mut devices = Vec::new();
        for _ in 0..count {
            devices.push(DeviceId::new(u32::from(reader.byte()?)).map_err(|_| FormError)?);
            reader.take(ENTRY_REST)?;
        }
        if !devices.is_sorted_by(|one, next| one < next) {
            return Err(FormError);
        }
        reader.take(SIGNATURE)?;
        let mut moved_from = Vec::new();
        while !reader.rest().is_empty() {
            moved_from.push(AccountKey::read(&mut reader)?);
            reader.take(MOVE_REST)?;
        }
        if moved_from.len() > MAX_MOVES {
            return Err(FormError);
        }
        let devices = DeviceSet::of(devices);
        Ok(Self { bytes: bytes.to_vec(), account_key, version, devices, moved_from })
    }

    /// The serialized form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The account key that is said to have signed it.
    pub const fn account_key(&self) -> AccountKey {
        self.account_key
    }

    /// Its version.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The devices on it.
    pub const fn devices(&self) -> DeviceSet {
        self.devices
    }

    /// Whether it is a list of the account that has this key, or had it before it was moved to another device.
    pub fn is_of(&self, key: AccountKey) -> bool {
        self.account_key == key || self.moved_from.contains(&key)
    }
}

impl std::fmt::Debug for AuthorList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AuthorList({:?}, version {}, {:?})", self.account_key, self.version, self.devices)
    }
}
