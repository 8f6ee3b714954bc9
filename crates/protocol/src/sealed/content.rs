//! What is inside an envelope: an encrypted message, and who says to have sent it.

use std::fmt;

use bytes::Bytes;
use prost::Message as _;

use super::sender::SenderCertificate;
use crate::error::DecodeError;
use crate::message::MessageType;

/// What to do when the message cannot be decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ContentHint {
    /// Show that a message is missing: it will not come again.
    #[default]
    Default,
    /// Ask for it, and show the gap only if it does not come: the sender kept it.
    Resendable,
    /// Say nothing: it was a receipt, or that somebody is typing.
    Implicit,
    /// One that we do not know. Treat it as the default.
    Unknown(u32),
}

impl ContentHint {
    fn number(self) -> u32 {
        match self {
            Self::Default => 0,
            Self::Resendable => 1,
            Self::Implicit => 2,
            Self::Unknown(number) => number,
        }
    }

    fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Default,
            1 => Self::Resendable,
            2 => Self::Implicit,
            number => Self::Unknown(number),
        }
    }
}

/// The version of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EnvelopeVersion {
    /// For one recipient: only the sender, or the recipient, can have written the content.
    V1,
    /// For many: any of them can have written it.
    V2,
}

/// The content of an envelope that was opened. Nobody has verified its sender yet: all there is to do with it is that.
#[derive(Debug, Clone)]
pub struct OpenedContent {
    pub(super) version: EnvelopeVersion,
    pub(super) content: UnidentifiedContent,
}

impl OpenedContent {
    /// What it came in.
    pub fn version(&self) -> EnvelopeVersion {
        self.version
    }

    /// The bytes that were sealed.
    pub fn serialize(&self) -> &[u8] {
        self.content.serialize()
    }
}

/// What is sealed: a message, and who says to have sent it.
#[derive(Clone)]
pub struct UnidentifiedContent {
    pub(super) kind: MessageType,
    pub(super) certificate: SenderCertificate,
    pub(super) message: Bytes,
    pub(super) hint: ContentHint,
    pub(super) group_id: Bytes,
    serialized: Bytes,
}

impl UnidentifiedContent {
    /// Puts `message`, serialized and of type `kind`, beside our certificate. `group_id` says which group it is for, so
    /// that a gap can be shown in the right place; empty for none.
    pub fn new(
        kind: MessageType,
        certificate: SenderCertificate,
        message: &[u8],
        hint: ContentHint,
        group_id: &[u8],
    ) -> Self {
        let (message, group_id) = (Bytes::copy_from_slice(message), Bytes::copy_from_slice(group_id));
        let form = ContentForm {
            kind: Some(kind_number(kind)),
            certificate: Some(Bytes::copy_from_slice(certificate.serialize())),
            message: Some(message.clone()),
            hint: hint.number(),
            group_id: group_id.clone(),
        };
        let serialized = form.encode_to_vec().into();
        Self { kind, certificate, message, hint, group_id, serialized }
    }

    /// Parses; nothing is verified.
    ///
    /// # Errors
    /// [`DecodeError`] for: not protobuf, a field missing, an unknown type of message, a bad certificate.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::parse_shared(Bytes::copy_from_slice(bytes))
    }

    /// The bytes that are sealed.
    pub fn serialize(&self) -> &[u8] {
        &self.serialized
    }

    pub(super) fn parse_shared(serialized: Bytes) -> Result<Self, DecodeError> {
        let form = ContentForm::decode(serialized.clone()).map_err(|_| DecodeError::Malformed)?;
        let certificate = form.certificate.ok_or(DecodeError::MissingField)?;
        Ok(Self {
            kind: kind_from(form.kind.ok_or(DecodeError::MissingField)?)?,
            certificate: SenderCertificate::parse_shared(certificate)?,
            message: form.message.ok_or(DecodeError::MissingField)?,
            hint: ContentHint::from_number(form.hint),
            group_id: form.group_id,
            serialized,
        })
    }
}

impl fmt::Debug for UnidentifiedContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, certificate, message, hint, group_id: _, serialized: _ } = self;
        f.debug_struct("UnidentifiedContent")
            .field("kind", kind)
            .field("certificate", certificate)
            .field("message_len", &message.len())
            .field("hint", hint)
            .finish_non_exhaustive()
    }
}

/// The numbers of the first two are not those of [`MessageType`].
fn kind_number(kind: MessageType) -> u32 {
    match kind {
        MessageType::PreKey => 1,
        MessageType::Signal => 2,
        MessageType::SenderKey => 7,
        MessageType::Plaintext => 8,
    }
}

fn kind_from(number: u32) -> Result<MessageType, DecodeError> {
    match number {
        1 => Ok(MessageType::PreKey),
        2 => Ok(MessageType::Signal),
        7 => Ok(MessageType::SenderKey),
        8 => Ok(MessageType::Plaintext),
        _ => Err(DecodeError::OutOfRange),
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct ContentForm {
    #[prost(uint32, optional, tag = "1")]
    kind: Option<u32>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    certificate: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    message: Option<Bytes>,
    #[prost(uint32, tag = "4")]
    hint: u32,
    #[prost(bytes = "bytes", tag = "5")]
    group_id: Bytes,
}
