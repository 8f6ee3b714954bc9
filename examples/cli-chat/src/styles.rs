//! Styles and mentions in a text, as they are typed and shown: `*bold*`, `_italic_`, `~struck through~`, `` `fixed` ``, `|covered|` and
//! `@name`.

use std::ops::Range;

use sealpost_core::{MAX_MENTIONS, MAX_STYLES, Markup, Mention, StyledRange, TextRange, TextStyle, UserId};
use unicode_segmentation::UnicodeSegmentation as _;

use crate::marked::Parts;
use crate::wrap::columns;

const MARKS: [(char, TextStyle); 5] = [
    ('*', TextStyle::Bold),
    ('_', TextStyle::Italic),
    ('~', TextStyle::Strikethrough),
    ('`', TextStyle::Monospace),
    ('|', TextStyle::Spoiler),
];
/// Shown in place of each column of a covered text.
const COVER: &str = "░";

/// The text that is sent for a typed one, and its markup. `user` finds the user with a name.
pub(crate) fn read(typed: &str, user: impl Fn(&str) -> Option<UserId>) -> (String, Markup) {
    let (mut text, mut markup) = (String::with_capacity(typed.len()), Markup::default());
    let mut rest = typed;
    while let Some(next) = rest.chars().next() {
        let can_begin = text
            .chars()
            .next_back()
            .is_none_or(|before| before.is_whitespace() || "([{\"'«“".contains(before));
        if let Some((style, inner)) = styled(rest).filter(|_| can_begin) {
            markup.styles.push(StyledRange { range: range(text.len(), inner.len()), style });
            text.push_str(inner);
            rest = rest.get(inner.len().saturating_add(2)..).unwrap_or_default();
        } else if let Some((mention, user)) = mention(rest, &user).filter(|_| can_begin) {
            markup.mentions.push(Mention { range: range(text.len(), mention.len()), user });
            text.push_str(mention);
            rest = rest.get(mention.len()..).unwrap_or_default();
        } else {
            text.push(next);
            rest = rest.get(next.len_utf8()..).unwrap_or_default();
        }
    }
    // More than a message can have.
    if markup.styles.len() > MAX_STYLES || markup.mentions.len() > MAX_MENTIONS {
        return (typed.to_owned(), Markup::default());
    }
    (text, markup)
}

/// What a text begins with between two marks on the same line. Marks beside white space or other marks are part of the text.
fn styled(text: &str) -> Option<(TextStyle, &str)> {
    let (mark, style) = *MARKS.iter().find(|(mark, _)| text.starts_with(*mark))?;
    let line = text.lines().next()?;
    // A combining character would belong to another one if the mark was not there.
    let mut marks = line.grapheme_indices(true).filter(|(_, character)| character.chars().eq([mark]));
    if marks.next()?.0 != 0 {
        return None;
    }
    let is_end = |at: &usize| {
        let after = line.get(at.saturating_add(1)..).and_then(|after| after.chars().next());
        after.is_none_or(|after| !after.is_alphanumeric() && after != mark)
    };
    let inner = line.get(1..marks.map(|(at, _)| at).find(is_end)?)?;
    let is_part = |c: char| !c.is_whitespace() && c != mark;
    (inner.starts_with(is_part) && inner.ends_with(is_part)).then_some((style, inner))
}

/// The name of somebody that a text begins with, after an at sign.
fn mention(text: &str, user: impl Fn(&str) -> Option<UserId>) -> Option<(&str, UserId)> {
    let name = text.strip_prefix('@')?;
    let end = name.find(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '_')).unwrap_or(name.len());
    let user = user(name.get(..end)?)?;
    Some((text.get(..end.saturating_add(1))?, user))
}

/// The text with the marks of its styles, and the places that were found in it, in bytes. What is covered is hidden, unless it is
/// to be uncovered.
pub(crate) fn show(text: &str, markup: Option<&Markup>, is_uncovered: bool, found: &[Range<usize>]) -> Parts {
    let styles = markup.map(|markup| markup.styles.as_slice()).unwrap_or_default();
    let mark = |style: TextStyle| MARKS.iter().find(|(_, known)| *known == style).map(|(mark, _)| *mark);
    let mut shown = Parts::default();
    let places = styles.iter().filter_map(|styled| {
        let start = usize::try_from(styled.range.start).ok()?;
        Some((start, start.saturating_add(usize::try_from(styled.range.length).ok()?), styled.style))
    });
    let places: Vec<(usize, usize, TextStyle)> = places.collect();
    for (at, character) in text.grapheme_indices(true).chain([(text.len(), "")]) {
        let is_within = |range: usize| (at..at.saturating_add(character.len().max(1))).contains(&range);
        let ends = places.iter().rev().filter(|(_, end, _)| is_within(*end));
        let ends: String = ends.filter_map(|(_, _, style)| mark(*style)).collect();
        let starts = places.iter().filter(|(start, ..)| is_within(*start) && *start < text.len());
        let starts: String = starts.filter_map(|(_, _, style)| mark(*style)).collect();
        shown.push(&ends, false);
        shown.push(&starts, false);
        let is_covered = places.iter().any(|(start, end, style)| {
            *style == TextStyle::Spoiler && (*start..*end).contains(&at) && !is_uncovered
        });
        let is_found = found.iter().any(|place| place.contains(&at));
        match is_covered {
            true => shown.push(&COVER.repeat(columns(character)), is_found),
            false => shown.push(character, is_found),
        }
    }
    shown
}

