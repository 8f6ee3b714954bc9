//! What keys and mouse do in the list, the conversation and the line that is being written.

use sealpost_core::ThreadId;

use super::{Conversation, Overlay, Search, State, area, page};
use crate::commands;
use crate::input::Input;
use crate::layout::{CHAT_LINES, Pane, is_in};
use crate::news::Request;

/// The lines that a turn of the wheel moves.
const WHEEL: usize = 3;

impl State {
    pub(super) fn in_panes(&mut self, input: Input, requests: &mut Vec<Request>) {
        // A note has been seen when the person goes on.
        self.note = None;
        let in_list = self.pane == Pane::Chats && self.editor.is_empty();
        match input {
            Input::QuestionMark if self.editor.is_empty() => self.overlay = Some(Overlay::Help(0)),
            Input::Enter if in_list => self.open_chosen(requests),
            Input::Enter => self.enter(requests),
            Input::Up if in_list => self.step_chats(-1, requests),
            Input::Down if in_list => self.step_chats(1, requests),
            Input::PageUp if in_list => self.page_chats(-1, requests),
            Input::PageDown if in_list => self.page_chats(1, requests),
            Input::Up => {
                if !self.editor.up() {
                    self.history.back(&mut self.editor);
                }
            }
            Input::Down => {
                if !self.editor.down() {
                    self.history.forth(&mut self.editor);
                }
            }
            Input::SelectAbove => self.step_selection(-1, requests),
            Input::SelectBelow => self.step_selection(1, requests),
            Input::PageUp => self.scroll_up(self.page_lines(), requests),
            Input::PageDown => self.scroll_down(self.page_lines(), requests),
            Input::Oldest => self.scroll_up(usize::MAX, requests),
            Input::Newest => self.show_newest(requests),
            Input::PreviousChat => self.open_neighbour(-1, requests),
            Input::NextChat => self.open_neighbour(1, requests),
            Input::OtherPane => self.change_pane(),
            Input::Find => self.overlay = Some(Overlay::Search(Search::default())),
            Input::Help => self.overlay = Some(Overlay::Help(0)),
            Input::Escape => self.escape(requests),
            Input::EndOrDelete if self.editor.is_empty() => self.is_over = true,
            Input::EndOrDelete => self.editor.delete(),
            Input::Click(x, y) => self.click((x, y), requests),
            Input::WheelUp(x, y) => self.wheel((x, y), -1, requests),
            Input::WheelDown(x, y) => self.wheel((x, y), 1, requests),
            Input::Left if in_list => requests.push(Request::Folder(self.chats.neighbour(-1))),
            Input::Right if in_list => requests.push(Request::Folder(self.chats.neighbour(1))),
            other => {
                let before = self.editor.text().len();
                self.edit(other);
                if self.editor.text().len() != before {
                    requests.extend(self.has_typed());
                }
            }
        }
    }

    /// Changes what is being written.
    fn edit(&mut self, input: Input) {
        if matches!(input, Input::Insert(_) | Input::QuestionMark | Input::NewLine)
            && self.conversation.is_some()
        {
            self.pane = Pane::Conversation;
        }
        super::overlays::edit(&mut self.editor, input);
    }

    fn enter(&mut self, requests: &mut Vec<Request>) {
        let typed = self.editor.text().to_owned();
        match commands::read(&typed) {
            commands::Line::Nothing => {
                if self.conversation.as_ref().is_some_and(|open| open.selected().is_some()) {
                    let _ = self.show_details(requests);
                }
            }
            commands::Line::Unknown(name) => {
                // What was typed stays, so that it can be corrected.
                self.say(&format!("/{name} is not a command: /help shows all, // sends a text with a slash"));
                return;
            }
            commands::Line::Surplus(name) => {
                self.say(&format!("/{name} takes nothing after it"));
                return;
            }
            commands::Line::Command(command) => {
                if !self.carry_out(command, requests) {
                    return;
                }
            }
            commands::Line::Text(text) => {
                let thread = match self.chat() {
                    Ok(thread) => thread,
                    Err(why) => return self.say(why),
                };
                requests.push(Request::Send { thread, text });
                self.has_sent();
                self.show_newest(requests);
                let layout = self.layout();
                let area = area(&layout, &self.clock);
                self.conversation.iter_mut().for_each(|open| open.forget_unread(area));
            }
        }
        if !typed.trim().is_empty() {
            self.history.remember(&typed);
        }
        self.editor.take();
        requests.extend(self.has_stopped_typing());
    }

    pub(super) fn open(&mut self, thread: ThreadId, requests: &mut Vec<Request>) {
        if self.open_thread() == Some(thread) && !self.is_opening() {
            self.pane = Pane::Conversation;
        } else {
            self.ask_to_open(thread, None, requests);
        }
    }

