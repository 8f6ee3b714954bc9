//! Durable truth: the trait that every storage engine keeps, and the words it speaks.
//!
//! Each method is one transaction. Its answer resolves only after the transaction is durable, or with a
//! [`StoreError`]; a refusal is an ordinary answer and changed nothing. An operation is queued when the method
//! is *called*, not when its future is first polled: calls made one after another for one user take effect in that
//! order. Between users the engine may choose, so that nobody waits behind somebody else's long line.

mod accounts;
mod answer;
mod lane;
mod mailbox;
mod order;
mod pre_keys;
mod revocations;
pub mod sqlite;
mod threads;
mod tokens;
mod upkeep;

use std::fmt;

pub use accounts::{Accounts, IdempotencyKey, NewAccount};
pub use answer::{Answer, Health, StoreError};
pub use lane::{Append, Appended, BodyHash, Copy, Lanes, Stored};
pub use mailbox::{Arrival, InboxKey, MailboxState, Mailboxes, Message, Page, PageLimit, Row};
pub use order::{Order, Place, TooManyStopped, Turn};
pub use pre_keys::{KeysRefused, PreKeys, Selector, Take, Taken};
pub use revocations::{Noted, Revocations};
pub use threads::{Created, NewThread, ThreadRow, Threads};
pub use tokens::{FamilyId, NewFamily, Origin, Rotated, Rotation, TokenHash, Tokens};
pub use upkeep::{Swept, Upkeep};

/// The durable side of the relay, which is one trait for each noun.
pub trait Store:
    Accounts + Tokens + PreKeys + Threads + Lanes + Mailboxes + Upkeep + Send + Sync + fmt::Debug + 'static
{
}

impl<T> Store for T where
    T: Accounts
        + Tokens
        + PreKeys
        + Threads
        + Lanes
        + Mailboxes
        + Upkeep
        + Send
        + Sync
        + fmt::Debug
        + 'static
{
}
