//! The comparison of a safety number.

use ratatui::buffer::Buffer;
use ratatui::layout::Position;
use ratatui::style::Style;

use super::writing::draw_editor;
use super::{frame_over, line_of, put, shifted, style};
use crate::layout::PROMPT;
use crate::state::Safety;
use crate::wrap::wrap;

/// The most groups of digits in a line: as many as are written on paper.
const IN_A_LINE: usize = 4;
/// The columns of a group with the space after it.
const GROUP: usize = 6;

pub(super) fn draw(buffer: &mut Buffer, safety: &Safety) -> Option<Position> {
    let area = frame_over(buffer, " Safety number ");
    let width = usize::from(area.width);
    let mut line = 0_usize;
    let mut write = |buffer: &mut Buffer, text: &str, style: Style| {
        for place in wrap(text, width) {
            put(buffer, line_of(area, line), text.get(place).unwrap_or_default(), style);
            line = line.saturating_add(1);
        }
    };
    let Some(groups) = &safety.groups else {
        write(buffer, "There is no safety number before the first message. Esc closes this.", style::PLAIN);
        return None;
    };
    let fitting = width.saturating_add(1).checked_div(GROUP).unwrap_or_default();
    let indent = if fitting > IN_A_LINE { "  " } else { "" };
    for groups in groups.chunks(fitting.clamp(1, IN_A_LINE)) {
        write(buffer, &format!("{indent}{}", groups.join(" ")), style::BOLD);
    }
    match safety.are_equal {
        Some(true) => {
            write(buffer, "The numbers are the same: verified. Enter closes this.", style::GOOD);
            return None;
        }
        Some(false) => {
            write(buffer, "These digits are NOT the number above. Compare again.", style::BAD);
        }
        None => {}
    }
    let ask = "Compare this number with the one that the other person sees, over another channel. Type \
               the other person's digits, or yes if they are the same, and press Enter. Esc closes this.";
    // Above the explanation, which a low terminal cuts off.
    let at = line_of(area, line);
    put(buffer, at, PROMPT, style::BOLD);
    let field = shifted(at, PROMPT.len());
    line = line.saturating_add(1);
    for place in wrap(ask, width) {
        put(buffer, line_of(area, line), ask.get(place).unwrap_or_default(), style::PLAIN);
        line = line.saturating_add(1);
    }
    draw_editor(buffer, &safety.answer, field, usize::from(field.width).max(2))
}
