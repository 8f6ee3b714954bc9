//! Calls: their signals, and the keys of their media.

use std::fmt;

use sealpost_core as core;

use crate::{CallId, Result, Thread, ThreadId, UserId, runtime};

/// The SRTP master key and salt (RFC 3711) of one direction. With AES-128, the first 16 bytes of the key are used.
///
/// Pass it to the media library, and call `wipe` on the `CallKeys` afterwards.
// Compared here, because Kotlin compares arrays by their identity.
#[derive(Clone, PartialEq, Eq, Hash, uniffi::Record)]
#[uniffi::export(Debug, Eq, Hash)]
pub struct SrtpKey {
    /// 32 bytes.
    pub key: Vec<u8>,
    /// 14 bytes.
    pub salt: Vec<u8>,
}

impl From<&core::SrtpKey> for SrtpKey {
    fn from(key: &core::SrtpKey) -> Self {
        Self { key: key.key.to_vec(), salt: key.salt.to_vec() }
    }
}

/// Contains no secret, so that it cannot end up in a log.
impl fmt::Debug for SrtpKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SrtpKey(..)")
    }
}

/// The keys of a call, the same on both sides with the directions exchanged.
#[derive(Debug, Clone, PartialEq, Eq, Hash, uniffi::Record)]
pub struct CallKeys {
    /// For what this side sends.
    pub sending: SrtpKey,
    /// For what the other side sends.
    pub receiving: SrtpKey,
}

impl From<&core::CallKeys> for CallKeys {
    fn from(keys: &core::CallKeys) -> Self {
        Self { sending: (&keys.sending).into(), receiving: (&keys.receiving).into() }
    }
}

/// Something has happened in a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, uniffi::Record)]
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

impl CallEvent {
    /// None for a signal that the binding does not know.
    pub(crate) fn known(event: core::CallEvent) -> Option<Self> {
        let signal = CallSignal::known(event.signal)?;
        Some(Self { thread: event.thread, user: event.user, call: event.call, signal })
    }
}

/// What happens in a call. `docs/mobile.md` describes the states of a call.
#[derive(Clone, PartialEq, Eq, Hash, uniffi::Enum)]
#[uniffi::export(Debug, Eq, Hash)]
pub enum CallSignal {
    /// They call.
    Offer {
        /// What the app of the caller has passed to `Thread.call`.
        description: Vec<u8>,
        /// Whether it is a video call.
        is_video: bool,
    },
    /// They answer our call.
    Answer {
        /// What their app has passed to `Thread.answer_call`.
        description: Vec<u8>,
        /// The keys of the media.
        keys: CallKeys,
    },
    /// They can be reached at these addresses.
    Candidates {
        /// What their app has passed to `Thread.send_call_candidates`.
        candidates: Vec<u8>,
    },
    /// The call has ended. Nothing more is told of it.
    Ended {
        /// Why.
        end: CallEnd,
    },
}

impl CallSignal {
    /// None for a signal that the binding does not know.
    pub(crate) fn known(signal: core::CallSignal) -> Option<Self> {
        Some(match signal {
            core::CallSignal::Offer { description, is_video } => Self::Offer { description, is_video },
            core::CallSignal::Answer { description, keys } => {
                Self::Answer { description, keys: (&*keys).into() }
            }
            core::CallSignal::Candidates(candidates) => Self::Candidates { candidates },
            core::CallSignal::Ended(end) => Self::Ended { end: end.into() },
            _ => return None,
        })
    }
}

/// Contains neither secrets nor what the apps tell each other, so that it cannot end up in a log.
impl fmt::Debug for CallSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offer { .. } => f.write_str("Offer(..)"),
            Self::Answer { .. } => f.write_str("Answer(..)"),
            Self::Candidates { .. } => f.write_str("Candidates(..)"),
            Self::Ended { end } => write!(f, "Ended({end:?})"),
        }
    }
}

/// Why a call has ended, if it was not ended on this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, uniffi::Enum)]
pub enum CallEnd {
    /// They have hung up, or do not take our call.
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
    /// For a reason that this version of the binding does not know.
    Other,
}

impl From<core::CallEnd> for CallEnd {
    fn from(end: core::CallEnd) -> Self {
        match end {
            core::CallEnd::HungUp => Self::HungUp,
            core::CallEnd::Busy => Self::Busy,
            core::CallEnd::Unanswered => Self::Unanswered,
            core::CallEnd::Replaced => Self::Replaced,
            core::CallEnd::Crossed => Self::Crossed,
            core::CallEnd::Expired => Self::Expired,
            core::CallEnd::AnsweredElsewhere => Self::AnsweredElsewhere,
            core::CallEnd::DeclinedElsewhere => Self::DeclinedElsewhere,
            _ => Self::Other,
        }
    }
}

#[uniffi::export]
impl Thread {
    /// Calls the other person in a direct thread. `description` is for their app, such as SDP: 1 to 12,000 bytes. What they answer
    /// arrives at `Client.subscribe_calls`, and so does that nobody has answered within 60 seconds. The relay passes signals on to devices that
    /// are connected, and stores none; it cannot wake a device for a call yet.
    ///
    /// Throws `WrongState` if their call rings here, or ours there; `Offline` without a connection, or if nothing can be encrypted for
    /// them at present; `TooLong`; `Misuse` without a description, or with more than 32 calls; `Storage`. There is no call then.
    #[uniffi::method(default(is_video = false))]
    pub async fn call(&self, description: Vec<u8>, is_video: bool) -> Result<CallId> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.call(&description, is_video).await?) }).await
    }

    /// Answers a call that rings, and returns the keys of its media. The call rings until the answer was sent: if this throws
    /// `Offline`, call it again with the same description, because it may have arrived.
    ///
    /// Throws `NotFound` if there is no such call, it was answered, or it has ended; else what `call` throws.
    pub async fn answer_call(&self, call: CallId, description: Vec<u8>) -> Result<CallKeys> {
        let core = self.core.clone();
        let keys = async move { Ok(core.answer_call(call, &description).await?) };
        Ok((&runtime::run(keys).await?).into())
    }

    /// Tells the other side of a call at which addresses this one can be reached: 1 to 4,096 bytes for their app.
    ///
    /// Throws `NotFound` if there is no such call, or it has ended; else what `call` throws.
    pub async fn send_call_candidates(&self, call: CallId, candidates: Vec<u8>) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.send_call_candidates(call, &candidates).await?) }).await
    }

    /// Ends a call, or does not take one that rings. It has ended on this side even if this throws; if it throws `Offline`, it can be
    /// called again for two minutes, to tell the other side.
    ///
    /// Throws what `send_call_candidates` throws.
    pub async fn hang_up(&self, call: CallId) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.hang_up(call).await?) }).await
    }

    /// Says that the person is in another call.
    ///
    /// Throws what `hang_up` throws.
    pub async fn refuse_call_as_busy(&self, call: CallId) -> Result<()> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.refuse_call_as_busy(call).await?) }).await
    }
}
