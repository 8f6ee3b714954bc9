//! Writing: the length first, then the bytes.

use prost::encoding::{WireType, encode_varint, encoded_len_varint};

use crate::stored::StoredBytes;

/// The longest varint, in bytes.
const MAX_VARINT_LEN: usize = 10;

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
    let start = output.start();
    write(&mut output);
    debug_assert_eq!(output.start(), start, "the buffer grew");
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
        // The length is known only behind the message, and belongs in front: most have one byte, for which there is room.
        self.varint(0);
        let start = self.len();
        write(self);
        let end = self.len();
        let length = end.saturating_sub(start);
        match (self, u8::try_from(length)) {
            (Self::Bytes(bytes), Ok(length @ ..0x80)) => {
                if let Some(place) = start.checked_sub(1).and_then(|place| bytes.get_mut(place)) {
                    *place = length;
                }
            }
            (_, Ok(..0x80)) => {}
            (this, _) => this.insert_length(start, length),
        }
    }

    /// Puts `length`, which has more than one byte, in place of the one before `start`.
    fn insert_length(&mut self, start: usize, length: usize) {
        match self {
            Self::Length(all) => {
                let more = encoded_len_varint(length as u64).saturating_sub(1);
                *all = all.saturating_add(more);
            }
            Self::Bytes(bytes) => {
                let (mut varint, end) = ([0; MAX_VARINT_LEN], bytes.len());
                let mut rest = varint.as_mut_slice();
                encode_varint(length as u64, &mut rest);
                let width = MAX_VARINT_LEN.saturating_sub(rest.len());
                // One byte is there. No more than that is added at any time: the buffer must not grow.
                bytes.resize(end.saturating_add(width).saturating_sub(1), 0);
                let place = start.saturating_sub(1);
                bytes.copy_within(start..end, place.saturating_add(width));
                let varint = varint.iter().take(width);
                bytes.iter_mut().skip(place).zip(varint).for_each(|(place, byte)| *place = *byte);
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

    /// Most of them have one byte.
    #[inline(always)]
    fn varint(&mut self, value: u64) {
        match (&mut *self, value) {
            (Self::Length(length), ..0x80) => *length = length.saturating_add(1),
            (Self::Bytes(bytes), ..0x80) => bytes.push(value as u8),
            _ => self.long_varint(value),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self, value: u64) {
        match self {
            Self::Length(length) => *length = length.saturating_add(encoded_len_varint(value)),
            Self::Bytes(bytes) => encode_varint(value, bytes),
        }
    }

    /// Where the buffer is.
    fn start(&self) -> Option<*const u8> {
        match self {
            Self::Length(_) => None,
            Self::Bytes(bytes) => Some(bytes.as_ptr()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Length(length) => *length,
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}
