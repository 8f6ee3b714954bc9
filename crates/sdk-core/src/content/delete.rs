//! The deletion of a message for everyone, by its author or, in a group, by an admin.

use super::{Body, ContentError, Target, proto};
use crate::id::{ClientMsgId, UserId};

/// The author is named if it is not the author of the deletion.
pub(super) fn write(message: ClientMsgId, author: Option<UserId>) -> proto::content::Body {
    let author = author.map_or_else(Vec::new, |author| author.as_bytes().to_vec());
    proto::content::Body::Delete(proto::Delete { message: message.as_bytes().to_vec(), author })
}

/// # Errors
/// [`ContentError::Malformed`] for ids of another length.
pub(super) fn read(delete: &proto::Delete) -> Result<Body, ContentError> {
    let id = ClientMsgId::from_slice(&delete.message).map_err(|_| ContentError::Malformed)?;
    match delete.author.as_slice() {
        [] => Ok(Body::Delete(id)),
        author => {
            let author = UserId::from_slice(author).map_err(|_| ContentError::Malformed)?;
            Ok(Body::DeleteOf(Target { author, id }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_another_length_is_refused() {
        assert!(read(&proto::Delete { message: vec![1; 16], author: Vec::new() }).is_ok());
        for length in [0, 15, 17, 32] {
            assert!(read(&proto::Delete { message: vec![1; length], author: Vec::new() }).is_err());
        }
    }
}
