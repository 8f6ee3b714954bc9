//! What the client reports.

use sealpost_core::{ThreadId, TrustState};

use super::{Conversation, Overlay, Safety, Sheet, State, area};
use crate::layout::Pane;
use crate::news::{News, Request};

impl State {
    /// The client has reported something.
    pub(crate) fn news(&mut self, news: News) -> Vec<Request> {
        let before = self.layout();
        let mut requests = Vec::new();
        match news {
            News::Chats { folder, chats, has_more, requests } => {
                if let Some(open) = self.conversation.as_mut()
                    && let Some(chat) = chats.iter().find(|chat| chat.thread == open.thread())
                {
                    // A group has another title, or somebody another name.
                    open.set_name(&chat.name);
                }
                self.chats.set((folder, chats), has_more, requests, before.chats_shown());
            }
            News::Connection(state) => self.connection = state,
            News::Met { thread, name } => {
                // Another chat must not be opened under the hands of somebody who is writing.
                if self.editor.is_empty() && self.overlay.is_none() {
                    // The person has not chosen it at this moment.
                    self.appeared = Some(thread);
                    self.pane = Pane::Conversation;
                    requests.push(Request::Open { thread, around: None });
                } else {
                    self.say(&format!("{name} is there now: /chat {name}"));
                }
            }
            News::Opened { thread, name, rows, around, draft } => {
                self.opening = self.opening.saturating_sub(1);
                let appeared = self.appeared.take() == Some(thread);
                let is_writing = !self.editor.is_empty() && !self.is_opening();
                if let Some(open) = self.open_thread().filter(|_| appeared && is_writing) {
                    // Somebody has begun to write meanwhile: that chat stays.
                    self.say(&format!("{name} is there now: /chat {name}"));
                    self.ask_to_open(open, None, &mut requests);
                    self.settle(before, &mut requests);
                    return requests;
                }
                // Otherwise, another one was asked for since.
                if self.opening == 0 {
                    self.turn_to(thread, &mut requests);
                }
                if self.chosen == Some(thread) && self.open_thread() != Some(thread) {
                    self.read_draft(draft);
                }
                // It was about another chat, or about waiting for this one.
                self.note = None;
                let layout = self.layout();
                let area = area(&layout, &self.clock);
                self.conversation = Some(Conversation::open(thread, name, rows, around, area));
                self.chats.choose(thread, layout.chats_shown());
            }
            News::Rows { thread, rows } => {
                let area = area(&before, &self.clock);
                if let Some(open) = open_in(&mut self.conversation, thread) {
                    open.set_rows(rows, area);
                }
            }
            News::NotOpened { thread, why } => {
                self.opening = self.opening.saturating_sub(1);
                self.turn_back_from(thread, &mut requests);
                self.say(&format!("the chat was not opened: {why}"));
            }
            News::Peer { thread, peer } => {
                open_in(&mut self.conversation, thread).into_iter().for_each(|open| open.peer = peer);
            }
            News::Trust { thread, trust } => {
                let open = open_in(&mut self.conversation, thread);
                let was = open.as_ref().and_then(|open| open.trust());
                open.into_iter().for_each(|open| open.set_trust(trust));
                if trust == TrustState::ChangedSinceVerified && was != Some(trust) {
                    self.say("the safety number has changed: /verify compares it, /accept accepts it");
                }
            }
            News::SafetyNumber { thread, number } => {
                if self.open_thread() == Some(thread) && self.can_be_covered() {
                    self.overlay = Some(Overlay::Safety(Safety::new(thread, number.as_deref())));
                }
            }
            News::Compared { thread, are_equal } => self.compared(thread, are_equal),
            News::Found { words, thread, found } => {
                if let Some(Overlay::Search(search)) = &mut self.overlay {
                    search.set(&words, thread, found);
                }
            }
            News::Sheet { title, lines } => {
                if self.can_be_covered() {
                    self.overlay = Some(Overlay::Sheet(Sheet::new(title, lines)));
                }
            }
            News::NotQueued { thread, text, why } => {
                let how = if self.give_back(thread, &text) { "" } else { "; Up brings it back" };
                self.say(&format!("not sent: {why}{how}"));
            }
            News::NotRestored { thread, message } => self.hidden.entry(thread).or_default().push(message),
            News::MayHaveLeft(message) => {
                self.may_have_left = Some(message);
                self.say("it may have been sent already; /discard again gives it up");
            }
            News::Call(call) => requests.extend(self.call_changed(call)),
            News::NotCalled { thread, why } => self.not_called(thread, &why),
            News::Note(note) => self.say(&note),
        }
        self.settle(before, &mut requests);
        requests
    }

    /// Whether what the person has asked for can come now. Nothing replaces what they type into; they can ask again.
    const fn can_be_covered(&self) -> bool {
        !matches!(self.overlay, Some(Overlay::Search(_) | Overlay::Safety(_)))
    }

    fn compared(&mut self, thread: ThreadId, are_equal: bool) {
        let safety = match &mut self.overlay {
            Some(Overlay::Safety(safety)) if safety.thread == thread => Some(safety),
            _ => None,
        };
        match safety {
            Some(safety) => safety.are_equal = Some(are_equal),
            None if are_equal => self.say("the safety number is the same: verified"),
            None => self.say("the safety number is NOT the same; do not trust this chat"),
        }
    }
}

/// The chat, if it is still the open one.
fn open_in(conversation: &mut Option<Conversation>, thread: ThreadId) -> Option<&mut Conversation> {
    conversation.as_mut().filter(|open| open.thread() == thread)
}
