//! Reading: the fields of a message, found once, and looked up by their numbers.

use std::mem::discriminant;

use prost::encoding::{DecodeContext, WireType, decode_varint, skip_field};

use crate::error::DecodeError;

/// One more than the highest number of a field that any form has.
const NUMBERS: usize = 12;

/// A message whose fields are where they are. Of several with one number, the last counts; what no form has does not.
pub(crate) struct Fields<'a> {
    by_number: [Option<Found<'a>>; NUMBERS],
}

/// All fields with one number.
#[derive(Clone, Copy)]
struct Found<'a> {
    /// The message, from the first of them on.
    first: &'a [u8],
    times: usize,
    last: Value<'a>,
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// Of a type that no form has.
    Other,
}

impl<'a> Fields<'a> {
    pub(crate) fn parse(message: &'a [u8]) -> Result<Self, DecodeError> {
        let mut by_number = [None; NUMBERS];
        let mut rest = message;
        while !rest.is_empty() {
            let from_here = rest;
            let (number, value) = field(&mut rest).ok_or(DecodeError::Malformed)?;
            let Some(place) = by_number.get_mut(number as usize) else { continue };
            let Found { first, times, last } =
                place.unwrap_or(Found { first: from_here, times: 0, last: value });
            if discriminant(&last) != discriminant(&value) {
                return Err(DecodeError::Malformed);
            }
            *place = Some(Found { first, times: times.saturating_add(1), last: value });
        }
        Ok(Self { by_number })
    }

    /// Empty when it is not there.
    pub(crate) fn bytes(&self, number: u32) -> Result<&'a [u8], DecodeError> {
        self.optional_bytes(number).map(Option::unwrap_or_default)
    }

    pub(crate) fn optional_bytes(&self, number: u32) -> Result<Option<&'a [u8]>, DecodeError> {
        match self.value(number) {
            None => Ok(None),
            Some(Value::Bytes(bytes)) => Ok(Some(bytes)),
            Some(_) => Err(DecodeError::Malformed),
        }
    }

    /// Zero when it is not there, as all numbers.
    pub(crate) fn uint32(&self, number: u32) -> Result<u32, DecodeError> {
        self.optional_uint32(number).map(Option::unwrap_or_default)
    }

    /// Of a larger number the low half counts, as everywhere in protobuf.
    pub(crate) fn optional_uint32(&self, number: u32) -> Result<Option<u32>, DecodeError> {
        self.varint(number).map(|value| value.map(|value| value as u32))
    }

    pub(crate) fn uint64(&self, number: u32) -> Result<u64, DecodeError> {
        self.optional_uint64(number).map(Option::unwrap_or_default)
    }

    pub(crate) fn optional_uint64(&self, number: u32) -> Result<Option<u64>, DecodeError> {
        self.varint(number)
    }

    pub(crate) fn sint64(&self, number: u32) -> Result<i64, DecodeError> {
        self.uint64(number).map(|value| (value >> 1).cast_signed() ^ (value & 1).cast_signed().wrapping_neg())
    }

    pub(crate) fn bool(&self, number: u32) -> Result<bool, DecodeError> {
        self.uint64(number).map(|value| value != 0)
    }

    pub(crate) fn fixed64(&self, number: u32) -> Result<u64, DecodeError> {
        match self.value(number) {
            None => Ok(0),
            Some(Value::Fixed64(value)) => Ok(value),
            Some(_) => Err(DecodeError::Malformed),
        }
    }

    /// All messages with this number, in their order.
    ///
    /// # Errors
    /// [`DecodeError::Malformed`] when there are more than `most`.
    pub(crate) fn rows(
        &self,
        number: u32,
        most: usize,
    ) -> Result<impl Iterator<Item = Result<&'a [u8], DecodeError>> + use<'a>, DecodeError> {
        let found = self.by_number.get(number as usize).copied().flatten();
        let (mut rest, times) = found.map_or((&[][..], 0), |found| (found.first, found.times));
        if times > most {
            return Err(DecodeError::Malformed);
        }
        Ok((0..times).map(move |_| {
            loop {
                match field(&mut rest) {
                    Some((this, Value::Bytes(row))) if this == number => return Ok(row),
                    Some((this, _)) if this != number => {}
                    Some(_) | None => return Err(DecodeError::Malformed),
                }
            }
        }))
    }

    fn varint(&self, number: u32) -> Result<Option<u64>, DecodeError> {
        match self.value(number) {
            None => Ok(None),
            Some(Value::Varint(value)) => Ok(Some(value)),
            Some(_) => Err(DecodeError::Malformed),
        }
    }

    fn value(&self, number: u32) -> Option<Value<'a>> {
        self.by_number.get(number as usize)?.map(|found| found.last)
    }
}

/// The next field, and its number.
#[inline(always)]
fn field<'a>(rest: &mut &'a [u8]) -> Option<(u32, Value<'a>)> {
    let key = u32::try_from(varint(rest)?).ok()?;
    let number = key >> 3;
    let value = match key & 7 {
        0 => Value::Varint(varint(rest)?),
        1 => {
            let (value, behind) = rest.split_first_chunk()?;
            *rest = behind;
            Value::Fixed64(u64::from_le_bytes(*value))
        }
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            Value::Bytes(rest.split_off(..length)?)
        }
        other => {
            let wire_type = WireType::try_from(u64::from(other)).ok()?;
            skip_field(wire_type, number, rest, DecodeContext::default()).ok()?;
            Value::Other
        }
    };
    (number > 0).then_some((number, value))
}

/// Most of them have one byte.
#[inline(always)]
fn varint(rest: &mut &[u8]) -> Option<u64> {
    match rest.split_first()? {
        (byte @ ..0x80, behind) => {
            *rest = behind;
            Some(u64::from(*byte))
        }
        _ => decode_varint(rest).ok(),
    }
}
