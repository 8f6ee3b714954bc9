//! The messages of a thread, in pages.

use sealpost_core as core;

use crate::{Message, Position};

/// A page of a thread's history.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Page {
    /// Newest first.
    #[uniffi(default = [])]
    pub messages: Vec<Message>,
    /// The position for `history` to read the page of older messages; none if there are none.
    #[uniffi(default = None)]
    pub older: Option<Position>,
    /// The position for `history_after` to read the page of newer messages; none if there are none.
    #[uniffi(default = None)]
    pub newer: Option<Position>,
}

impl From<core::Page> for Page {
    fn from(page: core::Page) -> Self {
        let core::Page { messages, older, newer } = page;
        Self { messages: messages.into_iter().map(Message::from).collect(), older, newer }
    }
}
