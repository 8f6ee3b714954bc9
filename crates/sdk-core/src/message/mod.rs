//! Messages as the app sees them.

mod attached;
mod delivery;
mod notice;
mod position;
mod receipts;
mod search;
mod storage;

use std::fmt;

use crate::content::{ContactCard, Location, Markup};
use crate::id::{MessageId, ThreadId, UserId};
use crate::waiting::ThreadWaiting;

pub use attached::{Poll, PollOption, Quote, Reaction, ReactionCount, Version, Vote};
pub(crate) use delivery::{DeliveryEvent, Stage};
pub use notice::{Notice, NoticeAction};
pub use position::Position;
pub use receipts::{MemberReceipt, MessageReceipts};
pub use search::{FoundRange, Hit, Hits, Search, SearchOrder};
pub use storage::{MessageDetails, StorageReport, ThreadStorage};

/// A message in a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// Its id on this device.
    pub id: MessageId,
    /// Which thread it is in.
    pub thread: ThreadId,
    /// Its position in the thread.
    pub position: Position,
    /// The author.
    pub sender: UserId,
    /// Whether it is incoming or outgoing, and its state.
    pub direction: Direction,
    /// Its contents.
    pub body: MessageBody,
    /// The styles, mentions and link preview of its text; none if it has none of them.
    pub markup: Option<Box<Markup>>,
    /// The message that it replies to.
    pub quote: Option<Box<Quote>>,
    /// Whether its author has forwarded it, that is, taken it from another message.
    pub is_forwarded: bool,
    /// The emoji with which people have reacted to it, the most frequent first, at most 20.
    /// [`Thread::reactions`](crate::Thread::reactions) returns who has chosen which.
    pub reactions: Vec<ReactionCount>,
    /// When its author wrote the present version, in server time, in milliseconds since the Unix epoch; none if it was not edited.
    /// [`Thread::versions`](crate::Thread::versions) returns the earlier ones.
    pub edited_ms: Option<u64>,
    /// When the author wrote it, in server time, in milliseconds since the Unix epoch.
    pub sent_ms: u64,
    /// How long after it was read the message disappears, in seconds; 0 if it does not ([`Thread::set_timer`](crate::Thread::set_timer)).
    pub timer_s: u32,
    /// When it disappears, in server time, in milliseconds since the Unix epoch; none as long as its timer does not run. The timer runs
    /// from the time when the message was read on this device or, for one of ours, from the time when the relay accepted it; in the note
    /// to self, from the time when it was written.
    pub expires_ms: Option<u64>,
    /// The sequence number that the relay assigned; none if the relay has not answered yet. In the note to self, this device assigns it.
    pub server_seq: Option<u64>,
}

impl Message {
    /// The text of the message; `None` if it is not a text.
    pub fn text(&self) -> Option<&str> {
        match &self.body {
            MessageBody::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// A page of a thread's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Newest first.
    pub messages: Vec<Message>,
    /// The position from which to read the page of older messages; none if there are none.
    pub older: Option<Position>,
    /// The position from which to read the page of newer messages; none if there are none.
    pub newer: Option<Position>,
    /// The oldest queued message of the thread, also if it is not on this page, and what it is waiting for; none if none is queued.
    /// [`ThreadWaiting::of`] says what each of the others is waiting for.
    pub first_waiting: Option<ThreadWaiting>,
}

/// Where the unread messages of a thread begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnreadDivider {
    /// The first unread message, above which the divider is shown.
    pub message: MessageId,
    /// Its position.
    pub position: Position,
    /// The number of unread messages of the thread.
    pub unread: u64,
}

/// What a person reports about a user. It stays on this device unless the app sends it on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Who is reported.
    pub user: UserId,
    /// The direct thread with them; none if there is none.
    pub thread: Option<ThreadId>,
    /// When it was made, in server time, in milliseconds since the Unix epoch.
    pub made_ms: u64,
    /// Their newest messages, the newest first, at most 10.
    pub messages: Vec<Message>,
}

/// Whether a message is incoming or outgoing, and its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Our message.
    Outgoing(Delivery),
    /// A message of somebody else.
    Incoming {
        /// Whether the person on this device has read it.
        read: bool,
    },
}

/// The state of an outgoing message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// Stored on this device; the relay has not answered yet.
    Queued,
    /// The relay has stored it on disk. In the note to self, it is on the disk of this device.
    Sent,
    /// A device of the recipient has decrypted it; in a group, a device of each member
    /// ([`Thread::receipts`](crate::Thread::receipts) says how many).
    Delivered,
    /// The recipient has read it; in a group, each member.
    Read,
    /// It will not be sent unless the person retries it.
    Failed(FailReason),
    /// The relay had stored it, and deletes what was not fetched for 30 days; nothing has said since that it arrived. The recipient may have
    /// switched receipts off. If something says later that it did arrive, it becomes [`Delivered`](Self::Delivered).
    Expired,
}

