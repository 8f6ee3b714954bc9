//! Accounts and their devices.

use bytes::Bytes;
use sealpost_wire::id::UserId;

use super::answer::Answer;
use super::tokens::NewFamily;
use crate::address::Address;
use crate::keys::{CheckedKeys, LoginKey};

/// Accounts and their devices.
pub trait Accounts {
    /// Creates an account with its first device, keys, token family and empty mailbox, and says whose they are. A
    /// repeated idempotency key finds the device again for a day, if it still has this identity: whoever has lost the
    /// answer gets new tokens, and those in it are void.
    fn create_account(&self, new: NewAccount) -> Answer<Address>;
    /// The live devices of a user, by number; none for an unknown user.
    fn devices(&self, user: UserId) -> Answer<Vec<sealpost_wire::DeviceInfo>>;
    /// A live device; none when it was revoked, or never was.
    fn device(&self, address: Address) -> Answer<Option<Device>>;
    /// Begins a family of tokens for a device that has this login key, and ends all others of it.
    fn log_in(&self, login: Login) -> Answer<LoggedIn>;
    /// Makes a device that was registered here once under this address again, with an account where there is none. Of one that
    /// is there with these very keys, tokens and pre-keys are replaced.
    fn restore_device(&self, device: NewAccount) -> Answer<Restored>;
    /// Notes which generation of its database a device has, if it is newer than what is known, and says what was known before.
    fn note_generation(&self, address: Address, generation: Generation) -> Answer<Generation>;
    /// Removes a device with its tokens, keys and mailbox. `false`: there was none.
    fn revoke_device(&self, address: Address) -> Answer<bool>;
    /// Deletes an account: its devices with their tokens, keys and mailboxes. Only that it was there is remembered. The
    /// devices that it had; none when there is no such account.
    fn delete_account(&self, user: UserId, now_ms: u64) -> Answer<Vec<Address>>;
    /// Whether there was an account that was deleted.
    fn is_deleted(&self, user: UserId) -> Answer<bool>;
}

/// A new account with its first device.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// The new user and device 1.
    pub address: Address,
    /// 1 to 16,380.
    pub registration_id: u32,
    /// 33 bytes with the type byte.
    pub identity_key: Bytes,
    /// By which it signs in.
    pub login_key: Option<LoginKey>,
    /// Complete first keys.
    pub keys: CheckedKeys,
    /// The first tokens.
    pub family: NewFamily,
    /// Set when a repetition must get the same account.
    pub idempotency: Option<IdempotencyKey>,
    /// Now.
    pub now_ms: u64,
}

/// A device, as it was registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// 1 to 16,380.
    pub registration_id: u32,
    /// 33 bytes with the type byte.
    pub identity_key: Bytes,
    /// By which it signs in; devices from before there were login keys have none until they show one.
    pub login_key: Option<LoginKey>,
}

/// A device that has signed with its login key.
#[derive(Debug, Clone)]
pub struct Login {
    /// The device.
    pub address: Address,
    /// The key that it has signed with.
    pub login_key: LoginKey,
    /// The tokens that it gets.
    pub family: NewFamily,
}

/// What became of a [`Login`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoggedIn {
    /// The family is in force, and no other of this device.
    Yes,
    /// There is no such device, or it has another key. Nothing has changed.
    Unknown,
}

/// What became of a device that was to be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restored {
    /// It is there.
    Yes,
    /// A device with other keys is there, or there was one and it was revoked. Nothing has changed.
    Taken,
}

/// How often the database of a device has connected, and what was drawn for the newest connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Generation {
    /// 0: it has never said.
    pub number: u64,
    /// 8 random bytes.
    pub nonce: [u8; 8],
}

/// What makes two requests the same request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyKey(pub [u8; 32]);
