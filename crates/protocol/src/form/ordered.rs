//! Reads fields in the order in which they were written, for the forms that are read for every message.

use prost::encoding::WireType;

use super::fields::{field, varint};
use crate::error::DecodeError;

/// A message whose fields are read in the order of their numbers, which is the order in which they were written. Each
/// field is parsed once, and no table is built. Fields that the form does not define are skipped.
///
/// A duplicate field, or one after a field with a higher number, is [`DecodeError::Malformed`], because we never write
/// such a message. So is invalid protobuf; [`finish`](Self::finish) checks the part that has not been read.
pub(crate) struct Ordered<'a> {
    rest: &'a [u8],
    /// The number of the last field that was requested.
    last: u32,
}

impl<'a> Ordered<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message, last: 0 }
    }

    /// Empty if the field is absent.
    #[inline(always)]
    pub(crate) fn bytes(&mut self, number: u32) -> Result<&'a [u8], DecodeError> {
        self.optional_bytes(number).map(Option::unwrap_or_default)
    }

    #[inline(always)]
    pub(crate) fn optional_bytes(&mut self, number: u32) -> Result<Option<&'a [u8]>, DecodeError> {
        // The usual case: the field is present, and its key and length take one byte each.
        if let [key, length @ ..0x80, behind @ ..] = self.rest
            && u32::from(*key) == key_of(number, WireType::LengthDelimited)
            && let Some((bytes, rest)) = behind.split_at_checked(usize::from(*length))
        {
            (self.rest, self.last) = (rest, number);
            return Ok(Some(bytes));
        }
        if !self.is_at(number, WireType::LengthDelimited)? {
            return Ok(None);
        }
        let length = varint(&mut self.rest).and_then(|length| usize::try_from(length).ok());
        let bytes = length.and_then(|length| self.rest.split_off(..length));
        bytes.map(Some).ok_or(DecodeError::Malformed)
    }

    /// Zero if the field is absent, like all numbers. Of a larger number, the low half is used, as always in protobuf.
    #[inline(always)]
    pub(crate) fn uint32(&mut self, number: u32) -> Result<u32, DecodeError> {
        self.uint64(number).map(|value| value as u32)
    }

    #[inline(always)]
    pub(crate) fn uint64(&mut self, number: u32) -> Result<u64, DecodeError> {
        self.optional_uint64(number).map(Option::unwrap_or_default)
    }

    #[inline(always)]
    pub(crate) fn optional_uint32(&mut self, number: u32) -> Result<Option<u32>, DecodeError> {
        self.optional_uint64(number).map(|value| value.map(|value| value as u32))
    }

    #[inline(always)]
    pub(crate) fn optional_uint64(&mut self, number: u32) -> Result<Option<u64>, DecodeError> {
        if let [key, value @ ..0x80, behind @ ..] = self.rest
            && u32::from(*key) == key_of(number, WireType::Varint)
        {
            (self.rest, self.last) = (behind, number);
            return Ok(Some(u64::from(*value)));
        }
        if !self.is_at(number, WireType::Varint)? {
            return Ok(None);
        }
        varint(&mut self.rest).map(Some).ok_or(DecodeError::Malformed)
    }

    #[inline(always)]
    pub(crate) fn sint64(&mut self, number: u32) -> Result<i64, DecodeError> {
        self.uint64(number).map(|value| (value >> 1).cast_signed() ^ (value & 1).cast_signed().wrapping_neg())
    }

    #[inline(always)]
    pub(crate) fn bool(&mut self, number: u32) -> Result<bool, DecodeError> {
        self.uint64(number).map(|value| value != 0)
    }

    /// All messages with this number, in order; [`DecodeError::Malformed`] in place of one beyond `most`.
    #[inline(always)]
    pub(crate) fn rows(&mut self, number: u32, most: usize) -> Rows<'_, 'a> {
        Rows { form: self, number, left: most }
    }

    /// All messages with the first of two numbers, then all with the second, which are marked with `true`. Each list may
    /// contain up to `most` messages, as in [`rows`](Self::rows).
    #[inline(always)]
    pub(crate) fn two_lists(
        &mut self,
        [first, second]: [u32; 2],
        most: usize,
    ) -> impl Iterator<Item = Result<(bool, &'a [u8]), DecodeError>> {
        let mut rows = self.rows(first, most);
        std::iter::from_fn(move || {
            if let Some(row) = rows.next() {
                return Some(row.map(|row| (rows.number == second, row)));
            }
            if rows.number == second {
                return None;
            }
            (rows.number, rows.left) = (second, most);
            rows.next().map(|row| row.map(|row| (true, row)))
        })
    }

    /// Checks the rest of the message: after the fields that the form defines, it must be valid protobuf.
    #[inline(always)]
    pub(crate) fn finish(mut self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { self.find(u32::MAX).map(|_| ()) }
    }

    /// Whether the next field has this number; it must then have this type, and its value comes next.
    #[inline(always)]
    fn is_at(&mut self, number: u32, wire_type: WireType) -> Result<bool, DecodeError> {
        debug_assert!((self.last..16).contains(&number), "field {number} is asked for after {}", self.last);
        let is_here = match self.rest.split_first() {
            None => false,
            Some((key, behind)) if u32::from(*key) == key_of(number, wire_type) => {
                self.rest = behind;
                true
            }
            // A later field, whose key takes one byte like all keys that we write.
            Some((key @ ..0x80, _)) if u32::from(*key >> 3) > number => false,
            Some(_) => self.pass_to(number, wire_type)?,
        };
        self.last = number;
        Ok(is_here)
    }

    /// The same in all other cases: unknown fields, keys of more than one byte, and malformed messages.
    #[cold]
    #[inline(never)]
    fn pass_to(&mut self, number: u32, wire_type: WireType) -> Result<bool, DecodeError> {
        if !self.find(number)? {
            return Ok(false);
        }
        match varint(&mut self.rest) {
            Some(key) if key == u64::from(key_of(number, wire_type)) => Ok(true),
            _ => Err(DecodeError::Malformed),
        }
    }

    /// Skips the fields before the one with this number, and returns whether that one is present.
    #[cold]
    #[inline(never)]
    fn find(&mut self, number: u32) -> Result<bool, DecodeError> {
        let mut rest = self.rest;
        while !rest.is_empty() {
            let (this, _) = field(&mut rest).ok_or(DecodeError::Malformed)?;
            if this >= number {
                return Ok(this == number);
            }
            if this <= self.last {
                return Err(DecodeError::Malformed);
            }
            self.rest = rest;
        }
        Ok(false)
    }
}

/// The key that precedes a field.
#[inline(always)]
const fn key_of(number: u32, wire_type: WireType) -> u32 {
    (number << 3) | wire_type as u32
}

/// The messages with one number.
pub(crate) struct Rows<'o, 'a> {
    form: &'o mut Ordered<'a>,
    number: u32,
    left: usize,
}

impl<'a> Iterator for Rows<'_, 'a> {
    type Item = Result<&'a [u8], DecodeError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let row = self.form.optional_bytes(self.number).transpose()?;
        Some(match self.left.checked_sub(1) {
            Some(fewer) => {
                self.left = fewer;
                row
            }
            None => Err(DecodeError::Malformed),
        })
    }
}
