//! A quote: the message that another one replies to, as its author has seen it.

use std::fmt;

use super::{ContentError, proto};
use crate::id::{ClientMsgId, UserId};

/// Maximum size of the quoted text in bytes of UTF-8.
pub(crate) const MAX_QUOTE: usize = 400;

/// What a message replies to.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Quote {
    pub(crate) author: UserId,
    pub(crate) id: ClientMsgId,
    /// The beginning of the text. It is what the author of the reply states, and proves nothing.
    pub(crate) text: String,
}

impl Quote {
    /// Quotes as much of the text as fits.
    pub(crate) fn new(author: UserId, id: ClientMsgId, text: &str) -> Self {
        Self { author, id, text: Self::cut(text).to_owned() }
    }

    /// As much of the text as fits.
    pub(crate) fn cut(text: &str) -> &str {
        text.get(..text.floor_char_boundary(MAX_QUOTE)).unwrap_or_default()
    }

    pub(super) fn write(&self) -> proto::Quote {
        proto::Quote {
            author: self.author.as_bytes().to_vec(),
            id: self.id.as_bytes().to_vec(),
            text: self.text.clone(),
        }
    }

    /// # Errors
    /// [`ContentError::Malformed`] for ids of another length, or a text longer than [`MAX_QUOTE`].
    pub(super) fn read(quote: proto::Quote) -> Result<Self, ContentError> {
        if quote.text.len() > MAX_QUOTE {
            return Err(ContentError::Malformed);
        }
        Ok(Self {
            author: UserId::from_slice(&quote.author).map_err(|_| ContentError::Malformed)?,
            id: ClientMsgId::from_slice(&quote.id).map_err(|_| ContentError::Malformed)?,
            text: quote.text,
        })
    }
}

impl fmt::Debug for Quote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Quote(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_quote_fits_and_round_trips(text in ".{0,600}") {
            let quote = Quote::new(UserId::from_bytes([1; 16]), ClientMsgId::from_bytes([2; 16]), &text);
            prop_assert!(quote.text.len() <= MAX_QUOTE && text.starts_with(&quote.text));
            prop_assert!(quote.text == text || quote.text.len() > MAX_QUOTE - 4);
            prop_assert_eq!(Quote::read(quote.write()), Ok(quote));
        }
    }

    #[test]
    fn invalid_ids_and_long_texts_are_refused() {
        let good = proto::Quote { author: vec![1; 16], id: vec![2; 16], text: "a".repeat(MAX_QUOTE) };
        assert!(Quote::read(good.clone()).is_ok());
        for bad in [
            proto::Quote { author: vec![1; 15], ..good.clone() },
            proto::Quote { author: Vec::new(), ..good.clone() },
            proto::Quote { id: vec![2; 17], ..good.clone() },
            proto::Quote { text: "a".repeat(MAX_QUOTE + 1), ..good.clone() },
        ] {
            assert_eq!(Quote::read(bad), Err(ContentError::Malformed));
        }
    }
}
