//! What the app learns of calls: their signals, and the keys of their media.

use std::fmt;

use zeroize::Zeroizing;

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

/// What the other side of a call says.
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
    /// They have ended the call.
    HungUp,
    /// They are in another call.
    Busy,
    /// Nobody has answered within 60 seconds.
    Unanswered,
}

impl fmt::Debug for CallSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Offer { .. } => "Offer(..)",
            Self::Answer { .. } => "Answer(..)",
            Self::Candidates(_) => "Candidates(..)",
            Self::HungUp => "HungUp",
            Self::Busy => "Busy",
            Self::Unanswered => "Unanswered",
        })
    }
}
