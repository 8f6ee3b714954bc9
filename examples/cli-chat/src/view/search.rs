//! The search and its results.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::writing::draw_editor;
use super::{frame_over, line_of, put, put_marked, shifted, style};
use crate::layout::PROMPT;
use crate::state::{Search, State};
use crate::wrap::{columns, cut};

pub(super) fn draw(buffer: &mut Buffer, state: &State, search: &Search) -> Option<Position> {
    let area = frame_over(
        buffer,
        match search.thread {
            Some(_) => " Search in this chat: Enter opens, Esc closes ",
            None => " Search: Enter opens, Esc closes ",
        },
    );
    put(buffer, area, PROMPT, style::BOLD);
    let line = shifted(line_of(area, 0), PROMPT.len());
    let cursor = draw_editor(buffer, &search.words, line, usize::from(line.width).max(2));
    let shown = usize::from(state.results_shown());
    let first = search.first_visible(shown);
    if search.is_in_vain() {
        put(buffer, line_of(area, 2), "nothing found", style::DIM);
    }
    for (place, found) in search.found().iter().enumerate().skip(first).take(shown) {
        let top = place.saturating_sub(first).saturating_mul(2).saturating_add(2);
        let width = usize::from(area.width);
        let time = state.clock().short(found.sent_ms);
        let who = if found.is_ours { format!("{} (you)", found.chat) } else { found.chat.to_string() };
        let at = width.saturating_sub(columns(&time));
        let style = if place == search.chosen() { style::BOLD.patch(style::CHOSEN) } else { style::BOLD };
        let first_line: Rect = line_of(area, top);
        put(buffer, first_line, &cut(&who, at.saturating_sub(1)), style);
        put(buffer, shifted(first_line, at), &time, style::DIM);
        let (text, places) = found.text.excerpt(width);
        put_marked(buffer, line_of(area, top.saturating_add(1)), (&text, &places), style::PLAIN);
    }
    cursor
}
