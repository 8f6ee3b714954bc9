//! The ordinary message: `version || protobuf || MAC`.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use prost::Message as _;
use zeroize::Zeroizing;

use crate::error::{DecodeError, NotAuthentic};
use crate::form::Output;
use crate::identity::IdentityKey;
use crate::primitives::cipher::{CipherKeys, MAC_LEN};
use crate::primitives::x25519::{PUBLIC_KEY_LEN, PublicKey};
use crate::session_id::SessionVersion;

/// Which key a message has: the header of the Double Ratchet (section 3.4), which is sent unencrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// `DHs` of the sender.
    pub(crate) ratchet_key: PublicKey,
    /// `N`: the number of this message in its chain.
    pub(crate) number: u32,
    /// The number of the last message of the sender's previous chain, or 0 if there was none. It is written but never
    /// used.
    pub(crate) previous: u32,
}

/// What a message authenticates beyond its own bytes. Sender and receiver are those of the message, not of the
/// session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Associated<'a> {
    pub(crate) sender: &'a IdentityKey,
    pub(crate) receiver: &'a IdentityKey,
    /// The [`Address::pair`](crate::Address::pair) of the two. The sender of a pre-key message writes it, and every
    /// receiver of a message that has it compares it.
    pub(crate) addresses: Option<[u8; 36]>,
}

/// A message of an established session.
#[derive(Clone)]
pub struct SignalMessage {
    version: SessionVersion,
    header: Header,
    ciphertext: Bytes,
    pq_ratchet: Bytes,
    addresses: Option<Bytes>,
    mac: [u8; MAC_LEN],
    serialized: Bytes,
}

