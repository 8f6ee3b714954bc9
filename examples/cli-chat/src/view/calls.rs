//! The calls: one below the other, above the status.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{line_of, put, style};
use crate::news::CallStage;
use crate::state::State;
use crate::wrap::wrap;

pub(super) fn draw(buffer: &mut Buffer, state: &State, area: Rect) {
    let mut drawn = Vec::new();
    for call in state.call_lines() {
        let style = match call.stage {
            CallStage::Ringing { .. } => style::NOTE,
            CallStage::Calling | CallStage::Answered => style::GOOD,
            CallStage::Ended(_) | CallStage::EndedByUs(_) => style::DIM,
        };
        for place in wrap(&call.text, usize::from(area.width)) {
            drawn.push((call.text.get(place).unwrap_or_default().trim_end().to_owned(), style));
        }
    }
    // The last ones matter most.
    let surplus = drawn.len().saturating_sub(usize::from(area.height));
    for (line, (text, style)) in drawn.iter().skip(surplus).enumerate() {
        put(buffer, line_of(area, line), text, *style);
    }
}
