//! Linking further devices of an account.

use bytes::Bytes;
use sealpost_wire::id::UserId;

use super::accounts::{IdempotencyKey, NewAccount};
use super::answer::Answer;
use super::tokens::TokenHash;
use crate::address::Address;

/// Linking further devices of an account.
pub trait Linking {
    /// Reserves the number of a new device, which no device of the account had or gets, together with a token for its registration.
    fn take_link_token(&self, new: NewLinkToken) -> Answer<LinkToken>;
    /// Registers the device of a link token. A repetition with the same idempotency key finds the same device for one day, provided that
    /// the device still has this identity; its tokens are then replaced, as in a registration.
    fn link_device(&self, new: LinkDevice) -> Answer<Linked>;
    /// Records, to the day, that a device is connected.
    fn note_seen(&self, address: Address, now_ms: u64) -> Answer<()>;
    /// Revokes devices, except the primary ones of their accounts, that were not connected for 45 days, at most `budget` of them.
    fn unlink_unseen(&self, now_ms: u64, budget: usize) -> Answer<Vec<Address>>;
}

/// A request for a link token.
#[derive(Debug, Clone)]
pub struct NewLinkToken {
    /// The account.
    pub user: UserId,
    /// The highest number of a device that the account knows.
    pub above: u32,
    /// The new token.
    pub token: TokenHash,
    /// When it expires.
    pub until_ms: u64,
}

/// The outcome of a [`NewLinkToken`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkToken {
    /// For the device with this number.
    Taken(u32),
    /// The account has five devices.
    TooManyDevices,
    /// There is no number left.
    IdsUsedUp,
}

/// A device that presents a link token.
#[derive(Debug, Clone)]
pub struct LinkDevice {
    /// The token.
    pub token: TokenHash,
    /// The device. Its address is not used; it follows from the token.
    pub device: NewAccount,
    /// Its name for the request, also if the requester chose none.
    pub request: IdempotencyKey,
    /// What wakes the device.
    pub push_token: Bytes,
}

/// The outcome of a [`LinkDevice`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linked {
    /// The device exists now.
    New(Address),
    /// An earlier run of the same request created it, and its tokens from then are void.
    Again(Address),
    /// There is no such token, or it has expired. Nothing was changed.
    BadToken,
    /// Another request has used the token. Nothing was changed.
    Used,
    /// The account has five devices. Nothing was changed.
    TooManyDevices,
}
