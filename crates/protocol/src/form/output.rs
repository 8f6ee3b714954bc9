//! Writing messages: first the length is computed, then the bytes are written.

use prost::encoding::{WireType, encode_varint, encoded_len_varint};

use crate::primitives::secret::wipe;
use crate::stored::StoredBytes;

/// The length of the longest varint, in bytes.
const MAX_VARINT_LEN: usize = 10;

/// Where a message is written to.
pub(crate) enum Output {
    /// Nowhere; only the length is counted.
    Length(usize),
    /// A buffer with room for the whole message.
    Bytes(Vec<u8>),
}

/// The bytes that `write` writes. It is called twice, because a buffer that grew would leave copies of secrets
/// behind.
pub(crate) fn written(write: impl Fn(&mut Output)) -> StoredBytes {
    let mut output = Output::Length(0);
    write(&mut output);
    written_within(output.len(), write)
}

/// The same if `room` is known to suffice. The unused rest of the buffer was never written to.
pub(crate) fn written_within(room: usize, write: impl FnOnce(&mut Output)) -> StoredBytes {
    let mut output = Output::with_room(room);
    let start = output.start();
    write(&mut output);
    debug_assert_eq!(output.start(), start, "the room was not enough, and the buffer grew");
    StoredBytes::new(output.into_bytes())
}

impl Output {
    /// A buffer of this capacity.
    pub(crate) fn with_room(room: usize) -> Self {
        Self::Bytes(Vec::with_capacity(room))
    }

    /// The bytes that were written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Length(_) => Vec::new(),
        }
    }

    /// Writes nothing for zero.
    #[inline(always)]
    pub(crate) fn uint(&mut self, number: u32, value: impl Into<u64>) {
        let value = value.into();
        self.optional_uint(number, (value != 0).then_some(value));
    }

    #[inline(always)]
    pub(crate) fn optional_uint(&mut self, number: u32, value: Option<impl Into<u64>>) {
        let Some(value) = value.map(Into::into) else { return };
        match (&mut *self, u8::try_from(key(number, WireType::Varint)), value) {
            // The usual case: both fit into one byte.
            (Self::Bytes(out), Ok(key @ ..0x80), ..0x80) => out.extend_from_slice(&[key, value as u8]),
            _ => {
                self.key(number, WireType::Varint);
                self.varint(value);
            }
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

    /// Writes nothing if there are no bytes.
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
            // The usual case: both fit into one byte.
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

    /// A nested message, or bytes in several parts. Shorter than 128 bytes is the fast case.
    #[inline]
    pub(crate) fn message(&mut self, number: u32, write: impl FnOnce(&mut Self)) {
        self.delimited::<1>(number, write);
    }

    /// The same for something that usually has between 128 bytes and 16 KiB.
    #[inline]
    pub(crate) fn long_message(&mut self, number: u32, write: impl FnOnce(&mut Self)) {
        self.delimited::<2>(number, write);
    }

    /// Bytes in several parts whose total `length` is known.
    #[inline]
    pub(crate) fn sized(&mut self, number: u32, length: usize, write: impl FnOnce(&mut Self)) {
        self.key(number, WireType::LengthDelimited);
        self.varint(length as u64);
        let start = self.len();
        write(self);
        debug_assert_eq!(self.len().checked_sub(start), Some(length), "field {number} has another length");
    }

    /// The length is known only after the message has been written, but belongs before it, so room is left for a
    /// length of `WIDTH` bytes.
    #[inline(always)]
    fn delimited<const WIDTH: usize>(&mut self, number: u32, write: impl FnOnce(&mut Self)) {
        self.key(number, WireType::LengthDelimited);
        self.raw(&[0; WIDTH]);
        let start = self.len();
        write(self);
        let length = self.len().saturating_sub(start);
        match self {
            Self::Length(all) => {
                // The buffer must also have room for the intermediate state.
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

    /// Bytes that are not a field.
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

    /// Most values fit into one byte.
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

    /// The address of the buffer.
    fn start(&self) -> Option<*const u8> {
        match self {
            Self::Length(_) => None,
            Self::Bytes(bytes) => Some(bytes.as_ptr()),
        }
    }

    /// How many bytes were written.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Length(length) => *length,
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}

/// The length of what [`Output::uint`] writes for a field whose number is below 16.
pub(crate) fn uint_len(value: impl Into<u64>) -> usize {
    match value.into() {
        0 => 0,
        value => encoded_len_varint(value).saturating_add(1),
    }
}

/// The length of what [`Output::bytes`] writes for this many bytes, for a field whose number is below 16.
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

/// Writes `length` before `start` if it needs more or fewer than the `width` bytes that were left for it.
#[cold]
#[inline(never)]
fn put_length(bytes: &mut Vec<u8>, width: usize, start: usize, length: usize) {
    let (mut varint, end) = ([0; MAX_VARINT_LEN], bytes.len());
    let mut rest = varint.as_mut_slice();
    encode_varint(length as u64, &mut rest);
    let needed = MAX_VARINT_LEN.saturating_sub(rest.len());
    // No more than this is added at any time, because the buffer must not grow.
    bytes.resize(end.saturating_add(needed.saturating_sub(width)), 0);
    let place = start.saturating_sub(width);
    let message = place.saturating_add(needed);
    bytes.copy_within(start..end, message);
    bytes.iter_mut().skip(place).zip(varint.iter().take(needed)).for_each(|(place, byte)| *place = *byte);
    // If the message was moved forward, the bytes left at the end would not be wiped with the rest.
    let end = message.saturating_add(length);
    if let Some(rest) = bytes.get_mut(end..) {
        wipe(rest);
    }
    bytes.truncate(end);
}
