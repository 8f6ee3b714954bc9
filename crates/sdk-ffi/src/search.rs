//! Searching for messages.

use std::fmt;

use sealpost_core as core;

use crate::{Message, MessageId, ThreadId, UserId};

/// What to search for.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
#[uniffi::export(Debug)]
pub struct Search {
    /// The words, all of which a message must contain. Only the first 16 count.
    pub words: String,
    /// Only in this thread.
    #[uniffi(default = None)]
    pub thread: Option<ThreadId>,
    /// Only of this author.
    #[uniffi(default = None)]
    pub sender: Option<UserId>,
    /// Only what was written at this time or later, in server time, in milliseconds since the Unix epoch.
    #[uniffi(default = None)]
    pub from_ms: Option<i64>,
    /// Only what was written before this time.
    #[uniffi(default = None)]
    pub until_ms: Option<i64>,
    /// The order of the results; none for `Newest`.
    #[uniffi(default = None)]
    pub order: Option<SearchOrder>,
    /// Continues after an earlier search that returned this (`Hits.next`), in the order `Newest`.
    #[uniffi(default = None)]
    pub before: Option<MessageId>,
}

impl From<Search> for core::Search {
    fn from(search: Search) -> Self {
        let Search { words, thread, sender, from_ms, until_ms, order, before } = search;
        let millis = |time: i64| u64::try_from(time).unwrap_or(0);
        let mut core = Self::new(words);
        core.thread = thread;
        core.sender = sender;
        core.from_ms = from_ms.map(millis);
        core.until_ms = until_ms.map(millis);
        core.order = order.map(core::SearchOrder::from).unwrap_or_default();
        core.before = before;
        core
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum SearchOrder {
    /// What arrived last on this device comes first.
    Newest,
    /// Of the newest 500 matches, those come first that contain the most of the words as whole words, then short ones, then the
    /// newest.
    Best,
}

impl From<SearchOrder> for core::SearchOrder {
    fn from(order: SearchOrder) -> Self {
        match order {
            SearchOrder::Newest => Self::Newest,
            SearchOrder::Best => Self::Best,
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Hits {
    /// The messages, with the words marked.
    #[uniffi(default = [])]
    pub hits: Vec<Hit>,
    /// Where to continue (`Search.before`); none if there is nothing more. There can be more even if fewer messages than requested were
    /// found, because a search examines a limited number.
    #[uniffi(default = None)]
    pub next: Option<MessageId>,
}

impl From<core::Hits> for Hits {
    fn from(hits: core::Hits) -> Self {
        Self { hits: hits.hits.into_iter().map(Hit::from).collect(), next: hits.next }
    }
}

/// A message that was found.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Hit {
    /// The message.
    pub message: Message,
    /// The places of the words in its text, in order and without overlaps, at most 100.
    #[uniffi(default = [])]
    pub marks: Vec<FoundRange>,
}

impl From<core::Hit> for Hit {
    fn from(hit: core::Hit) -> Self {
        Self { message: hit.message.into(), marks: hit.marks.into_iter().map(FoundRange::from).collect() }
    }
}

/// A place in a text. It never begins or ends inside a character, or between a letter and its accent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct FoundRange {
    /// Where it begins, in bytes of UTF-8.
    #[uniffi(default = 0)]
    pub start: u32,
    /// Where it ends, in bytes of UTF-8.
    #[uniffi(default = 0)]
    pub end: u32,
    /// Where it begins, in UTF-16 code units, as in Swift's `NSString`, Kotlin and Java.
    #[uniffi(default = 0)]
    pub utf16_start: u32,
    /// Where it ends, in UTF-16 code units.
    #[uniffi(default = 0)]
    pub utf16_end: u32,
}

impl From<core::FoundRange> for FoundRange {
    fn from(range: core::FoundRange) -> Self {
        Self {
            start: range.start,
            end: range.end,
            utf16_start: range.utf16_start,
            utf16_end: range.utf16_end,
        }
    }
}
