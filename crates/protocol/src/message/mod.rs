//! Messages: parsing and serialization, without decryption.

mod distribution;
mod pre_key;
mod retry;
mod sender_key;
mod signal;

pub use distribution::SenderKeyDistributionMessage;
pub use pre_key::PreKeySignalMessage;
pub(crate) use pre_key::{Handshake, KemPart};
pub use retry::{DecryptionErrorMessage, PlaintextContent, RetryError};
pub use sender_key::SenderKeyMessage;
pub use signal::SignalMessage;
pub(crate) use signal::{Associated, Header};

/// The output of a session: a message of an established session, or one that also contains the handshake.
#[derive(Debug, Clone)]
pub enum Ciphertext {
    /// An ordinary message; the peer has answered.
    Signal(SignalMessage),
    /// A message with the handshake; the peer has not answered yet.
    PreKey(PreKeySignalMessage),
}

/// The type of a ciphertext, which determines how it is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// [`SignalMessage`].
    Signal = 2,
    /// [`PreKeySignalMessage`].
    PreKey = 3,
    /// [`SenderKeyMessage`].
    SenderKey = 7,
    /// [`PlaintextContent`].
    Plaintext = 8,
}

impl Ciphertext {
    /// The type of this message.
    pub fn message_type(&self) -> MessageType {
        match self {
            Self::Signal(_) => MessageType::Signal,
            Self::PreKey(_) => MessageType::PreKey,
        }
    }

    /// The bytes for the wire.
    pub fn serialize(&self) -> &[u8] {
        match self {
            Self::Signal(message) => message.serialize(),
            Self::PreKey(message) => message.serialize(),
        }
    }
}

/// `first || form || room`, in one allocation.
fn encode(first: u8, form: &impl prost::Message, room: usize) -> Vec<u8> {
    let length = form.encoded_len().saturating_add(1).saturating_add(room);
    let mut out = Vec::with_capacity(length);
    out.push(first);
    form.encode_raw(&mut out);
    out
}
