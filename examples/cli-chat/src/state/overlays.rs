//! What keys and mouse do in the help, the search and the comparison of a safety number.

use super::{Overlay, Safety, Search, Sheet, State};
use crate::editor::Editor;
use crate::help;
use crate::input::Input;
use crate::layout::Pane;
use crate::news::Request;

/// The lines of a result of the search.
pub(crate) const RESULT_LINES: u16 = 2;
/// The lines above the results: the border, and the words.
pub(crate) const ABOVE_RESULTS: u16 = 3;

impl State {
    /// An overlay that is not put back is closed.
    pub(super) fn in_overlay(&mut self, overlay: Overlay, input: Input, requests: &mut Vec<Request>) {
        match (overlay, input) {
            (_, Input::Escape | Input::EndOrDelete) => {}
            // What is typed over something to read is meant as a text.
            (Overlay::Help(_) | Overlay::Sheet(_), input @ Input::Insert(_)) => {
                self.in_panes(input, requests)
            }
            (Overlay::Help(above), input) => self.in_help(above, input),
            (Overlay::Search(search), input) => self.in_search(search, input, requests),
            (Overlay::Safety(safety), input) => self.in_safety(safety, input, requests),
            (Overlay::Sheet(sheet), input) => self.in_sheet(sheet, &input),
        }
    }

    fn in_help(&mut self, above: usize, input: Input) {
        let above = match input {
            Input::Up | Input::WheelUp(..) => above.saturating_sub(1),
            Input::Down | Input::WheelDown(..) => above.saturating_add(1),
            Input::PageUp => above.saturating_sub(usize::from(self.size.1)),
            Input::PageDown => above.saturating_add(usize::from(self.size.1)),
            // The second question mark is meant as a text.
            Input::QuestionMark => {
                self.editor.insert("?");
                return;
            }
            _ => return,
        };
        // The border takes two lines and two columns.
        let inside = |size: u16| usize::from(size.saturating_sub(2));
        let most = help::lines(inside(self.size.0)).len().saturating_sub(inside(self.size.1));
        self.overlay = Some(Overlay::Help(above.min(most)));
    }

    /// A key that does not scroll closes it.
    fn in_sheet(&mut self, mut sheet: Sheet, input: &Input) {
        let inside = |size: u16| usize::from(size.saturating_sub(2));
        let (width, height) = (inside(self.size.0), inside(self.size.1));
        let by = match input {
            Input::Up | Input::WheelUp(..) => -1,
            Input::Down | Input::WheelDown(..) => 1,
            Input::PageUp => isize::try_from(height).unwrap_or(1).saturating_neg(),
            Input::PageDown => isize::try_from(height).unwrap_or(1),
            _ => return,
        };
        sheet.scroll(by, width, height);
        self.overlay = Some(Overlay::Sheet(sheet));
    }

    fn in_search(&mut self, mut search: Search, input: Input, requests: &mut Vec<Request>) {
        match input {
            Input::Up | Input::WheelUp(..) => search.step(-1),
            Input::Down | Input::WheelDown(..) => search.step(1),
            Input::PageUp => search.step(-10),
            Input::PageDown => search.step(10),
            Input::Enter => {
                if let Some(found) = search.result() {
                    let (thread, message) = (found.thread, found.message);
                    self.pane = Pane::Conversation;
                    self.turn_to(thread, requests);
                    requests.push(Request::OpenFound { thread, message });
                    return;
                }
            }
            Input::Click(_, y) => {
                let shown = usize::from(self.results_shown());
                let line = y.checked_sub(ABOVE_RESULTS).and_then(|line| line.checked_div(RESULT_LINES));
                let place = line.map(|line| search.first_visible(shown).saturating_add(usize::from(line)));
                if place.is_some_and(|place| search.choose(place)) {
                    self.in_search(search, Input::Enter, requests);
                    return;
                }
            }
            other => {
                edit(&mut search.words, other);
                requests.extend(search.due());
            }
        }
        self.overlay = Some(Overlay::Search(search));
    }

    /// The number of results that fit on the screen.
    pub(crate) fn results_shown(&self) -> u16 {
        let height = self.size.1.saturating_sub(ABOVE_RESULTS).saturating_sub(2);
        height.checked_div(RESULT_LINES).unwrap_or_default().max(1)
    }

    fn in_safety(&mut self, mut safety: Safety, input: Input, requests: &mut Vec<Request>) {
        if input == Input::Enter {
            // Nothing is left to answer once the numbers were the same.
            if safety.are_equal == Some(true) {
                return;
            }
            let thread = safety.thread;
            requests.extend(safety.digits().map(|digits| Request::Verify { thread, digits }));
        } else {
            edit(&mut safety.answer, input);
        }
        self.overlay = Some(Overlay::Safety(safety));
    }
}

/// Changes a text; everything else has no effect.
pub(super) fn edit(editor: &mut Editor, input: Input) {
    match input {
        Input::Insert(text) => editor.insert(&text),
        Input::QuestionMark => editor.insert("?"),
        Input::NewLine => editor.insert("\n"),
        Input::Backspace => editor.backspace(),
        Input::Delete => editor.delete(),
        Input::DeleteWord => editor.delete_word(),
        Input::DeleteToStart => editor.delete_to_start(),
        Input::DeleteToEnd => editor.delete_to_end(),
        Input::Left => editor.left(),
        Input::Right => editor.right(),
        Input::WordLeft => editor.word_left(),
        Input::WordRight => editor.word_right(),
        Input::Home => editor.home(),
        Input::End => editor.end(),
        _ => {}
    }
}
