//! What is inside a ciphertext, and its padding.
//!
//! The content repeats what the relay says about a message (thread, id), so that a relay that moves or renames
//! messages is found out.

use prost::Message as _;
use zeroize::Zeroizing;

use crate::id::{ClientMsgId, ThreadId};

/// Longest text, in bytes of UTF-8: it fits one frame together with a first message's handshake.
pub const MAX_TEXT: usize = 48_000;

/// Contents are padded to multiples of this many bytes, so that their size tells little.
const PADDING_BLOCK: usize = 80;
/// First byte of the padding; zeros follow.
const PADDING_MARK: u8 = 0x80;

/// One content, as it is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) thread: ThreadId,
    pub(crate) id: ClientMsgId,
    /// When the sender wrote it, by server time, in milliseconds.
    pub(crate) sent_ms: u64,
    pub(crate) body: Body,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Body {
    Text(String),
    Receipt { kind: ReceiptKind, messages: Vec<ClientMsgId> },
}

/// How far a message came on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReceiptKind {
    Delivered,
    Read,
}

/// Bytes that are not a content: the sender's client is broken, or newer than this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ContentError {
    #[error("malformed content")]
    Malformed,
    #[error("a content of a kind this version does not know")]
    Unknown,
}

impl Content {
    /// Encodes and pads: `content || 0x80 || zeros`, a multiple of 80 bytes less one (room for the PKCS#7 byte).
    pub(crate) fn seal_form(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(self.to_proto().encode_to_vec());
        let blocks = bytes.len().saturating_add(2).div_ceil(PADDING_BLOCK);
        let padded = blocks.saturating_mul(PADDING_BLOCK).saturating_sub(1);
        bytes.push(PADDING_MARK);
        bytes.resize(padded, 0);
        bytes
    }

    /// The inverse of [`Content::seal_form`].
    pub(crate) fn open_form(padded: &[u8]) -> Result<Self, ContentError> {
        let mark = padded.iter().rposition(|byte| *byte != 0).ok_or(ContentError::Malformed)?;
        let (content, padding) = padded.split_at_checked(mark).ok_or(ContentError::Malformed)?;
        if padding.first() != Some(&PADDING_MARK) {
            return Err(ContentError::Malformed);
        }
        #[expect(clippy::disallowed_methods, reason = "a content has no lists")]
        let proto = proto::Content::decode(content).map_err(|_| ContentError::Malformed)?;
        Self::from_proto(proto)
    }

    fn to_proto(&self) -> proto::Content {
        proto::Content {
            thread: self.thread.as_bytes().to_vec(),
            id: self.id.as_bytes().to_vec(),
            sent_ms: self.sent_ms,
            body: Some(match &self.body {
                Body::Text(text) => proto::Body::Text(text.clone()),
                Body::Receipt { kind, messages } => proto::Body::Receipt(proto::Receipt {
                    kind: match kind {
                        ReceiptKind::Delivered => 1,
                        ReceiptKind::Read => 2,
                    },
                    messages: messages.iter().flat_map(|id| *id.as_bytes()).collect(),
                }),
            }),
        }
    }

    fn from_proto(proto: proto::Content) -> Result<Self, ContentError> {
        let malformed = |_| ContentError::Malformed;
        let body = match proto.body.ok_or(ContentError::Unknown)? {
            proto::Body::Text(text) => Body::Text(text),
            proto::Body::Receipt(receipt) => {
                let (ids, rest) = receipt.messages.as_chunks::<16>();
                if !rest.is_empty() {
                    return Err(ContentError::Malformed);
                }
                Body::Receipt {
                    kind: match receipt.kind {
                        1 => ReceiptKind::Delivered,
                        2 => ReceiptKind::Read,
                        _ => return Err(ContentError::Unknown),
                    },
                    messages: ids.iter().map(|id| ClientMsgId::from_bytes(*id)).collect(),
                }
            }
        };
        Ok(Self {
            thread: ThreadId::from_slice(&proto.thread).map_err(malformed)?,
            id: ClientMsgId::from_slice(&proto.id).map_err(malformed)?,
            sent_ms: proto.sent_ms,
            body,
        })
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(..)"),
            Self::Receipt { kind, messages } => write!(f, "Receipt({kind:?}, {})", messages.len()),
        }
    }
}

/// The wire form. `docs/wire.md` has it as a `.proto`.
mod proto {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Content {
        #[prost(bytes = "vec", tag = "1")]
        pub(super) thread: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        pub(super) id: Vec<u8>,
        #[prost(uint64, tag = "3")]
        pub(super) sent_ms: u64,
        #[prost(oneof = "Body", tags = "10, 11")]
        pub(super) body: Option<Body>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(super) enum Body {
        #[prost(string, tag = "10")]
        Text(String),
        #[prost(message, tag = "11")]
        Receipt(Receipt),
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Receipt {
        /// 1 delivered, 2 read.
        #[prost(uint32, tag = "1")]
        pub(super) kind: u32,
        /// 16 bytes each.
        #[prost(bytes = "vec", tag = "2")]
        pub(super) messages: Vec<u8>,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content(body: Body) -> Content {
        Content {
            thread: ThreadId::from_bytes([1; 16]),
            id: ClientMsgId::from_bytes([2; 16]),
            sent_ms: 3,
            body,
        }
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_what_is_opened(text in ".*") {
            let content = content(Body::Text(text));
            let padded = content.seal_form();
            prop_assert_eq!(padded.len() % PADDING_BLOCK, PADDING_BLOCK.saturating_sub(1));
            prop_assert_eq!(Content::open_form(&padded), Ok(content));
        }

        #[test]
        fn any_bytes_are_refused_or_opened(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Content::open_form(&bytes);
        }
    }

    #[test]
    fn a_receipt_comes_back() {
        let messages = vec![ClientMsgId::from_bytes([7; 16]), ClientMsgId::from_bytes([8; 16])];
        let content = content(Body::Receipt { kind: ReceiptKind::Read, messages });
        assert_eq!(Content::open_form(&content.seal_form()), Ok(content));
    }

    #[test]
    fn no_mark_no_content() {
        assert_eq!(Content::open_form(&[]), Err(ContentError::Malformed));
        assert_eq!(Content::open_form(&[0; 79]), Err(ContentError::Malformed));
    }

    #[test]
    fn a_kind_from_the_future_is_told_apart() {
        let mut future = content(Body::Text(String::new())).to_proto();
        future.body = None;
        let mut bytes = future.encode_to_vec();
        bytes.push(PADDING_MARK);
        assert_eq!(Content::open_form(&bytes), Err(ContentError::Unknown));
    }

    #[test]
    fn debug_does_not_show_the_text() {
        let shown = format!("{:?}", content(Body::Text("secret plans".into())));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
