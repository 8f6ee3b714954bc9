//! The public pre-keys of devices, and the bundles made from them.

use sealpost_wire::id::{DeviceId, UserId};
use sealpost_wire::{Bundle, KeyCounts};

use super::accounts::IdempotencyKey;
use super::answer::Answer;
use crate::address::Address;
use crate::keys::CheckedKeys;

/// The public pre-keys of devices.
pub trait PreKeys {
    /// Replaces the signed keys that are present and adds the one-time keys, all or nothing.
    ///
    /// An id at or below the highest one ever seen is refused, unless it has exactly the same key, because an upload
    /// may be repeated if its answer was lost. This does not restore a key that was given out. At most
    /// [`sealpost_wire::limits::MAX_ONE_TIME_KEYS`] of each kind are stored.
    fn put_keys(&self, address: Address, keys: CheckedKeys) -> Answer<Result<KeyCounts, KeysRefused>>;
    /// The number of remaining one-time keys. This takes constant time.
    fn key_counts(&self, address: Address) -> Answer<KeyCounts>;
    /// Takes a bundle of each selected device. Each one-time key is given to one caller only; a repeated idempotency
    /// key gets the same bundles for a minute.
    fn take_bundles(&self, take: Take) -> Answer<Taken>;
    /// The bundles that an earlier request with the same idempotency key got. Takes nothing.
    fn repeated_take(&self, take: Take) -> Answer<Option<Vec<Bundle>>>;
}

/// Why keys were not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysRefused {
    /// A key id was already used.
    #[error("a key id was already used")]
    IdUsed,
    /// There would be more than [`sealpost_wire::limits::MAX_ONE_TIME_KEYS`] of a kind.
    #[error("there would be too many one-time keys")]
    TooMany,
}

/// Selects devices of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selector {
    /// All live devices.
    All,
    /// This device.
    One(DeviceId),
}

/// A request for bundles.
#[derive(Debug, Clone)]
pub struct Take {
    /// The requester.
    pub requester: Address,
    /// The user whose bundles are requested.
    pub target: UserId,
    /// Which of their devices.
    pub selector: Selector,
    /// Set if a repetition must get the same bundles.
    pub idempotency: Option<IdempotencyKey>,
    /// Takes no one-time keys.
    pub last_resort_only: bool,
    /// The current time.
    pub now_ms: u64,
}

/// What was taken.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    /// One bundle for each selected live device; empty if there is no such user or device.
    pub bundles: Vec<Bundle>,
    /// The number of one-time keys that each device has left.
    pub left: Vec<(Address, KeyCounts)>,
    /// The number of bundles that contain the last-resort key.
    pub last_resort: u64,
    /// There are no bundles, because the account was deleted.
    pub deleted: bool,
}
