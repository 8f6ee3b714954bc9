//! The screen as a pure state machine: what the person does and what the client reports change it and give requests to the
//! client. It knows no terminal, no client, and no clock but the one it is given.

mod acting;
mod calls;
mod chats;
mod conversation;
mod happening;
mod lines;
mod overlays;
mod safety;
mod search;
mod selection;
mod settings;
mod sheet;
#[cfg(test)]
pub(crate) mod tests;
mod typing;
mod writing;

use std::collections::HashMap;

use sealpost_core::{ConnectionState, MessageId, ThreadId, UserId};

use calls::Calls;
pub(crate) use chats::Chats;
pub(crate) use conversation::Conversation;
use conversation::{Area, Wanted};
pub(crate) use lines::{FOOT_GAP, Line, LineKind, tick_mark};
pub(crate) use safety::{Safety, groups};
pub(crate) use search::Search;
pub(crate) use sheet::Sheet;

use crate::clock::Clock;
use crate::editor::{Editor, History};
use crate::input::Input;
use crate::layout::{Heights, Layout, Pane};
use crate::news::Request;
use crate::text::Shown;
use crate::wrap::{columns, wrap};

/// Everything that the screen shows.
#[derive(Debug)]
pub(crate) struct State {
    us: Shown,
    user: UserId,
    relay: Shown,
    clock: Clock,
    size: (u16, u16),
    pane: Pane,
    connection: ConnectionState,
    chats: Chats,
    conversation: Option<Conversation>,
    calls: Calls,
    /// The chat that the person has chosen: the one that is open, or is being opened.
    chosen: Option<ThreadId>,
    /// How many chats were asked for and have not come. They come in this order.
    opening: usize,
    /// What is being written in it, and in the others.
    editor: Editor,
    drafts: HashMap<ThreadId, Editor>,
    told: writing::Told,
    history: History,
    overlay: Option<Overlay>,
    note: Option<Shown>,
    /// The message that may have left already when it was to be discarded.
    may_have_left: Option<MessageId>,
    /// The messages that were deleted on this device only, in each chat, the last one last.
    hidden: HashMap<ThreadId, Vec<MessageId>>,
    /// The chat that was asked for because its user has appeared, and not by a key at this moment.
    appeared: Option<ThreadId>,
    is_over: bool,
}

/// What covers the panes.
#[derive(Debug)]
pub(crate) enum Overlay {
    /// The number of lines above the visible part.
    Help(usize),
    Search(Search),
    Safety(Safety),
    Sheet(Sheet),
}

/// The last lines of the screen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) kind: StatusKind,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatusKind {
    /// Something to read once.
    Note,
    /// The connection is not as it should be.
    Bad,
    Plain,
}

impl State {
    pub(crate) fn new(us: &str, user: UserId, relay: &str, clock: Clock, size: (u16, u16)) -> Self {
        Self {
            us: Shown::line(us),
            user,
            relay: Shown::line(relay),
            clock,
            size,
            pane: Pane::Chats,
            connection: ConnectionState::Connecting,
            chats: Chats::default(),
            conversation: None,
            calls: Calls::default(),
            chosen: None,
            opening: 0,
            editor: Editor::default(),
            drafts: HashMap::new(),
            told: writing::Told::default(),
            history: History::default(),
            overlay: None,
            note: None,
            may_have_left: None,
            hidden: HashMap::new(),
            appeared: None,
            is_over: false,
        }
    }

