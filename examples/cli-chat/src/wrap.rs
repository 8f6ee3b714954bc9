//! Breaking text into lines of a given width, measured as the terminal draws it.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr;

/// The number of columns that a text takes.
pub(crate) fn columns(text: &str) -> usize {
    text.graphemes(true).map(UnicodeWidthStr::width).fold(0, usize::saturating_add)
}

/// The beginning of a text that fits into this many columns, with an ellipsis if something was cut off.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let (mut kept, mut used) = (String::new(), 0_usize);
    for character in text.graphemes(true) {
        used = used.saturating_add(character.width());
        if used >= width {
            break;
        }
        kept.push_str(character);
    }
    if width > 0 {
        kept.push('…');
    }
    kept
}

/// The places of the lines in the text, in bytes. A line is broken after white space or between wide characters, or in the
/// middle of a word that is longer than a line. White space at the end of a line may exceed the width.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<Range<usize>> {
    // The widest characters must fit.
    let width = width.max(2);
    let mut lines = Vec::new();
    let mut start = 0_usize;
    for line in text.split('\n') {
        wrap_line(line, start, width, &mut lines);
        start = start.saturating_add(line.len()).saturating_add(1);
    }
    lines
}

fn wrap_line(line: &str, offset: usize, width: usize, lines: &mut Vec<Range<usize>>) {
    let place = |start: usize, end: usize| offset.saturating_add(start)..offset.saturating_add(end);
    let (mut start, mut used) = (0, 0_usize);
    // Where the line may be broken, and the columns before that.
    let mut chance: Option<(usize, usize)> = None;
    for (at, character) in line.grapheme_indices(true) {
        let wide = character.width();
        let is_space = character.chars().all(|c| c.is_whitespace() && c != '\u{a0}');
        while !is_space && used > 0 && used.saturating_add(wide) > width {
            let (end, before) = chance.take().unwrap_or((at, used));
            lines.push(place(start, end));
            (start, used) = (end, used.saturating_sub(before));
        }
        used = used.saturating_add(wide);
        if is_space || wide > 1 {
            chance = Some((at.saturating_add(character.len()), used));
        }
    }
    lines.push(place(start, line.len()));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wrapped(text: &str, width: usize) -> Vec<&str> {
        wrap(text, width).into_iter().map(|place| &text[place]).collect()
    }

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped("one two three", 8), ["one two ", "three"]);
        assert_eq!(wrapped("a\n\nb", 8), ["a", "", "b"]);
        assert_eq!(wrapped("", 8), [""]);
    }

    #[test]
    fn a_long_word_is_broken_where_the_line_ends() {
        assert_eq!(wrapped("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrapped("x abcdefgh", 4), ["x ", "abcd", "efgh"]);
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(wrapped("日本語です", 5), ["日本", "語で", "す"]);
        assert_eq!(columns("日本語"), 6);
        assert_eq!(wrapped("👨‍👩‍👧👨‍👩‍👧", 3), ["👨‍👩‍👧", "👨‍👩‍👧"]);
    }

    #[test]
    fn combining_marks_take_no_column() {
        assert_eq!(columns("e\u{301}e\u{301}"), 2);
        assert_eq!(wrapped("e\u{301}e\u{301}e\u{301}", 2), ["e\u{301}e\u{301}", "e\u{301}"]);
    }

    #[test]
    fn a_text_that_is_cut_ends_with_an_ellipsis() {
        assert_eq!(cut("hello", 5), "hello");
        assert_eq!(cut("hello", 4), "hel…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("hello", 0), "");
    }

    proptest! {
        #[test]
        fn every_line_fits_and_nothing_is_lost(text in "[a-z \n日本😀e\u{301}שע]{0,60}", width in 2_usize..12) {
            let places = wrap(&text, width);
            let mut end = 0;
            for place in places {
                let between = &text[end..place.start];
                prop_assert!(between.is_empty() || between == "\n", "{between:?}");
                let line = &text[place.clone()];
                prop_assert!(columns(line.trim_end()) <= width, "{line:?}");
                end = place.end;
            }
            prop_assert_eq!(end, text.len());
        }

        #[test]
        fn a_cut_text_fits(text in any::<String>(), width in 0_usize..20) {
            prop_assert!(columns(&cut(&text, width)) <= width);
        }
    }
}
