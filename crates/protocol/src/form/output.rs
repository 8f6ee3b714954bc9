//! Writing: how much room there must be first, then the bytes.

use prost::encoding::{WireType, encode_varint, encoded_len_varint};

use crate::primitives::secret::wipe;
use crate::stored::StoredBytes;

/// The longest varint, in bytes.
const MAX_VARINT_LEN: usize = 10;

/// Where a message is written to.
pub(crate) enum Output {
    /// Nowhere: how long it is.
    Length(usize),
    /// With room for all of it.
    Bytes(Vec<u8>),
}

/// What `write` writes. It is called twice: a buffer that grew would leave copies behind.
pub(crate) fn written(write: impl Fn(&mut Output)) -> StoredBytes {
    let mut output = Output::Length(0);
    write(&mut output);
    written_within(output.len(), write)
}

/// The same where `room` is known to be enough: what is left of it is nothing that was ever written to.
pub(crate) fn written_within(room: usize, write: impl FnOnce(&mut Output)) -> StoredBytes {
    let mut output = Output::with_room(room);
    let start = output.start();
    write(&mut output);
    debug_assert_eq!(output.start(), start, "the room was not enough, and the buffer grew");
    StoredBytes::new(output.into_bytes())
}

impl Output {
    /// With so much room.
    pub(crate) fn with_room(room: usize) -> Self {
        Self::Bytes(Vec::with_capacity(room))
    }

    /// What was written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Length(_) => Vec::new(),
        }
    }

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
    #[inline(always)]
    pub(crate) fn bytes(&mut self, number: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.field(number, bytes);
        }
    }

    #[inline(always)]
    pub(crate) fn optional_bytes(&mut self, number: u32, bytes: Option<&[u8]>) {
        if let Some(bytes) = bytes {
            self.field(number, bytes);
        }
    }

    #[inline(always)]
    fn field(&mut self, number: u32, bytes: &[u8]) {
        let key = key(number, WireType::LengthDelimited);
        match (&mut *self, u8::try_from(key), u8::try_from(bytes.len())) {
            // Most of them: both have one byte.
            (Self::Bytes(out), Ok(key @ ..0x80), Ok(length @ ..0x80)) => {
                out.extend_from_slice(&[key, length]);
                out.extend_from_slice(bytes);
            }
            _ => {
                self.varint(key);
                self.varint(bytes.len() as u64);
                self.raw(bytes);
            }
        }
    }

    /// A message inside, or bytes that are put together. One that is shorter than 128 bytes needs no second thought.
    #[inline]
    pub(crate) fn message(&mut self, number: u32, write: impl FnOnce(&mut Self)) {
        self.delimited::<1>(number, write);
    }

    /// The same, for what has between 128 bytes and 16 KiB mostly.
    #[inline]
    pub(crate) fn long_message(&mut self, number: u32, write: impl FnOnce(&mut Self)) {
        self.delimited::<2>(number, write);
    }

    /// Bytes that are put together, of which it is known that there are `length`.
    #[inline]
    pub(crate) fn sized(&mut self, number: u32, length: usize, write: impl FnOnce(&mut Self)) {
        self.key(number, WireType::LengthDelimited);
        self.varint(length as u64);
        let start = self.len();
        write(self);
        debug_assert_eq!(self.len().checked_sub(start), Some(length), "field {number} has another length");
    }

    /// The length is known only behind the message, and belongs in front: there is room for one of `WIDTH` bytes.
    #[inline(always)]
    fn delimited<const WIDTH: usize>(&mut self, number: u32, write: impl FnOnce(&mut Self)) {
        self.key(number, WireType::LengthDelimited);
        self.raw(&[0; WIDTH]);
        let start = self.len();
        write(self);
        let length = self.len().saturating_sub(start);
        match self {
            Self::Length(all) => {
                // Room for what is there on the way, too.
                let more = encoded_len_varint(length as u64).saturating_sub(WIDTH);
                *all = all.saturating_add(more);
            }
            Self::Bytes(bytes) => {
                match (start.checked_sub(WIDTH).and_then(|at| bytes.get_mut(at..start)), length) {
                    (Some([place]), ..0x80) => *place = length as u8,
                    (Some([low, high]), 0x80..0x4000) => {
                        *low = length as u8 | 0x80;
                        *high = (length >> 7) as u8;
                    }
                    _ => put_length(bytes, WIDTH, start, length),
                }
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

    #[inline(always)]
    fn key(&mut self, number: u32, wire_type: WireType) {
        self.varint(key(number, wire_type));
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

    /// How much was written.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Length(length) => *length,
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}

/// What [`Output::uint`] writes for a field whose number is below 16.
pub(crate) fn uint_len(value: impl Into<u64>) -> usize {
    match value.into() {
        0 => 0,
        value => encoded_len_varint(value).saturating_add(1),
    }
}

/// What [`Output::bytes`] writes of so many bytes, for a field whose number is below 16.
pub(crate) fn bytes_len(length: usize) -> usize {
    match length {
        0 => 0,
        length => encoded_len_varint(length as u64).saturating_add(length).saturating_add(1),
    }
}

#[inline(always)]
fn key(number: u32, wire_type: WireType) -> u64 {
    (u64::from(number) << 3) | wire_type as u64
}

/// Puts `length` in place of the `width` bytes before `start`, where it needs more of them, or fewer.
#[cold]
#[inline(never)]
fn put_length(bytes: &mut Vec<u8>, width: usize, start: usize, length: usize) {
    let (mut varint, end) = ([0; MAX_VARINT_LEN], bytes.len());
    let mut rest = varint.as_mut_slice();
    encode_varint(length as u64, &mut rest);
    let needed = MAX_VARINT_LEN.saturating_sub(rest.len());
    // No more than that is added at any time: the buffer must not grow.
    bytes.resize(end.saturating_add(needed.saturating_sub(width)), 0);
    let place = start.saturating_sub(width);
    let message = place.saturating_add(needed);
    bytes.copy_within(start..end, message);
    bytes.iter_mut().skip(place).zip(varint.iter().take(needed)).for_each(|(place, byte)| *place = *byte);
    // What stays behind at the end when the message moved forward would not be wiped with the rest.
    let end = message.saturating_add(length);
    if let Some(rest) = bytes.get_mut(end..) {
        wipe(rest);
    }
    bytes.truncate(end);
}