    /// Our user id, by which people elsewhere can open a chat with us.
    pub(crate) fn user(&self) -> UserId {
        self.user
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn pane(&self) -> Pane {
        self.pane
    }

    pub(crate) fn chats(&self) -> &Chats {
        &self.chats
    }

    pub(crate) fn conversation(&self) -> Option<&Conversation> {
        self.conversation.as_ref()
    }

    pub(crate) fn editor(&self) -> &Editor {
        &self.editor
    }

    pub(crate) fn overlay(&self) -> Option<&Overlay> {
        self.overlay.as_ref()
    }

    /// Whether the program ends now.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// A note or a problem; otherwise, what else there is to know.
    pub(crate) fn status(&self) -> Status {
        let bad = |text: String| Status { kind: StatusKind::Bad, text };
        let plain = |state: &str| Status {
            kind: StatusKind::Plain,
            text: format!("{} · {state} · ? help", self.us),
        };
        match (&self.note, self.connection) {
            (Some(note), _) => Status { kind: StatusKind::Note, text: note.to_string() },
            (None, ConnectionState::Live) if self.has_selection() => plain("selected: Enter for details"),
            (None, ConnectionState::Live) => plain("online"),
            (None, ConnectionState::Connecting) => plain("connecting"),
            (None, ConnectionState::CatchingUp) => plain("receiving"),
            (None, ConnectionState::Offline) => {
                bad(format!("offline: no relay at {}; ./dev relay starts one", self.relay))
            }
            (None, ConnectionState::SignedOut) => bad("the relay no longer knows this account".to_owned()),
            (None, _) => plain("closed"),
        }
    }

    fn has_selection(&self) -> bool {
        self.conversation.as_ref().is_some_and(|open| open.selected().is_some())
    }

    /// The unread messages of the chats that are not on the screen, for the end of the status; empty if there are none.
    pub(crate) fn unread_elsewhere(&self) -> String {
        let open = self.conversation().filter(|_| self.pane == Pane::Conversation);
        match self.chats.unread_elsewhere(open.map(Conversation::thread)) {
            0 => String::new(),
            count => format!(" {count} unread"),
        }
    }

    pub(crate) fn layout(&self) -> Layout {
        let lines = |text: &str, width: usize| u16::try_from(wrap(text, width).len()).unwrap_or(u16::MAX);
        let input = lines(self.editor.text(), Layout::input_columns(self.size, self.pane));
        let whole = usize::from(self.size.0);
        let room = whole.saturating_sub(columns(&self.unread_elsewhere()));
        let calls =
            self.call_lines().iter().map(|call| lines(&call.text, whole)).fold(0, u16::saturating_add);
        let heights = Heights { input, calls, status: lines(&self.status().text, room) };
        Layout::new(self.size, self.pane, heights)
    }

    /// The person has done something.
    pub(crate) fn input(&mut self, input: Input) -> Vec<Request> {
        let before = self.layout();
        let mut requests = Vec::new();
        self.calls.has_been_seen(self.clock.now_ms());
        match input {
            Input::Quit => self.is_over = true,
            Input::Resize(width, height) => self.size = (width, height),
            input => match self.overlay.take() {
                Some(overlay) => self.in_overlay(overlay, input, &mut requests),
                None => self.in_panes(input, &mut requests),
            },
        }
        self.settle(before, &mut requests);
        requests
    }

    /// Time has passed: about a second.
    pub(crate) fn tick(&mut self, now_ms: u64) -> Vec<Request> {
        let before = self.layout();
        let mut requests = Vec::new();
        if self.clock.advance(now_ms) {
            self.redraw();
        }
        self.calls.forget_seen(now_ms);
        self.settle(before, &mut requests);
        let search = match &self.overlay {
            Some(Overlay::Search(search)) => search.again(),
            _ => None,
        };
        requests.extend(search.into_iter().chain(self.keep_draft()));
        requests
    }

    /// After every change: the lines fit the size, and what is on the screen is marked as read.
    fn settle(&mut self, before: Layout, requests: &mut Vec<Request>) {
        let opens = |request: &&Request| matches!(request, Request::Open { .. } | Request::OpenFound { .. });
        self.opening = self.opening.saturating_add(requests.iter().filter(opens).count());
        let layout = self.layout();
        if layout.messages != before.messages {
            self.redraw();
        }
        let is_visible = self.overlay.is_none() && layout.messages.area() > 0;
        if let Some(open) = self.conversation.as_mut().filter(|_| is_visible)
            && let Some(up_to) = open.newly_read(usize::from(layout.messages.height))
        {
            requests.push(Request::MarkRead { thread: open.thread(), up_to });
        }
    }

    fn redraw(&mut self) {
        let layout = self.layout();
        let area = area(&layout, &self.clock);
        if let Some(open) = self.conversation.as_mut().filter(|_| area.width > 0) {
            open.redraw(area);
        }
    }

    /// The conversation comes to the front now, and not when its messages have come: the person may have gone on by then.
    fn ask_to_open(&mut self, thread: ThreadId, around: Option<MessageId>, requests: &mut Vec<Request>) {
        self.pane = Pane::Conversation;
        self.turn_to(thread, requests);
        requests.push(Request::Open { thread, around });
    }

    fn say(&mut self, note: &str) {
        self.note = Some(Shown::line(note));
    }

    fn open_thread(&self) -> Option<ThreadId> {
        self.conversation.as_ref().map(Conversation::thread)
    }

    /// Whether the chat on the screen is not the chosen one, because that has not been read yet.
    fn is_opening(&self) -> bool {
        self.chosen != self.open_thread()
    }
}

fn area<'a>(layout: &Layout, clock: &'a Clock) -> Area<'a> {
    let (width, height) = (layout.messages.width, layout.messages.height);
    Area { width: usize::from(width), height: usize::from(height), clock }
}

/// The request for a page.
fn page(wanted: Wanted) -> Request {
    match wanted {
        Wanted::Older => Request::Older,
        Wanted::Newer => Request::Newer,
    }
}
