//! A part of a thread's history.

use sealpost_core as core;

use crate::{Cursor, Message};

/// A part of a thread's history.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Page {
    /// Newest first.
    pub messages: Vec<Message>,
    /// Where the page before this one in time begins; none when there is none.
    pub next: Option<Cursor>,
}

impl From<core::Page> for Page {
    fn from(page: core::Page) -> Self {
        Self { messages: page.messages.into_iter().map(Message::from).collect(), next: page.next }
    }
}
