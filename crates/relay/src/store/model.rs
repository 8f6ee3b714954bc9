//! What goes into the store and what comes out.

use std::fmt;

use bytes::Bytes;
use sealpost_wire::id::{ClientMsgId, DeviceId, ThreadId, UserId};
use sealpost_wire::{Bundle, Deliver, DeviceMismatch, Envelope};

use crate::address::Address;
use crate::keys::CheckedKeys;

/// SHA-256 of the secret of a refresh token. The secret itself is never stored.
#[derive(Clone, Copy)]
pub struct TokenHash(pub [u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// A line of refresh tokens, each made from the one before; the access tokens name it too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FamilyId(pub [u8; 16]);

impl fmt::Debug for FamilyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FamilyId(..)")
    }
}

/// A new token family.
#[derive(Debug, Clone)]
pub struct NewFamily {
    /// Its random name.
    pub id: FamilyId,
    /// The first refresh token.
    pub refresh: TokenHash,
    /// When that one expires.
    pub expires_ms: u64,
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

/// Whether a refresh token that is presented was ever issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The relay issued it for the family that it names, now or long ago.
    Issued,
    /// It says so itself. Whoever has seen an access token knows the name of its family.
    Unproven,
}

/// A refresh token presented, and its successor.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// The family that the token names.
    pub family: FamilyId,
    /// The token.
    pub presented: TokenHash,
    /// Whether it was ever issued.
    pub origin: Origin,
    /// Its successor.
    pub next: TokenHash,
    /// When the successor expires.
    pub expires_ms: u64,
    /// Now.
    pub now_ms: u64,
}

/// What became of a [`Rotation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotated {
    /// The successor is in force, for this device.
    Next(Address),
    /// The account of the family was deleted.
    Deleted,
    /// No such family, its token expired, or the token was never one of it. Nothing has changed.
    Unknown,
    /// The token was one of the family and was used up before: the family of this device is gone.
    ReuseDetected(Address),
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

/// What makes two requests the same request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyKey(pub [u8; 32]);

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
    pub left: Vec<(Address, sealpost_wire::KeyCounts)>,
    /// How many bundles had to use the last-resort key.
    pub last_resort: u64,
    /// There are none, as the account was deleted.
    pub deleted: bool,
}

/// A new direct thread. Whoever opens it has accepted it.
#[derive(Debug, Clone, Copy)]
pub struct NewThread {
    /// Its random id.
    pub id: ThreadId,
    /// Who opens it.
    pub creator: UserId,
    /// The other member.
    pub peer: UserId,
    /// Now.
    pub now_ms: u64,
}

/// What became of a [`NewThread`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It exists now.
    New,
    /// These two had one already, which whoever asked has accepted now.
    Existing(ThreadId),
    /// There is no such peer.
    NoSuchPeer,
    /// The account of the peer was deleted.
    PeerDeleted,
}

/// A thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadRow {
    /// Grows with every change of members.
    pub roster_version: u64,
    /// The members.
    pub members: Vec<UserId>,
    /// The seq of the newest message; 0 = none.
    pub last_seq: u64,
}

/// SHA-256 of the encoded `Send`.
pub type BodyHash = [u8; 32];

/// A message for one device.
#[derive(Clone)]
pub struct Copy {
    /// The device.
    pub to: Address,
    /// The registration it was encrypted for.
    pub registration_id: u32,
    /// Opaque.
    pub envelope: Envelope,
    /// When the row leaves the mailbox unread.
    pub expires_ms: u64,
}

impl fmt::Debug for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copy").field("to", &self.to).finish_non_exhaustive()
    }
}

/// A message to store.
#[derive(Debug, Clone)]
pub struct Append {
    /// Who sends.
    pub sender: Address,
    /// The name the sender gave it; unique for the sending user. When it may be forgotten follows from the time inside.
    pub client_msg_id: ClientMsgId,
    /// Where.
    pub thread: ThreadId,
    /// For which roster.
    pub roster_version: u64,
    /// Tells a repetition from another message under the same name.
    pub body_hash: BodyHash,
    /// One for each live device of each member, but for the sending one.
    pub copies: Vec<Copy>,
    /// Now.
    pub now_ms: u64,
}

