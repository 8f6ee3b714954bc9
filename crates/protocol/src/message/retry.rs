//! Retry requests, and the one message that is sent unencrypted.
//!
//! A session that is out of step cannot transport the request for its own repair, so the request is not encrypted by
//! a session. It says nothing that the sender of the failed message does not know, and sealed sender hides it from
//! others.

use std::fmt;

use bytes::Bytes;
use prost::Message as _;

use super::{MessageType, PreKeySignalMessage, SenderKeyMessage, SignalMessage, encode};
use crate::address::DeviceId;
use crate::error::DecodeError;
use crate::primitives::x25519::{PUBLIC_KEY_LEN, PublicKey};

/// The first byte of a [`PlaintextContent`], which no version of an encrypted message has.
const PLAINTEXT_MARKER: u8 = 0xc0;
/// Last byte of it: padding of length zero.
const PADDING_MARKER: u8 = 0x80;

/// Why no retry can be requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RetryError {
    /// A [`PlaintextContent`] is not encrypted: it would be the same if it were sent again.
    #[error("not an encrypted message")]
    NotEncrypted,
    /// The failed message is not a valid message.
    #[error("the failed message cannot be parsed: {0}")]
    Failed(#[from] DecodeError),
}

/// Identifies a message that could not be decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecryptionErrorMessage {
    ratchet_key: Option<PublicKey>,
    timestamp_ms: u64,
    device_id: u32,
}

impl DecryptionErrorMessage {
    /// About the message `failed`, which device `sender` sent at `timestamp_ms`, in milliseconds since 1970 by its own
    /// clock.
    ///
    /// # Errors
    /// [`RetryError`].
    pub fn about(
        failed: &[u8],
        kind: MessageType,
        timestamp_ms: u64,
        sender: DeviceId,
    ) -> Result<Self, RetryError> {
        let ratchet_key = match kind {
            MessageType::Signal => Some(SignalMessage::parse(failed)?.header().ratchet_key),
            MessageType::PreKey => {
                Some(PreKeySignalMessage::parse(failed)?.signal_message().header().ratchet_key)
            }
            MessageType::SenderKey => {
                SenderKeyMessage::parse(failed)?;
                None
            }
            MessageType::Plaintext => return Err(RetryError::NotEncrypted),
        };
        Ok(Self { ratchet_key, timestamp_ms, device_id: sender.get() })
    }

    /// Parses the request.
    ///
    /// # Errors
    /// [`DecodeError`] for invalid protobuf, no timestamp, or an invalid ratchet key.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let form = ErrorForm::decode(bytes).map_err(|_| DecodeError::Malformed)?;
        Ok(Self {
            ratchet_key: form.ratchet_key.map(|key| PublicKey::parse(&key)).transpose()?,
            timestamp_ms: form.timestamp.ok_or(DecodeError::MissingField)?,
            device_id: form.device_id.unwrap_or(0),
        })
    }

    /// The bytes.
    pub fn serialize(&self) -> Vec<u8> {
        let form = ErrorForm {
            ratchet_key: self.ratchet_key.map(|key| Bytes::copy_from_slice(key.as_bytes())),
            timestamp: Some(self.timestamp_ms),
            device_id: Some(self.device_id),
        };
        form.encode_to_vec()
    }

    /// The ratchet key in the failed message, serialized, if it was a message of a session. If the session still
    /// sends with it ([`SessionRecord::sends_with`](crate::SessionRecord::sends_with)), that session is out of step:
    /// archive it, and then send again.
    pub fn ratchet_key(&self) -> Option<&[u8; PUBLIC_KEY_LEN]> {
        self.ratchet_key.as_ref().map(PublicKey::as_bytes)
    }

    /// When the failed message was sent, in milliseconds since 1970, by the clock of its sender.
    pub fn timestamp_ms(&self) -> u64 {
        self.timestamp_ms
    }

    /// The device that sent the failed message; 0 if the request does not say.
    pub fn device_id(&self) -> u32 {
        self.device_id
    }
}

/// An unencrypted message. Its only possible content is a [`DecryptionErrorMessage`].
#[derive(Clone)]
pub struct PlaintextContent {
    serialized: Bytes,
}

impl PlaintextContent {
    /// Wraps the request.
    pub fn new(error: &DecryptionErrorMessage) -> Self {
        let form = ContentForm { decryption_error: Some(error.serialize().into()) };
        let mut serialized = encode(PLAINTEXT_MARKER, &form, 1);
        serialized.push(PADDING_MARKER);
        Self { serialized: serialized.into() }
    }

