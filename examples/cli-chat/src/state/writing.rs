//! What is being written: kept as a draft, and told to the other person while it changes.

use sealpost_core::ThreadId;

use super::State;
use crate::news::Request;

/// What the client was told about the text that is being written.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The draft of the chosen chat that is on disk.
    draft: String,
    /// Whether that draft has not been read yet.
    is_unread: bool,
    is_typing: bool,
}

impl State {
    /// The chosen chat is left, or the program ends: what is being written is kept.
    pub(crate) fn keep_draft(&mut self) -> Option<Request> {
        let thread = self.chosen?;
        if self.told.draft == self.editor.text() {
            return None;
        }
        self.editor.text().clone_into(&mut self.told.draft);
        Some(Request::Draft { thread, text: self.told.draft.clone() })
    }

    /// The person turns to a chat. What is being written in the one before is kept until they come back, and what they write
    /// from now on is meant for this one, although its messages have not been read yet.
    pub(super) fn turn_to(&mut self, thread: ThreadId, requests: &mut Vec<Request>) {
        if self.chosen == Some(thread) {
            return;
        }
        requests.extend(self.keep_draft());
        requests.extend(self.has_stopped_typing());
        let before = self.chosen.replace(thread);
        // A draft on disk that has not been read is still the one of that chat.
        if let Some(before) = before.filter(|_| !self.told.is_unread || !self.editor.is_empty()) {
            self.drafts.insert(before, std::mem::take(&mut self.editor));
        }
        let kept = self.drafts.remove(&thread);
        self.told.is_unread = kept.is_none();
        self.told.draft = kept.as_ref().map(|editor| editor.text().to_owned()).unwrap_or_default();
        if let Some(kept) = kept.filter(|_| self.editor.is_empty()) {
            self.editor = kept;
        }
    }

    /// The chosen chat is about to be shown, with the draft on disk.
    pub(super) fn read_draft(&mut self, draft: Option<String>) {
        self.told.draft = draft.unwrap_or_default();
        if std::mem::take(&mut self.told.is_unread) && self.editor.is_empty() {
            self.editor.set(&self.told.draft);
        }
    }

    /// The chosen chat could not be opened: the one on the screen is the chosen one again.
    pub(super) fn turn_back_from(&mut self, thread: ThreadId, requests: &mut Vec<Request>) {
        if self.chosen == Some(thread) {
            match self.open_thread() {
                Some(open) => self.turn_to(open, requests),
                None => self.chosen = None,
            }
        }
    }

    /// The text has changed. A command is not a message, so nobody is told of it.
    pub(super) fn has_typed(&mut self) -> Option<Request> {
        let text = self.editor.text();
        if text.trim().is_empty() || (text.starts_with('/') && !text.starts_with("//")) {
            return self.has_stopped_typing();
        }
        let thread = self.open_thread().filter(|_| !self.is_opening())?;
        self.told.is_typing = true;
        Some(Request::Typing { thread, is_typing: true })
    }

    pub(super) fn has_stopped_typing(&mut self) -> Option<Request> {
        let thread = self.chosen?;
        std::mem::take(&mut self.told.is_typing).then_some(Request::Typing { thread, is_typing: false })
    }

    /// The message itself says that nothing is being written any more.
    pub(super) fn has_sent(&mut self) {
        self.told.is_typing = false;
    }

    /// Returns a text that could not be sent, without touching what has been written since. If there is something, the text
    /// is in the history only, and this returns false.
    pub(super) fn give_back(&mut self, thread: ThreadId, text: &str) -> bool {
        let is_chosen = self.chosen == Some(thread);
        let editor = if is_chosen { &mut self.editor } else { self.drafts.entry(thread).or_default() };
        let is_free = editor.is_empty();
        if is_free {
            editor.set(text);
        }
        is_free
    }
}
