//! The content of an envelope: an encrypted message, and its claimed sender.

use std::fmt;

use bytes::Bytes;
use prost::Message as _;

use super::sender::SenderCertificate;
use crate::error::DecodeError;
use crate::message::MessageType;

/// What to do if the message cannot be decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ContentHint {
    /// Show that a message is missing: it will not be sent again.
    #[default]
    Default,
    /// Request it, and show the gap only if it does not arrive: the sender has kept it.
    Resendable,
    /// Show nothing: it was a receipt or a typing notification.
    Implicit,
    /// An unknown hint, to be treated like the default.
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
    /// For one recipient: only the sender or the recipient can have written the content.
    V1,
    /// For several recipients: any of them can have written the content.
    V2,
}

/// The content of an envelope that was opened. Its sender is not verified yet, and all that can be done with it is to
/// verify it.
#[derive(Debug, Clone)]
pub struct OpenedContent {
    pub(super) version: EnvelopeVersion,
    pub(super) content: UnidentifiedContent,
}

impl OpenedContent {
    /// The version of the envelope.
    pub fn version(&self) -> EnvelopeVersion {
        self.version
    }

    /// The bytes that were sealed.
    pub fn serialize(&self) -> &[u8] {
        self.content.serialize()
    }
}

/// What is sealed: a message, and its claimed sender.
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
    /// Combines `message`, serialized and of type `kind`, with our certificate. `group_id` is the group that it
    /// belongs to, so that a gap can be shown in the right place; empty for none.
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

    /// Parses the content; nothing is verified.
    ///
    /// # Errors
    /// [`DecodeError`] for invalid protobuf, a missing field, an unknown type of message, or an invalid certificate.
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

/// The numbers of the first two differ from those of [`MessageType`].
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
