//! What a push notification brought.

use sealpost_core as core;

use crate::Message;

/// What a push notification brought.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Fetched {
    /// The messages that are new, in the order they came in.
    pub messages: Vec<Message>,
    /// Whether everything that waited is here. If not, the rest comes with the next connection.
    pub complete: bool,
}

impl From<core::Fetched> for Fetched {
    fn from(fetched: core::Fetched) -> Self {
        Self {
            messages: fetched.messages.into_iter().map(Message::from).collect(),
            complete: fetched.complete,
        }
    }
}
