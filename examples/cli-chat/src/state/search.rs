//! The search: the words, and what was found.

use sealpost_core::ThreadId;

use crate::editor::Editor;
use crate::news::{Found, Request};

/// An open search.
#[derive(Debug, Default)]
pub(crate) struct Search {
    pub(crate) words: Editor,
    /// The chat in which it is searched; otherwise, in all chats.
    pub(crate) thread: Option<ThreadId>,
    found: Vec<Found>,
    /// The words that were searched last.
    searched: Option<String>,
    chosen: usize,
}

impl Search {
    pub(super) fn new(words: &str, thread: Option<ThreadId>) -> Self {
        let mut search = Self { thread, ..Self::default() };
        search.words.set(words);
        search
    }

    /// The words, if they have not been searched yet.
    pub(super) fn due(&mut self) -> Option<Request> {
        let words = self.words.text().trim();
        if words.is_empty() {
            (self.found, self.searched) = (Vec::new(), None);
            return None;
        }
        if self.searched.as_deref() == Some(words) {
            return None;
        }
        self.searched = Some(words.to_owned());
        self.again()
    }

    /// The words, to be searched again: the newest messages are found with a delay, and others arrive.
    pub(super) fn again(&self) -> Option<Request> {
        let words = self.searched.clone()?;
        Some(Request::Search { words, thread: self.thread })
    }

    /// Results for other words than the present ones come too late. The choice stays with its message.
    pub(super) fn set(&mut self, words: &str, thread: Option<ThreadId>, found: Vec<Found>) {
        if self.searched.as_deref() == Some(words) && self.thread == thread {
            let chosen = self.result().map(|found| found.message);
            let place = found.iter().position(|found| Some(found.message) == chosen);
            (self.found, self.chosen) = (found, place.unwrap_or_default());
        }
    }

    pub(crate) fn found(&self) -> &[Found] {
        &self.found
    }

    /// Whether the search was carried out without a result.
    pub(crate) fn is_in_vain(&self) -> bool {
        self.searched.is_some() && self.found.is_empty()
    }

    pub(crate) fn chosen(&self) -> usize {
        self.chosen
    }

    pub(super) fn result(&self) -> Option<&Found> {
        self.found.get(self.chosen)
    }

    pub(super) fn choose(&mut self, place: usize) -> bool {
        let exists = place < self.found.len();
        if exists {
            self.chosen = place;
        }
        exists
    }

    pub(super) fn step(&mut self, by: isize) {
        let last = self.found.len().saturating_sub(1);
        self.chosen = self.chosen.saturating_add_signed(by).min(last);
    }

    /// The first visible result, so that the chosen one is visible.
    pub(crate) fn first_visible(&self, height: usize) -> usize {
        self.chosen.saturating_add(1).saturating_sub(height.max(1))
    }
}
