//! A reaction: an emoji that a person adds to a message. A further one of the same person replaces it, and an empty one removes it.

use std::fmt;

use icu_properties::CodePointSetData;
use icu_properties::props::{Emoji, EmojiComponent, ExtendedPictographic, RegionalIndicator};

use super::{ContentError, Target, proto};

/// Maximum size of an emoji in bytes of UTF-8.
pub(crate) const MAX_EMOJI: usize = 32;

/// Makes the symbol before it an emoji key.
const KEYCAP: char = '\u{20e3}';
/// Asks for the symbol before it to be shown as text.
const TEXT_STYLE: char = '\u{fe0e}';

/// A sequence of emoji. All sequences that the Unicode Standard defines fit, and so do those of later versions.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct EmojiSequence(String);

impl EmojiSequence {
    /// `None` if it is empty, longer than [`MAX_EMOJI`], or contains something else than emoji.
    pub(crate) fn new(text: String) -> Option<Self> {
        let (emoji, part) = (CodePointSetData::new::<Emoji>(), CodePointSetData::new::<EmojiComponent>());
        let (picture, flag) =
            (CodePointSetData::new::<ExtendedPictographic>(), CodePointSetData::new::<RegionalIndicator>());
        let is_part =
            |c| emoji.contains(c) || part.contains(c) || picture.contains(c) || matches!(c, TEXT_STYLE);
        // Digits are parts, too, but are shown as an emoji only with a keycap.
        let is_shown = |c| picture.contains(c) || flag.contains(c) || c == KEYCAP;
        let is_emoji = text.len() <= MAX_EMOJI && text.chars().all(is_part) && text.chars().any(is_shown);
        is_emoji.then_some(Self(text))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Contains nothing that a person has chosen.
impl fmt::Debug for EmojiSequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmojiSequence(..)")
    }
}

/// A reaction to a message; without an emoji, it removes the one that was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reaction {
    pub(crate) target: Target,
    pub(crate) emoji: Option<EmojiSequence>,
}

impl Reaction {
    pub(super) fn write(&self) -> proto::content::Body {
        let emoji = self.emoji.as_ref().map_or("", EmojiSequence::as_str).to_owned();
        proto::content::Body::Reaction(proto::Reaction { target: Some(self.target.write()), emoji })
    }

    /// # Errors
    /// [`ContentError::Malformed`] without a valid target, or if it is not an emoji.
    pub(super) fn read(reaction: proto::Reaction) -> Result<Self, ContentError> {
        let emoji = match reaction.emoji {
            none if none.is_empty() => None,
            emoji => Some(EmojiSequence::new(emoji).ok_or(ContentError::Malformed)?),
        };
        Ok(Self { target: Target::read(reaction.target)?, emoji })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::{ClientMsgId, UserId};

    fn is_emoji(text: &str) -> bool {
        EmojiSequence::new(text.to_owned()).is_some()
    }

    #[test]
    fn every_form_of_emoji_is_accepted() {
        // Simple, with a style, with a skin tone, a flag, a keycap, a flag made of tags, and joined sequences.
        let sequences = ["👍", "❤️", "❤︎", "👍🏽", "🇺🇳", "1️⃣", "#⃣", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "👩‍❤️‍💋‍👨", "🏳️‍🌈", "👨‍👩‍👧‍👦"];
        for emoji in sequences {
            assert!(is_emoji(emoji), "{emoji}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for other in
            ["", " ", "a", "1", "12", "👍 ", "no 👍", "\u{202e}👍", "\n", "\u{200d}", "\u{fe0f}", "é"]
        {
            assert!(!is_emoji(other), "{other:?}");
        }
        assert!(is_emoji(&"👍".repeat(8)));
        assert!(!is_emoji(&"👍".repeat(9)), "more than 32 bytes");
    }

    #[test]
    fn a_reaction_needs_a_valid_target() {
        let target = Target { author: UserId::from_bytes([1; 16]), id: ClientMsgId::from_bytes([2; 16]) };
        let good = proto::Reaction { target: Some(target.write()), emoji: "👍".to_owned() };
        assert!(Reaction::read(good.clone()).is_ok());
        assert!(Reaction::read(proto::Reaction { target: None, ..good.clone() }).is_err());
        let short = proto::Target { author: vec![1; 15], id: vec![2; 16] };
        assert!(Reaction::read(proto::Reaction { target: Some(short), ..good.clone() }).is_err());
        assert!(Reaction::read(proto::Reaction { emoji: "hello".to_owned(), ..good }).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_short(text in "\\PC{0,40}") {
            if let Some(emoji) = EmojiSequence::new(text.clone()) {
                prop_assert!(emoji.as_str() == text && text.len() <= MAX_EMOJI);
                prop_assert!(!text.chars().any(|c| c.is_alphabetic() || c.is_whitespace() || c.is_control()));
            }
        }
    }
}
