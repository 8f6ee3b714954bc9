//! Drawing the state.

mod calls;
mod chats;
mod conversation;
mod help;
mod safety;
mod search;
mod sheet;
mod style;
#[cfg(test)]
mod tests;
mod writing;

use std::ops::Range;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::widgets::{Block, Clear, Widget as _};

use crate::state::{Overlay, State, Status, StatusKind};
use crate::wrap::{columns, cut, wrap};

/// Draws everything.
pub(crate) fn draw(frame: &mut Frame<'_>, state: &State) {
    let layout = state.layout();
    let buffer = frame.buffer_mut();
    chats::draw(buffer, state, layout.list_title, layout.list);
    for y in layout.border.top()..layout.border.bottom() {
        put(buffer, Rect { y, height: 1, ..layout.border }, "│", style::DIM);
    }
    conversation::draw_title(buffer, state, layout.title);
    conversation::draw(buffer, state, layout.messages);
    let mut cursor = writing::draw(buffer, state, layout.input);
    calls::draw(buffer, state, layout.calls);
    draw_status(buffer, state, layout.status);
    match state.overlay() {
        Some(Overlay::Help(above)) => cursor = help::draw(buffer, *above),
        Some(Overlay::Search(search)) => cursor = search::draw(buffer, state, search),
        Some(Overlay::Safety(safety)) => cursor = safety::draw(buffer, safety),
        Some(Overlay::Sheet(sheet)) => cursor = sheet::draw(buffer, sheet),
        None => {}
    }
    let area = frame.area();
    if let Some(cursor) = cursor.filter(|cursor| area.contains(*cursor)) {
        frame.set_cursor_position(cursor);
    }
}

fn draw_status(buffer: &mut Buffer, state: &State, area: Rect) {
    let Status { kind, text } = state.status();
    let style = match kind {
        StatusKind::Note => style::NOTE,
        StatusKind::Bad => style::BAD,
        StatusKind::Plain => style::DIM,
    };
    let unread = state.unread_elsewhere();
    let room = usize::from(area.width).saturating_sub(columns(&unread));
    for (line, place) in wrap(&text, room).into_iter().enumerate() {
        put(buffer, line_of(area, line), text.get(place).unwrap_or_default().trim_end(), style);
    }
    let last = usize::from(area.height).saturating_sub(1);
    put(buffer, shifted(line_of(area, last), room), &unread, style::UNREAD);
}

/// Writes a text into the first line of an area, as far as it fits.
fn put(buffer: &mut Buffer, area: Rect, text: &str, style: Style) {
    let area = area.intersection(buffer.area);
    if area.area() > 0 {
        buffer.set_stringn(area.x, area.y, text, usize::from(area.width), style);
    }
}

/// The same, with places that were searched for.
fn put_marked(buffer: &mut Buffer, area: Rect, (text, found): (&str, &[Range<usize>]), plain: Style) {
    put(buffer, area, text, plain);
    for place in found {
        let (before, marked) = (text.get(..place.start), text.get(place.clone()));
        let area = shifted(area, before.map_or(0, columns));
        put(buffer, area, marked.unwrap_or_default(), plain.patch(style::FOUND));
    }
}

/// The area without its first columns.
fn shifted(area: Rect, by: usize) -> Rect {
    let by = u16::try_from(by).unwrap_or(u16::MAX).min(area.width);
    Rect { x: area.x.saturating_add(by), width: area.width.saturating_sub(by), ..area }
}

/// One line of an area.
fn line_of(area: Rect, line: usize) -> Rect {
    let line = u16::try_from(line).unwrap_or(u16::MAX);
    let y = area.y.saturating_add(line);
    Rect { y, height: u16::from(line < area.height), ..area }
}

/// Covers everything with a framed box of a title, and returns the area inside.
fn frame_over(buffer: &mut Buffer, title: &str) -> Rect {
    let area = buffer.area;
    Clear.render(area, buffer);
    let block = Block::bordered().title(cut(title, usize::from(area.width.saturating_sub(2))));
    let inside = block.inner(area);
    block.render(area, buffer);
    inside
}

/// The place so many columns and lines into an area.
fn place_in(area: Rect, column: usize, line: usize) -> Position {
    let small = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
    let x = small(column).min(area.width.saturating_sub(1));
    let y = small(line).min(area.height.saturating_sub(1));
    Position::new(area.x.saturating_add(x), area.y.saturating_add(y))
}
