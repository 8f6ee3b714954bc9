//! Decoding frames and bodies with bounded memory.
//!
//! In protobuf, a row of two bytes can decode to a struct of several hundred, so a small body could expand into a large
//! list. No meaningful row is that short. Each list therefore has a minimum length for its rows, and [`decode`] checks
//! the lengths before anything is allocated. Decoding then holds at most 17 times the size of its input plus a constant
//! (`fuzz/src/wire.rs` measures this).

use bytes::Bytes;
use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, skip_field};

use crate::{
    Ack, AckOk, Bundles, Challenge, ChallengeRequest, CompanionBlobs, CreateThread, DeviceList, Error, Frame,
    Group, InboxPage, KeyCounts, KeyUpload, Link, LinkBlobs, LinkDeviceRequest, LinkToken, LinkTokenRequest,
    LoginRequest, Mail, MoveAccountRequest, RefreshRequest, RegisterRequest, RegisterResponse,
    RestoreRequest, RosterPage, RosterRequest, Send, SendAck, SignedDeviceList, Thread, TokenPair,
};

/// The bytes are not the expected message. The sender is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not protobuf, or have fields of other types.
    #[error("the bytes are not a valid message")]
    Malformed,
    /// A row of a list is shorter than any meaningful row.
    #[error("a row of a list is too short")]
    ShortRow,
}

impl From<prost::DecodeError> for DecodeError {
    fn from(_: prost::DecodeError) -> Self {
        Self::Malformed
    }
}

/// A message that is decoded on its own: a frame or a body.
pub trait Decode: Message + Default {
    /// The fields that are lists.
    const LISTS: &'static [Field];
}

/// Decodes a frame or a body.
///
/// # Errors
/// [`DecodeError`]; nothing is allocated for a row that is too short.
pub fn decode<T: Decode>(bytes: Bytes) -> Result<T, DecodeError> {
    check_rows(&bytes, T::LISTS)?;
    #[expect(clippy::disallowed_methods, reason = "the rows were checked above")]
    Ok(T::decode(bytes)?)
}

/// A field that is a list, or a message that contains lists. Lists of numbers are omitted: each byte on the wire
/// takes at most four bytes in memory, and twelve while the list grows.
#[derive(Debug)]
pub struct Field {
    number: u32,
    /// The minimum length of each occurrence, in bytes.
    least: usize,
    /// Its own fields of this kind.
    lists: &'static [Self],
}

/// A list whose rows have at least this many bytes.
const fn rows(number: u32, least: usize) -> Field {
    Field { number, least, lists: &[] }
}

/// A message that contains lists. It may be split into several occurrences, which are merged.
const fn within(number: u32, lists: &'static [Field]) -> Field {
    Field { number, least: 0, lists }
}

// The sizes of fields in a row, including tag and length.
/// A number other than 0.
const NUMBER: usize = 2;
const UUID: usize = 2 + 16;
const PUBLIC_KEY: usize = 2 + 33;
const SIGNATURE: usize = 2 + 64;
const INBOX_KEY: usize = UUID + NUMBER;
/// The name of a feature has at least four letters.
const FEATURE: usize = 4;

/// A blob of a link, which is never as short as this.
const BLOB: usize = 16;

/// An entry of a roster with nothing that varies in length, and its signature.
const ROSTER_ENTRY: usize = 3 + 140;

const HELLO: &[Field] = &[rows(6, FEATURE)];
const SEND: &[Field] = &[rows(5, UUID + NUMBER + NUMBER)];
const MAIL: &[Field] = SEND;
const ACK: &[Field] = &[rows(1, INBOX_KEY)];
const SYNC: &[Field] = &[rows(2, UUID)];
/// A user and one device; the list of devices need not be packed.
const ERROR: &[Field] = &[rows(5, UUID + NUMBER)];
const KEY_UPLOAD: &[Field] = &[rows(3, PUBLIC_KEY), rows(4, PUBLIC_KEY + SIGNATURE)];
/// Device id, registration id, identity key, signed pre-key.
const BUNDLES: &[Field] = &[rows(1, NUMBER + NUMBER + PUBLIC_KEY + 2 + PUBLIC_KEY + SIGNATURE)];
/// The key of the row, its sender, and its message id.
const INBOX_PAGE: &[Field] = &[rows(1, 2 + INBOX_KEY + UUID + NUMBER + UUID)];

