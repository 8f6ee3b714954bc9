//! Which part of the terminal shows what. The mouse and the drawing use the same division.

use ratatui::layout::Rect;

/// Terminals with fewer columns show either the list or the conversation.
const TWO_PANES: u16 = 60;
const WIDEST_LIST: u16 = 34;
/// The most lines of the text that is being written.
const MOST_INPUT: u16 = 8;
/// The lines of a chat in the list.
pub(crate) const CHAT_LINES: u16 = 2;
/// The most lines of the status.
const MOST_STATUS: u16 = 5;
/// The most lines of calls.
const MOST_CALLS: u16 = 6;
/// In front of the text that is being written.
pub(crate) const PROMPT: &str = "> ";

/// The side that the keys act on, and the one that a narrow terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pane {
    Chats,
    Conversation,
}

/// The parts of the terminal; those that are not shown are empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) list_title: Rect,
    pub(crate) list: Rect,
    /// Between the list and the conversation.
    pub(crate) border: Rect,
    pub(crate) title: Rect,
    pub(crate) messages: Rect,
    pub(crate) input: Rect,
    pub(crate) calls: Rect,
    pub(crate) status: Rect,
}

/// The lines that the texts below the panes take.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Heights {
    pub(crate) input: u16,
    pub(crate) calls: u16,
    pub(crate) status: u16,
}

impl Layout {
    /// Divides a terminal.
    pub(crate) fn new((width, height): (u16, u16), pane: Pane, heights: Heights) -> Self {
        let quarter = height.checked_div(4).unwrap_or_default();
        let status_lines = heights.status.clamp(1, MOST_STATUS.min(quarter).max(1)).min(height);
        let above_status = height.saturating_sub(status_lines);
        // In the lowest terminals, a line for what is written and one for messages remain.
        let most_calls = MOST_CALLS.min(quarter.max(1)).min(above_status.saturating_sub(2));
        let calls_lines = heights.calls.min(most_calls);
        let above_calls = above_status.saturating_sub(calls_lines);
        let most_input = MOST_INPUT.min(above_calls.saturating_sub(2).max(1));
        let input_lines = heights.input.clamp(1, most_input).min(above_calls);
        let body = above_calls.saturating_sub(input_lines);
        let is_wide = width >= TWO_PANES;
        let list = if is_wide {
            (width / 3).min(WIDEST_LIST)
        } else if pane == Pane::Chats {
            width
        } else {
            0
        };
        let border = u16::from(is_wide);
        let left = list.saturating_add(border);
        let right = width.saturating_sub(left);
        let column = |x: u16, width: u16, height: u16| {
            let title = Rect::new(x, 0, width, height.min(1));
            (title, Rect::new(x, title.height, width, height.saturating_sub(title.height)))
        };
        let (list_title, list_area) = column(0, list, if is_wide { above_calls } else { body });
        let (title, messages) = column(left, right, body);
        let (input_x, input_width) = if right == 0 { (0, width) } else { (left, right) };
        Self {
            list_title,
            list: list_area,
            border: Rect::new(list, 0, border, above_calls),
            title,
            messages,
            input: Rect::new(input_x, body, input_width, input_lines),
            calls: Rect::new(0, above_calls, width, calls_lines),
            status: Rect::new(0, above_status, width, status_lines),
        }
    }

    /// The columns of the text that is being written, for a terminal that is so wide.
    pub(crate) fn input_columns(size: (u16, u16), pane: Pane) -> usize {
        let width = Self::new(size, pane, Heights::default()).input.width;
        usize::from(width).saturating_sub(PROMPT.len()).max(2)
    }

    /// The number of chats that the list shows.
    pub(crate) fn chats_shown(&self) -> usize {
        usize::from(self.list.height.checked_div(CHAT_LINES).unwrap_or_default()).max(1)
    }
}

/// Whether a place is inside of an area.
pub(crate) fn is_in(area: Rect, (x, y): (u16, u16)) -> bool {
    (area.left()..area.right()).contains(&x) && (area.top()..area.bottom()).contains(&y)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_wide_terminal_has_two_panes_and_a_narrow_one_has_one() {
        let wide = Layout::new((80, 24), Pane::Conversation, Heights::default());
        assert_eq!((wide.list, wide.messages), (Rect::new(0, 1, 26, 22), Rect::new(27, 1, 53, 21)));
        let narrow = Layout::new((30, 10), Pane::Conversation, Heights::default());
        assert_eq!((narrow.list.width, narrow.messages), (0, Rect::new(0, 1, 30, 7)));
        let list = Layout::new((30, 10), Pane::Chats, Heights::default());
        assert_eq!((list.list, list.messages.width), (Rect::new(0, 1, 30, 7), 0));
        assert_eq!(list.input, Rect::new(0, 8, 30, 1));
    }

    proptest! {
        #[test]
        fn the_parts_cover_the_terminal_without_overlap(
            width in 1_u16..200, height in 1_u16..80, is_list in any::<bool>(), (input, calls, lines) in (0_u16..30, 0_u16..9, 0_u16..9),
        ) {
            let pane = if is_list { Pane::Chats } else { Pane::Conversation };
            let heights = Heights { input, calls, status: lines };
            let Layout { list_title, list, border, title, messages, input, calls, status } =
                Layout::new((width, height), pane, heights);
            let parts = [list_title, list, border, title, messages, input, calls, status];
            let area: u32 = parts.iter().map(|part| part.area()).sum();
            prop_assert_eq!(area, u32::from(width) * u32::from(height));
            let whole = Rect::new(0, 0, width, height);
            for (index, part) in parts.iter().enumerate() {
                prop_assert_eq!(part.intersection(whole), *part);
                for other in &parts[index + 1..] {
                    prop_assert!(!part.intersects(*other), "{part:?} {other:?}");
                }
            }
        }
    }
}
