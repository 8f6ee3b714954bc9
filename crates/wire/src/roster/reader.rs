//! Reads the fixed forms of an entry.

use crate::id::UserId;

/// The bytes are not an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an entry of a roster")]
pub struct FormError;

/// The bytes that are still to be read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], FormError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(FormError)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], FormError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(FormError)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, FormError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(super) fn short(&mut self) -> Result<usize, FormError> {
        Ok(usize::from(u16::from_be_bytes(self.array()?)))
    }

    pub(super) fn long(&mut self) -> Result<u64, FormError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(super) fn user(&mut self) -> Result<UserId, FormError> {
        self.array().map(UserId::from_bytes)
    }

    /// A count of two bytes and as many rows, whose users ascend, so that there is one form and nobody is named twice. At least `least` rows,
    /// and at most `most`.
    pub(super) fn rows<T>(
        &mut self,
        bounds: std::ops::RangeInclusive<usize>,
        read: impl Fn(&mut Self) -> Result<T, FormError>,
        user: impl Fn(&T) -> UserId,
    ) -> Result<Vec<T>, FormError> {
        let count = self.short()?;
        if !bounds.contains(&count) {
            return Err(FormError);
        }
        let mut rows = Vec::new();
        for _ in 0..count {
            rows.push(read(self)?);
        }
        if !rows.is_sorted_by(|one, next| user(one) < user(next)) {
            return Err(FormError);
        }
        Ok(rows)
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(super) fn end(self) -> Result<(), FormError> {
        if self.0.is_empty() { Ok(()) } else { Err(FormError) }
    }
}

/// A length or count of two bytes. The bounds of what is written make it fit.
pub(super) fn write_short(out: &mut Vec<u8>, number: usize) {
    out.extend(u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes());
}
