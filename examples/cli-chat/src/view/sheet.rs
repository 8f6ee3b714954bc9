//! The details of a message, what is pinned, profiles.

use ratatui::buffer::Buffer;
use ratatui::layout::Position;

use super::{frame_over, line_of, put, style};
use crate::state::Sheet;

pub(super) fn draw(buffer: &mut Buffer, sheet: &Sheet) -> Option<Position> {
    let area = frame_over(buffer, &format!(" {}: Esc closes this ", sheet.title));
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    for (place, line) in sheet.visible(width, height).enumerate() {
        put(buffer, line_of(area, place), line, style::PLAIN);
    }
    None
}
