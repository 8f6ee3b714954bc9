//! Parses the fields of a protobuf message once, and looks them up by number.

use std::mem::discriminant;

use prost::encoding::{DecodeContext, WireType, decode_varint, skip_field};

use crate::error::DecodeError;

/// A message with the positions of its fields. Of several fields with the same number, the last one counts; fields
/// that the form does not define are ignored. `N` is one more than the highest number that the form defines, because
/// creating a table of twelve takes longer than reading most forms.
pub(crate) struct Fields<'a, const N: usize> {
    message: &'a [u8],
    by_number: [Value<'a>; N],
}

#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    /// The field is absent.
    None,
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// A type that no form uses.
    Other,
}

impl<'a, const N: usize> Fields<'a, N> {
    #[inline]
    pub(crate) fn parse(message: &'a [u8]) -> Result<Self, DecodeError> {
        let mut by_number = [Value::None; N];
        let mut rest = message;
        while !rest.is_empty() {
            let (number, value) = field(&mut rest).ok_or(DecodeError::Malformed)?;
            let Some(place) = by_number.get_mut(number as usize) else { continue };
            if !matches!(place, Value::None) && discriminant(place) != discriminant(&value) {
                return Err(DecodeError::Malformed);
            }
            *place = value;
        }
        Ok(Self { message, by_number })
    }

    /// Empty if the field is absent.
    pub(crate) fn bytes(&self, number: u32) -> Result<&'a [u8], DecodeError> {
        self.optional_bytes(number).map(Option::unwrap_or_default)
    }

    pub(crate) fn optional_bytes(&self, number: u32) -> Result<Option<&'a [u8]>, DecodeError> {
        match self.value(number) {
            Value::None => Ok(None),
            Value::Bytes(bytes) => Ok(Some(bytes)),
            _ => Err(DecodeError::Malformed),
        }
    }

    /// Zero if the field is absent, like all numbers.
    pub(crate) fn uint32(&self, number: u32) -> Result<u32, DecodeError> {
        self.optional_uint32(number).map(Option::unwrap_or_default)
    }

    /// Of a larger number, the low half is used, as always in protobuf.
    pub(crate) fn optional_uint32(&self, number: u32) -> Result<Option<u32>, DecodeError> {
        self.varint(number).map(|value| value.map(|value| value as u32))
    }

    pub(crate) fn optional_uint64(&self, number: u32) -> Result<Option<u64>, DecodeError> {
        self.varint(number)
    }

    pub(crate) fn fixed64(&self, number: u32) -> Result<u64, DecodeError> {
        match self.value(number) {
            Value::None => Ok(0),
            Value::Fixed64(value) => Ok(value),
            _ => Err(DecodeError::Malformed),
        }
    }

    /// All messages with this number, in order; [`DecodeError::Malformed`] in place of one beyond `most`.
    ///
    /// # Errors
    /// [`DecodeError::Malformed`] if they are not messages.
    pub(crate) fn rows(
        &self,
        number: u32,
        most: usize,
    ) -> Result<impl Iterator<Item = Result<&'a [u8], DecodeError>> + use<'a, N>, DecodeError> {
        // The last one shows that all have its type.
        let any = match self.value(number) {
            Value::None => false,
            Value::Bytes(_) => true,
            _ => return Err(DecodeError::Malformed),
        };
        let mut rest = if any { self.message } else { &[] };
        let mut left = most;
        let mut next = move || {
            while !rest.is_empty() {
                if let (this, Value::Bytes(row)) = field(&mut rest)?
                    && this == number
                {
                    return Some(row);
                }
            }
            None
        };
        Ok(std::iter::from_fn(move || {
            let row = next()?;
            Some(match left.checked_sub(1) {
                Some(fewer) => {
                    left = fewer;
                    Ok(row)
                }
                None => Err(DecodeError::Malformed),
            })
        }))
    }

    fn varint(&self, number: u32) -> Result<Option<u64>, DecodeError> {
        match self.value(number) {
            Value::None => Ok(None),
            Value::Varint(value) => Ok(Some(value)),
            _ => Err(DecodeError::Malformed),
        }
    }

    fn value(&self, number: u32) -> Value<'a> {
        debug_assert!((number as usize) < N, "the form says that it has no field {number}");
        self.by_number.get(number as usize).copied().unwrap_or(Value::None)
    }
}

/// The next field with its number.
#[inline(always)]
pub(super) fn field<'a>(rest: &mut &'a [u8]) -> Option<(u32, Value<'a>)> {
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

/// Most have one byte, and lengths have two.
#[inline(always)]
pub(super) fn varint(rest: &mut &[u8]) -> Option<u64> {
    match **rest {
        [byte @ ..0x80, ref behind @ ..] => {
            *rest = behind;
            Some(u64::from(byte))
        }
        [low, high @ ..0x80, ref behind @ ..] => {
            *rest = behind;
            Some(u64::from(low & 0x7f) | u64::from(high) << 7)
        }
        _ => decode_varint(rest).ok(),
    }
}