macro_rules! lists {
    ($($message:ident: $lists:expr,)*) => {
        $(impl Decode for $message {
            const LISTS: &'static [Field] = $lists;
        })*

        #[cfg(test)]
        const ALL: &[(&str, &[Field])] = &[$((stringify!($message), $lists)),*];
    };
}

lists! {
    Frame: &[
        within(10, HELLO),
        within(11, SEND),
        within(12, ACK),
        within(14, SYNC),
        within(20, MAIL),
        within(42, ERROR),
    ],
    Ack: ACK,
    AckOk: &[],
    Bundles: BUNDLES,
    Challenge: &[],
    ChallengeRequest: &[],
    CompanionBlobs: &[rows(2, BLOB)],
    CreateThread: &[],
    DeviceList: &[rows(1, NUMBER + NUMBER + PUBLIC_KEY)],
    Error: ERROR,
    Group: &[],
    InboxPage: INBOX_PAGE,
    KeyCounts: &[],
    KeyUpload: KEY_UPLOAD,
    LoginRequest: &[],
    Mail: MAIL,
    RefreshRequest: &[],
    Link: &[],
    LinkBlobs: &[rows(1, BLOB)],
    LinkDeviceRequest: &[within(4, KEY_UPLOAD)],
    LinkToken: &[],
    LinkTokenRequest: &[],
    RegisterRequest: &[within(4, KEY_UPLOAD)],
    RegisterResponse: &[],
    RestoreRequest: &[within(6, KEY_UPLOAD)],
    RosterPage: &[rows(1, ROSTER_ENTRY + NUMBER + NUMBER)],
    RosterRequest: &[],
    Send: SEND,
    SendAck: &[],
    SignedDeviceList: &[],
    MoveAccountRequest: &[],
    Thread: &[rows(3, 16)],
    TokenPair: &[],
}

