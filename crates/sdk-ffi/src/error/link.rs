//! Why a device was not linked, and what is wrong with a code.

use sealpost_core as core;

/// Why a device was not linked, removed or named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, uniffi::Enum)]
pub enum LinkFailure {
    /// The code is too old, or was cancelled at the other device. Begin again with a new code.
    #[error("the code has expired")]
    Expired,
    /// Another device has read the code before. If it was none of the person's, somebody else has seen the code.
    #[error("another device has used the code")]
    Taken,
    /// What came is not from the device that has shown, or read, the code: the relay, or somebody with it, is not honest.
    #[error("the other device is not the one with the code")]
    NotAuthentic,
    /// The person has refused at the primary device.
    #[error("it was refused at the primary device")]
    Refused,
    /// The device is linked to this account.
    #[error("it is linked already")]
    AlreadyLinked,
    /// Only the primary device of an account can do this, or this can be done to companions only.
    #[error("this needs the primary device")]
    NotPrimary,
    /// The account has five devices. Remove one first.
    #[error("the account has as many devices as it may have")]
    TooManyDevices,
    /// The account has had 127 devices, and no number is left for another one.
    #[error("the account has no number left for a device")]
    DeviceIdsUsedUp,
    /// The name is empty, or has more than 256 bytes.
    #[error("the name is empty or too long")]
    Name,
    /// A companion is being linked or gets what it has missed, or the account is being moved. Try again when that has ended.
    #[error("a companion is being linked, or the account is being moved")]
    Busy,
    /// Something else, which this version of the binding does not know.
    #[error("it is not possible")]
    Other,
}

impl LinkFailure {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Expired => "link.expired",
            Self::Taken => "link.taken",
            Self::NotAuthentic => "link.not_authentic",
            Self::Refused => "link.refused",
            Self::AlreadyLinked => "link.already_linked",
            Self::NotPrimary => "link.not_primary",
            Self::TooManyDevices => "link.too_many_devices",
            Self::DeviceIdsUsedUp => "link.device_ids_used_up",
            Self::Name => "link.name",
            Self::Busy => "link.busy",
            Self::Other => "link.other",
        }
    }
}

impl From<core::LinkFailure> for LinkFailure {
    fn from(failure: core::LinkFailure) -> Self {
        match failure {
            core::LinkFailure::Expired => Self::Expired,
            core::LinkFailure::Taken => Self::Taken,
            core::LinkFailure::NotAuthentic => Self::NotAuthentic,
            core::LinkFailure::Refused => Self::Refused,
            core::LinkFailure::AlreadyLinked => Self::AlreadyLinked,
            core::LinkFailure::NotPrimary => Self::NotPrimary,
            core::LinkFailure::TooManyDevices => Self::TooManyDevices,
            core::LinkFailure::DeviceIdsUsedUp => Self::DeviceIdsUsedUp,
            core::LinkFailure::Name => Self::Name,
            core::LinkFailure::Busy => Self::Busy,
            _ => Self::Other,
        }
    }
}

/// Why something that was scanned or pasted is not a code of a device to link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, uniffi::Enum)]
pub enum CodeError {
    /// It is something else.
    #[error("it is not a code of a device to link")]
    NotACode,
    /// A later version of the library has made it.
    #[error("it is a code of another version")]
    OtherVersion,
    /// Its end is missing.
    #[error("it is cut")]
    Cut,
    /// It was damaged, or something follows it.
    #[error("it is damaged")]
    Damaged,
}

impl CodeError {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::NotACode => "invalid_code.not_a_code",
            Self::OtherVersion => "invalid_code.other_version",
            Self::Cut => "invalid_code.cut",
            Self::Damaged => "invalid_code.damaged",
        }
    }
}

impl From<core::CodeError> for CodeError {
    fn from(error: core::CodeError) -> Self {
        match error {
            core::CodeError::NotACode => Self::NotACode,
            core::CodeError::OtherVersion => Self::OtherVersion,
            core::CodeError::Cut => Self::Cut,
            _ => Self::Damaged,
        }
    }
}
