//! Where the words of a query are in a text, so that an app can mark them.
//!
//! Texts are compared in their folded form, in which characters can have another length. The text is therefore folded piece by
//! piece: a piece is a character with everything that folding can join to it. A mark covers whole pieces, and so it never begins or
//! ends inside a character, or between a letter and its accent.

use std::ops::Range;

use super::text::{Class, Part, Query, class, fold, is_dropped};
use crate::message::FoundRange;

/// The number of marks in one text.
const MAX_MARKS: usize = 100;

/// A word or run of a text, with the piece that each of its characters comes from.
struct Located {
    part: Part,
    pieces: Vec<usize>,
}

impl Query {
    /// The places of the words of the query in a text that matches, in order and without overlaps; at most [`MAX_MARKS`].
    pub(super) fn marks(&self, text: &str) -> Vec<FoundRange> {
        let pieces = pieces(text);
        let mut found: Vec<_> = located(text, &pieces).iter().flat_map(|part| self.marks_in(part)).collect();
        found.sort_unstable_by_key(|marked| (marked.start, marked.end));
        let mut merged: Vec<Range<usize>> = Vec::new();
        for marked in found {
            match merged.last_mut() {
                Some(last) if marked.start < last.end => last.end = last.end.max(marked.end),
                _ => merged.push(marked),
            }
        }
        merged.truncate(MAX_MARKS);
        in_text(text, &pieces, &merged)
    }

    /// How many words of the query a text contains as whole words, not only as the beginning of one.
    pub(super) fn whole_words(&self, text: &str) -> usize {
        let pieces = pieces(text);
        let found = located(text, &pieces);
        self.parts().iter().filter(|wanted| found.iter().any(|part| part.part == **wanted)).count()
    }

    /// The pieces that are marked in a word or run.
    fn marks_in(&self, located: &Located) -> Vec<Range<usize>> {
        let range = |first: usize, chars: usize| {
            let last = first.checked_add(chars)?.checked_sub(1)?;
            Some(*located.pieces.get(first)?..located.pieces.get(last)?.checked_add(1)?)
        };
        let mut marks = Vec::new();
        for wanted in self.parts() {
            match (wanted, &located.part) {
                (Part::Word(beginning), Part::Word(word)) if word.starts_with(beginning) => {
                    marks.extend(range(0, beginning.chars().count()));
                }
                (Part::Run(piece), Part::Run(run)) => {
                    let places = run.match_indices(piece.as_str()).map(|(at, _)| at);
                    let firsts = places.filter_map(|at| Some(run.get(..at)?.chars().count()));
                    marks.extend(firsts.filter_map(|first| range(first, piece.chars().count())));
                }
                _ => {}
            }
        }
        marks
    }
}

/// The pieces of a text, as ranges of bytes.
fn pieces(text: &str) -> Vec<Range<usize>> {
    let mut pieces: Vec<Range<usize>> = Vec::new();
    for (at, c) in text.char_indices() {
        let end = at.saturating_add(c.len_utf8());
        match pieces.last_mut() {
            Some(last) if joins(c) => last.end = end,
            _ => pieces.push(at..end),
        }
    }
    pieces
}

/// Whether folding can join a character to the one before it.
fn joins(c: char) -> bool {
    // Vowels and final consonants of Hangul; the voicing marks of narrow kana.
    class(c) == Class::Mark || is_dropped(c) || matches!(c, '\u{1160}'..='\u{11ff}' | '\u{ff9e}' | '\u{ff9f}')
}

/// The words and runs of a text, like those in the index.
fn located(text: &str, pieces: &[Range<usize>]) -> Vec<Located> {
    let mut parts: Vec<Located> = Vec::new();
    let mut is_open = false;
    for (number, piece) in pieces.iter().enumerate() {
        for c in fold(text.get(piece.clone()).unwrap_or_default()).chars() {
            let class = class(c);
            match (class, parts.last_mut().filter(|_| is_open)) {
                (Class::Separator, _) => is_open = false,
                (Class::Word | Class::Mark, Some(Located { part: Part::Word(text), pieces }))
                | (Class::Unspaced | Class::Mark, Some(Located { part: Part::Run(text), pieces })) => {
                    text.push(c);
                    pieces.push(number);
                }
                _ => {
                    let part =
                        if class == Class::Unspaced { Part::Run(c.into()) } else { Part::Word(c.into()) };
                    parts.push(Located { part, pieces: vec![number] });
                    is_open = true;
                }
            }
        }
    }
    parts
}