/// Checks the rows of all lists. It uses the same functions as the decoder, so that both see the same rows and fail on
/// the same input.
fn check_rows(mut bytes: &[u8], lists: &[Field]) -> Result<(), DecodeError> {
    while !bytes.is_empty() {
        let (number, wire_type) = decode_key(&mut bytes)?;
        let list = lists.iter().find(|list| list.number == number && wire_type == WireType::LengthDelimited);
        let Some(list) = list else {
            skip_field(wire_type, number, &mut bytes, DecodeContext::default())?;
            continue;
        };
        let length = prost::decode_length_delimiter(&mut bytes)?;
        let (content, rest) = bytes.split_at_checked(length).ok_or(DecodeError::Malformed)?;
        if content.len() < list.least {
            return Err(DecodeError::ShortRow);
        }
        if !list.lists.is_empty() {
            check_rows(content, list.lists)?;
        }
        bytes = rest;
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the comparison is with the unchecked decoder")]
mod tests {
    use proptest::prelude::*;
    use prost::encoding::{encode_key, encode_varint};
    use protox::prost_reflect::{DescriptorPool, Kind, MessageDescriptor};

    use super::*;
    use crate::frame::Body;
    use crate::{
        Bundle, Deliver, DeviceCopy, DeviceInfo, Hello, InboxKey, OneTimeKey, RosterRow, SignedKey, Sync,
        ThreadCursor,
    };

    fn schema() -> DescriptorPool {
        let files = protox::compile(["proto/frame.proto", "proto/rest.proto"], ["proto"]).unwrap();
        DescriptorPool::from_file_descriptor_set(files).unwrap()
    }

    /// Whether a message contains lists, other than lists of numbers.
    fn has_lists(message: &MessageDescriptor) -> bool {
        message.fields().any(|field| match field.kind() {
            Kind::Message(inner) => field.is_list() || has_lists(&inner),
            Kind::String | Kind::Bytes => field.is_list(),
            _ => false,
        })
    }

    /// The differences between the table and the schema.
    fn differences(message: &MessageDescriptor, lists: &[Field]) -> Vec<String> {
        let mut found = Vec::new();
        for list in lists.iter().filter(|list| message.get_field(list.number).is_none()) {
            found.push(format!("{} has no field {}", message.name(), list.number));
        }
        for field in message.fields() {
            let kind = field.kind();
            let inner = kind.as_message().filter(|inner| has_lists(inner));
            let is_list = field.is_list() && matches!(kind, Kind::Message(_) | Kind::String | Kind::Bytes);
            match lists.iter().find(|list| list.number == field.number()) {
                None if is_list || inner.is_some() => {
                    found.push(format!("{} has no limit", field.full_name()))
                }
                Some(list) if is_list != (list.least > 0) => {
                    found.push(format!("{} is a list in only one of the two", field.full_name()));
                }
                Some(list) => match kind.as_message() {
                    Some(inner) => found.extend(differences(inner, list.lists)),
                    None => assert!(list.lists.is_empty(), "{} has no fields", field.full_name()),
                },
                None => {}
            }
        }
        found
    }

    #[test]
    fn every_list_of_the_schema_has_a_minimum_row_length() {
        let schema = schema();
        for (name, lists) in ALL {
            let message = schema.get_message_by_name(&format!("relay.v1.{name}")).unwrap();
            assert_eq!(differences(&message, lists), Vec::<String>::new());
        }
        let frame = schema.get_message_by_name("relay.v1.Frame").unwrap();
        assert_eq!(differences(&frame, &[]).len(), 6, "a list without a limit was not noticed");
        let upload = schema.get_message_by_name("relay.v1.KeyUpload").unwrap();
        assert_eq!(differences(&upload, &[rows(3, 1), rows(4, 0), rows(9, 1)]).len(), 2);
    }

    fn bytes(len: usize) -> Bytes {
        vec![0x41; len].into()
    }

    fn signed(key: usize) -> SignedKey {
        SignedKey { id: 0, public_key: bytes(key), signature: bytes(64) }
    }

    fn inbox_key() -> InboxKey {
        InboxKey { thread_id: bytes(16), server_seq: 1 }
    }

    /// A [`DeviceMismatch`](crate::DeviceMismatch) from an encoder that does not pack numbers, which protobuf allows.
    #[derive(Clone, PartialEq, prost::Message)]
    struct NotPacked {
        #[prost(bytes = "bytes", tag = "1")]
        user_id: Bytes,
        #[prost(uint32, repeated, packed = "false", tag = "4")]
        stale: Vec<u32>,
    }

    /// Asserts that two of these rows are accepted, but not if the second one is a byte shorter.
    fn is_least<T: Decode + PartialEq>(field: u32, row: &impl Message, list: impl Fn(&T) -> usize) {
        let least = T::LISTS.iter().find(|list| list.number == field).unwrap().least;
        let row = row.encode_to_vec();
        assert_eq!(row.len(), least);
        let good = [piece(field, &row), piece(field, &row)].concat();
        assert_eq!(list(&decode::<T>(good.into()).unwrap()), 2);
        let bad = [piece(field, &row), piece(field, &row[1..])].concat();
        assert_eq!(decode::<T>(bad.into()).err(), Some(DecodeError::ShortRow));
    }

    /// An encoded field that contains bytes.
    fn piece(field: u32, content: &[u8]) -> Vec<u8> {
        let mut piece = Vec::new();
        encode_key(field, WireType::LengthDelimited, &mut piece);
        encode_varint(content.len().try_into().unwrap(), &mut piece);
        piece.extend_from_slice(content);
        piece
    }

    #[test]
    fn the_shortest_valid_rows_are_accepted_and_shorter_ones_are_refused() {
        let copy =
            DeviceCopy { user_id: bytes(16), device_id: 1, registration_id: 1, ..DeviceCopy::default() };
        is_least(5, &copy, |send: &Send| send.copies.len());
        let mismatch = NotPacked { user_id: bytes(16), stale: vec![1] };
        is_least(5, &mismatch, |error: &Error| error.mismatches.len());
        let key = OneTimeKey { id: 0, public_key: bytes(33) };
        is_least(3, &key, |upload: &KeyUpload| upload.one_time.len());
        is_least(4, &signed(33), |upload: &KeyUpload| upload.one_time_kem.len());
        let info = DeviceInfo { device_id: 1, registration_id: 1, identity_key: bytes(33) };
        is_least(1, &info, |list: &DeviceList| list.devices.len());
        let bundle = Bundle {
            device_id: 1,
            registration_id: 1,
            identity_key: bytes(33),
            signed_pre_key: Some(signed(33)),
            ..Bundle::default()
        };
        is_least(1, &bundle, |bundles: &Bundles| bundles.bundles.len());
        let deliver = Deliver {
            key: Some(inbox_key()),
            sender_user_id: bytes(16),
            sender_device_id: 1,
            client_msg_id: bytes(16),
            ..Deliver::default()
        };
        is_least(1, &deliver, |page: &InboxPage| page.rows.len());
        let row = RosterRow { entry: bytes(140), server_seq: 1, hlc: 1 };
        is_least(1, &row, |page: &RosterPage| page.rows.len());
    }

    #[test]
    fn lists_are_checked_in_every_occurrence_of_the_message_that_contains_them() {
        let cursor = ThreadCursor { thread_id: bytes(16), ..ThreadCursor::default() };
        let bodies = [
            Body::Hello(Hello { features: vec!["four".into()], ..Hello::default() }),
            Body::Ack(Ack { keys: vec![inbox_key()], trimmed: 0 }),
            Body::Sync(Sync { inbox: false, threads: vec![cursor] }),
        ];
        for (number, list, body) in [10, 12, 14].into_iter().zip([6, 1, 2]).zip(bodies).map(flat) {
            let good = Frame { v: 1, id: 1, body: Some(body) };
            let encoded = good.encode_to_vec();
            assert_eq!(decode(encoded.clone().into()), Ok(good));
            let more = piece(number, &piece(list, &[]));
            let merged = [encoded, more].concat();
            assert!(Frame::decode(&merged[..]).is_ok());
            assert_eq!(decode::<Frame>(merged.into()), Err(DecodeError::ShortRow));
        }
    }

    fn flat(((a, b), c): ((u32, u32), Body)) -> (u32, u32, Body) {
        (a, b, c)
    }

    #[test]
    fn the_contents_of_a_row_are_not_read_as_fields() {
        let thread = Thread { member_user_ids: vec![vec![0xff; 16].into()], ..Thread::default() };
        assert_eq!(decode(thread.encode_to_vec().into()), Ok(thread));
    }

    /// Fields of all kinds, nested, known and unknown, some of them truncated.
    fn fields() -> impl Strategy<Value = Vec<u8>> {
        let field = prop_oneof![1..10_u32, Just(11), Just(12), Just(42), 1..2_000_u32];
        let leaf = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..4),
            proptest::collection::vec(Just(0x78), 20..24),
            (field.clone(), any::<u64>()).prop_map(|(field, value)| {
                let mut bytes = Vec::new();
                encode_key(field, WireType::Varint, &mut bytes);
                encode_varint(value, &mut bytes);
                bytes
            }),
        ];
        leaf.prop_recursive(4, 32, 6, move |inner| {
            let contents = proptest::collection::vec(inner, 0..6).prop_map(|fields| fields.concat());
            (field.clone(), contents, 0..4_u8).prop_map(|(field, content, how)| {
                let mut bytes = match how {
                    0 => {
                        let mut group = Vec::new();
                        encode_key(field, WireType::StartGroup, &mut group);
                        group.extend_from_slice(&content);
                        encode_key(field, WireType::EndGroup, &mut group);
                        group
                    }
                    _ => piece(field, &content),
                };
                if how == 3 {
                    bytes.pop();
                }
                bytes
            })
        })
    }

    proptest! {
        #[test]
        fn valid_protobuf_is_refused_only_for_short_rows(input in fields()) {
            fn agrees<T: Decode + PartialEq>(input: &[u8]) {
                match decode::<T>(input.to_vec().into()) {
                    Err(DecodeError::ShortRow) => {}
                    ours => assert!(ours.ok() == T::decode(input).ok()),
                }
            }
            agrees::<Frame>(&input);
            agrees::<RegisterRequest>(&input);
            agrees::<Error>(&input);
            agrees::<Thread>(&input);
        }
    }
}
