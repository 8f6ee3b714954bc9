//! A body of a kind that a later version has introduced. Its bytes are kept, so that a later version can read them.

use std::fmt;

use prost::encoding::{DecodeContext, decode_key, skip_field};

use super::{ContentError, Kind};

/// A body that this version does not understand.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Unknown {
    pub(super) kind: Kind,
    /// The content as it arrived.
    bytes: Vec<u8>,
}

impl Unknown {
    /// # Errors
    /// [`ContentError::Malformed`] if the bytes are not a protobuf message.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ContentError> {
        let (mut rest, mut kind) = (bytes, Kind::LATER);
        while !rest.is_empty() {
            let (number, wire) = decode_key(&mut rest).map_err(|_| ContentError::Malformed)?;
            skip_field(wire, number, &mut rest, DecodeContext::default())
                .map_err(|_| ContentError::Malformed)?;
            // Of several bodies, the last one counts, as for the known kinds.
            kind = Kind::of_field(number).unwrap_or(kind);
        }
        Ok(Self { kind, bytes: bytes.to_vec() })
    }

    /// The content as it arrived.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unknown({:?}, {} bytes)", self.kind, self.bytes.len())
    }
}
