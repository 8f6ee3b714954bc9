//! Durable truth: the trait that every storage engine keeps, and the words it speaks.
//!
//! Each method is one transaction. Its answer resolves only after the transaction is durable, or with a
//! [`StoreError`]; a refusal is an ordinary answer and changed nothing. An operation is queued when the method
//! is *called*, not when its future is first polled: calls made one after another for one user take effect in that
//! order. Between users the engine may choose, so that nobody waits behind somebody else's long line.

mod model;
mod revocations;
pub mod sqlite;

use std::fmt;

use futures_util::future::BoxFuture;
use sealpost_wire::KeyCounts;
use sealpost_wire::id::{ThreadId, UserId};

use crate::address::Address;
use crate::keys::CheckedKeys;

pub use model::{
    Append, Appended, Arrival, BodyHash, Copy, Created, FamilyId, IdempotencyKey, InboxKey, KeysRefused,
    MailboxState, Message, NewAccount, NewFamily, NewThread, Origin, Page, PageLimit, Rotated, Rotation, Row,
    Selector, Stored, Swept, Take, Taken, ThreadRow, TokenHash,
};
pub use revocations::{Noted, Revocations};

/// Why the store did not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The engine failed or is gone. Whether the operation took effect is unknown.
    #[error("the store does not answer")]
    Unavailable,
    /// There is no room. The operation did not take effect.
    #[error("the store is full")]
    Full,
}

/// What a method of [`Store`] gives back.
pub type Answer<T> = BoxFuture<'static, Result<T, StoreError>>;

/// How the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// The last write was made durable.
    Good,
    /// The last write found no room.
    Full,
    /// The last write failed.
    Failing,
}

/// The durable side of the relay.
pub trait Store: Send + Sync + fmt::Debug + 'static {
    // Accounts, devices, tokens.

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
    /// Whether tokens of this family still speak for this device.
    fn is_live(&self, address: Address, family: FamilyId) -> Answer<bool>;
    /// Exchanges a refresh token for the next one (compare and set).
    fn rotate_refresh(&self, rotation: Rotation) -> Answer<Rotated>;
    /// Ends a token family: logout. Whose it was; `None` when there was none.
    fn end_family(&self, family: FamilyId) -> Answer<Option<Address>>;

    // Pre-keys.

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
    fn repeated_take(&self, take: Take) -> Answer<Option<Vec<sealpost_wire::Bundle>>>;

    // Threads.

    /// Creates the direct thread of two users, once.
    fn create_thread(&self, new: NewThread) -> Answer<Created>;
    /// A member accepts a thread: what it may bring them has no bounds of its own any more. `false`: it is not theirs
    /// or does not exist.
    fn accept_thread(&self, thread: ThreadId, member: UserId) -> Answer<bool>;
    /// A thread as one of its members sees it; `None` when it is not theirs or does not exist.
    fn thread(&self, thread: ThreadId, member: UserId) -> Answer<Option<ThreadRow>>;

    // The lane: one order for each thread.

    /// Stores a message for all its devices and gives it the next `server_seq`, or says why not.
    fn append(&self, append: Append) -> Answer<Appended>;

    // Mailboxes.

    /// What a new connection must know of its mailbox.
    fn mailbox(&self, address: Address) -> Answer<MailboxState>;
    /// Rows in order of arrival, after one. Rows of one thread arrive in order of `server_seq`, and no row
    /// becomes visible at or before an arrival that was already read.
    fn inbox_arrivals(&self, address: Address, after: Arrival, limit: PageLimit) -> Answer<Page>;
    /// Rows in (thread, seq) order, after one, whether that one still exists or not.
    fn inbox_after(&self, address: Address, after: Option<InboxKey>, limit: PageLimit) -> Answer<Page>;
    /// Deletes acknowledged rows; the number that were there. Many rows may go in several transactions: after an error
    /// some of them may be gone, and it may be repeated.
    fn inbox_ack(&self, address: Address, keys: Vec<InboxKey>) -> Answer<u32>;
    /// Remembers how far rows were pushed.
    fn mark_pushed(&self, address: Address, up_to: Arrival) -> Answer<()>;
    /// Remembers that the device knows of so many trimmed rows. It cannot know of more than there are.
    fn mark_told(&self, address: Address, trimmed: u64) -> Answer<()>;

    // Housekeeping.

    /// Removes what expired by `now_ms`, at most `budget` rows of each kind.
    fn sweep(&self, now_ms: u64, budget: u32) -> Answer<Swept>;
    /// Which devices lost tokens: a device that was revoked, a family that ended or was replaced. Noted once it is
    /// durable, whether or not the caller still waits. Asks nothing of the engine.
    fn revocations(&self) -> &Revocations;
    /// How the last write went. Asks nothing of the engine.
    fn health(&self) -> Health;
    /// (thread, seq) is unique inside one epoch. Grows when an operator restores a backup.
    fn epoch(&self) -> u64;
}
