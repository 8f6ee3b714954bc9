//! The first messages of a session: `version || protobuf`, with the handshake and a complete [`SignalMessage`]
//! inside.

use std::fmt;

use bytes::Bytes;
use prost::Message as _;

use super::{SignalMessage, encode};
use crate::error::DecodeError;
use crate::identity::IdentityKey;
use crate::prekey::{KemPreKeyId, OneTimePreKeyId, SignedPreKeyId};
use crate::primitives::x25519::PublicKey;
use crate::session_id::{SessionId, SessionVersion};

/// The receiver's keys with which a session was started.
#[derive(Clone)]
pub(crate) struct Handshake {
    pub(crate) one_time: Option<OneTimePreKeyId>,
    pub(crate) signed: SignedPreKeyId,
    /// Always there in version 4.
    pub(crate) kem: Option<KemPart>,
}

/// Which KEM pre-key, and the serialized ciphertext for it.
#[derive(Clone)]
pub(crate) struct KemPart {
    pub(crate) id: KemPreKeyId,
    pub(crate) ciphertext: Bytes,
}

/// A message that contains the handshake, sent until the peer has answered.
#[derive(Clone)]
pub struct PreKeySignalMessage {
    version: SessionVersion,
    registration_id: u32,
    identity_key: IdentityKey,
    base_key: PublicKey,
    handshake: Handshake,
    message: SignalMessage,
    serialized: Bytes,
}

impl PreKeySignalMessage {
    /// Parses the message, including the one inside.
    ///
    /// # Errors
    /// [`DecodeError`] for no bytes, a version other than 3 and 4, invalid protobuf, a missing field, an invalid key,
    /// one KEM field without the other, or neither in version 4.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let serialized = Bytes::copy_from_slice(bytes);
        let version = SessionVersion::of_message(*bytes.first().ok_or(DecodeError::TooShort)?)?;
        let form = Form::decode(serialized.slice(1..)).map_err(|_| DecodeError::Malformed)?;
        let kem = match (form.kem_pre_key_id, form.kem_ciphertext) {
            (Some(id), Some(ciphertext)) => Some(KemPart { id: KemPreKeyId(id), ciphertext }),
            (None, None) if version == SessionVersion::V3 => None,
            _ => return Err(DecodeError::KemFields),
        };
        Ok(Self {
            version,
            registration_id: form.registration_id.unwrap_or(0),
            identity_key: IdentityKey::parse(&form.identity_key.ok_or(DecodeError::MissingField)?)?,
            base_key: PublicKey::parse(&form.base_key.ok_or(DecodeError::MissingField)?)?,
            handshake: Handshake {
                one_time: form.one_time_pre_key_id.map(OneTimePreKeyId),
                signed: form.signed_pre_key_id.map(SignedPreKeyId).ok_or(DecodeError::MissingField)?,
                kem,
            },
            message: SignalMessage::parse_shared(form.message.ok_or(DecodeError::MissingField)?)?,
            serialized,
        })
    }

    /// The bytes for the wire.
    pub fn serialize(&self) -> &[u8] {
        &self.serialized
    }

    /// The version of the session that it starts.
    pub fn version(&self) -> SessionVersion {
        self.version
    }

    /// The registration id of the sender's device.
    pub fn registration_id(&self) -> u32 {
        self.registration_id
    }

    /// The identity that the sender claims, which a successful decryption proves.
    pub fn identity_key(&self) -> &IdentityKey {
        &self.identity_key
    }

    /// The id of our one-time pre-key that was used, if any.
    pub fn one_time_pre_key_id(&self) -> Option<OneTimePreKeyId> {
        self.handshake.one_time
    }

    /// The id of our signed pre-key that was used.
    pub fn signed_pre_key_id(&self) -> SignedPreKeyId {
        self.handshake.signed
    }

    /// The id of our KEM pre-key that was used, which is always present in version 4.
    pub fn kem_pre_key_id(&self) -> Option<KemPreKeyId> {
        self.handshake.kem.as_ref().map(|kem| kem.id)
    }

    /// The message inside.
    pub fn signal_message(&self) -> &SignalMessage {
        &self.message
    }

    /// The session that it starts.
    pub fn session_id(&self) -> SessionId {
        SessionId::new(self.version, &self.base_key)
    }

    pub(crate) fn base_key(&self) -> &PublicKey {
        &self.base_key
    }

    pub(crate) fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// Adds the handshake to `message`.
    pub(crate) fn wrap(
        base_key: PublicKey,
        identity_key: IdentityKey,
        registration_id: u32,
        handshake: &Handshake,
        message: SignalMessage,
    ) -> Self {
        let version = message.version();
        let form = Form {
            one_time_pre_key_id: handshake.one_time.map(|id| id.0),
            base_key: Some(Bytes::copy_from_slice(base_key.as_bytes())),
            identity_key: Some(Bytes::copy_from_slice(identity_key.as_bytes())),
            message: Some(message.shared()),
            registration_id: Some(registration_id),
            signed_pre_key_id: Some(handshake.signed.0),
            kem_pre_key_id: handshake.kem.as_ref().map(|kem| kem.id.0),
            kem_ciphertext: handshake.kem.as_ref().map(|kem| kem.ciphertext.clone()),
        };
        let serialized = encode(version.message_byte(), &form, 0).into();
        let handshake = handshake.clone();
        Self { version, registration_id, identity_key, base_key, handshake, message, serialized }
    }
}

impl fmt::Debug for PreKeySignalMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            version,
            registration_id: _,
            identity_key,
            base_key: _,
            handshake,
            message,
            serialized: _,
        } = self;
        f.debug_struct("PreKeySignalMessage")
            .field("version", version)
            .field("identity_key", identity_key)
            .field("handshake", handshake)
            .field("message", message)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { one_time, signed, kem } = self;
        let kem = kem.as_ref().map(|kem| kem.id);
        write!(f, "Handshake({one_time:?}, {signed:?}, {kem:?})")
    }
}

/// Fields are optional so that zeros are written, and missing fields are detected.
#[derive(Clone, PartialEq, prost::Message)]
struct Form {
    #[prost(uint32, optional, tag = "1")]
    one_time_pre_key_id: Option<u32>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    base_key: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    identity_key: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    message: Option<Bytes>,
    #[prost(uint32, optional, tag = "5")]
    registration_id: Option<u32>,
    #[prost(uint32, optional, tag = "6")]
    signed_pre_key_id: Option<u32>,
    #[prost(uint32, optional, tag = "7")]
    kem_pre_key_id: Option<u32>,
    #[prost(bytes = "bytes", optional, tag = "8")]
    kem_ciphertext: Option<Bytes>,
}
