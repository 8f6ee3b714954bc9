//! The calls: one below the other, above the status.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{line_of, put, style};
use crate::news::CallStage;
use crate::state::State;
use crate::wrap::wrap;

pub(super) fn draw(buffer: &mut Buffer, state: &State, area: Rect) {
    let mut line = 0_usize;
    for call in state.call_lines() {
        let style = match call.stage {
            CallStage::Ringing { .. } => style::NOTE,
            CallStage::Calling | CallStage::Answered => style::GOOD,
            CallStage::Ended(_) | CallStage::EndedByUs(_) => style::DIM,
        };
        for place in wrap(&call.text, usize::from(area.width)) {
            let text = call.text.get(place).unwrap_or_default().trim_end();
            put(buffer, line_of(area, line), text, style);
            line = line.saturating_add(1);
        }
    }
}
