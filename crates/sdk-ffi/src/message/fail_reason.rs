//! Why a message was not sent.

use sealpost_core as core;

/// Why a message was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum FailReason {
    /// The safety number of a verified contact changed: accept it first.
    IdentityChanged,
    /// The recipient has no devices any more.
    UnknownRecipient,
    /// The recipient's keys are not valid: the relay, or their client, is at fault.
    BadKeys,
    /// We are not, or no longer, a member of this thread.
    NotAMember,
    /// It waited for longer than the relay remembers (7 days): whether it arrived is unknown.
    TooOld,
    /// With a copy for each of the recipient's devices it is larger than the relay takes.
    TooLarge,
    /// The relay refuses it for good.
    Refused,
    /// The person has given it up after it had left, without an answer: whether it arrived is unknown.
    GivenUp,
}

impl From<core::FailReason> for FailReason {
    fn from(reason: core::FailReason) -> Self {
        match reason {
            core::FailReason::IdentityChanged => Self::IdentityChanged,
            core::FailReason::UnknownRecipient => Self::UnknownRecipient,
            core::FailReason::BadKeys => Self::BadKeys,
            core::FailReason::NotAMember => Self::NotAMember,
            core::FailReason::TooOld => Self::TooOld,
            core::FailReason::TooLarge => Self::TooLarge,
            core::FailReason::GivenUp => Self::GivenUp,
            _ => Self::Refused,
        }
    }
}
