//! The text that is being written. The cursor moves by characters as a person sees them (UAX #29).

use unicode_segmentation::UnicodeSegmentation as _;

/// A text of one or several lines, with a cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Editor {
    text: String,
    /// In bytes, always between two characters.
    cursor: usize,
}

impl Editor {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn cursor(&self) -> usize {
        self.cursor
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Replaces the text; the cursor goes to its end.
    pub(crate) fn set(&mut self, text: &str) {
        text.clone_into(&mut self.text);
        self.cursor = self.text.len();
    }

    /// Returns the text, and starts anew.
    pub(crate) fn take(&mut self) -> String {
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    /// Inserts what was typed or pasted. Line breaks become `\n`; other control characters are left out.
    pub(crate) fn insert(&mut self, what: &str) {
        let what = what.replace("\r\n", "\n").replace('\r', "\n");
        let what: String = what.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
        self.text.insert_str(self.cursor, &what);
        self.go(self.cursor.saturating_add(what.len()));
    }

    pub(crate) fn backspace(&mut self) {
        self.remove_from(self.before());
    }

    pub(crate) fn delete(&mut self) {
        let end = self.after();
        self.remove_to(end);
    }

    pub(crate) fn delete_word(&mut self) {
        self.remove_from(self.word_before());
    }

    pub(crate) fn delete_to_start(&mut self) {
        self.remove_from(self.line_start());
    }

    pub(crate) fn delete_to_end(&mut self) {
        let end = self.line_end();
        self.remove_to(end);
    }

    pub(crate) fn left(&mut self) {
        self.cursor = self.before();
    }

    pub(crate) fn right(&mut self) {
        self.cursor = self.after();
    }

    pub(crate) fn word_left(&mut self) {
        self.cursor = self.word_before();
    }

    pub(crate) fn word_right(&mut self) {
        let words = self.tail().split_word_bound_indices();
        let end =
            words.filter(|(_, word)| is_word(word)).map(|(at, word)| at.saturating_add(word.len())).next();
        self.cursor = end.map_or(self.text.len(), |end| self.cursor.saturating_add(end));
    }

    pub(crate) fn home(&mut self) {
        self.cursor = self.line_start();
    }

    pub(crate) fn end(&mut self) {
        self.cursor = self.line_end();
    }

    /// Goes to the line above; returns false in the first line.
    pub(crate) fn up(&mut self) -> bool {
        let (start, column) = (self.line_start(), self.column());
        let Some(end) = start.checked_sub(1) else { return false };
        self.cursor = end;
        let above = self.line_start();
        self.cursor = self.place_in(above, end, column);
        true
    }

    /// Goes to the line below; returns false in the last line.
    pub(crate) fn down(&mut self) -> bool {
        let (end, column) = (self.line_end(), self.column());
        if end == self.text.len() {
            return false;
        }
        let below = end.saturating_add(1);
        self.cursor = below;
        self.cursor = self.place_in(below, self.line_end(), column);
        true
    }

    /// The number of characters between the start of the line and the cursor.
    fn column(&self) -> usize {
        self.text.get(self.line_start()..self.cursor).unwrap_or_default().graphemes(true).count()
    }

    /// The place after so many characters of a line.
    fn place_in(&self, start: usize, end: usize, column: usize) -> usize {
        let line = self.text.get(start..end).unwrap_or_default();
        line.grapheme_indices(true).nth(column).map_or(end, |(at, _)| start.saturating_add(at))
    }

    fn head(&self) -> &str {
        self.text.get(..self.cursor).unwrap_or_default()
    }

    fn tail(&self) -> &str {
        self.text.get(self.cursor..).unwrap_or_default()
    }

    fn before(&self) -> usize {
        self.head().grapheme_indices(true).next_back().map_or(0, |(at, _)| at)
    }

    fn after(&self) -> usize {
        let next = self.tail().graphemes(true).next().map_or(0, str::len);
        self.cursor.saturating_add(next)
    }

    fn word_before(&self) -> usize {
        let mut words = self.head().split_word_bound_indices().rev();
        words.find(|(_, word)| is_word(word)).map_or(0, |(at, _)| at)
    }

    fn line_start(&self) -> usize {
        self.head().rfind('\n').map_or(0, |at| at.saturating_add(1))
    }

    fn line_end(&self) -> usize {
        self.tail().find('\n').map_or(self.text.len(), |at| self.cursor.saturating_add(at))
    }

    fn remove_from(&mut self, start: usize) {
        self.text.replace_range(start..self.cursor, "");
        self.go(start);
    }

    fn remove_to(&mut self, end: usize) {
        self.text.replace_range(self.cursor..end, "");
        self.go(self.cursor);
    }

    /// Goes to a place, or to the end of the character that it is inside of: what was inserted or removed may have joined
    /// with its neighbours.
    fn go(&mut self, place: usize) {
        let mut ends =
            self.text.grapheme_indices(true).map(|(at, character)| at.saturating_add(character.len()));
        self.cursor = if place == 0 { 0 } else { ends.find(|end| *end >= place).unwrap_or(self.text.len()) };
    }
}

fn is_word(word: &str) -> bool {
    !word.chars().all(char::is_whitespace)
}

/// What was written before, to be written again.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    lines: Vec<String>,
    /// The line that is shown, counted from the newest, and what was being written before that.
    shown: Option<(usize, String)>,
}

/// How many lines are remembered.
const REMEMBERED: usize = 200;

impl History {
    pub(crate) fn remember(&mut self, line: &str) {
        self.shown = None;
        if self.lines.last().is_some_and(|last| last == line) {
            return;
        }
        if self.lines.len() >= REMEMBERED {
            self.lines.remove(0);
        }
        self.lines.push(line.to_owned());
    }

