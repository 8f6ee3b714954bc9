//! Messages as the app sees them.

use std::fmt;
use std::str::FromStr;

use crate::content::{self, ContactCard, Location, Markup};
use crate::id::{InvalidId, MessageId, ThreadId, UserId};

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
    /// from the time when the message was read on this device or, for one of ours, from the time when the relay accepted it.
    pub expires_ms: Option<u64>,
    /// The sequence number that the relay assigned; none if the relay has not answered yet.
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

/// The message that a reply refers to.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quote {
    /// The author of the quoted message, as the author of the reply states it.
    pub author: UserId,
    /// The beginning of the quoted text, at most 400 bytes of UTF-8, as the author of the reply states it. Show the message itself
    /// instead if it is here. Empty if that was deleted for everyone.
    pub text: String,
    /// The quoted message, if it is in the same thread on this device.
    /// [`Thread::history_around`](crate::Thread::history_around) returns a page with it.
    pub message: Option<MessageId>,
}

/// Contains nothing that a person wrote, so that it cannot end up in a log.
impl fmt::Debug for Quote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { author, text: _, message } = self;
        f.debug_struct("Quote").field("author", author).field("message", message).finish_non_exhaustive()
    }
}

/// An emoji with which people have reacted to a message.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReactionCount {
    /// A sequence of emoji, at most 32 bytes of UTF-8.
    pub emoji: String,
    /// The number of people who have chosen it.
    pub count: u32,
    /// Whether we are one of them.
    pub is_ours: bool,
}

/// Contains nothing that a person has chosen, so that it cannot end up in a log.
impl fmt::Debug for ReactionCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReactionCount({})", self.count)
    }
}

/// The reaction of a person to a message.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reaction {
    /// Who has reacted.
    pub author: UserId,
    /// A sequence of emoji, at most 32 bytes of UTF-8.
    pub emoji: String,
    /// When the author chose it, in server time, in milliseconds since the Unix epoch.
    pub sent_ms: u64,
}

/// Contains nothing that a person has chosen, so that it cannot end up in a log.
impl fmt::Debug for Reaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reaction").field("author", &self.author).finish_non_exhaustive()
    }
}

/// A question, its options, and how many people have chosen each.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Poll {
    /// The question; at most [`MAX_QUESTION`](crate::MAX_QUESTION) bytes of UTF-8.
    pub question: String,
    /// The options, in their order; at least 2 and at most [`MAX_OPTIONS`](crate::MAX_OPTIONS).
    pub options: Vec<PollOption>,
    /// Whether a person may choose several options.
    pub is_multiple: bool,
    /// The number of people who have voted.
    pub voters: u32,
}

/// An option of a poll.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PollOption {
    /// Its text; at most [`MAX_OPTION`](crate::MAX_OPTION) bytes of UTF-8.
    pub text: String,
    /// The number of people who have chosen it.
    pub votes: u32,
    /// Whether we are one of them.
    pub is_ours: bool,
}

impl From<content::Poll> for Poll {
    fn from(poll: content::Poll) -> Self {
        let option = |text: &String| PollOption { text: text.clone(), votes: 0, is_ours: false };
        Self {
            question: poll.question().to_owned(),
            options: poll.options().iter().map(option).collect(),
            is_multiple: poll.is_multiple(),
            voters: 0,
        }
    }
}

/// Contains nothing that a person wrote, so that it cannot end up in a log.
impl fmt::Debug for Poll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Poll({} options, {} voters)", self.options.len(), self.voters)
    }
}

/// Contains nothing that a person wrote, so that it cannot end up in a log.
impl fmt::Debug for PollOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PollOption({} votes)", self.votes)
    }
}

/// What a person has chosen in a poll.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Vote {
    /// Who has voted.
    pub author: UserId,
    /// The places of the chosen options among the options of the poll, from 0 and ascending.
    pub choices: Vec<u32>,
    /// When the author voted, in server time, in milliseconds since the Unix epoch.
    pub sent_ms: u64,
}

/// Contains nothing that a person has chosen, so that it cannot end up in a log.
impl fmt::Debug for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vote").field("author", &self.author).finish_non_exhaustive()
    }
}

/// A version of a message that was edited.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Version {
    /// Its text.
    pub text: String,
    /// When the author wrote it, in server time, in milliseconds since the Unix epoch.
    pub sent_ms: u64,
}

/// Contains nothing that a person wrote, so that it cannot end up in a log.
impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({})", self.sent_ms)
    }
}

/// The position of a message in its thread. Of two messages, the one with the greater position is shown below the
/// other; no two have the same position. When the relay assigns a sequence number to a message, its position changes,
/// which is reported. A position has no meaning in another thread or on another device.
///
/// As text, it has 32 characters, which sort in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub(crate) order: i64,
    pub(crate) id: i64,
}

impl Position {
    /// Before every possible message.
    pub(crate) const FIRST: Self = Self { order: i64::MIN, id: i64::MIN };
    /// After every possible message.
    pub(crate) const LAST: Self = Self { order: i64::MAX, id: i64::MAX };
}

/// Makes negative numbers sort first as text, too.
const SIGN: u64 = 1 << 63;

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { order, id } = self;
        write!(f, "{:016x}{:016x}", order.cast_unsigned() ^ SIGN, id.cast_unsigned() ^ SIGN)
    }
}

impl FromStr for Position {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (order, id) = text.split_at_checked(16).ok_or(InvalidId)?;
        let number = |digits: &str| {
            let is_ours =
                digits.len() == 16 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
            if !is_ours {
                return Err(InvalidId);
            }
            u64::from_str_radix(digits, 16).map(|number| (number ^ SIGN).cast_signed()).map_err(|_| InvalidId)
        };
        Ok(Self { order: number(order)?, id: number(id)? })
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
}

