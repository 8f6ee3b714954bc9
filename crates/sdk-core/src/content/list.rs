//! Lists inside of a content: one field of bytes, which is read one element at a time. (As a repeated field, a short content could become
//! a list that takes a lot of memory.)

use prost::Message;
use prost::encoding::{decode_varint, encode_varint};

use super::ContentError;

/// Adds an element to an encoded list.
pub(super) fn push(list: &mut Vec<u8>, element: &impl Message) {
    // The length of a slice fits into 64 bits.
    encode_varint(u64::try_from(element.encoded_len()).unwrap_or(u64::MAX), list);
    list.extend(element.encode_to_vec());
}

/// The encoded elements of a list.
pub(super) struct List<'l>(Option<&'l [u8]>);

impl<'l> List<'l> {
    pub(super) const fn new(bytes: &'l [u8]) -> Self {
        Self(Some(bytes))
    }
}

impl<'l> Iterator for List<'l> {
    type Item = Result<&'l [u8], ContentError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut rest = self.0.take().filter(|rest| !rest.is_empty())?;
        let length = decode_varint(&mut rest).ok().and_then(|length| usize::try_from(length).ok());
        let Some((element, rest)) = length.and_then(|length| rest.split_at_checked(length)) else {
            return Some(Err(ContentError::Malformed));
        };
        self.0 = Some(rest);
        Some(Ok(element))
    }
}
