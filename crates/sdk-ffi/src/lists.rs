//! The messages of a thread, in pages.

use sealpost_core as core;

use crate::{Message, MessageId, Position, ThreadWaiting};

/// Where the unread messages of a thread begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct UnreadDivider {
    /// The first unread message, above which the divider is shown.
    pub message: MessageId,
    /// Its position.
    pub position: Position,
    /// The number of unread messages of the thread.
    #[uniffi(default = 0)]
    pub unread: u32,
}

impl From<core::UnreadDivider> for UnreadDivider {
    fn from(divider: core::UnreadDivider) -> Self {
        Self {
            message: divider.message,
            position: divider.position,
            unread: u32::try_from(divider.unread).unwrap_or(u32::MAX),
        }
    }
}

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
    /// The oldest queued message of the thread, also if it is not on this page, and what it is waiting for; none if none is queued.
    /// `MessageList.waiting` says what each message of the page is waiting for.
    #[uniffi(default = None)]
    pub first_waiting: Option<ThreadWaiting>,
}

impl From<core::Page> for Page {
    fn from(page: core::Page) -> Self {
        let core::Page { messages, older, newer, first_waiting } = page;
        Self {
            messages: messages.into_iter().map(Message::from).collect(),
            older,
            newer,
            first_waiting: first_waiting.map(ThreadWaiting::from),
        }
    }
}