/// Marked pieces as ranges of the text. The marks are in order.
fn in_text(text: &str, pieces: &[Range<usize>], marked: &[Range<usize>]) -> Vec<FoundRange> {
    let (mut ranges, mut utf16, mut at) = (Vec::new(), 0_usize, 0_usize);
    let mut utf16_at = |end: usize| {
        utf16 = utf16.saturating_add(text.get(at..end).map_or(0, |text| text.encode_utf16().count()));
        at = end;
        utf16
    };
    for mark in marked {
        let first = pieces.get(mark.start).map(|piece| piece.start);
        let last = mark.end.checked_sub(1).and_then(|last| pieces.get(last)).map(|piece| piece.end);
        let (Some(start), Some(end)) = (first, last) else { continue };
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let utf16_start = narrow(utf16_at(start));
        let utf16_end = narrow(utf16_at(end));
        ranges.push(FoundRange { start: narrow(start), end: narrow(end), utf16_start, utf16_end });
    }
    ranges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn marked(words: &str, text: &str) -> Vec<String> {
        let query = Query::new(words).unwrap();
        let units: Vec<u16> = text.encode_utf16().collect();
        let marks = query.marks(text).into_iter().map(|mark| {
            let marked = &text[mark.start as usize..mark.end as usize];
            let same = &units[mark.utf16_start as usize..mark.utf16_end as usize];
            assert_eq!(String::from_utf16(same).unwrap(), marked);
            marked.to_owned()
        });
        marks.collect()
    }

    #[test]
    fn the_words_of_a_query_are_marked_in_the_text_as_it_is_written() {
        for (words, text, expected) in [
            ("hel", "Hello hell, HELP; ahel", &["Hel", "hel", "HEL"][..]),
            ("creme", "Cr\u{e8}me Cre\u{300}me", &["Cr\u{e8}me", "Cre\u{300}me"]),
            ("strasse", "an der Stra\u{df}e", &["Stra\u{df}e"]),
            ("fi", "\u{fb01}nd", &["\u{fb01}"]),
            ("f", "\u{fb01}nd", &["\u{fb01}"]),
            ("\u{4eac}", "\u{5317}\u{4eac}\u{5e02}\u{4eac}", &["\u{4eac}", "\u{4eac}"]),
            ("\u{d55c}", "\u{1112}\u{1161}\u{11ab}\u{ae00}", &["\u{1112}\u{1161}\u{11ab}"]),
            ("\u{ff76}\u{ff9e}", "\u{30ac}", &["\u{30ac}"]),
            ("\u{1f389}", "a \u{1f389}\u{1f389} b", &["\u{1f389}", "\u{1f389}"]),
            ("b a", "a b", &["a", "b"]),
            ("ab abc", "abcd", &["abc"]),
        ] {
            assert_eq!(marked(words, text), expected, "{words:?} in {text:?}");
        }
    }

    #[test]
    fn a_text_has_a_limited_number_of_marks() {
        assert_eq!(marked("a", &"a ".repeat(1_000)).len(), MAX_MARKS);
    }

    proptest! {
        #[test]
        fn a_text_that_matches_has_marks_at_boundaries(text in "\\PC{0,40}", at in any::<proptest::sample::Index>()) {
            let words: Vec<_> = text.split_whitespace().collect();
            if let Some(query) = words.get(at.index(words.len().max(1))).and_then(|word| Query::new(word)) {
                // Slicing panics inside a character.
                let marks = marked(words[at.index(words.len())], &text);
                prop_assert_eq!(query.matches(&text), !marks.is_empty());
            }
        }

        #[test]
        fn the_pieces_fold_to_what_is_in_the_index(text in "\\PC{0,40}") {
            let located: Vec<_> = located(&text, &pieces(&text)).into_iter().map(|located| located.part).collect();
            prop_assert_eq!(located, super::super::text::parts(&text));
        }
    }
}
