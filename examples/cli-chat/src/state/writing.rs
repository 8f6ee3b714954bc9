//! What is being written: kept as a draft, and told to the other person while it changes.

use sealpost_core::ThreadId;

use super::State;
use crate::editor::Editor;
use crate::news::Request;

/// What the client was told about the text that is being written.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The draft of the open chat that is on disk.
    draft: String,
    is_typing: bool,
}

impl State {
    /// The open chat is left, or the program ends: what is being written is kept.
    pub(crate) fn keep_draft(&mut self) -> Option<Request> {
        let thread = self.open_thread()?;
        if self.told.draft == self.editor.text() {
            return None;
        }
        self.editor.text().clone_into(&mut self.told.draft);
        Some(Request::Draft { thread, text: self.told.draft.clone() })
    }

    /// Keeps what is being written in the open chat until it is opened again, and returns to what was being written in this
    /// one: here, or before the program was started.
    pub(super) fn change_draft(
        &mut self,
        thread: ThreadId,
        draft: Option<String>,
        requests: &mut Vec<Request>,
    ) {
        if self.open_thread() == Some(thread) {
            return;
        }
        requests.extend(self.keep_draft());
        if let Some(open) = self.open_thread() {
            requests.extend(self.has_stopped_typing());
            self.drafts.insert(open, std::mem::take(&mut self.editor));
        }
        self.told.draft = draft.unwrap_or_default();
        if self.editor.is_empty() {
            self.editor = self.drafts.remove(&thread).unwrap_or_else(|| {
                let mut editor = Editor::default();
                editor.set(&self.told.draft);
                editor
            });
        }
    }

    /// The text has changed. A command is not a message, so nobody is told of it.
    pub(super) fn has_typed(&mut self) -> Option<Request> {
        let text = self.editor.text();
        if text.trim().is_empty() || (text.starts_with('/') && !text.starts_with("//")) {
            return self.has_stopped_typing();
        }
        self.told.is_typing = true;
        Some(Request::Typing { thread: self.open_thread()?, is_typing: true })
    }

    pub(super) fn has_stopped_typing(&mut self) -> Option<Request> {
        let thread = self.open_thread()?;
        std::mem::take(&mut self.told.is_typing).then_some(Request::Typing { thread, is_typing: false })
    }

    /// The message itself says that nothing is being written any more.
    pub(super) fn has_sent(&mut self) {
        self.told.is_typing = false;
    }

    /// Returns a text that could not be sent, without touching what has been written since. If there is something, the text
    /// is in the history only, and this returns false.
    pub(super) fn give_back(&mut self, thread: ThreadId, text: &str) -> bool {
        let is_open = self.open_thread() == Some(thread);
        let editor = if is_open { &mut self.editor } else { self.drafts.entry(thread).or_default() };
        let is_free = editor.is_empty();
        if is_free {
            editor.set(text);
        }
        is_free
    }
}
