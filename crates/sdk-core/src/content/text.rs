//! A text message, and what can accompany it: a quote, and the mark of a forwarded message.

use super::markup::Written;
use super::{ContentError, Markup, Quote, proto};
use crate::id::UserId;

/// Maximum size of a text in bytes of UTF-8. It fits into one frame together with the handshake of a first message.
pub const MAX_TEXT: usize = 48_000;

/// A text as its author wrote it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) markup: Markup,
    /// What it replies to.
    pub(crate) quote: Option<Box<Quote>>,
    /// Whether its author has taken it from another message.
    pub(crate) is_forwarded: bool,
}

impl Text {
    pub(super) fn write(&self) -> proto::Content {
        let Written { styles, mentions, preview } = self.markup.write();
        proto::Content {
            styles,
            mentions,
            preview,
            body: Some(proto::content::Body::Text(self.text.clone())),
            quote: self.quote.as_ref().map(|quote| quote.write()),
            forwarded: self.is_forwarded,
            ..proto::Content::default()
        }
    }

    /// Whether the text contains a link that an app makes clickable.
    pub(super) fn has_link(&self) -> bool {
        let bytes = self.text.as_bytes();
        [&b"http://"[..], b"https://"].iter().any(|scheme| {
            bytes.windows(scheme.len().saturating_add(1)).any(|found| {
                found.last().is_some_and(u8::is_ascii_graphic)
                    && found.get(..scheme.len()).is_some_and(|found| found.eq_ignore_ascii_case(scheme))
            })
        })
    }

    /// Whether the text is addressed to a user among others: it mentions them, or replies to a message of theirs.
    pub(super) fn mentions(&self, user: UserId) -> bool {
        self.markup.mentions.iter().any(|mention| mention.user == user)
            || self.quote.as_ref().is_some_and(|quote| quote.author == user)
    }

    /// # Errors
    /// [`ContentError::Malformed`] if it is longer than [`MAX_TEXT`], or its quote or what accompanies it is too large.
    pub(super) fn read(
        text: String,
        written: Written,
        quote: Option<proto::Quote>,
        is_forwarded: bool,
    ) -> Result<Self, ContentError> {
        if text.len() > MAX_TEXT {
            return Err(ContentError::Malformed);
        }
        let markup = Markup::read(&text, written)?;
        Ok(Self { text, markup, quote: quote.map(Quote::read).transpose()?.map(Box::new), is_forwarded })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: String) -> Result<Text, ContentError> {
        Text::read(text, Markup::default().write(), None, false)
    }

    #[test]
    fn a_link_has_a_scheme_and_something_behind_it() {
        let has_link = |text: &str| read(text.to_owned()).unwrap().has_link();
        for text in ["https://example.org", "see HTTP://example.org/a", "(https://a)", "\u{fc}http://a"] {
            assert!(has_link(text), "{text}");
        }
        for text in ["", "http://", "https:// example", "http:/example", "example.org", "https"] {
            assert!(!has_link(text), "{text}");
        }
    }

    #[test]
    fn a_text_has_a_maximum_length() {
        assert!(read("a".repeat(MAX_TEXT)).is_ok());
        assert!(read("a".repeat(MAX_TEXT + 1)).is_err());
    }
}
