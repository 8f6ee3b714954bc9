//! Puts a frame around a message that is already encoded, so that stored bytes are sent unchanged.

use prost::encoding::{WireType, encode_key, encode_varint};

use crate::FRAME_VERSION;

/// The field numbers of `Frame` and `Send` in `frame.proto`.
const V: u32 = 1;
const ID: u32 = 2;
const SEND: u32 = 11;
const RESUME: u32 = 6;

/// Encodes a frame with this ID around an encoded `Send`, and sets whether the send resumes its thread.
pub fn code_send(id: u64, send: &[u8], resume: bool) -> Vec<u8> {
    // If a field occurs twice, the last occurrence counts.
    let mut resumes = Vec::new();
    if resume {
        encode_key(RESUME, WireType::Varint, &mut resumes);
        encode_varint(1, &mut resumes);
    }
    let length = send.len().saturating_add(resumes.len());
    let mut frame = Vec::with_capacity(length.saturating_add(32));
    encode_key(V, WireType::Varint, &mut frame);
    encode_varint(FRAME_VERSION.into(), &mut frame);
    encode_key(ID, WireType::Varint, &mut frame);
    encode_varint(id, &mut frame);
    encode_key(SEND, WireType::LengthDelimited, &mut frame);
    encode_varint(u64::try_from(length).unwrap_or(u64::MAX), &mut frame);
    frame.extend_from_slice(send);
    frame.extend_from_slice(&resumes);
    frame
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::frame::Body;
    use crate::{DeviceCopy, Frame, Send};

    #[test]
    fn a_coded_send_is_the_frame_that_prost_writes() {
        let copy = DeviceCopy { user_id: vec![7; 16].into(), device_id: 1, ..DeviceCopy::default() };
        for copies in [0, 1, 30, 4_000] {
            for (id, resume) in [(1, false), (300, true), (u64::MAX, true)] {
                let mut send = Send {
                    client_msg_id: vec![3; 16].into(),
                    copies: vec![copy.clone(); copies],
                    ..Send::default()
                };
                let coded = code_send(id, &send.encode_to_vec(), resume);
                send.resume = resume;
                assert_eq!(coded, Frame { v: 1, id, body: Some(Body::Send(send)) }.encode_to_vec());
            }
        }
    }
}
