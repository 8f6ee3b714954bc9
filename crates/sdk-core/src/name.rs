//! Names that other people have chosen, made safe to show.
//!
//! A name can contain characters that are not seen, that turn the direction of the text around it, or that are stacked over other lines, so
//! that it looks like another name or like a part of the app (Unicode Technical Report 36, sections 2.6 and 3).

use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory as Category;

use crate::content::Profile;

/// The number of characters of a name that are shown, apart from marks.
const MAX_CHARACTERS: usize = 80;
/// The number of marks on one character. Vietnamese and Tibetan names need three.
const MAX_MARKS: usize = 3;
/// Joins emoji, and letters of some scripts.
const JOINER: char = '\u{200d}';
/// Separates letters of some scripts that would be joined.
const NON_JOINER: char = '\u{200c}';
/// Makes the character before it an emoji.
const EMOJI_SELECTOR: char = '\u{fe0f}';

/// A name as it can be shown, in one line: without control characters, characters that change the direction of text, and invisible ones;
/// with at most three accents or other marks on a character, and at most 80 characters. Spaces are single. Empty if nothing is left;
/// then show something else, such as the user id. Emoji, and names in any script, are kept.
///
/// Names can still be written from right to left. Within a sentence, put them between U+2068 and U+2069 (Unicode Standard Annex 9,
/// section 2.4), or use the platform's means for that.
///
/// ```
/// # use sealpost_core::displayable_name;
/// assert_eq!(displayable_name("  Ada\u{202e}  \u{200b}Lovelace\n"), "Ada Lovelace");
/// ```
pub fn displayable_name(name: &str) -> String {
    let categories = CodePointMapData::<Category>::new();
    let mut shown = String::new();
    let (mut characters, mut marks, mut last) = (0_usize, 0_usize, None);
    let mut rest = name.chars().peekable();
    while let Some(c) = rest.next() {
        if is_space(c, categories.get(c)) {
            last = None;
            if !shown.is_empty() && !shown.ends_with(' ') {
                shown.push(' ');
            }
            continue;
        }
        match categories.get(c) {
            _ if c == EMOJI_SELECTOR => {
                if last.is_some_and(is_symbol) {
                    shown.push(c);
                }
            }
            _ if c == JOINER || c == NON_JOINER => {
                let next = rest.peek().copied();
                if last.zip(next).is_some_and(|(last, next)| may_join(c, last, next)) {
                    shown.push(c);
                }
            }
            _ if is_blank(c) => {}
            Category::Control
            | Category::Format
            | Category::Surrogate
            | Category::PrivateUse
            | Category::Unassigned => {}
            Category::NonspacingMark | Category::SpacingMark | Category::EnclosingMark => {
                // A mark without a character would be shown on what is before the name.
                if last.is_some() && marks < MAX_MARKS {
                    shown.push(c);
                    marks = marks.saturating_add(1);
                }
            }
            _ if characters < MAX_CHARACTERS => {
                shown.push(c);
                (characters, marks, last) = (characters.saturating_add(1), 0, Some(c));
            }
            _ => {
                shown.push('\u{2026}');
                break;
            }
        }
    }
    shown.truncate(shown.trim_end_matches([' ', JOINER, NON_JOINER]).len());
    shown
}

fn is_space(c: char, category: Category) -> bool {
    c.is_whitespace()
        || matches!(
            category,
            Category::SpaceSeparator | Category::LineSeparator | Category::ParagraphSeparator
        )
}

/// Letters and marks that are not seen: fillers, vowel signs that are not written, variation selectors.
const fn is_blank(c: char) -> bool {
    matches!(c, '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{fffc}' | '\u{e0100}'..='\u{e01ef}')
}

/// Whether a character can be a part of an emoji.
fn is_symbol(c: char) -> bool {
    matches!(
        CodePointMapData::<Category>::new().get(c),
        Category::OtherSymbol | Category::ModifierSymbol | Category::MathSymbol
    )
}

/// Whether a joiner or a non-joiner makes a difference between two characters: between emoji, and in scripts whose letters are joined.
fn may_join(c: char, last: char, next: char) -> bool {
    const fn is_joined(c: char) -> bool {
        // Arabic, Syriac and the scripts of India and its neighbours; Mongolian.
        matches!(c, '\u{600}'..='\u{8ff}' | '\u{900}'..='\u{dff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{1820}'..='\u{18af}')
    }
    is_joined(last) && is_joined(next) || c == JOINER && is_symbol(last) && is_symbol(next)
}

impl Profile {
    /// The name as it can be shown ([`displayable_name`]); empty if nothing is left of it.
    pub fn displayable_name(&self) -> String {
        displayable_name(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_all_scripts_are_kept() {
        for name in [
            "Ada Lovelace",
            "Nguy\u{1ec5}n Th\u{1ecb} Mai",
            "O'Brien-Smith, Jr. (work) #2",
            "\u{5f20}\u{4f1f}",
            "\u{645}\u{62d}\u{645}\u{62f}",
            "\u{6a9}\u{62a}\u{627}\u{628}\u{200c}\u{647}\u{627}",
            "\u{915}\u{94d}\u{200d}\u{937}",
            "\u{1f469}\u{200d}\u{1f52c} Marie \u{2764}\u{fe0f}",
            "e\u{301}",
        ] {
            assert_eq!(displayable_name(name), name);
        }
    }

    #[test]
    fn what_hides_or_disguises_is_removed() {
        for (name, expected) in [
            ("\u{202e}live\u{202c}", "live"),
            ("\u{2067}a\u{2069}\u{200f}\u{61c}b", "ab"),
            ("a\u{200b}\u{2060}\u{feff}\u{ad}b", "ab"),
            ("a\u{200d}b\u{200c}c\u{200d}", "abc"),
            ("\u{3164}\u{2800}\u{ffa0}", ""),
            ("\u{0}Ad\u{7}a\u{1b}[31m", "Ada[31m"),
            ("two\r\n\t lines\u{2028}", "two lines"),
            ("\u{301}a\u{301}\u{301}\u{301}\u{301}\u{301}", "a\u{301}\u{301}\u{301}"),
            ("\u{e000}\u{f0000}a\u{e0041}\u{fff9}", "a"),
            ("A\u{fe0f}", "A"),
        ] {
            assert_eq!(displayable_name(name), expected, "{name:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut() {
        let shown = displayable_name(&"n".repeat(10_000));
        assert_eq!(shown.chars().count(), MAX_CHARACTERS + 1);
        assert!(shown.ends_with('\u{2026}'));
    }

    proptest! {
            #[test]
            fn what_is_shown_stays_the_same_and_is_bounded(name: String) {
                let shown = displayable_name(&name);
                prop_assert_eq!(displayable_name(&shown), shown.clone());
                prop_assert!(shown.chars().count() <= MAX_CHARACTERS * (MAX_MARKS + 3) + 1);
    let turns = |c: char| matches!(u32::from(c), 0x202a..=0x202e | 0x2066..=0x2069);
                let is_hostile = shown.chars().any(|c| c.is_control() || turns(c));
                prop_assert!(!is_hostile);
            }
        }
}
