//! What a queued message is waiting for.

use sealpost_core as core;

use crate::{MessageId, millis};

/// What a queued message is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct Waiting {
    /// Why it has not been sent.
    pub reason: WaitReason,
    /// How many attempts to send it have failed so far.
    #[uniffi(default = 0)]
    pub attempts: u32,
    /// When the next attempt is made, in milliseconds since the Unix epoch by this device's clock. None if it is made
    /// as soon as the reason no longer applies.
    #[uniffi(default = None)]
    pub next_ms: Option<i64>,
}

impl From<core::Waiting> for Waiting {
    fn from(waiting: core::Waiting) -> Self {
        Self {
            reason: waiting.reason.into(),
            attempts: waiting.attempts,
            next_ms: waiting.next_ms.map(millis),
        }
    }
}

/// The oldest queued message of a thread, and what it is waiting for. The other queued messages of the thread are behind it:
/// `MessageList.waiting` says what each is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct ThreadWaiting {
    /// The oldest queued message.
    pub message: MessageId,
    /// What it is waiting for.
    pub waiting: Waiting,
}

impl From<core::ThreadWaiting> for ThreadWaiting {
    fn from(waiting: core::ThreadWaiting) -> Self {
        Self { message: waiting.message, waiting: waiting.waiting.into() }
    }
}

/// Why a message has not been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum WaitReason {
    /// There is no connection to the relay.
    NotConnected,
    /// It is being sent now.
    Sending,
    /// An earlier message of the thread is waiting: messages are sent in order.
    Behind,
    /// The relay is overloaded, or is not accepting more messages from us or for the recipient at present.
    RelayBusy,
    /// The recipient has not accepted the thread, and until then the relay accepts only the first few messages.
    NotAccepted,
    /// The clock of this device or of the relay is wrong.
    Clock,
    /// The last attempt received no answer, so it is not known whether the message has arrived.
    NoAnswer,
    /// The recipient's keys could not be fetched.
    NoKeys,
    /// The person has blocked the recipient.
    Blocked,
    /// The list of the recipient's devices that the relay shows was refused, or different ones were shown. The message is sent when there is
    /// one that the account has signed.
    DeviceListRefused,
    /// The roster of the group is not known yet, two of them were shown (`Event.RosterContradicted`), or it contains something that this
    /// version does not understand. Nobody knows then who may read, so nothing is sent.
    RosterUnclear,
    /// For a reason that this version of the binding does not know.
    Other,
}

impl From<core::WaitReason> for WaitReason {
    fn from(reason: core::WaitReason) -> Self {
        match reason {
            core::WaitReason::NotConnected => Self::NotConnected,
            core::WaitReason::Sending => Self::Sending,
            core::WaitReason::Behind => Self::Behind,
            core::WaitReason::RelayBusy => Self::RelayBusy,
            core::WaitReason::NotAccepted => Self::NotAccepted,
            core::WaitReason::Clock => Self::Clock,
            core::WaitReason::NoAnswer => Self::NoAnswer,
            core::WaitReason::NoKeys => Self::NoKeys,
            core::WaitReason::Blocked => Self::Blocked,
            core::WaitReason::DeviceListRefused => Self::DeviceListRefused,
            core::WaitReason::RosterUnclear => Self::RosterUnclear,
            _ => Self::Other,
        }
    }
}