impl SignalMessage {
    /// Parses a message. The MAC must be present but is not verified.
    ///
    /// # Errors
    /// Returns a [`DecodeError`] for fewer than 9 bytes, a version other than 3 and 4, invalid protobuf, a missing
    /// field or an invalid key.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::parse_shared(Bytes::copy_from_slice(bytes))
    }

    /// The serialized message.
    pub fn serialize(&self) -> &[u8] {
        &self.serialized
    }

    /// The version of the session that it belongs to.
    pub fn version(&self) -> SessionVersion {
        self.version
    }

    /// The sender's ratchet key, serialized.
    pub fn ratchet_key(&self) -> &[u8; PUBLIC_KEY_LEN] {
        self.header.ratchet_key.as_bytes()
    }

    /// The number of this message in the sender's chain, from 0.
    pub fn counter(&self) -> u32 {
        self.header.number
    }

    /// The bytes of the sender's post-quantum ratchet; empty if it has none.
    pub fn pq_ratchet(&self) -> &[u8] {
        &self.pq_ratchet
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// The serialized message, shared.
    pub(crate) fn shared(&self) -> Bytes {
        self.serialized.clone()
    }

    /// Encrypts, then authenticates.
    pub(crate) fn seal(
        version: SessionVersion,
        header: Header,
        pq_ratchet: &[u8],
        plaintext: &[u8],
        keys: CipherKeys,
        associated: &Associated<'_>,
    ) -> Self {
        let ciphertext = keys.encrypt(plaintext);
        let addresses = associated.addresses.as_ref().map(<[u8; 36]>::as_slice);
        let room = ROOM.saturating_add(ciphertext.len()).saturating_add(pq_ratchet.len());
        // The fields of a `Form` are written directly, so that nothing needs to be shared or copied.
        let mut out = Output::with_room(room);
        out.raw(&[version.message_byte()]);
        out.bytes(1, header.ratchet_key.as_bytes());
        out.optional_uint(2, Some(header.number));
        out.optional_uint(3, Some(header.previous));
        out.optional_bytes(4, Some(&ciphertext));
        let ciphertext = behind(&out, ciphertext.len());
        out.bytes(5, pq_ratchet);
        let pq_ratchet = behind(&out, pq_ratchet.len());
        out.optional_bytes(6, addresses);
        let addresses = addresses.map(|addresses| behind(&out, addresses.len()));
        let mut serialized = out.into_bytes();
        let mac = keys.mac(&[associated.sender.as_bytes(), associated.receiver.as_bytes(), &serialized]);
        serialized.extend_from_slice(&mac);
        let serialized = Bytes::from(serialized);
        Self {
            version,
            header,
            ciphertext: serialized.slice(ciphertext),
            pq_ratchet: serialized.slice(pq_ratchet),
            addresses: addresses.map(|addresses| serialized.slice(addresses)),
            mac,
            serialized,
        }
    }

    /// Whether it states its sender and recipient.
    pub(crate) fn is_addressed(&self) -> bool {
        self.addresses.is_some()
    }

    /// Checks that the message is authentic and meant for the two users of `associated`, then decrypts it.
    pub(crate) fn open(
        &self,
        keys: CipherKeys,
        associated: &Associated<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, NotAuthentic> {
        let (body, _) = self.serialized.split_last_chunk::<MAC_LEN>().ok_or(NotAuthentic)?;
        let parts: [&[u8]; 3] = [associated.sender.as_bytes(), associated.receiver.as_bytes(), body];
        let plaintext = keys.open(&parts, &self.mac, &self.ciphertext)?;
        match (&self.addresses, &associated.addresses) {
            (None, _) => Ok(plaintext),
            (Some(theirs), Some(ours)) if theirs == ours.as_slice() => Ok(plaintext),
            (Some(_), _) => Err(NotAuthentic),
        }
    }

    /// The same as [`parse`](Self::parse), without a copy.
    pub(crate) fn parse_shared(serialized: Bytes) -> Result<Self, DecodeError> {
        let (body, mac) = serialized.split_last_chunk::<MAC_LEN>().ok_or(DecodeError::TooShort)?;
        let version = SessionVersion::of_message(*body.first().ok_or(DecodeError::TooShort)?)?;
        let form = Form::decode(serialized.slice(1..body.len())).map_err(|_| DecodeError::Malformed)?;
        Ok(Self {
            version,
            header: Header {
                ratchet_key: PublicKey::parse(&form.ratchet_key.ok_or(DecodeError::MissingField)?)?,
                number: form.counter.ok_or(DecodeError::MissingField)?,
                previous: form.previous_counter.unwrap_or(0),
            },
            ciphertext: form.ciphertext.ok_or(DecodeError::MissingField)?,
            pq_ratchet: form.pq_ratchet.unwrap_or_default(),
            addresses: form.addresses,
            mac: *mac,
            serialized,
        })
    }
}

impl fmt::Debug for SignalMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, header, ciphertext, pq_ratchet: _, addresses: _, mac: _, serialized: _ } = self;
        f.debug_struct("SignalMessage")
            .field("version", version)
            .field("header", header)
            .field("ciphertext_len", &ciphertext.len())
            .finish_non_exhaustive()
    }
}

/// The maximum size of a message without its ciphertext and SPQR bytes.
const ROOM: usize = 1 + 35 + 2 * 6 + 6 + 3 + 38 + MAC_LEN;

/// The position of the last `length` bytes that were written.
fn behind(out: &Output, length: usize) -> Range<usize> {
    out.len().saturating_sub(length)..out.len()
}