/// When something happened to a message, in server time, in milliseconds since the Unix epoch; none if it has not happened or is not
/// known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageDetails {
    /// When its author wrote it, as the author states it.
    pub sent_ms: u64,
    /// When the relay stored it. Not known for messages that were received by a version before 20 of the database.
    pub stored_ms: Option<u64>,
    /// Of our messages: when the first delivery receipt arrived here.
    pub delivered_ms: Option<u64>,
    /// Of our messages: when the first read receipt arrived here.
    pub read_ms: Option<u64>,
}

/// How much the messages of a thread take up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadStorage {
    /// The thread.
    pub thread: ThreadId,
    /// The number of messages.
    pub messages: u64,
    /// The size of their contents in bytes, with earlier versions. Rows, indexes and the search index come on top.
    pub bytes: u64,
}

/// How much the database takes up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StorageReport {
    /// The size of the database in bytes, with the pages that are free.
    pub database_bytes: u64,
    /// The part of it that is free and will be used again.
    pub free_bytes: u64,
    /// The threads with messages, the largest first.
    pub threads: Vec<ThreadStorage>,
}

/// What an app is to do with the notification of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notice {
    /// The thread of the message.
    pub thread: ThreadId,
    /// The message. Use it as the name of the notification, so that one that is shown again replaces itself.
    pub message: MessageId,
    /// What is to be done.
    pub action: NoticeAction,
}

/// What is to be done with a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoticeAction {
    /// Show it: the message is new and unread, and its thread is not muted, or it mentions us.
    Show(Box<Message>),
    /// Show its new form: it was edited, or can be read now.
    Update(Box<Message>),
    /// Take it back: it was read, deleted, or is too old to be shown beside many others.
    Withdraw,
}

/// What to search for. [`Search::new`] searches for words in all threads, and returns the newest messages first.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Search {
    /// The words, all of which a message must contain. Only the first 16 count.
    pub words: String,
    /// Only in this thread.
    pub thread: Option<ThreadId>,
    /// Only of this author.
    pub sender: Option<UserId>,
    /// Only what was written at this time or later, in server time, in milliseconds since the Unix epoch.
    pub from_ms: Option<u64>,
    /// Only what was written before this time.
    pub until_ms: Option<u64>,
    /// The order of the results.
    pub order: SearchOrder,
    /// Continues after an earlier search that returned this ([`Hits::next`]), in [`SearchOrder::Newest`].
    pub before: Option<MessageId>,
}

impl Search {
    /// Searches for words in all threads.
    pub fn new(words: impl Into<String>) -> Self {
        Self {
            words: words.into(),
            thread: None,
            sender: None,
            from_ms: None,
            until_ms: None,
            order: SearchOrder::default(),
            before: None,
        }
    }
}

/// Contains nothing that a person wrote, so that it cannot end up in a log.
impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search")
            .field("thread", &self.thread)
            .field("order", &self.order)
            .finish_non_exhaustive()
    }
}

/// The order of what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SearchOrder {
    /// What arrived last on this device comes first.
    #[default]
    Newest,
    /// Of the newest 500 matches, those come first that contain the most of the words as whole words, then short ones, then the
    /// newest.
    Best,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Hits {
    /// The messages, with the words marked.
    pub hits: Vec<Hit>,
    /// Where to continue ([`Search::before`]); none if there is nothing more. There can be more even if fewer messages
    /// than requested were found, because a search examines a limited number.
    pub next: Option<MessageId>,
}

/// A message that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hit {
    /// The message.
    pub message: Message,
    /// The places of the words in its text, in order and without overlaps, at most 100.
    pub marks: Vec<FoundRange>,
}

/// A place in a text. It never begins or ends inside a character, or between a letter and its accent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundRange {
    /// Where it begins, in bytes of UTF-8.
    pub start: u32,
    /// Where it ends, in bytes of UTF-8.
    pub end: u32,
    /// Where it begins, in UTF-16 code units, as in Swift's `NSString`, Kotlin and Java.
    pub utf16_start: u32,
    /// Where it ends, in UTF-16 code units.
    pub utf16_end: u32,
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
    /// The relay has stored it on disk.
    Sent,
    /// A device of the recipient has decrypted it.
    Delivered,
    /// The recipient has read it.
    Read,
    /// It will not be sent unless the person retries it.
    Failed(FailReason),
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
    /// The recipient's keys are invalid; the relay or the recipient's client is at fault.
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
    /// Another message was decrypted with its key: the sender was restored from an older copy of a database.
    #[error("its key was already used for another message")]
    KeyUsedTwice,
    /// A part of this database that it needs is damaged, or a bug prevents it from being read. It is kept for a while and
    /// tried again; if it can be read later, its content takes the place of this message. If it is given up, the cause
    /// changes.
    #[error("a part of this database that it needs is damaged")]
    StorageDamaged,
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
} else NotDecryptable);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn positions_keep_their_order_as_text(order: [i64; 2], id: [i64; 2]) {
            let [a, b] = [0, 1].map(|n| Position { order: order[n], id: id[n] });
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
            prop_assert_eq!(a.to_string().parse(), Ok(a));
        }
    }

    #[test]
    fn other_texts_are_not_positions() {
        let good = Position::FIRST.to_string();
        assert_eq!(good.parse(), Ok(Position::FIRST));
        for bad in [
            "",
            "0",
            &good[1..],
            &format!("{good}0"),
            &good.replace('0', "A"),
            &good.replace('0', "+"),
            &"é".repeat(16),
        ] {
            assert_eq!(bad.parse::<Position>(), Err(InvalidId), "{bad}");
        }
    }
}
