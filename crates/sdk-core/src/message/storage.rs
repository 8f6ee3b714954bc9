//! What an app shows of messages besides their contents: their times, and how much they take up.

use crate::id::ThreadId;

/// When something happened to a message, in server time, in milliseconds since the Unix epoch; none if it has not happened or is not
/// known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageDetails {
    /// When its author wrote it, as the author states it.
    pub sent_ms: u64,
    /// When the relay stored it. Not known for messages that were received by a version before 20 of the database.
    pub stored_ms: Option<u64>,
    /// Of our messages: when the first delivery receipt arrived here.
    pub delivered_ms: Option<u64>,
    /// Of our messages: when the first read receipt arrived here.
    pub read_ms: Option<u64>,
}

/// How much the messages of a thread take up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadStorage {
    /// The thread.
    pub thread: ThreadId,
    /// The number of messages.
    pub messages: u64,
    /// The size of their contents in bytes, with earlier versions. Rows, indexes and the search index come on top.
    pub bytes: u64,
}

/// How much the database takes up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StorageReport {
    /// The size of the database in bytes, with the pages that are free.
    pub database_bytes: u64,
    /// The part of it that is free and will be used again.
    pub free_bytes: u64,
    /// The threads with messages, the largest first.
    pub threads: Vec<ThreadStorage>,
}
