//! A message as the app sees it.

use std::fmt;
use std::str::FromStr;

use crate::id::{InvalidId, MessageId, ThreadId, UserId};

/// A row of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// What names it on this device.
    pub id: MessageId,
    /// Which thread it is in.
    pub thread: ThreadId,
    /// Where it stands in its thread.
    pub position: Position,
    /// Who wrote it.
    pub sender: UserId,
    /// Whether it came or went, and how far.
    pub direction: Direction,
    /// What it says.
    pub body: MessageBody,
    /// When its sender wrote it, by server time, in milliseconds since the Unix epoch.
    pub sent_ms: u64,
    /// The number that the relay gave it; none while the relay has not answered.
    pub server_seq: Option<u64>,
}

/// Where a message stands in its thread: of two messages, the one with the greater position is shown below the other. No two have
/// the same. A message that gets its place from the relay moves, which is told. A position means nothing in another thread, or on
/// another device.
///
/// As text it has 32 characters, which are in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub(crate) order: i64,
    pub(crate) id: i64,
}

impl Position {
    /// Before every message there can be.
    #[cfg(test)]
    pub(crate) const FIRST: Self = Self { order: i64::MIN, id: i64::MIN };
    /// After every message there can be.
    pub(crate) const LAST: Self = Self { order: i64::MAX, id: i64::MAX };
}

/// Negative numbers come first as text, too.
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

/// A part of a thread's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Newest first.
    pub messages: Vec<Message>,
    /// Where the page of older messages begins; none when there are none.
    pub older: Option<Position>,
    /// Where the page of newer messages begins; none when there are none.
    pub newer: Option<Position>,
}

/// Whether a message came or went, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Ours.
    Outgoing(Delivery),
    /// Theirs.
    Incoming {
        /// Whether the person here has read it.
        read: bool,
    },
}

/// How far one of our messages came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// Written down here; the relay has not answered yet.
    Queued,
    /// The relay has it on disk.
    Sent,
    /// A device of the other side has opened it.
    Delivered,
    /// The person on the other side has read it.
    Read,
    /// It will not be sent unless the person tries again.
    Failed(FailReason),
}

/// Why a message was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FailReason {
    /// The safety number of a verified contact changed: accept it first.
    #[error("the safety number of a verified contact has changed")]
    IdentityChanged,
    /// The recipient has no devices any more.
    #[error("the recipient is gone")]
    UnknownRecipient,
    /// The recipient has deleted their account.
    #[error("the recipient has deleted their account")]
    RecipientDeleted,
    /// The recipient's keys are not valid: the relay, or their client, is at fault.
    #[error("the recipient's keys are not valid")]
    BadKeys,
    /// We are not, or no longer, a member of this thread.
    #[error("not a member of this thread")]
    NotAMember,
    /// It waited for longer than the relay remembers ids (7 days): whether it arrived is unknown.
    #[error("it waited for too long")]
    TooOld,
    /// With a copy for each of the recipient's devices it is larger than the relay takes.
    #[error("it is too large for the recipient's devices")]
    TooLarge,
    /// The relay refuses it for good.
    #[error("the relay refuses it")]
    Refused,
    /// The person has given it up after it had left, without an answer: whether it arrived is unknown.
    #[error("it was given up, and may have been sent")]
    GivenUp,
}

/// What a message says.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageBody {
    /// Text.
    Text(String),
    /// Something arrived that could not be opened.
    Undecryptable(Undecryptable),
}

impl fmt::Debug for MessageBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(..)"),
            Self::Undecryptable(cause) => write!(f, "Undecryptable({cause:?})"),
        }
    }
}

/// Why a message could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Undecryptable {
    /// There is no session with the sending device.
    #[error("no session with the sending device")]
    NoSession,
    /// It was sealed to a pre-key that is not here, or not any more.
    #[error("sealed to a pre-key that is gone")]
    MissingPreKey,
    /// No session opens it: it was damaged, or its key is gone.
    #[error("no session opens it")]
    NotDecryptable,
    /// Its version is not spoken here.
    #[error("a version that is not spoken here")]
    UnsupportedVersion,
    /// Its bytes are not a message.
    #[error("not a message")]
    Malformed,
    /// What is inside says that it belongs elsewhere: the relay, or the sender, lies.
    #[error("it belongs elsewhere")]
    Misrouted,
    /// It was opened, but says something this version does not understand.
    #[error("a kind of content that is not understood here")]
    UnknownContent,
    /// It opens, but whoever sealed it has another identity key than the sender has now: an old device of theirs, or
    /// somebody who has its keys.
    #[error("the sender's key was replaced")]
    SenderKeyReplaced,
    /// Another message was opened with its key: its sender came back from an older copy of a database.
    #[error("its key was used for another message")]
    KeyUsedTwice,
    /// Something in this database that it needs is damaged.
    #[error("what it needs is damaged in this database")]
    StorageDamaged,
}

/// Fixed numbers for the database: append, never renumber.
macro_rules! stored_as {
    ($type:ident { $($variant:ident = $number:literal),+ $(,)? } else $unknown:ident) => {
        impl $type {
            pub(crate) const fn to_stored(self) -> i64 {
                match self { $(Self::$variant => $number),+ }
            }

            /// A number from a newer version reads as the vaguest variant: a row is never fatal.
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
    fn other_texts_are_no_positions() {
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
