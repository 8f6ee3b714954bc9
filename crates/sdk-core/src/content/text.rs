//! A text message, and what can accompany it: a quote, and the mark of a forwarded message.

use super::{ContentError, Quote, proto};

/// Maximum size of a text in bytes of UTF-8. It fits into one frame together with the handshake of a first message.
pub const MAX_TEXT: usize = 48_000;

/// A text as its author wrote it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) text: String,
    /// What it replies to.
    pub(crate) quote: Option<Box<Quote>>,
    /// Whether its author has taken it from another message.
    pub(crate) is_forwarded: bool,
}

impl Text {
    pub(super) fn write(&self) -> proto::Content {
        proto::Content {
            body: Some(proto::content::Body::Text(self.text.clone())),
            quote: self.quote.as_ref().map(|quote| quote.write()),
            forwarded: self.is_forwarded,
            ..proto::Content::default()
        }
    }

    /// # Errors
    /// [`ContentError::Malformed`] if it is longer than [`MAX_TEXT`], or its quote is.
    pub(super) fn read(
        text: String,
        quote: Option<proto::Quote>,
        is_forwarded: bool,
    ) -> Result<Self, ContentError> {
        if text.len() > MAX_TEXT {
            return Err(ContentError::Malformed);
        }
        Ok(Self { text, quote: quote.map(Quote::read).transpose()?.map(Box::new), is_forwarded })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_a_maximum_length() {
        assert!(Text::read("a".repeat(MAX_TEXT), None, false).is_ok());
        assert!(Text::read("a".repeat(MAX_TEXT + 1), None, false).is_err());
    }
}
