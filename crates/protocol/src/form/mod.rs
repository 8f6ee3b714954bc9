//! Protobuf messages that contain secrets: every stored form, and the distribution message of a sender key.
//!
//! Secrets are written once, to a buffer that has enough room from the start and is wiped, and they are read in place,
//! so that no intermediate copy exists. The rows of a list are parsed while they are iterated over, so reading
//! allocates only what is kept.
//!
//! The encoding is that of proto3: fields are in the order of their numbers, and zero or empty values are omitted.
//! [`Fields`] accepts fields in any order, as other implementations may write them. [`Ordered`] requires this order
//! and takes half as long.

mod fields;
mod ordered;
mod output;

pub(crate) use fields::Fields;
pub(crate) use ordered::Ordered;
pub(crate) use output::{Output, bytes_len, uint_len, written, written_within};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;
    use prost::Message as _;

    use super::*;

    /// The same form as the protobuf library defines it.
    #[derive(Clone, PartialEq, prost::Message)]
    struct Everything {
        #[prost(uint32, tag = "1")]
        number: u32,
        #[prost(uint32, optional, tag = "2")]
        perhaps: Option<u32>,
        #[prost(uint64, tag = "3")]
        long: u64,
        #[prost(sint64, tag = "4")]
        signed: i64,
        #[prost(fixed64, tag = "5")]
        fixed: u64,
        #[prost(bool, tag = "6")]
        flag: bool,
        #[prost(bytes = "vec", tag = "7")]
        bytes: Vec<u8>,
        #[prost(bytes = "vec", optional, tag = "8")]
        if_any: Option<Vec<u8>>,
        #[prost(bytes = "vec", repeated, tag = "9")]
        rows: Vec<Vec<u8>>,
    }

    impl Everything {
        fn read(bytes: &[u8]) -> Result<Self, crate::DecodeError> {
            let fields = Fields::<10>::parse(bytes)?;
            Ok(Self {
                number: fields.uint32(1)?,
                perhaps: fields.optional_uint32(2)?,
                long: fields.optional_uint64(3)?.unwrap_or_default(),
                signed: fields.optional_uint64(4)?.map(zigzag).unwrap_or_default(),
                fixed: fields.fixed64(5)?,
                flag: fields.optional_uint64(6)?.unwrap_or_default() != 0,
                bytes: fields.bytes(7)?.to_vec(),
                if_any: fields.optional_bytes(8)?.map(<[u8]>::to_vec),
                rows: fields
                    .rows(9, usize::MAX)?
                    .map(|row| row.map(<[u8]>::to_vec))
                    .collect::<Result<_, _>>()?,
            })
        }

        /// [`Ordered`] has no fixed-width numbers, so that field remains zero.
        fn read_in_order(bytes: &[u8]) -> Result<Self, crate::DecodeError> {
            let mut fields = Ordered::new(bytes);
            let this = Self {
                number: fields.uint32(1)?,
                perhaps: fields.optional_uint32(2)?,
                long: fields.uint64(3)?,
                signed: fields.sint64(4)?,
                fixed: 0,
                flag: fields.bool(6)?,
                bytes: fields.bytes(7)?.to_vec(),
                if_any: fields.optional_bytes(8)?.map(<[u8]>::to_vec),
                rows: fields
                    .rows(9, usize::MAX)
                    .map(|row| row.map(<[u8]>::to_vec))
                    .collect::<Result<_, _>>()?,
            };
            fields.finish()?;
            Ok(this)
        }

        fn write(&self, out: &mut Output) {
            out.uint(1, self.number);
            out.optional_uint(2, self.perhaps);
            out.uint(3, self.long);
            out.sint(4, self.signed);
            out.fixed64(5, self.fixed);
            out.uint(6, self.flag);
            out.bytes(7, &self.bytes);
            out.optional_bytes(8, self.if_any.as_deref());
            self.rows.iter().for_each(|row| out.message(9, |out| out.raw(row)));
        }
    }

    /// The message without the fields that have this number.
    fn without(number: u32, message: &[u8]) -> Vec<u8> {
        let (mut rest, mut kept) = (message, Vec::new());
        while !rest.is_empty() {
            let before = rest;
            let (this, _) = fields::field(&mut rest).expect("a message that can be read");
            if this != number {
                kept.extend_from_slice(before.strip_suffix(rest).expect("the rest"));
            }
        }
        kept
    }

    fn zigzag(value: u64) -> i64 {
        (value >> 1).cast_signed() ^ (value & 1).cast_signed().wrapping_neg()
    }

    prop_compose! {
        fn everything()(
            (number, perhaps, long, signed) in any::<(u32, Option<u32>, u64, i64)>(),
            (fixed, flag, bytes, if_any) in any::<(u64, bool, Vec<u8>, Option<Vec<u8>>)>(),
            rows in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..4),
        ) -> Everything {
            Everything { number, perhaps, long, signed, fixed, flag, bytes, if_any, rows }
        }
    }

    #[test]
    fn too_many_rows_are_malformed() {
        let fields = Fields::<10>::parse(&[0x4a, 0, 0x08, 7, 0x4a, 0]).unwrap();
        let rows = |most| fields.rows(9, most).unwrap().collect::<Result<Vec<_>, _>>();
        assert_eq!(rows(1), Err(crate::DecodeError::Malformed));
        assert_eq!(rows(2), Ok(vec![&[][..], &[]]));
        assert_eq!(fields.rows(2, 0).unwrap().count(), 0);
        assert_eq!(fields.rows(1, 9).err(), Some(crate::DecodeError::Malformed));
    }

    /// The same field number with two types is an error only in a form that defines this number.
    #[test]
    fn fields_that_a_form_does_not_define_are_ignored() {
        let fields = Fields::<2>::parse(&[0x08, 7, 0x12, 1, 9, 0x10, 1]).unwrap();
        assert_eq!(fields.uint32(1), Ok(7));
        assert!(Fields::<3>::parse(&[0x08, 7, 0x12, 1, 9, 0x10, 1]).is_err());
    }

    #[test]
    fn fields_out_of_order_are_malformed() {
        let read = |bytes: &[u8]| {
            let mut fields = Ordered::new(bytes);
            let (one, two) = (fields.uint32(1)?, fields.uint32(3)?);
            fields.finish().map(|()| (one, two))
        };
        assert_eq!(read(&[0x08, 7, 0x18, 8]), Ok((7, 8)));
        assert_eq!(read(&[0x18, 8]), Ok((0, 8)));
        // Unknown fields before, between and after the known ones, and a field key that is longer than necessary.
        assert_eq!(read(&[0x08, 7, 0x10, 1, 0x18, 8, 0x22, 1, 0, 0x80, 1, 5]), Ok((7, 8)));
        assert_eq!(read(&[0x88, 0, 7, 0x98, 0, 8]), Ok((7, 8)));
        for malformed in [
            &[0x18, 8, 0x08, 7][..],         // in reverse order
            &[0x08, 7, 0x08, 7],             // a duplicate
            &[0x08, 7, 0x18, 8, 0x10, 1],    // an unknown field after one with a higher number
            &[0x0a, 1, 7],                   // of another type
            &[0x08, 7, 0x18, 8, 0x22, 2, 0], // truncated after the known fields
            &[0x08, 7, 0x18],                // truncated
            &[0x00, 7],                      // without a field number
        ] {
            assert_eq!(read(malformed), Err(crate::DecodeError::Malformed), "{malformed:x?}");
        }
    }

    #[test]
    fn too_many_rows_are_malformed_in_order_too() {
        let rows = |most| Ordered::new(&[0x4a, 0, 0x4a, 0]).rows(9, most).collect::<Result<Vec<_>, _>>();
        assert_eq!(rows(1), Err(crate::DecodeError::Malformed));
        assert_eq!(rows(2), Ok(vec![&[][..], &[]]));
    }

    #[test]
    fn two_lists_are_read_one_after_the_other() {
        let read = |bytes: &[u8], most| {
            let mut fields = Ordered::new(bytes);
            let rows =
                fields.two_lists([3, 5], most).map(|row| row.map(|(is_second, row)| (is_second, row.len())));
            let rows = rows.collect::<Result<Vec<_>, _>>()?;
            fields.finish().map(|()| rows)
        };
        let (a, b, c) = ((false, 0), (false, 1), (true, 0));
        assert_eq!(read(&[0x1a, 0, 0x1a, 1, 7, 0x2a, 0], 2), Ok(vec![a, b, c]));
        assert_eq!(read(&[0x2a, 0, 0x2a, 0], 2), Ok(vec![c, c]));
        assert_eq!(read(&[0x1a, 0], 2), Ok(vec![a]));
        assert_eq!(read(&[], 2), Ok(vec![]));
        // The limit applies to each list separately.
        for malformed in [&[0x1a, 0, 0x1a, 0, 0x2a, 0][..], &[0x2a, 0, 0x2a, 0], &[0x2a, 0, 0x1a, 0]] {
            assert_eq!(read(malformed, 1), Err(crate::DecodeError::Malformed), "{malformed:x?}");
        }
    }

    #[test]
    fn computed_lengths_are_those_of_the_written_fields() {
        for value in [0, 1, 127, 128, 0x3fff, 0x4000, u64::MAX] {
            assert_eq!(written(|out| out.uint(15, value)).len(), uint_len(value), "{value}");
        }
        for length in [0, 1, 127, 128, 0x3fff, 0x4000] {
            let bytes = vec![7; length];
            let field = written(|out| out.bytes(15, &bytes));
            assert_eq!(field.len(), bytes_len(length), "{length}");
            if length > 0 {
                assert_eq!(*written(|out| out.sized(15, length, |out| out.raw(&bytes))), *field);
            }
        }
    }

    /// Whatever width was reserved for it.
    #[test]
    fn a_length_takes_no_more_bytes_than_necessary() {
        for length in [0, 1, 127, 128, 129, 0x3fff, 0x4000, 0x4001] {
            let row = vec![7; length];
            let form = Everything { rows: vec![row.clone(), vec![8]], ..Everything::default() };
            let write = |out: &mut Output| {
                out.long_message(9, |out| out.raw(&row));
                out.message(9, |out| out.raw(&[8]));
            };
            assert_eq!(&*written(write), form.encode_to_vec());
            assert_eq!(&*written_within(length + 16, write), form.encode_to_vec());
        }
    }

    proptest! {
        /// Reading in order has the same result as the library.
        #[test]
        fn forms_can_be_read_in_order(form in everything(), (at, byte, cut) in any::<(Index, u8, Index)>()) {
            let form = Everything { fixed: 0, ..form };
            let mut bytes = written(|out| form.write(out)).to_vec();
            prop_assert_eq!(Everything::read_in_order(&bytes), Ok(form));
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
                bytes.truncate(cut.index(bytes.len()).saturating_add(1));
            }
            if let Ok(read) = Everything::read_in_order(&bytes) {
                // A field that nothing reads may have any type.
                prop_assert_eq!(Ok(read), Everything::decode(&*without(5, &bytes)));
            }
        }

        #[test]
        fn forms_are_protobuf(some in everything(), other in everything()) {
            let bytes = written(|out| some.write(out));
            prop_assert_eq!(&*bytes, some.encode_to_vec());
            prop_assert_eq!(Everything::read(&bytes), Ok(some));
            // Two concatenated messages are one message.
            let both = [&*bytes, &other.encode_to_vec()].concat();
            prop_assert_eq!(Everything::read(&both).unwrap(), Everything::decode(&*both).unwrap());
        }

        #[test]
        fn what_is_not_protobuf_is_refused(
            form in everything(),
            (at, byte, cut) in any::<(Index, u8, Index)>(),
        ) {
            let mut bytes = form.encode_to_vec();
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
                bytes.truncate(cut.index(bytes.len()).saturating_add(1));
            }
            prop_assert_eq!(Everything::read(&bytes).ok(), Everything::decode(&*bytes).ok());
        }
    }
}