    /// Parses the envelope; its content is examined later.
    ///
    /// # Errors
    /// [`DecodeError::TooShort`] without bytes, [`DecodeError::UnknownVersion`] if the first byte is not `0xC0`.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes.first() {
            None => Err(DecodeError::TooShort),
            Some(&PLAINTEXT_MARKER) => Ok(Self { serialized: Bytes::copy_from_slice(bytes) }),
            Some(_) => Err(DecodeError::UnknownVersion),
        }
    }

    /// The bytes for the wire.
    pub fn serialize(&self) -> &[u8] {
        &self.serialized
    }

    /// The content, padded like the plaintext of any message.
    pub fn body(&self) -> &[u8] {
        self.serialized.split_first().map_or(&[], |(_, body)| body)
    }

    /// The request inside.
    ///
    /// # Errors
    /// [`DecodeError`] if there is none, or something else.
    pub fn decryption_error(&self) -> Result<DecryptionErrorMessage, DecodeError> {
        let Some((&PADDING_MARKER, content)) = self.body().split_last() else {
            return Err(DecodeError::Malformed);
        };
        let form = ContentForm::decode(content).map_err(|_| DecodeError::Malformed)?;
        DecryptionErrorMessage::parse(&form.decryption_error.ok_or(DecodeError::MissingField)?)
    }
}

/// Hidden, because the content has not been examined.
impl fmt::Debug for PlaintextContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { serialized } = self;
        f.debug_struct("PlaintextContent").field("serialized_len", &serialized.len()).finish()
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct ErrorForm {
    #[prost(bytes = "bytes", optional, tag = "1")]
    ratchet_key: Option<Bytes>,
    #[prost(uint64, optional, tag = "2")]
    timestamp: Option<u64>,
    #[prost(uint32, optional, tag = "3")]
    device_id: Option<u32>,
}

/// Of all fields that a message's content can have, the only one that may be sent unencrypted.
#[derive(Clone, PartialEq, prost::Message)]
struct ContentForm {
    #[prost(bytes = "bytes", optional, tag = "8")]
    decryption_error: Option<Bytes>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, bytes, hex};

    #[test]
    fn a_request_agrees_with_the_vector() {
        let case = &vectors::load("misc-kats")["decryption_error"];
        let device = DeviceId::new(3).unwrap();
        assert_eq!(case["original_type"], 3, "a pre-key message");
        let (failed, timestamp) = (bytes(&case["original"]), case["timestamp"].as_u64().unwrap());
        let error = DecryptionErrorMessage::about(&failed, MessageType::PreKey, timestamp, device).unwrap();
        assert_eq!(error.serialize(), bytes(&case["dem"]));
        assert_eq!(DecryptionErrorMessage::parse(&error.serialize()), Ok(error));
        assert_eq!((error.timestamp_ms(), error.device_id()), (timestamp, 3));

        let content = PlaintextContent::new(&error);
        assert_eq!(content.serialize(), bytes(&case["plaintext"]));
        assert_eq!(content.body(), bytes(&case["body"]));
        let parsed = PlaintextContent::parse(content.serialize()).unwrap();
        assert_eq!(parsed.decryption_error(), Ok(error));

        let inner = PreKeySignalMessage::parse(&failed).unwrap().signal_message().clone();
        let again = DecryptionErrorMessage::about(inner.serialize(), MessageType::Signal, timestamp, device);
        assert_eq!(again, Ok(error));
        assert_eq!(error.ratchet_key(), Some(inner.ratchet_key()));
    }

    #[test]
    fn a_group_message_has_no_ratchet_key_and_plaintext_has_no_request() {
        let message = bytes(&vectors::load("sender-keys")["messages"][0]);
        let about =
            |message: &[u8], kind| DecryptionErrorMessage::about(message, kind, 7, DeviceId::new(1).unwrap());
        let error = about(&message, MessageType::SenderKey).unwrap();
        assert_eq!(error.ratchet_key(), None);
        let content = PlaintextContent::new(&error);
        let refused = about(content.serialize(), MessageType::Plaintext);
        assert_eq!(refused, Err(RetryError::NotEncrypted));
        let refused = about(&message[..64], MessageType::SenderKey);
        assert_eq!(refused, Err(RetryError::Failed(DecodeError::TooShort)));
    }

    #[test]
    fn invalid_requests_are_refused() {
        for (input, reason) in [
            ("", DecodeError::TooShort),
            ("44", DecodeError::UnknownVersion),
            ("c0", DecodeError::Malformed),
            ("c042021001", DecodeError::Malformed),
            ("c0420280", DecodeError::Malformed),
            ("c080", DecodeError::MissingField),
            ("c0420080", DecodeError::MissingField),
            ("c042040a01051080", DecodeError::Malformed),
            ("c042050a010510ff80", DecodeError::Malformed),
            ("c042050a0105100180", DecodeError::Length),
            ("c042050a0106100180", DecodeError::KeyType),
        ] {
            let outcome = PlaintextContent::parse(&hex(input)).and_then(|content| content.decryption_error());
            assert_eq!(outcome, Err(reason), "{input}");
        }
        // The device of the sender may be absent.
        let parsed = PlaintextContent::parse(&hex("c04202100180")).unwrap();
        assert_eq!(parsed.decryption_error().unwrap().device_id(), 0);
    }
}