fn range(start: usize, length: usize) -> TextRange {
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    TextRange { start: small(start), length: small(length) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::marked::Marked;

    fn nobody(_: &str) -> Option<UserId> {
        None
    }

    fn styles(typed: &str) -> (String, Vec<(TextStyle, String)>) {
        let (text, markup) = read(typed, nobody);
        let part = |range: TextRange| range.of(&text).unwrap().to_owned();
        let styles = markup.styles.iter().map(|styled| (styled.style, part(styled.range))).collect();
        (text, styles)
    }

    #[test]
    fn marks_around_words_are_styles() {
        let (text, found) = styles("*Die Züge* fahren _um neun_, ~zehn~: `ab 4` (|nicht sagen|)");
        assert_eq!(text, "Die Züge fahren um neun, zehn: ab 4 (nicht sagen)");
        let expected = [
            (TextStyle::Bold, "Die Züge"),
            (TextStyle::Italic, "um neun"),
            (TextStyle::Strikethrough, "zehn"),
            (TextStyle::Monospace, "ab 4"),
            (TextStyle::Spoiler, "nicht sagen"),
        ];
        assert_eq!(found, expected.map(|(style, part)| (style, part.to_owned())));
    }

    #[test]
    fn other_marks_are_part_of_the_text() {
        for typed in [
            "2 * 3 * 4",
            "a_b_c",
            "*",
            "**",
            "***",
            "* a*",
            "*a *",
            "*a\nb*",
            "x*a*",
            "*a*b",
            "__init__",
            "**a**",
            "*a*\u{301}",
            "*\u{301}a*",
            "https://a/_b_",
            "| a | b |",
        ] {
            assert_eq!(styles(typed), (typed.to_owned(), vec![]), "{typed}");
        }
    }

    #[test]
    fn a_text_with_too_many_styles_is_sent_as_it_was_typed() {
        let typed = "*a* ".repeat(MAX_STYLES + 1);
        assert_eq!(styles(&typed), (typed.clone(), vec![]));
    }

    #[test]
    fn a_name_after_an_at_sign_is_a_mention() {
        let cleo = UserId::from_bytes([3; 16]);
        let known = |name: &str| (name == "cleo").then_some(cleo);
        let (text, markup) = read("hey @cleo, not @ben or a@cleo", known);
        assert_eq!(text, "hey @cleo, not @ben or a@cleo");
        assert_eq!(markup.mentions, [Mention { range: range(4, 5), user: cleo }]);
    }

    #[test]
    fn what_is_covered_is_hidden_until_it_is_uncovered() {
        let (text, markup) = read("it was |日本 e\u{301}|!", nobody);
        assert_eq!(show(&text, Some(&markup), false, &[]).text(), "it was |░░░░░░|!");
        assert_eq!(show(&text, Some(&markup), true, &[]).text(), "it was |日本 e\u{301}|!");
    }

    #[test]
    fn what_was_found_is_marked_without_the_marks_of_styles() {
        let (text, markup) = read("a *bold* |secret|", nobody);
        let shown = Marked::line(&show(&text, Some(&markup), false, &[2..6, 7..10]));
        assert_eq!(shown.text.as_str(), "a *bold* |░░░░░░|");
        let places: Vec<_> = shown.found.into_iter().map(|place| &shown.text.as_str()[place]).collect();
        assert_eq!(places, ["bold", "░░░"]);
    }

    proptest! {
        #[test]
        fn what_is_shown_is_what_was_typed(typed in "[a-z *_~`|\n日e\u{301}]{0,30}") {
            let (text, markup) = read(&typed, nobody);
            for styled in &markup.styles {
                prop_assert!(styled.range.of(&text).is_some_and(|part| !part.is_empty()));
            }
            prop_assert_eq!(show(&text, Some(&markup), true, &[]).text(), typed);
        }

        /// The ranges are what somebody else has sent, in any order and number.
        #[test]
        fn any_styles_can_be_shown(text in any::<String>(), ranges in proptest::collection::vec(any::<(u32, u32)>(), 0..5)) {
            let style = |(start, length)| StyledRange {
                range: TextRange { start: start % 40, length: length % 40 },
                style: TextStyle::Spoiler,
            };
            let markup = Markup { styles: ranges.into_iter().map(style).collect(), ..Markup::default() };
            let shown = show(&text, Some(&markup), true, &[]).text();
            prop_assert_eq!(shown.replace('|', ""), text.replace('|', ""));
        }
    }
}
