//! Durable storage: the traits that every storage engine implements, and their types.
//!
//! Each method is one transaction. Its future resolves only after the transaction is durable, or with a
//! [`StoreError`]; a refusal is an ordinary result and has changed nothing. An operation is queued when the method is
//! *called*, not when its future is first polled: calls made one after another for one user take effect in that
//! order. The engine may reorder operations of different users, so that nobody waits behind another user's long
//! queue.

mod accounts;
mod answer;
mod audience;
mod groups;
mod jobs;
mod lane;
mod linking;
mod mail;
mod mailbox;
mod order;
mod pre_keys;
mod revocations;
pub mod sqlite;
mod threads;
mod tokens;
mod upkeep;

use std::fmt;

pub use accounts::{
    Accounts, Device, Generation, IdempotencyKey, LoggedIn, Login, MoveAccount, MovedAccount, NewAccount,
    Restored,
};
pub use answer::{Answer, Health, StoreError};
pub use audience::{Audience, Misaddressed, check_recipients};
pub use groups::{Entered, GroupAppend, Groups, LinkTokenHash, NewEntry, RosterEntries, RosterQuery};
pub use jobs::{Claim, Fanout, JobId, Jobs, Progress};
pub use lane::{Append, Appended, BodyHash, Copy, Lanes, Stored};
pub use linking::{LinkDevice, LinkToken, Linked, Linking, NewLinkToken};
pub use mail::{Mail, MailClass, MailPage, MailRow, NewMail, Posted};
pub use mailbox::{Arrival, InboxKey, MailSeq, MailboxState, Mailboxes, Message, Page, PageLimit, Row};
pub use order::{Order, Place, TooManyStopped, Turn};
pub use pre_keys::{KeysRefused, PreKeys, Selector, Take, Taken};
pub use revocations::{RevocationMark, Revocations};
pub use threads::{Created, NewThread, ThreadRow, Threads};
pub use tokens::{FamilyId, NewFamily, Origin, Rotated, Rotation, TokenHash, Tokens};
pub use upkeep::{OpeningName, StoreVersion, Swept, Upkeep};

/// The durable storage of the relay, with one trait for each kind of data.
pub trait Store:
    Accounts
    + Linking
    + Tokens
    + PreKeys
    + Threads
    + Lanes
    + Groups
    + Jobs
    + Mailboxes
    + Mail
    + Upkeep
    + Send
    + Sync
    + fmt::Debug
    + 'static
{
}

impl<T> Store for T where
    T: Accounts
        + Linking
        + Tokens
        + PreKeys
        + Threads
        + Lanes
        + Groups
        + Jobs
        + Mailboxes
        + Mail
        + Upkeep
        + Send
        + Sync
        + fmt::Debug
        + 'static
{
}
