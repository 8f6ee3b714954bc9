//! Accounts and their devices.

use bytes::Bytes;
use sealpost_wire::id::UserId;

use super::answer::Answer;
use super::tokens::NewFamily;
use crate::address::Address;
use crate::keys::CheckedKeys;

/// Accounts and their devices.
pub trait Accounts {
    /// Creates an account with its first device, keys, token family and empty mailbox, and says whose they are. A
    /// repeated idempotency key finds the device again for a day, if it still has this identity: whoever has lost the
    /// answer gets new tokens, and those in it are void.
    fn create_account(&self, new: NewAccount) -> Answer<Address>;
    /// The live devices of a user, by number; none for an unknown user.
    fn devices(&self, user: UserId) -> Answer<Vec<sealpost_wire::DeviceInfo>>;
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
    /// Complete first keys.
    pub keys: CheckedKeys,
    /// The first tokens.
    pub family: NewFamily,
    /// Set when a repetition must get the same account.
    pub idempotency: Option<IdempotencyKey>,
    /// Now.
    pub now_ms: u64,
}

/// What makes two requests the same request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyKey(pub [u8; 32]);
