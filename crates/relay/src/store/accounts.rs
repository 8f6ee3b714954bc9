//! Accounts and their devices.

use bytes::Bytes;
use sealpost_wire::SignedDeviceList;
use sealpost_wire::id::{DeviceId, UserId};

use super::answer::Answer;
use super::tokens::NewFamily;
use crate::address::Address;
use crate::keys::{CheckedKeys, LoginKey};

/// Accounts and their devices.
pub trait Accounts {
    /// Creates an account with its first device, keys, token family and empty mailbox, and returns the device's
    /// address. A repeated idempotency key finds the same device for one day, provided that the device still has this
    /// identity. A client that lost the answer thus receives new tokens, and the tokens in the lost answer are
    /// revoked.
    fn create_account(&self, new: NewAccount) -> Answer<Address>;
    /// The live devices of a user, ordered by number. Empty for an unknown user.
    fn devices(&self, user: UserId) -> Answer<Vec<sealpost_wire::DeviceInfo>>;
    /// The numbers of the devices of a user that were revoked, or will never be registered.
    fn revoked_devices(&self, user: UserId) -> Answer<Vec<u32>>;
    /// A live device, or `None` if it was revoked or never existed.
    fn device(&self, address: Address) -> Answer<Option<Device>>;
    /// Begins a token family for a device that has this login key, and ends all its other families.
    fn log_in(&self, login: Login) -> Answer<LoggedIn>;
    /// Creates a device again under the address that this relay gave it earlier, together with its account if that is
    /// missing. If the device exists with exactly these keys, its tokens and pre-keys are replaced.
    fn restore_device(&self, device: NewAccount) -> Answer<Restored>;
    /// Records the generation of a device's database if it is newer than the recorded one, and returns what was
    /// recorded before.
    fn note_generation(&self, address: Address, generation: Generation) -> Answer<Generation>;
    /// Removes a device with its tokens, keys and mailbox, or ends the link token of one that was not registered yet. Returns
    /// `false` if there was neither.
    fn revoke_device(&self, address: Address) -> Answer<bool>;
    /// Replaces the device list of an account. Returns `false`, and changes nothing, if a list with the same or a higher version is
    /// stored, unless it is this one, or if the version is more than 2^32 higher than the stored one.
    fn put_device_list(&self, user: UserId, list: SignedDeviceList) -> Answer<bool>;
    /// Whether a device is the primary one of its account, which stores its lists.
    fn is_primary(&self, device: Address) -> Answer<bool>;
    /// Replaces the device list of an account, and makes another of its devices the primary one. A repetition changes nothing.
    fn move_account(&self, request: MoveAccount) -> Answer<MovedAccount>;
    /// The newest device list of an account; none for an unknown user.
    fn device_list(&self, user: UserId) -> Answer<Option<SignedDeviceList>>;
    /// Deletes an account with its devices and their tokens, keys and mailboxes. Only the fact that it existed is
    /// kept. Returns the devices that it had; empty if there is no such account.
    fn delete_account(&self, user: UserId, now_ms: u64) -> Answer<Vec<Address>>;
    /// Whether this account existed and was deleted.
    fn is_deleted(&self, user: UserId) -> Answer<bool>;
}

/// A new account with its first device.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// The new user, with device 1.
    pub address: Address,
    /// From 1 to 16,380.
    pub registration_id: u32,
    /// 33 bytes, including the type byte.
    pub identity_key: Bytes,
    /// The key with which the device signs in.
    pub login_key: Option<LoginKey>,
    /// The first keys; the set is complete.
    pub keys: CheckedKeys,
    /// The first tokens.
    pub family: NewFamily,
    /// Set if a repeated request must find the same account.
    pub idempotency: Option<IdempotencyKey>,
    /// The current time.
    pub now_ms: u64,
}

/// A registered device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// From 1 to 16,380.
    pub registration_id: u32,
    /// 33 bytes, including the type byte.
    pub identity_key: Bytes,
    /// The key with which it signs in. A device that was registered before login keys existed has none until it
    /// presents one.
    pub login_key: Option<LoginKey>,
}

/// A login that the device has signed with its login key.
#[derive(Debug, Clone)]
pub struct Login {
    /// The device.
    pub address: Address,
    /// The key that the signature was verified with.
    pub login_key: LoginKey,
    /// The tokens that the device receives.
    pub family: NewFamily,
}

/// The outcome of a [`Login`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoggedIn {
    /// The family is in force, and the device has no other.
    Yes,
    /// The device does not exist or has another key. Nothing was changed.
    Unknown,
}

/// The outcome of restoring a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restored {
    /// The device exists now.
    Yes,
    /// A device with other keys exists. Nothing was changed.
    Taken,
    /// The device was revoked. Nothing was changed.
    Revoked,
}

/// How often a device's database has connected, and the random value of its newest connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Generation {
    /// 0 if the device has never reported one.
    pub number: u64,
    /// 8 random bytes.
    pub nonce: [u8; 8],
}

/// The primary device of an account makes another device the primary one.
#[derive(Debug, Clone)]
pub struct MoveAccount {
    /// The present primary device.
    pub from: Address,
    /// The device that becomes the primary one.
    pub to: DeviceId,
    /// The list that says so.
    pub list: SignedDeviceList,
    /// The current time.
    pub now_ms: u64,
}

/// The outcome of a [`MoveAccount`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MovedAccount {
    /// The account has this list and this primary device.
    Yes,
    /// A list with the same or a higher version is stored, or the version is much too high. Nothing was changed.
    Stale,
    /// The requester is not the primary device. Nothing was changed.
    NotPrimary,
    /// The account has no such device. Nothing was changed.
    UnknownDevice,
}

/// The key by which a repeated request is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyKey(pub [u8; 32]);
