//! The public pre-keys of devices, and bundles of them.

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
    /// An id at or below the highest one ever seen is refused, unless it comes with the very same key: an upload
    /// whose answer was lost may be repeated. A key that was given out does not come back by that. Of each kind at
    /// most [`sealpost_wire::limits::MAX_ONE_TIME_KEYS`] are held.
    fn put_keys(&self, address: Address, keys: CheckedKeys) -> Answer<Result<KeyCounts, KeysRefused>>;
    /// One-time keys left; as quick whatever their number.
    fn key_counts(&self, address: Address) -> Answer<KeyCounts>;
    /// Takes a bundle of each selected device. Each one-time key is given to one caller only; a repeated
    /// idempotency key gets the same bundles for a minute.
    fn take_bundles(&self, take: Take) -> Answer<Taken>;
    /// What a request got that this one repeats: the bundles under its idempotency key. Takes nothing.
    fn repeated_take(&self, take: Take) -> Answer<Option<Vec<Bundle>>>;
}

/// Why keys were not put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysRefused {
    /// A key id was used before.
    #[error("a key id was used before")]
    IdUsed,
    /// There would be more than [`sealpost_wire::limits::MAX_ONE_TIME_KEYS`] of a kind.
    #[error("there would be too many one-time keys")]
    TooMany,
}

/// Which devices of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selector {
    /// Every live one.
    All,
    /// This one.
    One(DeviceId),
}

/// A request for bundles.
#[derive(Debug, Clone)]
pub struct Take {
    /// Who asks.
    pub requester: Address,
    /// Whose bundles.
    pub target: UserId,
    /// Of which devices.
    pub selector: Selector,
    /// Set when a repetition must get the same bundles.
    pub idempotency: Option<IdempotencyKey>,
    /// Leaves the one-time keys where they are.
    pub last_resort_only: bool,
    /// Now.
    pub now_ms: u64,
}

/// What was taken.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    /// One bundle for each selected live device; none when there is no such user or device.
    pub bundles: Vec<Bundle>,
    /// One-time keys left at each device, after this.
    pub left: Vec<(Address, KeyCounts)>,
    /// How many bundles had to use the last-resort key.
    pub last_resort: u64,
    /// There are none, as the account was deleted.
    pub deleted: bool,
}