/// The fields are optional so that zero values are written and absent fields are noticed.
#[derive(Clone, PartialEq, prost::Message)]
struct Form {
    #[prost(bytes = "bytes", optional, tag = "1")]
    ratchet_key: Option<Bytes>,
    #[prost(uint32, optional, tag = "2")]
    counter: Option<u32>,
    #[prost(uint32, optional, tag = "3")]
    previous_counter: Option<u32>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    ciphertext: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "5")]
    pq_ratchet: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "6")]
    addresses: Option<Bytes>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::secret::Secret;

    fn seal(
        pq_ratchet: &'static [u8],
        addresses: Option<[u8; 36]>,
    ) -> (SignalMessage, IdentityKey, IdentityKey) {
        let sender = IdentityKey::parse(&[5; 33]).unwrap();
        let receiver = IdentityKey::parse(&[5, 6].repeat(17)).unwrap();
        let header = Header { ratchet_key: PublicKey::parse(&[5; 33]).unwrap(), number: 0, previous: 0 };
        let keys = CipherKeys::new(Secret::new([1; 80]));
        let bound = Associated { sender: &sender, receiver: &receiver, addresses };
        let message = SignalMessage::seal(SessionVersion::V4, header, pq_ratchet, b"hello", keys, &bound);
        (SignalMessage::parse(message.serialize()).unwrap(), sender, receiver)
    }

    #[test]
    fn zeros_are_written_and_an_empty_pq_ratchet_is_not() {
        let (message, ..) = seal(b"", None);
        let bytes = message.serialize();
        assert_eq!(bytes.len(), 1 + (2 + 33) + 2 + 2 + (2 + 16) + MAC_LEN);
        assert_eq!(&bytes[36..40], [0x10, 0, 0x18, 0]);
        let (message, ..) = seal(b"pq", None);
        assert_eq!(message.pq_ratchet(), b"pq");
    }

    /// A message is written field by field, and is read by the protobuf library.
    #[test]
    fn written_messages_are_canonical_protobuf() {
        for (pq_ratchet, addresses) in
            [(&b""[..], None), (b"pq", None), (b"", Some([9; 36])), (&[3; 200], Some([9; 36]))]
        {
            let (message, ..) = seal(pq_ratchet, addresses);
            let body = &message.serialized[1..message.serialized.len() - MAC_LEN];
            assert_eq!(Form::decode(body).unwrap().encode_to_vec(), body);
            assert_eq!((message.pq_ratchet(), message.ciphertext.len()), (pq_ratchet, 16));
            assert_eq!(message.addresses.as_deref(), addresses.as_ref().map(<[u8; 36]>::as_slice));
            let key = PublicKey::parse(&[5; 33]).unwrap();
            let header = Header { ratchet_key: key, number: u32::MAX, previous: u32::MAX };
            let bound = Associated {
                sender: &IdentityKey::parse(&[5; 33]).unwrap(),
                receiver: &IdentityKey::parse(&[5; 33]).unwrap(),
                addresses,
            };
            let keys = CipherKeys::new(Secret::new([1; 80]));
            let sealed = SignalMessage::seal(SessionVersion::V4, header, pq_ratchet, &[7; 300], keys, &bound);
            let read = SignalMessage::parse(sealed.serialize()).unwrap();
            assert_eq!(
                (read.header, &read.ciphertext, &read.pq_ratchet),
                (header, &sealed.ciphertext, &sealed.pq_ratchet)
            );
            assert_eq!((&read.addresses, read.mac), (&sealed.addresses, sealed.mac));
        }
    }

    #[test]
    fn a_message_can_be_opened_only_by_its_receiver() {
        let keys = || CipherKeys::new(Secret::new([1; 80]));
        let (message, sender, receiver) = seal(b"", None);
        let open = |sender, receiver| message.open(keys(), &Associated { sender, receiver, addresses: None });
        assert_eq!(**open(&sender, &receiver).unwrap(), *b"hello");
        assert_eq!(open(&receiver, &sender), Err(NotAuthentic));
    }

    #[test]
    fn addresses_are_compared_when_present() {
        let keys = || CipherKeys::new(Secret::new([1; 80]));
        let open = |sent: Option<[u8; 36]>, addresses| {
            let (message, sender, receiver) = seal(b"", sent);
            message.open(keys(), &Associated { sender: &sender, receiver: &receiver, addresses }).is_ok()
        };
        assert!(open(None, Some([1; 36])));
        assert!(open(Some([1; 36]), Some([1; 36])));
        assert!(!open(Some([1; 36]), Some([2; 36])));
        assert!(!open(Some([1; 36]), None));
    }
}