/// The place a message got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// 1, 2, 3, ... in each thread, without a hole.
    pub server_seq: u64,
    /// Hybrid logical clock: 48 bits of milliseconds, 16 bits of counter; strictly growing in each thread.
    pub hlc: u64,
}

/// What became of an [`Append`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// Durable.
    Stored(Stored),
    /// It was stored before, with the same body; the first place.
    Duplicate(Stored),
    /// The name was used for another body.
    MsgIdReuse,
    /// The sending device is no more.
    SenderRevoked,
    /// No such thread, or the sender is not a member.
    NotMember,
    /// Made for another roster.
    StaleRoster {
        /// The roster of now.
        current: u64,
    },
    /// The copies do not name exactly the live devices.
    MismatchedDevices(Vec<DeviceMismatch>),
    /// A copy was made for an older registration.
    StaleDevices(Vec<DeviceMismatch>),
    /// The accounts of all other members were deleted.
    RecipientDeleted,
    /// A member has not accepted the thread, and it has brought them as much as it may until then.
    NotAccepted,
    /// The name is older than names are remembered, and is not known: whether it was stored once, nobody knows.
    TooOld,
    /// The name is of a time that has not come yet, and is not known: it was not stored.
    ClockSkew,
}

/// Names a row of a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InboxKey {
    /// The thread.
    pub thread: ThreadId,
    /// The place in it.
    pub server_seq: u64,
}

/// When a row came, as a number that grows; 0 is before all.
pub type Arrival = u64;

/// How much one page may hold. A page always holds at least one row, if there is one.
#[derive(Debug, Clone, Copy)]
pub struct PageLimit {
    /// Rows.
    pub rows: u32,
    /// Bytes of ciphertext.
    pub bytes: usize,
    /// Rows that expired by now are not given.
    pub now_ms: u64,
}

/// A row of a mailbox.
#[derive(Clone)]
pub struct Row {
    /// When it came.
    pub arrival: Arrival,
    /// What it is called.
    pub key: InboxKey,
    /// The message.
    pub message: Message,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row").field("arrival", &self.arrival).field("key", &self.key).finish_non_exhaustive()
    }
}

/// What a row says.
#[derive(Clone)]
pub struct Message {
    /// Its hybrid logical clock.
    pub hlc: u64,
    /// Who sent it.
    pub sender: Address,
    /// What the sender calls it.
    pub client_msg_id: ClientMsgId,
    /// For which roster it was made.
    pub roster_version: u64,
    /// Opaque.
    pub envelope: Envelope,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("hlc", &self.hlc).finish_non_exhaustive()
    }
}

impl Row {
    /// The row as a device gets it. `attempt` is 1 for the first push on any connection.
    pub fn into_deliver(self, epoch: u64, attempt: u32) -> Deliver {
        let Self { key, message, .. } = self;
        Deliver {
            key: Some(sealpost_wire::InboxKey {
                thread_id: key.thread.to_wire(),
                server_seq: key.server_seq,
            }),
            hlc: message.hlc,
            epoch,
            sender_user_id: message.sender.user.to_wire(),
            sender_device_id: message.sender.device.get(),
            client_msg_id: message.client_msg_id.to_wire(),
            roster_version: message.roster_version,
            envelope: Some(message.envelope),
            attempt,
        }
    }
}

/// Rows, and whether there are more.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// In the order asked for.
    pub rows: Vec<Row>,
    /// More rows exist after the last of these.
    pub more: bool,
    /// Rows ever trimmed from this mailbox.
    pub trimmed: u64,
}

/// What a new connection must know of its mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MailboxState {
    /// Rows ever trimmed from it.
    pub trimmed: u64,
    /// How many of those the device knows of.
    pub told: u64,
    /// Rows up to here were pushed before.
    pub pushed: Arrival,
}

/// What a sweep removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Rows of mailboxes.
    pub inbox: u64,
    /// Remembered message ids.
    pub dedupe: u64,
    /// Of remembered bundles and registrations, token families and given-out keys, the kind with the most.
    pub other: u64,
}

impl Swept {
    /// Whether a kind used up its budget, so that more may wait.
    pub fn is_full(&self, budget: u32) -> bool {
        [self.inbox, self.dedupe, self.other].into_iter().any(|removed| removed >= u64::from(budget))
    }
}
