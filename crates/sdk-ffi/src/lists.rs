//! What lists show: threads, and the messages of a thread.

use sealpost_core as core;

use crate::{
    ConnectionState, FailedPart, Message, Position, ThreadCursor, ThreadId, ThreadKind, UserId, millis,
};

/// What a list of threads shows.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Overview {
    /// The state of the connection.
    pub connection: ConnectionState,
    /// The first 50 threads, ordered by their newest message.
    #[uniffi(default = [])]
    pub threads: Vec<ThreadSummary>,
    /// Where the next page of threads starts; none if there is none.
    #[uniffi(default = None)]
    pub next: Option<ThreadCursor>,
    /// The parts of the client that cannot do their work, with the reasons; normally none.
    #[uniffi(default = [])]
    pub failing: Vec<FailedPart>,
}

impl From<core::Overview> for Overview {
    fn from(overview: core::Overview) -> Self {
        let threads = overview.threads.into_iter().map(ThreadSummary::from).collect();
        let failing = overview.failing.into_iter().map(FailedPart::from).collect();
        Self { connection: overview.connection.into(), threads, next: overview.next, failing }
    }
}

/// A thread in a list.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct ThreadSummary {
    /// The id of the thread.
    pub id: ThreadId,
    /// The kind of the thread.
    pub kind: ThreadKind,
    /// Its members, except ourselves.
    #[uniffi(default = [])]
    pub others: Vec<UserId>,
    /// When its newest message was stored, by the relay's clock, in milliseconds since the Unix epoch. The list is
    /// ordered by this.
    #[uniffi(default = 0)]
    pub activity_ms: i64,
    /// The number of unread messages.
    #[uniffi(default = 0)]
    pub unread: u32,
    /// Its newest message; none in a new thread.
    #[uniffi(default = None)]
    pub newest: Option<Message>,
}

/// A page of the list of threads.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct ThreadPage {
    /// Ordered by their newest message.
    #[uniffi(default = [])]
    pub threads: Vec<ThreadSummary>,
    /// Where the next page starts; none if there is none.
    #[uniffi(default = None)]
    pub next: Option<ThreadCursor>,
}

impl From<core::ThreadSummary> for ThreadSummary {
    fn from(thread: core::ThreadSummary) -> Self {
        Self {
            id: thread.id,
            kind: thread.kind.into(),
            others: thread.others,
            activity_ms: millis(thread.activity_ms),
            unread: u32::try_from(thread.unread).unwrap_or(u32::MAX),
            newest: thread.newest.map(Message::from),
        }
    }
}

impl From<core::ThreadPage> for ThreadPage {
    fn from(page: core::ThreadPage) -> Self {
        Self { threads: page.threads.into_iter().map(ThreadSummary::from).collect(), next: page.next }
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
}

impl From<core::Page> for Page {
    fn from(page: core::Page) -> Self {
        let core::Page { messages, older, newer } = page;
        Self { messages: messages.into_iter().map(Message::from).collect(), older, newer }
    }
}
