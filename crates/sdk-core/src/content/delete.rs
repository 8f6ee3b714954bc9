//! The deletion of a message for everyone, by its author.

use super::{ContentError, proto};
use crate::id::ClientMsgId;

pub(super) fn write(message: ClientMsgId) -> proto::content::Body {
    proto::content::Body::Delete(proto::Delete { message: message.as_bytes().to_vec() })
}

/// # Errors
/// [`ContentError::Malformed`] for an id of another length.
pub(super) fn read(delete: &proto::Delete) -> Result<ClientMsgId, ContentError> {
    ClientMsgId::from_slice(&delete.message).map_err(|_| ContentError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_another_length_is_refused() {
        assert!(read(&proto::Delete { message: vec![1; 16] }).is_ok());
        for length in [0, 15, 17, 32] {
            assert!(read(&proto::Delete { message: vec![1; length] }).is_err());
        }
    }
}
