//! What to search for, and what was found.

use std::fmt;

use super::Message;
use crate::id::{MessageId, ThreadId, UserId};

/// What to search for. [`Search::new`] searches for words in all threads, and returns the newest messages first.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Search {
    /// The words, all of which a message must contain. Only the first 16 count.
    pub words: String,
    /// Only in this thread.
    pub thread: Option<ThreadId>,
    /// Only of this author.
    pub sender: Option<UserId>,
    /// Only what was written at this time or later, in server time, in milliseconds since the Unix epoch.
    pub from_ms: Option<u64>,
    /// Only what was written before this time.
    pub until_ms: Option<u64>,
    /// The order of the results.
    pub order: SearchOrder,
    /// Continues after an earlier search that returned this ([`Hits::next`]).
    pub before: Option<MessageId>,
}

impl Search {
    /// Searches for words in all threads.
    pub fn new(words: impl Into<String>) -> Self {
        Self {
            words: words.into(),
            thread: None,
            sender: None,
            from_ms: None,
            until_ms: None,
            order: SearchOrder::default(),
            before: None,
        }
    }
}

/// Contains nothing that a person wrote, so that it cannot end up in a log.
impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search")
            .field("thread", &self.thread)
            .field("order", &self.order)
            .finish_non_exhaustive()
    }
}

/// The order of what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SearchOrder {
    /// What arrived last on this device comes first.
    #[default]
    Newest,
    /// Of the newest 500 matches, those come first that contain the most of the words as whole words, then short ones, then the
    /// newest. There is nothing to continue with ([`Hits::next`]) unless so many messages are of other threads, senders or times that
    /// fewer than 500 matches were found among those that a search examines; the results of the continuation are ordered by themselves.
    Best,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Hits {
    /// The messages, with the words marked.
    pub hits: Vec<Hit>,
    /// Where to continue ([`Search::before`]); none if there is nothing more. There can be more even if fewer messages
    /// than requested were found, because a search examines a limited number.
    pub next: Option<MessageId>,
}

/// A message that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hit {
    /// The message.
    pub message: Message,
    /// The places of the words in its text, in order and without overlaps, at most 100.
    pub marks: Vec<FoundRange>,
}

/// A place in a text. It never begins or ends inside a character, or between a letter and its accent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundRange {
    /// Where it begins, in bytes of UTF-8.
    pub start: u32,
    /// Where it ends, in bytes of UTF-8.
    pub end: u32,
    /// Where it begins, in UTF-16 code units, as in Swift's `NSString`, Kotlin and Java.
    pub utf16_start: u32,
    /// Where it ends, in UTF-16 code units.
    pub utf16_end: u32,
}
