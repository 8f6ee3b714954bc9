//! Puts a frame around a message that is already encoded, so that stored bytes are sent unchanged.

use prost::encoding::{WireType, encode_key, encode_varint};

use crate::FRAME_VERSION;

/// The field numbers of `Frame`, and of the flags of `Send`, in `frame.proto`.
const V: u32 = 1;
const ID: u32 = 2;
const SEND: u32 = 11;
const MAIL: u32 = 20;
const RESUME: u32 = 6;
const LOOKUP: u32 = 7;

/// What a send is to the earlier ones of its thread on the same connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendMode {
    /// It follows them, and is refused if one of them was.
    Follow,
    /// It is stored even if an earlier one was refused, and later ones may follow it.
    Resume,
    /// It is not stored. The answer says whether it was stored before.
    Lookup,
}

/// Encodes a frame with this ID around an encoded `Send`, and sets its mode.
pub fn code_send(id: u64, send: &[u8], mode: SendMode) -> Vec<u8> {
    // If a field occurs twice, the last occurrence counts.
    let mut flag = Vec::new();
    let field = match mode {
        SendMode::Follow => None,
        SendMode::Resume => Some(RESUME),
        SendMode::Lookup => Some(LOOKUP),
    };
    if let Some(field) = field {
        encode_key(field, WireType::Varint, &mut flag);
        encode_varint(1, &mut flag);
    }
    code(id, SEND, send, &flag)
}

/// Encodes a frame with this ID around an encoded `Mail`.
pub fn code_mail(id: u64, mail: &[u8]) -> Vec<u8> {
    code(id, MAIL, mail, &[])
}

/// A frame around a message that consists of two parts.
fn code(id: u64, field: u32, begin: &[u8], end: &[u8]) -> Vec<u8> {
    let length = begin.len().saturating_add(end.len());
    let mut frame = Vec::with_capacity(length.saturating_add(32));
    encode_key(V, WireType::Varint, &mut frame);
    encode_varint(FRAME_VERSION.into(), &mut frame);
    encode_key(ID, WireType::Varint, &mut frame);
    encode_varint(id, &mut frame);
    encode_key(field, WireType::LengthDelimited, &mut frame);
    encode_varint(u64::try_from(length).unwrap_or(u64::MAX), &mut frame);
    frame.extend_from_slice(begin);
    frame.extend_from_slice(end);
    frame
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::frame::Body;
    use crate::{DeviceCopy, Frame, Mail, Send};

    #[test]
    fn a_coded_send_equals_the_encoding_of_prost() {
        let copy = DeviceCopy { user_id: vec![7; 16].into(), device_id: 1, ..DeviceCopy::default() };
        for copies in [0, 1, 30, 4_000] {
            for (id, mode) in [(1, SendMode::Follow), (300, SendMode::Resume), (u64::MAX, SendMode::Lookup)] {
                let mut send = Send {
                    client_msg_id: vec![3; 16].into(),
                    copies: vec![copy.clone(); copies],
                    ..Send::default()
                };
                let coded = code_send(id, &send.encode_to_vec(), mode);
                send.resume = mode == SendMode::Resume;
                send.lookup = mode == SendMode::Lookup;
                assert_eq!(coded, Frame { v: 1, id, body: Some(Body::Send(send)) }.encode_to_vec());
            }
        }
    }
    #[test]
    fn coded_mail_equals_the_encoding_of_prost() {
        let copy = DeviceCopy { user_id: vec![7; 16].into(), device_id: 1, ..DeviceCopy::default() };
        for copies in [0, 1, 4_000] {
            let mail =
                Mail { thread_id: vec![3; 16].into(), copies: vec![copy.clone(); copies], ..Mail::default() };
            let coded = code_mail(300, &mail.encode_to_vec());
            assert_eq!(coded, Frame { v: 1, id: 300, body: Some(Body::Mail(mail)) }.encode_to_vec());
        }
    }
}
