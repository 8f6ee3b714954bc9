//! A receipt: contents of the other side were delivered or read.

use super::{Body, ContentError, proto};
use crate::id::ClientMsgId;

/// Maximum number of contents in one receipt; much less than what fits into a frame.
pub(crate) const MAX_MESSAGES: usize = 256;

/// What happened to a message on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReceiptKind {
    Delivered,
    Read,
}

pub(super) fn write(kind: ReceiptKind, messages: &[ClientMsgId]) -> proto::content::Body {
    proto::content::Body::Receipt(proto::Receipt {
        kind: match kind {
            ReceiptKind::Delivered => 1,
            ReceiptKind::Read => 2,
        },
        messages: messages.iter().flat_map(|id| *id.as_bytes()).collect(),
    })
}

/// # Errors
/// [`ContentError::Unknown`] for a kind of a later version; [`ContentError::Malformed`] for truncated ids, or too
/// many.
pub(super) fn read(receipt: &proto::Receipt) -> Result<Body, ContentError> {
    let (ids, rest) = receipt.messages.as_chunks::<16>();
    if !rest.is_empty() || ids.len() > MAX_MESSAGES {
        return Err(ContentError::Malformed);
    }
    let kind = match receipt.kind {
        1 => ReceiptKind::Delivered,
        2 => ReceiptKind::Read,
        _ => return Err(ContentError::Unknown),
    };
    Ok(Body::Receipt { kind, messages: ids.iter().map(|id| ClientMsgId::from_bytes(*id)).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(kind: u32, length: usize) -> Result<Body, ContentError> {
        read(&proto::Receipt { kind, messages: vec![7; length] })
    }

    #[test]
    fn truncated_and_too_many_ids_are_refused() {
        assert!(receipt(1, 16 * MAX_MESSAGES).is_ok());
        assert_eq!(receipt(1, 16 * MAX_MESSAGES + 16), Err(ContentError::Malformed));
        assert_eq!(receipt(2, 17), Err(ContentError::Malformed));
    }

    #[test]
    fn a_kind_of_a_later_version_is_distinguished_from_malformed_bytes() {
        assert_eq!(receipt(3, 16), Err(ContentError::Unknown));
    }
}
