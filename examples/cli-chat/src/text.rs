//! Text of other people, made safe to show: it can neither control the terminal nor pretend to be something else.

use std::fmt;

use unicode_segmentation::UnicodeSegmentation as _;

/// The most code points of one character on the screen. The longest emoji sequences have about ten; a tower of
/// combining marks would cover the lines around it.
const LONGEST_CHARACTER: usize = 16;

/// A text that a terminal can show. The screen is drawn from such texts only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shown(String);

impl Shown {
    /// A text of any number of lines.
    pub(crate) fn lines(text: &str) -> Self {
        let mut safe = String::with_capacity(text.len());
        for character in text.graphemes(true) {
            // A line break is one character, of one or two code points.
            if matches!(character, "\r\n" | "\r" | "\n" | "\u{2028}" | "\u{2029}" | "\u{85}") {
                safe.push('\n');
            } else if character == "\t" {
                safe.push_str("    ");
            } else {
                safe.extend(character.chars().take(LONGEST_CHARACTER).filter_map(visible));
            }
        }
        Self(safe)
    }

    /// A text in a single line.
    pub(crate) fn line(text: &str) -> Self {
        let Self(lines) = Self::lines(text);
        Self(lines.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is shown for a code point; nothing for those that change the direction of the text around them (UAX #9), which
/// could make one text look like another.
fn visible(c: char) -> Option<char> {
    match c {
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => None,
        // The pictures of the control characters follow their order.
        '\0'..='\u{1f}' => char::from_u32(0x2400_u32.saturating_add(u32::from(c))),
        '\u{7f}' => Some('\u{2421}'),
        c if c.is_control() => Some(char::REPLACEMENT_CHARACTER),
        c => Some(c),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn control_characters_are_shown_as_pictures() {
        assert_eq!(Shown::lines("\u{1b}[2Jgone\u{7}").as_str(), "␛[2Jgone␇");
        assert_eq!(Shown::lines("a\u{9b}31mb").as_str(), "a\u{fffd}31mb");
    }

    #[test]
    fn overrides_of_the_direction_are_removed() {
        assert_eq!(Shown::line("photo\u{202e}gpj.exe").as_str(), "photogpj.exe");
        assert_eq!(Shown::line("\u{2066}שלום\u{2069} 😀").as_str(), "שלום 😀");
    }

    #[test]
    fn line_breaks_of_every_system_are_kept_or_joined() {
        assert_eq!(Shown::lines("a\r\nb\rc\u{2028}d").as_str(), "a\nb\nc\nd");
        assert_eq!(Shown::line(" a\r\n\tb  c ").as_str(), "a b c");
    }

    #[test]
    fn emoji_sequences_are_kept_and_towers_of_marks_are_cut() {
        let kiss = "👩🏽\u{200d}❤\u{fe0f}\u{200d}💋\u{200d}👨🏾";
        assert_eq!(Shown::line(kiss).as_str(), kiss);
        let tower = format!("a{}b", "\u{301}".repeat(500));
        assert_eq!(Shown::line(&tower).as_str().chars().count(), LONGEST_CHARACTER + 1);
    }

    proptest! {
        #[test]
        fn nothing_that_controls_the_terminal_is_left(text in any::<String>()) {
            let shown = Shown::lines(&text);
            prop_assert!(!shown.as_str().chars().any(|c| c != '\n' && c.is_control()));
            // What is safe is not changed again.
            prop_assert_eq!(Shown::lines(shown.as_str()), shown);
        }
    }
}