/// Why a message was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FailReason {
    /// The safety number of a verified contact has changed; accept it first.
    #[error("the safety number of a verified contact has changed")]
    IdentityChanged,
    /// The recipient has no devices any more.
    #[error("the recipient has no devices any more")]
    UnknownRecipient,
    /// The recipient has deleted their account.
    #[error("the recipient has deleted their account")]
    RecipientDeleted,
    /// The recipient's keys, or the list of their devices, are invalid; the relay or the recipient's client is at fault.
    #[error("the recipient's keys are invalid")]
    BadKeys,
    /// We are not a member of this thread (any more).
    #[error("we are not a member of this thread")]
    NotAMember,
    /// It was queued for longer than the relay remembers ids (7 days); it is unknown whether it arrived.
    #[error("it was queued for too long")]
    TooOld,
    /// With a copy for each of the recipient's devices, it is larger than the relay accepts.
    #[error("it is too large for the recipient's devices")]
    TooLarge,
    /// The relay refuses it permanently.
    #[error("the relay refuses it permanently")]
    Refused,
    /// The person gave it up after it had left the device without an answer; it is unknown whether it arrived.
    #[error("it was given up, and may have been sent")]
    GivenUp,
    /// The account was left before the message was sent.
    #[error("the account was left")]
    LoggedOut,
}

/// The contents of a message.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageBody {
    /// A text.
    Text(String),
    /// A contact card.
    Contact(Box<ContactCard>),
    /// A place on the earth.
    Location(Box<Location>),
    /// The sender has set the time after which messages of this thread disappear, as of this message.
    TimerChanged {
        /// The time after the message was read, in seconds; 0 if messages do not disappear any longer.
        seconds: u32,
    },
    /// A poll, and the votes in it so far.
    Poll(Box<Poll>),
    /// Something that a later version of the library can show. It is kept, and shown once the app is updated.
    NotUnderstood,
    /// Its author has deleted it for everyone.
    Deleted,
    /// An envelope that could not be opened.
    Undecryptable(Undecryptable),
}

impl fmt::Debug for MessageBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(..)"),
            Self::Contact(_) => f.write_str("Contact(..)"),
            Self::Location(_) => f.write_str("Location(..)"),
            Self::Poll(_) => f.write_str("Poll(..)"),
            Self::TimerChanged { seconds } => write!(f, "TimerChanged({seconds})"),
            Self::NotUnderstood => f.write_str("NotUnderstood"),
            Self::Deleted => f.write_str("Deleted"),
            Self::Undecryptable(cause) => write!(f, "Undecryptable({cause:?})"),
        }
    }
}

/// Why a message could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Undecryptable {
    /// There is no session with the sending device.
    #[error("there is no session with the sending device")]
    NoSession,
    /// It was sealed to a pre-key that does not exist (any more).
    #[error("it was encrypted to a pre-key that no longer exists")]
    MissingPreKey,
    /// No session can decrypt it: it was damaged, or its key is gone.
    #[error("no session can decrypt it")]
    NotDecryptable,
    /// Its version is not supported.
    #[error("its version is not supported")]
    UnsupportedVersion,
    /// Its bytes are not a message.
    #[error("its bytes are not a message")]
    Malformed,
    /// According to its content, it belongs elsewhere: the relay or the sender is not honest.
    #[error("according to its content, it belongs elsewhere")]
    Misrouted,
    /// It was decrypted by an earlier version, which did not understand its content and has not kept it.
    /// [`MessageBody::NotUnderstood`] is a content that was kept.
    #[error("its content was not understood, and was not kept")]
    UnknownContent,
    /// It was decrypted, but it was sealed with an identity key that the sender no longer has: by an old device, or by
    /// somebody who has its keys.
    #[error("it was encrypted with an identity key that the sender no longer has")]
    SenderKeyReplaced,
    /// It was decrypted, but it comes from a device that is not on the list that the sender's account has signed.
    #[error("its device is not on the sender's list of devices")]
    UnlistedDevice,
    /// Another message was decrypted with its key: the sender was restored from an older copy of a database.
    #[error("its key was already used for another message")]
    KeyUsedTwice,
    /// A part of this database that it needs is damaged, or a bug prevents it from being read. It is kept for a while and
    /// tried again; if it can be read later, its content takes the place of this message. If it is given up, the cause
    /// changes.
    #[error("a part of this database that it needs is damaged")]
    StorageDamaged,
    /// It was sent in a group, and the keys for what its author sends there have not arrived yet. When they do, its content takes the place of
    /// this message.
    #[error("the keys of its author in this group have not arrived yet")]
    AwaitsSenderKey,
}

/// Fixed numbers for the database: append new ones, and never change existing ones.
macro_rules! stored_as {
    ($type:ident { $($variant:ident = $number:literal),+ $(,)? } else $unknown:ident) => {
        impl $type {
            pub(crate) const fn to_stored(self) -> i64 {
                match self { $(Self::$variant => $number),+ }
            }

            /// An unknown number of a newer version is read as the most general variant, because a row must never be
            /// fatal.
            pub(crate) const fn from_stored(number: i64) -> Self {
                match number { $($number => Self::$variant,)+ _ => Self::$unknown }
            }
        }
    };
}

stored_as!(FailReason {
    IdentityChanged = 1,
    UnknownRecipient = 2,
    BadKeys = 3,
    NotAMember = 4,
    TooOld = 5,
    Refused = 6,
    TooLarge = 7,
    GivenUp = 8,
    RecipientDeleted = 9,
    LoggedOut = 10,
} else Refused);

stored_as!(Undecryptable {
    NoSession = 1,
    MissingPreKey = 2,
    NotDecryptable = 3,
    UnsupportedVersion = 4,
    Malformed = 5,
    Misrouted = 6,
    UnknownContent = 7,
    SenderKeyReplaced = 8,
    StorageDamaged = 9,
    KeyUsedTwice = 10,
    UnlistedDevice = 11,
    AwaitsSenderKey = 12,
} else NotDecryptable);
