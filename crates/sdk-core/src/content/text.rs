//! A text message.

use super::{Body, ContentError, proto};

/// Maximum size of a text in bytes of UTF-8. It fits into one frame together with the handshake of a first message.
pub const MAX_TEXT: usize = 48_000;

pub(super) fn write(text: &str) -> proto::content::Body {
    proto::content::Body::Text(text.to_owned())
}

/// # Errors
/// [`ContentError::Malformed`] if it is longer than [`MAX_TEXT`].
pub(super) fn read(text: String) -> Result<Body, ContentError> {
    if text.len() > MAX_TEXT {
        return Err(ContentError::Malformed);
    }
    Ok(Body::Text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_a_maximum_length() {
        assert!(read("a".repeat(MAX_TEXT)).is_ok());
        assert_eq!(read("a".repeat(MAX_TEXT + 1)), Err(ContentError::Malformed));
    }
}
