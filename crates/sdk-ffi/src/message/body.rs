//! What a message says.

use sealpost_core as core;

use super::UndecryptableCause;

/// What a message says.
#[derive(Clone, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
pub enum MessageBody {
    /// Text.
    Text {
        /// What was written.
        text: String,
    },
    /// Something arrived that could not be opened.
    Undecryptable {
        /// Why.
        cause: UndecryptableCause,
    },
}

impl From<core::MessageBody> for MessageBody {
    fn from(body: core::MessageBody) -> Self {
        match body {
            core::MessageBody::Text(text) => Self::Text { text },
            core::MessageBody::Undecryptable(cause) => Self::Undecryptable { cause: cause.into() },
            _ => Self::Undecryptable { cause: UndecryptableCause::UnknownContent },
        }
    }
}

/// Nothing that a person wrote ends up in a log.
impl std::fmt::Debug for MessageBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text { text: _ } => f.write_str("Text(..)"),
            Self::Undecryptable { cause } => write!(f, "Undecryptable({cause:?})"),
        }
    }
}
