//! The part of a message that belongs to SPQR: `version || epoch || index || type [|| chunk index || chunk]`.
//!
//! Epoch, index and chunk index are varints, with 7 bits in each byte, lowest first. Bytes after the last part are
//! ignored.

use super::chunks::{Chunk, Row};

/// The version that this library implements. 0 means that SPQR is not used.
pub(crate) const VERSION: u8 = 1;

/// Version, epoch, index, type, chunk index, chunk.
const MAX_LEN: usize = 1 + 10 + 5 + 1 + 3 + size_of::<Row>();

/// The bytes cannot be a message of SPQR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The part that is common to all versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preamble<'a> {
    /// Version 0: no bytes, or anything after a zero.
    Silent,
    /// The version of this library.
    Known(Keyed<'a>),
    /// A later version.
    Later(Keyed<'a>),
}

/// Which key the message has, and the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keyed<'a> {
    /// The epoch of the sender's braid, at least 1. The key belongs to the chain of the epoch before.
    pub(crate) epoch: u64,
    /// The number of the key in its chain, from 1; 0 means no key.
    pub(crate) index: u32,
    rest: &'a [u8],
}

/// One step of the braid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload {
    /// There is nothing to send.
    None,
    /// A chunk of the header and its MAC.
    Header(Chunk),
    /// A chunk of the encapsulation key.
    Ek(Chunk),
    /// The same, with the acknowledgement of the first half of the ciphertext.
    EkCt1Ack(Chunk),
    /// The acknowledgement of the first half of the ciphertext.
    Ct1Ack,
    /// A chunk of the first half of the ciphertext.
    Ct1(Chunk),
    /// A chunk of the second half and the MAC.
    Ct2(Chunk),
}

impl<'a> Preamble<'a> {
    pub(crate) fn parse(message: &'a [u8]) -> Result<Self, Malformed> {
        let Some((version, rest)) = message.split_first() else { return Ok(Self::Silent) };
        let (epoch, rest) = varint(rest)?;
        let (index, rest) = varint(rest)?;
        let index = u32::try_from(index).map_err(|_| Malformed)?;
        if epoch == 0 {
            return Err(Malformed);
        }
        let keyed = Keyed { epoch, index, rest };
        Ok(match *version {
            0 => Self::Silent,
            VERSION => Self::Known(keyed),
            _ => Self::Later(keyed),
        })
    }
}

impl Keyed<'_> {
    /// The epoch of the chain of the key.
    pub(crate) fn chain_epoch(&self) -> u64 {
        self.epoch.saturating_sub(1)
    }

    /// The rest, in version 1.
    pub(crate) fn payload(&self) -> Result<Payload, Malformed> {
        let (kind, rest) = self.rest.split_first().ok_or(Malformed)?;
        Ok(match kind {
            0 => Payload::None,
            1 => Payload::Header(chunk(rest)?),
            2 => Payload::Ek(chunk(rest)?),
            3 => Payload::EkCt1Ack(chunk(rest)?),
            4 => Payload::Ct1Ack,
            5 => Payload::Ct1(chunk(rest)?),
            6 => Payload::Ct2(chunk(rest)?),
            _ => return Err(Malformed),
        })
    }
}

/// The message of version 1.
pub(crate) fn serialize(epoch: u64, index: u32, payload: &Payload) -> Vec<u8> {
    let mut out = Vec::with_capacity(MAX_LEN);
    out.push(VERSION);
    put_varint(&mut out, epoch);
    put_varint(&mut out, index.into());
    let (kind, chunk) = match payload {
        Payload::None => (0, None),
        Payload::Header(chunk) => (1, Some(chunk)),
        Payload::Ek(chunk) => (2, Some(chunk)),
        Payload::EkCt1Ack(chunk) => (3, Some(chunk)),
        Payload::Ct1Ack => (4, None),
        Payload::Ct1(chunk) => (5, Some(chunk)),
        Payload::Ct2(chunk) => (6, Some(chunk)),
    };
    out.push(kind);
    if let Some(Chunk { index, row }) = chunk {
        put_varint(&mut out, (*index).into());
        out.extend_from_slice(row);
    }
    out
}

fn chunk(bytes: &[u8]) -> Result<Chunk, Malformed> {
    let (index, rest) = varint(bytes)?;
    let index = index.try_into().map_err(|_| Malformed)?;
    let row = *rest.first_chunk().ok_or(Malformed)?;
    Ok(Chunk { index, row })
}

/// Parses a number of at most ten bytes, and returns what follows it. Leading zeros are allowed, and bits beyond the
/// 64th are dropped, as in Signal's library.
fn varint(bytes: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let mut value = 0;
    let mut rest = bytes;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, after) = rest.split_first().ok_or(Malformed)?;
        value |= u64::from(byte & 0x7f).wrapping_shl(shift);
        rest = after;
        if byte & 0x80 == 0 {
            return Ok((value, rest));
        }
    }
    Err(Malformed)
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn payload(kind: u8, chunk: Chunk) -> Payload {
        match kind {
            0 => Payload::None,
            1 => Payload::Header(chunk),
            2 => Payload::Ek(chunk),
            3 => Payload::EkCt1Ack(chunk),
            4 => Payload::Ct1Ack,
            5 => Payload::Ct1(chunk),
            _ => Payload::Ct2(chunk),
        }
    }

    proptest! {
        #[test]
        fn a_written_message_is_parsed(
            epoch in 1..=u64::MAX, index: u32, kind in 0_u8..7, at: u16, row: Row, more: Vec<u8>,
        ) {
            let payload = payload(kind, Chunk { index: at, row });
            let bytes = [&serialize(epoch, index, &payload)[..], &more].concat();
            let Ok(Preamble::Known(keyed)) = Preamble::parse(&bytes) else { panic!("version 1") };
            prop_assert_eq!((keyed.epoch, keyed.index, keyed.payload()), (epoch, index, Ok(payload)));
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
            if let Ok(Preamble::Known(keyed) | Preamble::Later(keyed)) = Preamble::parse(&bytes) {
                prop_assert!(keyed.epoch > 0);
                let _ = keyed.payload();
            }
        }
    }

    #[test]
    fn numbers_take_no_more_bytes_than_necessary() {
        assert_eq!(serialize(0x7f, 0x80, &Payload::None)[..], [VERSION, 0x7f, 0x80, 1, 0]);
        assert_eq!(serialize(0x3fff, 0x4000, &Payload::None)[..], [VERSION, 0xff, 0x7f, 0x80, 0x80, 1, 0]);
    }

    #[test]
    fn a_number_has_at_most_ten_bytes_and_64_bits() {
        let read = |bytes: &[u8]| varint(bytes).map(|(value, rest)| (value, rest.len()));
        assert_eq!(read(&[0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 7]), Ok((1, 1)));
        assert_eq!(read(&[[0xff; 9].as_slice(), &[1]].concat()), Ok((u64::MAX, 0)));
        assert_eq!(read(&[[0xff; 9].as_slice(), &[0x7e]].concat()), Ok((u64::MAX >> 1, 0)));
        assert_eq!(read(&[[0x80; 10].as_slice(), &[0]].concat()), Err(Malformed));
        assert_eq!(read(&[0x80]), Err(Malformed));
        assert_eq!(read(&[]), Err(Malformed));
    }
}
