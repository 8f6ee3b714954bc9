//! The comparison of a safety number.

use sealpost_core::ThreadId;

use crate::editor::Editor;

/// The groups of five digits in which people compare a number.
pub(crate) fn groups(number: &str) -> Vec<String> {
    let digits: Vec<char> = number.chars().filter(char::is_ascii_digit).collect();
    digits.chunks(5).map(|group| group.iter().collect()).collect()
}

/// An open comparison.
#[derive(Debug)]
pub(crate) struct Safety {
    pub(crate) thread: ThreadId,
    /// In groups of five digits; none before the first message.
    pub(crate) groups: Option<Vec<String>>,
    /// What the person enters: the other person's digits, or `yes`.
    pub(crate) answer: Editor,
    /// Whether the last answer was the number.
    pub(crate) are_equal: Option<bool>,
}

impl Safety {
    pub(super) fn new(thread: ThreadId, number: Option<&str>) -> Self {
        Self { thread, groups: number.map(groups), answer: Editor::default(), are_equal: None }
    }

    /// The digits to compare, if the answer is one: those that were entered, or the shown ones after a `yes`.
    pub(super) fn digits(&mut self) -> Option<String> {
        let answer = self.answer.take();
        match answer.trim() {
            "" => None,
            yes if yes.eq_ignore_ascii_case("yes") => self.groups.as_ref().map(|groups| groups.join(" ")),
            digits => Some(digits.to_owned()),
        }
    }
}
