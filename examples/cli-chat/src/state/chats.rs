//! The list of chats, and which part of it is shown.

use sealpost_core::ThreadId;

use crate::news::Chat;

/// The list.
#[derive(Debug, Default)]
pub(crate) struct Chats {
    chats: Vec<Chat>,
    has_more: bool,
    /// The chat that the keys act on. The list is ordered anew with every message, but the choice stays.
    chosen: Option<ThreadId>,
    /// The number of chats above the visible part.
    above: usize,
}

impl Chats {
    pub(super) fn set(&mut self, chats: Vec<Chat>, has_more: bool, height: usize) {
        (self.chats, self.has_more) = (chats, has_more);
        if self.place().is_none() {
            self.chosen = self.chats.first().map(|chat| chat.thread);
        }
        self.above = self.above.min(self.chats.len().saturating_sub(height));
    }

    pub(crate) fn chosen(&self) -> Option<ThreadId> {
        self.chosen
    }

    /// The visible chats.
    pub(crate) fn visible(&self, height: usize) -> &[Chat] {
        let end = self.above.saturating_add(height).min(self.chats.len());
        self.chats.get(self.above.min(end)..end).unwrap_or_default()
    }

    /// The unread messages of all other chats.
    pub(crate) fn unread_elsewhere(&self, open: Option<ThreadId>) -> u64 {
        let others = self.chats.iter().filter(|chat| Some(chat.thread) != open);
        others.map(|chat| chat.unread).fold(0, u64::saturating_add)
    }

    pub(super) fn choose(&mut self, thread: ThreadId, height: usize) {
        self.chosen = Some(thread);
        if let Some(place) = self.place() {
            self.show(place, height);
        }
    }

    /// Chooses the chat so many places further down, or up. Returns true if the end of the list was reached and there are
    /// more.
    pub(super) fn step(&mut self, by: isize, height: usize) -> bool {
        let last = self.chats.len().saturating_sub(1);
        let place = self.place().map_or(0, |place| place.saturating_add_signed(by).min(last));
        self.chosen = self.chats.get(place).map(|chat| chat.thread);
        self.show(place, height);
        place == last && self.has_more
    }

    /// Moves the visible part. Returns true if its end was reached and there are more.
    pub(super) fn scroll(&mut self, by: isize, height: usize) -> bool {
        let most = self.chats.len().saturating_sub(height);
        self.above = self.above.saturating_add_signed(by).min(most);
        self.above == most && self.has_more
    }

    fn place(&self) -> Option<usize> {
        self.chats.iter().position(|chat| Some(chat.thread) == self.chosen)
    }

    fn show(&mut self, place: usize, height: usize) {
        let lowest = place.saturating_add(1).saturating_sub(height);
        self.above = self.above.clamp(lowest.min(place), place);
    }
}
