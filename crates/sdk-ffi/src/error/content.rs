//! What is wrong with something that was to be sent.

use sealpost_core as core;

/// What is wrong with something that was to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, uniffi::Enum)]
pub enum InvalidContentReason {
    /// A contact card without a name, or with a field of more than 256 bytes.
    #[error("a contact card needs a name, and its fields have a maximum size")]
    ContactCard,
    /// A location that is not on the earth, or whose name has more than 256 bytes.
    #[error("a location must be on the earth, and its name has a maximum size")]
    Location,
    /// A poll without a question, with fewer than 2 or more than 32 options, with two equal options, or with a text that is empty
    /// or too long.
    #[error("a poll needs a question and 2 to 32 different options of limited size")]
    Poll,
    /// Choices that the poll does not have, or several where only one is allowed.
    #[error("the poll does not allow these choices")]
    Choices,
    /// More than 32 pinned messages in a thread.
    #[error("too many messages are pinned")]
    TooManyPinned,
    /// A timer of more than a year.
    #[error("the timer is too long")]
    Timer,
    /// A markup with a range that is not within the text or begins or ends inside of a character, with mentions that overlap, with two
    /// equal ranges, with the preview of a link that is not in the text, or with too much of something.
    #[error("the styles, mentions or link preview do not fit the text")]
    Markup,
    /// A profile with a field that is too long.
    #[error("the fields of a profile have a maximum size")]
    Profile,
    /// Something else, which this version of the binding does not know.
    #[error("it is outside of its bounds")]
    Other,
}

impl InvalidContentReason {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::ContactCard => "invalid_content.contact_card",
            Self::Location => "invalid_content.location",
            Self::Poll => "invalid_content.poll",
            Self::Choices => "invalid_content.choices",
            Self::TooManyPinned => "invalid_content.too_many_pinned",
            Self::Timer => "invalid_content.timer",
            Self::Markup => "invalid_content.markup",
            Self::Profile => "invalid_content.profile",
            Self::Other => "invalid_content.other",
        }
    }
}

impl From<core::InvalidContent> for InvalidContentReason {
    fn from(content: core::InvalidContent) -> Self {
        match content {
            core::InvalidContent::ContactCard => Self::ContactCard,
            core::InvalidContent::Location => Self::Location,
            core::InvalidContent::Poll => Self::Poll,
            core::InvalidContent::Choices => Self::Choices,
            core::InvalidContent::TooManyPinned => Self::TooManyPinned,
            core::InvalidContent::Timer => Self::Timer,
            core::InvalidContent::Markup => Self::Markup,
            core::InvalidContent::Profile => Self::Profile,
            _ => Self::Other,
        }
    }
}
