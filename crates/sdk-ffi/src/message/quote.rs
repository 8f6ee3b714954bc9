//! What a reply says about the message that it refers to.

use std::fmt;

use sealpost_core as core;

use crate::{MessageId, UserId};

/// The message that a reply refers to.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
#[uniffi::export(Debug)]
pub struct Quote {
    /// The author of the quoted message, as the author of the reply states it.
    pub author: UserId,
    /// The beginning of the quoted text, at most 400 bytes of UTF-8, as the author of the reply states it. Show the message itself
    /// instead if it is here. Empty if that was deleted for everyone.
    #[uniffi(default = "")]
    pub text: String,
    /// The quoted message, if it is in the same thread on this device. `Thread.history_around` returns a page with it.
    #[uniffi(default = None)]
    pub message: Option<MessageId>,
}

impl From<core::Quote> for Quote {
    fn from(quote: core::Quote) -> Self {
        Self { author: quote.author, text: quote.text, message: quote.message }
    }
}

/// Contains nothing that a person wrote, so that it cannot end up in a log.
impl fmt::Debug for Quote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { author, text: _, message } = self;
        f.debug_struct("Quote").field("author", author).field("message", message).finish_non_exhaustive()
    }
}
