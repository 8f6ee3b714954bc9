//! The text that is being written.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::{line_of, place_in, put, shifted, style};
use crate::editor::Editor;
use crate::layout::{Layout, PROMPT};
use crate::state::State;
use crate::text::Shown;
use crate::wrap::{columns, wrap};

/// Draws the text and returns the place of the cursor.
pub(super) fn draw(buffer: &mut Buffer, state: &State, area: Rect) -> Option<Position> {
    let size = (buffer.area.width, buffer.area.height);
    put(buffer, area, PROMPT, style::BOLD);
    draw_editor(
        buffer,
        state.editor(),
        shifted(area, PROMPT.len()),
        Layout::input_columns(size, state.pane()),
    )
}

/// Draws as many lines of a text as fit, with the one that has the cursor, and returns its place.
pub(super) fn draw_editor(
    buffer: &mut Buffer,
    editor: &Editor,
    area: Rect,
    width: usize,
) -> Option<Position> {
    let text = editor.text();
    let places = wrap(text, width);
    // At the end of a line that was broken, the cursor is at the start of the next one.
    let at = places.iter().rposition(|place| place.start <= editor.cursor()).unwrap_or_default();
    let height = usize::from(area.height);
    let first = at.saturating_add(1).saturating_sub(height);
    for (line, place) in places.iter().skip(first).take(height).enumerate() {
        // What is typed may contain such characters, too, if it was pasted.
        let shown = Shown::lines(text.get(place.clone()).unwrap_or_default());
        put(buffer, line_of(area, line), shown.as_str(), style::PLAIN);
    }
    let before = text.get(places.get(at)?.start..editor.cursor())?;
    (area.area() > 0).then(|| place_in(area, columns(before), at.saturating_sub(first)))
}
