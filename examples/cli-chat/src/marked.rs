//! A text that can be shown, with the places of the words that were searched for.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation as _;

use crate::text::Shown;
use crate::wrap::{columns, cut};

/// The part of a line before the first place, if not everything fits: one of so many.
const BEFORE: usize = 3;

/// Parts of a text in their order, and whether each was searched for. They are divided between characters.
#[derive(Debug, Default)]
pub(crate) struct Parts(Vec<(String, bool)>);

impl Parts {
    /// Adds a text to the end.
    pub(crate) fn push(&mut self, text: &str, is_found: bool) {
        match self.0.last_mut() {
            Some((last, as_before)) if *as_before == is_found => last.push_str(text),
            _ => self.0.push((text.to_owned(), is_found)),
        }
    }

    pub(crate) fn append(&mut self, parts: Self) {
        for (text, is_found) in parts.0 {
            self.push(&text, is_found);
        }
    }

    /// The text without the places.
    pub(crate) fn text(self) -> String {
        self.0.into_iter().map(|(text, _)| text).collect()
    }
}

impl From<String> for Parts {
    fn from(text: String) -> Self {
        Self(vec![(text, false)])
    }
}

/// A text that a terminal can show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Marked {
    pub(crate) text: Shown,
    /// In bytes, in their order.
    pub(crate) found: Vec<Range<usize>>,
}

impl Marked {
    /// A text of any number of lines.
    pub(crate) fn lines(parts: &Parts) -> Self {
        let (mut text, mut found) = (String::new(), Vec::new());
        for (part, is_found) in &parts.0 {
            let start = text.len();
            text.push_str(Shown::lines(part).as_str());
            if *is_found {
                found.push(start..text.len());
            }
        }
        Self { text: Shown::lines(&text), found }
    }

    /// A text in a single line.
    pub(crate) fn line(parts: &Parts) -> Self {
        let lines = Self::lines(parts);
        let mut marked = Parts::default();
        let mut is_between = false;
        for (at, character) in lines.text.as_str().char_indices() {
            if character.is_whitespace() {
                is_between = true;
                continue;
            }
            if std::mem::take(&mut is_between) && !marked.0.is_empty() {
                marked.push(" ", false);
            }
            let is_found = lines.found.iter().any(|place| place.contains(&at));
            marked.push(character.encode_utf8(&mut [0; 4]), is_found);
        }
        Self::lines(&marked)
    }

    /// As much of a line as fits into so many columns, with the first place in it.
    pub(crate) fn excerpt(&self, width: usize) -> (String, Vec<Range<usize>>) {
        let text = self.text.as_str();
        let before = |end: usize| text.get(..end).map_or(0, columns);
        let start = match self.found.first() {
            Some(first) if width > 0 && before(first.end) >= width && columns(text) > width => {
                let most = width.checked_div(BEFORE).unwrap_or_default();
                let mut starts = text.grapheme_indices(true).map(|(at, _)| at);
                let is_near = |at: &usize| text.get(*at..first.start).is_none_or(|gap| columns(gap) <= most);
                starts.find(is_near).unwrap_or(first.start)
            }
            _ => 0,
        };
        let mark = if start > 0 { "…" } else { "" };
        let rest = cut(text.get(start..).unwrap_or_default(), width.saturating_sub(columns(mark)));
        let kept = match rest.strip_suffix('…') {
            Some(kept) if !text.ends_with(rest.as_str()) => kept.len(),
            _ => rest.len(),
        };
        let shift = |at: usize| at.saturating_sub(start).min(kept).saturating_add(mark.len());
        let found = self.found.iter().map(|place| shift(place.start)..shift(place.end));
        (format!("{mark}{rest}"), found.filter(|place| !place.is_empty()).collect())
    }
}

/// The part of each place that is inside of a line, counted from the start of the line.
pub(crate) fn within(found: &[Range<usize>], line: &Range<usize>) -> Vec<Range<usize>> {
    let part = |place: &Range<usize>| {
        let inside = |at: usize| at.clamp(line.start, line.end).saturating_sub(line.start);
        inside(place.start)..inside(place.end)
    };
    found.iter().map(part).filter(|place| !place.is_empty()).collect()
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "there is one place")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(parts: &[(&str, bool)]) -> Parts {
        Parts(parts.iter().map(|(text, is_found)| ((*text).to_owned(), *is_found)).collect())
    }

    fn found(marked: &Marked) -> Vec<&str> {
        marked.found.iter().map(|place| marked.text.as_str().get(place.clone()).unwrap()).collect()
    }

    #[test]
    fn places_follow_what_is_changed_to_be_shown() {
        let parts =
            parts(&[("\u{202e}a\tb \r\n ", false), ("zwei\u{7}", true), ("\n und ", false), ("日本", true)]);
        let lines = Marked::lines(&parts);
        assert_eq!(lines.text.as_str(), "a    b \n zwei␇\n und 日本");
        assert_eq!(found(&lines), ["zwei␇", "日本"]);
        let line = Marked::line(&parts);
        assert_eq!(line.text.as_str(), "a b zwei␇ und 日本");
        assert_eq!(found(&line), ["zwei␇", "日本"]);
    }

    #[test]
    fn an_excerpt_shows_the_first_place() {
        let line =
            Marked::line(&parts(&[("a long text before ", false), ("this", true), (" and after it", false)]));
        let (whole, places) = line.excerpt(40);
        assert_eq!((whole.as_str(), places), ("a long text before this and after it", vec![19..23]));
        let (excerpt, places) = line.excerpt(16);
        assert_eq!((excerpt.as_str(), &excerpt[places[0].clone()]), ("…fore this and …", "this"));
        let (excerpt, places) = line.excerpt(24);
        assert_eq!((excerpt.as_str(), &excerpt[places[0].clone()]), ("a long text before this…", "this"));
        // What fits exactly is not cut.
        let fits = Marked::line(&parts(&[("a long text before ", false), ("this", true)]));
        assert_eq!(fits.excerpt(23), ("a long text before this".to_owned(), vec![19..23]));
        // A place that does not fit is cut off with the text.
        assert_eq!(line.excerpt(4), ("… t…".to_owned(), vec![4..5]));
        assert_eq!(Marked::line(&parts(&[("no place", false)])).excerpt(5), ("no p…".to_owned(), vec![]));
    }

    #[test]
    fn a_place_that_is_broken_is_in_both_lines() {
        assert_eq!(within(&[2..6, 8..9], &(0..4)), [2..4]);
        assert_eq!(within(&[2..6, 8..9], &(4..9)), [0..2, 4..5]);
    }

    proptest! {
        #[test]
        fn places_are_in_the_text(texts in proptest::collection::vec((any::<String>(), any::<bool>()), 0..6), width in 0_usize..30) {
            let mut parts = Parts::default();
            for (text, is_found) in &texts {
                parts.push(text, *is_found);
            }
            for marked in [Marked::lines(&parts), Marked::line(&parts)] {
                found(&marked);
                let (excerpt, places) = marked.excerpt(width);
                prop_assert!(columns(&excerpt) <= width);
                for place in places {
                    prop_assert!(excerpt.get(place.clone()).is_some(), "{place:?} of {excerpt:?}");
                }
            }
        }
    }
}
