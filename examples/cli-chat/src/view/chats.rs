//! The list of chats.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{line_of, put, shifted, style};
use crate::layout::{CHAT_LINES, Pane};
use crate::news::Chat;
use crate::state::{State, tick_mark};
use crate::wrap::{columns, cut};

pub(super) fn draw(buffer: &mut Buffer, state: &State, title: Rect, area: Rect) {
    put(buffer, title, "Chats", style::BOLD);
    if area.area() == 0 {
        return;
    }
    // A column is left free in front of the conversation.
    let beside = u16::from(area.width < buffer.area.width);
    let area = Rect { width: area.width.saturating_sub(beside), ..area };
    let open = state.conversation().map(|open| open.thread());
    let shown = state.chats().visible(state.layout().chats_shown());
    if shown.is_empty() {
        put(buffer, area, "none yet: /chat NAME", style::DIM);
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
    let style = if chat.unread > 0 { style::UNREAD } else { style::BOLD };
    let mark = if is_chosen { "▌" } else { " " };
    put(buffer, first, mark, style::BOLD);
    put(buffer, second, mark, style::BOLD);
    let room = at(&time).saturating_sub(2);
    put(buffer, shifted(first, 1), &cut(chat.name.as_str(), room), style);
    put(buffer, shifted(first, at(&time)), &time, style::DIM);

    let count = if chat.unread > 0 { chat.unread.to_string() } else { String::new() };
    let text = chat.newest.as_ref().map_or_else(String::new, |(text, tick)| match tick {
        Some(tick) => format!("{} {text}", tick_mark(*tick)),
        None => text.to_string(),
    });
    put(buffer, shifted(second, 1), &cut(&text, at(&count).saturating_sub(2)), style::DIM);
    put(buffer, shifted(second, at(&count)), &count, style::UNREAD);
}