    /// Shows the line before.
    pub(crate) fn back(&mut self, editor: &mut Editor) {
        let next = self.shown.as_ref().map_or(0, |(shown, _)| shown.saturating_add(1));
        if let Some(line) = self.lines.iter().rev().nth(next) {
            let draft = self.shown.take().map_or_else(|| editor.text().to_owned(), |(_, draft)| draft);
            editor.set(line);
            self.shown = Some((next, draft));
        }
    }

    /// Shows the line after, and at last what was being written.
    pub(crate) fn forth(&mut self, editor: &mut Editor) {
        let Some((shown, draft)) = self.shown.take() else { return };
        match shown.checked_sub(1) {
            Some(next) => {
                editor.set(self.lines.iter().rev().nth(next).map_or("", String::as_str));
                self.shown = Some((next, draft));
            }
            None => editor.set(&draft),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with(text: &str) -> Editor {
        let mut editor = Editor::default();
        editor.insert(text);
        editor
    }

    #[test]
    fn a_character_of_several_code_points_is_removed_as_a_whole() {
        let mut editor = with("x👨‍👩‍👧e\u{301}");
        editor.backspace();
        assert_eq!(editor.text(), "x👨‍👩‍👧");
        editor.backspace();
        assert_eq!(editor.text(), "x");
    }

    #[test]
    fn a_mark_joins_the_character_before_it() {
        let mut editor = with("e\u{301}");
        editor.left();
        assert_eq!(editor.cursor(), 0);
        editor.insert("a");
        editor.right();
        editor.insert("!");
        assert_eq!(editor.text(), "ae\u{301}!");
        let mut editor = with("\u{301}");
        editor.home();
        editor.insert("e");
        // The cursor is behind the character that both now form.
        assert_eq!(editor.cursor(), editor.text().len());
    }

    #[test]
    fn words_and_lines_are_units() {
        let mut editor = with("one two\nthree four");
        editor.delete_word();
        assert_eq!(editor.text(), "one two\nthree ");
        editor.home();
        editor.delete_to_end();
        assert_eq!(editor.text(), "one two\n");
        assert!(editor.up());
        editor.word_right();
        editor.insert("!");
        assert_eq!(editor.text(), "one! two\n");
        assert!(!editor.up());
        assert!(editor.down());
        assert!(!editor.down());
    }

    #[test]
    fn pasted_lines_are_kept_and_control_characters_are_not() {
        assert_eq!(with("a\r\nb\rc\u{1b}[31m").text(), "a\nb\nc[31m");
    }

    #[test]
    fn the_history_ends_with_what_was_being_written() {
        let (mut history, mut editor) = (History::default(), with("draft"));
        history.remember("first");
        history.remember("second");
        history.remember("second");
        for expected in ["second", "first", "first"] {
            history.back(&mut editor);
            assert_eq!(editor.text(), expected);
        }
        for expected in ["second", "draft", "draft"] {
            history.forth(&mut editor);
            assert_eq!(editor.text(), expected);
        }
    }

    proptest! {
        /// Any sequence of edits keeps the cursor between two characters.
        #[test]
        fn the_cursor_is_always_between_characters(
            steps in proptest::collection::vec((0_u8..13, "[ae \n👨\u{200d}🇩🇪\u{301}日ש]{0,3}"), 0..60),
        ) {
            let mut editor = Editor::default();
            for (step, text) in steps {
                match step {
                    0 => editor.backspace(),
                    1 => editor.delete(),
                    2 => editor.left(),
                    3 => editor.right(),
                    4 => editor.word_left(),
                    5 => editor.word_right(),
                    6 => editor.home(),
                    7 => editor.end(),
                    8 => drop(editor.up()),
                    9 => drop(editor.down()),
                    10 => editor.delete_word(),
                    11 => editor.delete_to_end(),
                    _ => editor.insert(&text),
                }
                let mut places = editor.text().grapheme_indices(true).map(|(at, _)| at);
                let is_between = editor.cursor() == editor.text().len() || places.any(|at| at == editor.cursor());
                prop_assert!(is_between, "{} in {:?}", editor.cursor(), editor.text());
            }
        }
    }
}
