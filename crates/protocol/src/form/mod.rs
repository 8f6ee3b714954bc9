//! Protobuf that holds secrets: every stored form, and the key that is handed to a group.
//!
//! Secrets are written once, into a buffer that is wiped and has the right length from the start, and they are read where
//! they stand: nothing in between holds a copy. A row of a list is nothing until somebody reads it, so that reading
//! allocates what is kept in the end, and nothing else.
//!
//! The bytes are those of proto3: fields in the order of their numbers, and what is zero or empty left out.

mod fields;
mod output;

pub(crate) use fields::Fields;
pub(crate) use output::{Output, written};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;
    use prost::Message as _;

    use super::*;

    /// The same in the words of the library that reads and writes messages.
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
                long: fields.uint64(3)?,
                signed: fields.sint64(4)?,
                fixed: fields.fixed64(5)?,
                flag: fields.bool(6)?,
                bytes: fields.bytes(7)?.to_vec(),
                if_any: fields.optional_bytes(8)?.map(<[u8]>::to_vec),
                rows: fields
                    .rows(9, usize::MAX)?
                    .map(|row| row.map(<[u8]>::to_vec))
                    .collect::<Result<_, _>>()?,
            })
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
    fn more_rows_than_there_may_be_are_refused() {
        let fields = Fields::<10>::parse(&[0x4a, 0, 0x08, 7, 0x4a, 0]).unwrap();
        let rows = |most| fields.rows(9, most).unwrap().collect::<Result<Vec<_>, _>>();
        assert_eq!(rows(1), Err(crate::DecodeError::Malformed));
        assert_eq!(rows(2), Ok(vec![&[][..], &[]]));
        assert_eq!(fields.rows(2, 0).unwrap().count(), 0);
        assert_eq!(fields.rows(1, 9).err(), Some(crate::DecodeError::Malformed));
    }

    /// A form that has fewer fields does not read those of another.
    #[test]
    fn what_the_form_does_not_have_does_not_count() {
        let fields = Fields::<2>::parse(&[0x08, 7, 0x12, 1, 9, 0x10, 1]).unwrap();
        assert_eq!(fields.uint32(1), Ok(7));
        assert!(Fields::<3>::parse(&[0x08, 7, 0x12, 1, 9, 0x10, 1]).is_err());
    }

    proptest! {
        #[test]
        fn forms_are_protobuf(some in everything(), other in everything()) {
            let bytes = written(|out| some.write(out));
            prop_assert_eq!(&*bytes, some.encode_to_vec());
            prop_assert_eq!(Everything::read(&bytes), Ok(some));
            // One behind the other is one message.
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