    fn open_chosen(&mut self, requests: &mut Vec<Request>) {
        if let Some(thread) = self.chats.chosen() {
            self.open(thread, requests);
        }
    }

    fn open_neighbour(&mut self, by: isize, requests: &mut Vec<Request>) {
        self.step_chats(by, requests);
        self.open_chosen(requests);
    }

    fn step_chats(&mut self, by: isize, requests: &mut Vec<Request>) {
        let height = self.layout().chats_shown();
        if self.chats.step(by, height) {
            requests.push(Request::MoreChats);
        }
    }

    fn page_chats(&mut self, pages: isize, requests: &mut Vec<Request>) {
        let height = isize::try_from(self.layout().chats_shown()).unwrap_or(1);
        self.step_chats(height.saturating_mul(pages), requests);
    }

    fn page_lines(&self) -> usize {
        usize::from(self.layout().messages.height).saturating_sub(1).max(1)
    }

    fn scroll_up(&mut self, lines: usize, requests: &mut Vec<Request>) {
        let layout = self.layout();
        let area = area(&layout, &self.clock);
        let wanted = self.conversation.as_mut().and_then(|open| open.up(lines, area));
        requests.extend(wanted.map(page));
    }

    fn scroll_down(&mut self, lines: usize, requests: &mut Vec<Request>) {
        let wanted = self.conversation.as_mut().and_then(|open| open.down(lines));
        requests.extend(wanted.map(page));
    }

    fn step_selection(&mut self, by: isize, requests: &mut Vec<Request>) {
        let layout = self.layout();
        let area = area(&layout, &self.clock);
        if let Some(open) = self.conversation.as_mut().filter(|_| area.height > 0) {
            requests.extend(open.step_selection(by, area).map(page));
            self.pane = Pane::Conversation;
        }
    }

    /// Commands act on the newest messages again.
    pub(super) fn done_with_selection(&mut self) {
        let layout = self.layout();
        let area = area(&layout, &self.clock);
        self.conversation.iter_mut().for_each(|open| open.select(None, area));
    }

    /// Shows the newest message; if it is not loaded, the chat is opened again.
    fn show_newest(&mut self, requests: &mut Vec<Request>) {
        if let Some(open) = &mut self.conversation
            && !open.go_to_end()
        {
            requests.push(Request::Open { thread: open.thread(), around: None });
        }
    }

    fn change_pane(&mut self) {
        self.pane = match self.pane {
            Pane::Chats if self.conversation.is_some() => Pane::Conversation,
            _ => Pane::Chats,
        };
    }

    /// Goes back by one step: to the newest message without a selection, and then to the list.
    fn escape(&mut self, requests: &mut Vec<Request>) {
        let is_away = |open: &Conversation| !open.is_at_end() || open.selected().is_some();
        match &self.conversation {
            Some(open) if self.pane == Pane::Conversation && is_away(open) => self.show_newest(requests),
            _ => self.pane = Pane::Chats,
        }
    }

    fn click(&mut self, place: (u16, u16), requests: &mut Vec<Request>) {
        let layout = self.layout();
        if is_in(layout.list, place) {
            let line = place.1.saturating_sub(layout.list.top());
            let index = usize::from(line.checked_div(CHAT_LINES).unwrap_or_default());
            let clicked = self.chats.visible(layout.chats_shown()).get(index).map(|chat| chat.thread);
            if let Some(thread) = clicked {
                self.chats.choose(thread, layout.chats_shown());
                self.open(thread, requests);
            }
        } else if is_in(layout.list_title, place) {
            requests.push(Request::Folder(self.chats.neighbour(1)));
        } else if is_in(layout.title, place) && layout.list.width == 0 {
            self.pane = Pane::Chats;
        } else if let Some(open) = &mut self.conversation {
            self.pane = Pane::Conversation;
            if is_in(layout.messages, place) {
                // A short conversation is at the bottom.
                let height = usize::from(layout.messages.height);
                let empty = height.saturating_sub(open.visible(height).len());
                let line = usize::from(place.1.saturating_sub(layout.messages.top()));
                let area = area(&layout, &self.clock);
                line.checked_sub(empty).into_iter().for_each(|line| open.click_on(line, area));
            }
        }
    }

    fn wheel(&mut self, place: (u16, u16), direction: isize, requests: &mut Vec<Request>) {
        let layout = self.layout();
        if is_in(layout.list, place) {
            if self.chats.scroll(direction, layout.chats_shown()) {
                requests.push(Request::MoreChats);
            }
        } else if direction < 0 {
            self.scroll_up(WHEEL, requests);
        } else {
            self.scroll_down(WHEEL, requests);
        }
    }
}
