//! An edit: another text for a message of the same author.

use super::markup::Written;
use super::{ContentError, MAX_TEXT, Markup, of, proto};
use crate::id::ClientMsgId;

/// Another text for the message with this content id. What the message replies to, and its mark, stay as they are.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) message: ClientMsgId,
    pub(crate) text: String,
    pub(crate) markup: Markup,
}

impl Edit {
    pub(super) fn write(&self) -> proto::Content {
        let Written { styles, mentions, preview } = self.markup.write();
        let edit = proto::Edit { message: self.message.as_bytes().to_vec(), text: self.text.clone() };
        proto::Content { styles, mentions, preview, ..of(proto::content::Body::Edit(edit)) }
    }

    /// # Errors
    /// [`ContentError::Malformed`] for an id of another length, or if the text is empty or longer than [`MAX_TEXT`], or
    /// what accompanies it is too large.
    pub(super) fn read(edit: proto::Edit, written: Written) -> Result<Self, ContentError> {
        if edit.text.is_empty() || edit.text.len() > MAX_TEXT {
            return Err(ContentError::Malformed);
        }
        let message = ClientMsgId::from_slice(&edit.message).map_err(|_| ContentError::Malformed)?;
        let markup = Markup::read(&edit.text, written)?;
        Ok(Self { message, text: edit.text, markup })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_and_the_id_of_an_edit_are_checked() {
        let good = proto::Edit { message: vec![1; 16], text: "a".repeat(MAX_TEXT) };
        assert!(Edit::read(good.clone(), Markup::default().write()).is_ok());
        for bad in [
            proto::Edit { message: vec![1; 17], ..good.clone() },
            proto::Edit { message: Vec::new(), ..good.clone() },
            proto::Edit { text: String::new(), ..good.clone() },
            proto::Edit { text: "a".repeat(MAX_TEXT + 1), ..good },
        ] {
            assert!(Edit::read(bad, Markup::default().write()).is_err());
        }
    }
}
