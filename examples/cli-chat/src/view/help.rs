//! The help.

use ratatui::buffer::Buffer;
use ratatui::layout::Position;

use super::{frame_over, line_of, put, shifted, style};
use crate::help::{about_width, lines};

pub(super) fn draw(buffer: &mut Buffer, above: usize) -> Option<Position> {
    let area = frame_over(buffer, " Help: Esc closes it, Down scrolls ");
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    for (place, line) in lines(width).iter().skip(above).take(height).enumerate() {
        let area = line_of(area, place);
        put(buffer, area, &line.about, style::BOLD);
        put(buffer, shifted(area, about_width(width)), &line.text, style::PLAIN);
    }
    None
}
