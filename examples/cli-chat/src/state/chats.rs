//! The list of chats, and which part of it is shown.

use sealpost_core::{Folder, ThreadId};

use crate::news::Chat;

/// The list.
#[derive(Debug)]
pub(crate) struct Chats {
    /// Which list it is.
    folder: Folder,
    /// The number of requests that the person has not answered.
    requests: usize,
    chats: Vec<Chat>,
    has_more: bool,
    /// The chat that the keys act on. The list is ordered anew with every message, but the choice stays.
    chosen: Option<ThreadId>,
    /// The number of chats above the visible part.
    above: usize,
}

impl Default for Chats {
    fn default() -> Self {
        let (folder, chats) = (Folder::Chats, Vec::new());
        Self { folder, requests: 0, chats, has_more: false, chosen: None, above: 0 }
    }
}

impl Chats {
    pub(super) fn set(&mut self, list: (Folder, Vec<Chat>), has_more: bool, requests: usize, height: usize) {
        let (folder, chats) = list;
        (self.folder, self.chats, self.has_more, self.requests) = (folder, chats, has_more, requests);
        if self.place().is_none() {
            self.chosen = self.chats.first().map(|chat| chat.thread);
        }
        self.above = self.above.min(self.chats.len().saturating_sub(height));
    }

    pub(crate) fn folder(&self) -> Folder {
        self.folder
    }

    /// What the list is called, and that there are requests if it does not show them.
    pub(crate) fn title(&self) -> String {
        match (self.folder, self.requests) {
            (Folder::Requests, _) => "Requests".to_owned(),
            (Folder::Archive, _) => "Archive".to_owned(),
            (_, 0) => "Chats".to_owned(),
            (_, 1) => "Chats · 1 request".to_owned(),
            (_, count) => format!("Chats · {count} requests"),
        }
    }

    /// The list to the right of this one, or to the left.
    pub(super) fn neighbour(&self, by: isize) -> Folder {
        const ORDER: [Folder; 3] = [Folder::Chats, Folder::Requests, Folder::Archive];
        let at = ORDER.iter().position(|folder| *folder == self.folder).unwrap_or_default();
        let next = at.wrapping_add_signed(by).checked_rem(ORDER.len()).unwrap_or_default();
        let next = if at == 0 && by < 0 { ORDER.len().saturating_sub(1) } else { next };
        ORDER.get(next).copied().unwrap_or(Folder::Chats)
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
