//! Writing: the length first, then the bytes.

use prost::encoding::{WireType, encode_varint, encoded_len_varint};

use crate::stored::StoredBytes;

/// Where a message is written to.
pub(crate) enum Output {
    /// Nowhere: how long it is.
    Length(usize),
    /// As long as was found out.
    Bytes(Vec<u8>),
}

/// What `write` writes. It is called twice: a buffer that grew would leave copies behind.
pub(crate) fn written(write: impl Fn(&mut Output)) -> StoredBytes {
    let mut output = Output::Length(0);
    write(&mut output);
    let mut output = Output::Bytes(Vec::with_capacity(output.len()));
    write(&mut output);
    match output {
        Output::Bytes(bytes) => StoredBytes::new(bytes),
        Output::Length(_) => StoredBytes::new(Vec::new()),
    }
}

impl Output {
    /// Nothing for zero.
    pub(crate) fn uint(&mut self, number: u32, value: impl Into<u64>) {
        let value = value.into();
        self.optional_uint(number, (value != 0).then_some(value));
    }

    pub(crate) fn optional_uint(&mut self, number: u32, value: Option<impl Into<u64>>) {
        if let Some(value) = value {
            self.key(number, WireType::Varint);
            self.varint(value.into());
        }
    }

    pub(crate) fn sint(&mut self, number: u32, value: i64) {
        self.uint(number, ((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    pub(crate) fn fixed64(&mut self, number: u32, value: u64) {
        if value != 0 {
            self.key(number, WireType::SixtyFourBit);
            self.raw(&value.to_le_bytes());
        }
    }

    /// Nothing when there are none.
    pub(crate) fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.optional_bytes(number, (!bytes.is_empty()).then_some(bytes));
    }

    pub(crate) fn optional_bytes(&mut self, number: u32, bytes: Option<&[u8]>) {
        if let Some(bytes) = bytes {
            self.key(number, WireType::LengthDelimited);
            self.varint(bytes.len() as u64);
            self.raw(bytes);
        }
    }

    /// A message inside, or bytes that are put together.
    pub(crate) fn message(&mut self, number: u32, write: impl FnOnce(&mut Self)) {
        self.key(number, WireType::LengthDelimited);
        let start = self.len();
        write(self);
        let end = self.len();
        self.varint(end.saturating_sub(start) as u64);
        // The length is known only now, and belongs in front.
        if let Self::Bytes(bytes) = self {
            let width = bytes.len().saturating_sub(end);
            if let Some(message) = bytes.get_mut(start..) {
                message.rotate_right(width);
            }
        }
    }

    /// Bytes that are no field.
    pub(crate) fn raw(&mut self, raw: &[u8]) {
        match self {
            Self::Length(length) => *length = length.saturating_add(raw.len()),
            Self::Bytes(bytes) => bytes.extend_from_slice(raw),
        }
    }

    fn key(&mut self, number: u32, wire_type: WireType) {
        self.varint((u64::from(number) << 3) | wire_type as u64);
    }

    fn varint(&mut self, value: u64) {
        match self {
            Self::Length(length) => *length = length.saturating_add(encoded_len_varint(value)),
            Self::Bytes(bytes) => encode_varint(value, bytes),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Length(length) => *length,
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}
