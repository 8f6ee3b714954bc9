//! What the app learns of calls: their signals, and the keys of their media.

use std::fmt;

use zeroize::Zeroizing;

use crate::content::CallId;
use crate::id::{ThreadId, UserId};

/// The SRTP master key and salt (RFC 3711) of one direction. With AES-128, the first 16 bytes of the key are used.
#[derive(Clone, PartialEq, Eq)]
pub struct SrtpKey {
    /// 32 bytes.
    pub key: Zeroizing<[u8; 32]>,
    /// 14 bytes.
    pub salt: Zeroizing<[u8; 14]>,
}

impl fmt::Debug for SrtpKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SrtpKey(..)")
    }
}

/// The keys of a call, the same on both sides with the directions exchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallKeys {
    /// For what this side sends.
    pub sending: SrtpKey,
    /// For what the other side sends.
    pub receiving: SrtpKey,
}

/// Something has happened in a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallEvent {
    /// The thread.
    pub thread: ThreadId,
    /// The other side.
    pub user: UserId,
    /// The call.
    pub call: CallId,
    /// What has happened.
    pub signal: CallSignal,
}

/// What happens in a call.
///
/// A call is in one of these states on each side:
///
/// ```text
///   Thread::call                 Answer                    either side hangs up, or 12 hours
/// ────────────────▶  calling  ───────────▶  answered  ──────────────────────────────────────▶  ended
///   Offer                        answer_call     ▲                                               ▲
/// ────────────────▶  ringing  ───────────────────┘                                               │
///                       │ calling, ringing: either side hangs up, Busy, 60 seconds after the     │
///                       └ offer was sent, another call takes its place ──────────────────────────┘
/// ```
///
/// - Signals are passed on to devices that are connected, and may be lost. A step that was not sent ([`Error::Offline`](crate::Error::Offline))
///   leaves the call in its state and can be repeated; hanging up ends the call on this side in any case, and can be repeated, too.
/// - If the other side does not learn that a call has ended here, it rings there for 60 seconds at most. If they answer it,
///   they are told that it has ended.
/// - A call rings on all devices of a person. On the one that answers it, or does not take it, it goes on or ends, and on the others it
///   ends as [`CallEnd::AnsweredElsewhere`] or [`CallEnd::DeclinedElsewhere`]. This signal may be lost, too: then it rings there for 60 seconds
///   at most, and what the person does there does not end the call that was answered.
/// - Of each person, one call rings. If they call again, the earlier call ends as [`CallEnd::Replaced`], and the new one rings.
/// - If two people call each other at the same time, one of the two calls remains, the same on both sides: the later one if
///   there are more than five seconds between them, because the earlier one has not arrived then, otherwise the one with the smaller id. On
///   the side that made the other call, it ends as [`CallEnd::Crossed`], and the remaining call rings; an app would
///   usually answer it. On the side that made the remaining call, nothing changes; its offer
///   is sent once more, because it may not have arrived.
/// - At most five offers of each person in a minute have an effect, and at most eight calls ring at the same time. For those who make
///   the others, nobody answers.
/// - At most 100 messages with candidates of a call in a minute have an effect, and at most 200 of a person in all calls.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallSignal {
    /// They call.
    Offer {
        /// What the app of the caller has passed to [`Thread::call`](crate::Thread::call).
        description: Vec<u8>,
        /// Whether it is a video call.
        is_video: bool,
    },
    /// They answer our call.
    Answer {
        /// What their app has passed to [`Thread::answer_call`](crate::Thread::answer_call).
        description: Vec<u8>,
        /// The keys of the media.
        keys: Box<CallKeys>,
    },
    /// They can be reached at these addresses.
    Candidates(Vec<u8>),
    /// The call has ended. Nothing more is told of it.
    Ended(CallEnd),
}

/// Why a call has ended, if it was not ended on this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallEnd {
    /// They have hung up, or do not take our call, or the person has blocked them.
    HungUp,
    /// They are in another call.
    Busy,
    /// Nobody has answered within 60 seconds.
    Unanswered,
    /// They have called again: the new call rings.
    Replaced,
    /// They have called at the same time: this call of ours has ended, and theirs rings.
    Crossed,
    /// The call was answered 12 hours ago.
    Expired,
    /// The person has answered it on another device of theirs.
    AnsweredElsewhere,
    /// The person did not take it on another device of theirs.
    DeclinedElsewhere,
}

impl fmt::Debug for CallSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offer { .. } => f.write_str("Offer(..)"),
            Self::Answer { .. } => f.write_str("Answer(..)"),
            Self::Candidates(_) => f.write_str("Candidates(..)"),
            Self::Ended(end) => write!(f, "Ended({end:?})"),
        }
    }
}
