//! The list of chats.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use sealpost_core::Folder;

use super::{line_of, put, shifted, style};
use crate::layout::{CHAT_LINES, Pane};
use crate::news::{Chat, Marks};
use crate::state::{State, tick_mark};
use crate::wrap::{columns, cut};

pub(super) fn draw(buffer: &mut Buffer, state: &State, title: Rect, area: Rect) {
    let has_requests = state.chats().title() != "Chats";
    put(buffer, title, &state.chats().title(), if has_requests { style::NOTE } else { style::BOLD });
    if area.area() == 0 {
        return;
    }
    // A column is left free in front of the conversation.
    let beside = u16::from(area.width < buffer.area.width);
    let area = Rect { width: area.width.saturating_sub(beside), ..area };
    let open = state.conversation().map(|open| open.thread());
    let shown = state.chats().visible(state.layout().chats_shown());
    if shown.is_empty() {
        let none = match state.chats().folder() {
            Folder::Chats => "none yet: /chat NAME",
            _ => "none",
        };
        put(buffer, area, none, style::DIM);
    }
    for (place, chat) in shown.iter().enumerate() {
        let first = place.saturating_mul(usize::from(CHAT_LINES));
        let lines = (line_of(area, first), line_of(area, first.saturating_add(1)));
        let is_chosen = match state.pane() {
            Pane::Chats => state.chats().chosen() == Some(chat.thread),
            Pane::Conversation => open == Some(chat.thread),
        };
        draw_chat(buffer, state, chat, is_chosen, lines);
    }
}

fn draw_chat(
    buffer: &mut Buffer,
    state: &State,
    chat: &Chat,
    is_chosen: bool,
    (first, second): (Rect, Rect),
) {
    let width = usize::from(first.width);
    let at = |text: &str| width.saturating_sub(columns(text));

    let time = state.clock().short(chat.activity_ms);
    let is_unread = chat.unread > 0 || chat.marks.is_marked_unread;
    let style = if is_unread { style::UNREAD } else { style::BOLD };
    let chosen = if is_chosen { "▌" } else { " " };
    put(buffer, first, chosen, style::BOLD);
    put(buffer, second, chosen, style::BOLD);
    let marks = marks(chat.marks);
    let room = at(&time).saturating_sub(2).saturating_sub(columns(&marks));
    let name = cut(chat.name.as_str(), room);
    put(buffer, shifted(first, 1), &name, style);
    put(buffer, shifted(first, columns(&name).saturating_add(1)), &marks, style::DIM);
    put(buffer, shifted(first, at(&time)), &time, style::DIM);

    let count = match (chat.unread, chat.marks.is_marked_unread) {
        (0, false) => String::new(),
        (0, true) => "*".to_owned(),
        (unread, _) if chat.marks.is_mentioned => format!("@ {unread}"),
        (unread, _) => unread.to_string(),
    };
    // What is being written in the open chat is below it.
    let is_open = state.conversation().is_some_and(|open| open.thread() == chat.thread);
    let text = match (&chat.draft, &chat.newest) {
        (Some(draft), _) if !is_open => format!("draft: {draft}"),
        (_, Some((text, Some(tick)))) => format!("{} {text}", tick_mark(*tick)),
        (_, Some((text, None))) => text.to_string(),
        (_, None) => String::new(),
    };
    put(buffer, shifted(second, 1), &cut(&text, at(&count).saturating_sub(2)), style::DIM);
    put(buffer, shifted(second, at(&count)), &count, style::UNREAD);
}

/// The marks of a chat, with a space in front of each; the help explains them.
fn marks(marks: Marks) -> String {
    let all = [
        (marks.is_verified, " ✓"),
        (marks.is_pinned, " ^"),
        (marks.is_muted, " -"),
        (marks.is_blocked, " x"),
    ];
    all.iter().filter(|(is_set, _)| *is_set).map(|(_, mark)| *mark).collect()
}
