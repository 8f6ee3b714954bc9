//! The two forms of version 2: what the sender gives to the relay for all, and what each recipient gets.
//!
//! ```text
//!   sent      0x23 || varint: number of entries
//!                  || for each user: service id (17) || for each device: device (1) || registration id (2)
//!                                    || C (32) || AT (16)
//!                  || for each excluded user: service id (17) || 0
//!                  || E (32) || ciphertext
//!   received  0x22 || C (32) || AT (16) || E (32) || ciphertext
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;

use super::error::SealError;
use crate::address::DeviceId;
use crate::error::DecodeError;

/// Length of the ephemeral key, which has no type byte.
pub(super) const EPHEMERAL_LEN: usize = 32;
/// Length of an authentication tag.
pub(super) const TAG_LEN: usize = 16;

/// First byte of the sent form.
const SENT: u8 = 0x23;
/// The first byte of the sent form of older senders, whose recipients are all accounts and have no byte for the kind.
const SENT_ACCOUNTS: u8 = 0x22;
/// First byte of the received form.
const RECEIVED: u8 = 0x22;
/// Set in a registration id if another device of the same user follows.
const MORE_DEVICES: u16 = 0x8000;
/// The kinds of service ids: of an account, of a phone number.
const ACCOUNT: u8 = 0;
const PHONE_NUMBER: u8 = 1;

/// A message as it is sent to the relay, which splits it without being able to read it.
#[derive(Clone)]
pub struct SentMessage {
    recipients: Vec<SentRecipient>,
    excluded: Vec<[u8; 17]>,
    /// Ephemeral key and ciphertext.
    shared: Bytes,
    serialized: Bytes,
}

/// One recipient of a message.
#[derive(Clone, PartialEq, Eq)]
pub struct SentRecipient {
    service_id: [u8; 17],
    /// At least one.
    devices: Vec<(DeviceId, u16)>,
    /// `C`.
    wrapped_seed: [u8; 32],
    /// `AT`.
    tag: [u8; TAG_LEN],
}

impl SentMessage {
    /// Parses the sent form, including that of older senders.
    ///
    /// # Errors
    /// [`DecodeError`] for another version, fewer bytes than announced, a number that is not in its shortest form, an
    /// unknown kind of service id, a device outside 1 to 127, or a user who is both a recipient and excluded, or
    /// excluded twice.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let reader = &mut Reader(bytes);
        let kind = match reader.byte()? {
            SENT => None,
            SENT_ACCOUNTS => Some(ACCOUNT),
            _ => return Err(DecodeError::UnknownVersion),
        };
        let (mut recipients, mut excluded) = (Vec::<SentRecipient>::new(), Vec::new());
        // The index of a user among the recipients; none if excluded.
        let mut places = BTreeMap::new();
        for _ in 0..reader.varint()? {
            let service_id = reader.service_id(kind)?;
            match (reader.entry(service_id)?, places.get(&service_id)) {
                (Some(recipient), None) => {
                    places.insert(service_id, Some(recipients.len()));
                    recipients.push(recipient);
                }
                (Some(again), Some(Some(place))) => {
                    if let Some(recipient) = recipients.get_mut(*place) {
                        recipient.devices.extend(again.devices);
                    }
                }
                (None, None) => {
                    places.insert(service_id, None);
                    excluded.push(service_id);
                }
                (Some(_), Some(None)) | (None, Some(_)) => return Err(DecodeError::Redundant),
            }
        }
        let shared = reader.0.len();
        if shared < EPHEMERAL_LEN {
            return Err(DecodeError::TooShort);
        }
        Ok(Self::new(recipients, excluded, shared, Bytes::copy_from_slice(bytes)))
    }

    /// The bytes for the relay.
    pub fn serialize(&self) -> &[u8] {
        &self.serialized
    }

    /// The recipients, each user once.
    pub fn recipients(&self) -> &[SentRecipient] {
        &self.recipients
    }

    /// The service ids of fixed width of members who do not receive the message.
    pub fn excluded(&self) -> &[[u8; 17]] {
        &self.excluded
    }

    /// The received form, for every device of `recipient`.
    pub fn received_by(&self, recipient: &SentRecipient) -> Vec<u8> {
        [&[RECEIVED], recipient.wrapped_seed.as_slice(), &recipient.tag, &self.shared].concat()
    }

    pub(super) fn compose(
        recipients: Vec<SentRecipient>,
        excluded: &[[u8; 17]],
        ephemeral: &[u8; EPHEMERAL_LEN],
        ciphertext: &[u8],
    ) -> Result<Self, SealError> {
        if excluded.iter().any(|id| !has_known_kind(id)) {
            return Err(SealError::NotServiceId);
        }
        let mut users: BTreeSet<_> = recipients.iter().map(|recipient| recipient.service_id).collect();
        if !excluded.iter().all(|id| users.insert(*id)) {
            return Err(SealError::RedundantExclusion);
        }
        let mut out = vec![SENT];
        let entries = recipients.len().saturating_add(excluded.len());
        prost::encode_length_delimiter(entries, &mut out).map_err(|_| SealError::TooLong)?;
        for recipient in &recipients {
            recipient.write(&mut out);
        }
        for service_id in excluded {
            out.extend_from_slice(service_id);
            out.push(0);
        }
        out.extend_from_slice(ephemeral);
        out.extend_from_slice(ciphertext);
        let shared = ciphertext.len().saturating_add(EPHEMERAL_LEN);
        Ok(Self::new(recipients, excluded.to_vec(), shared, out.into()))
    }

    /// The last `shared` bytes of `serialized` are for all recipients.
    fn new(
        recipients: Vec<SentRecipient>,
        excluded: Vec<[u8; 17]>,
        shared: usize,
        serialized: Bytes,
    ) -> Self {
        let shared = serialized.slice(serialized.len().saturating_sub(shared)..);
        Self { recipients, excluded, shared, serialized }
    }
}

impl SentRecipient {
    /// Registration ids have 14 bits here.
    pub(super) const MAX_REGISTRATION_ID: u16 = 0x3fff;

    /// The user: a service id of fixed width.
    pub fn service_id(&self) -> &[u8; 17] {
        &self.service_id
    }

    /// The devices of the user, each with its registration id.
    pub fn devices(&self) -> impl Iterator<Item = (DeviceId, u16)> {
        self.devices.iter().copied()
    }

    pub(super) fn new(
        service_id: [u8; 17],
        devices: Vec<(DeviceId, u16)>,
        wrapped_seed: [u8; 32],
        tag: [u8; TAG_LEN],
    ) -> Self {
        Self { service_id, devices, wrapped_seed, tag }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let Self { service_id, devices, wrapped_seed, tag } = self;
        out.extend_from_slice(service_id);
        let mut rest = devices.as_slice();
        while let [(device, registration_id), after @ ..] = rest {
            rest = after;
            let more = if rest.is_empty() { 0 } else { MORE_DEVICES };
            out.push(device.byte());
            out.extend_from_slice(&(registration_id | more).to_be_bytes());
        }
        out.extend_from_slice(wrapped_seed);
        out.extend_from_slice(tag);
    }
}

/// Shows the number of recipients only.
impl fmt::Debug for SentMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { recipients, excluded, shared, serialized: _ } = self;
        f.debug_struct("SentMessage")
            .field("recipients", &recipients.len())
            .field("excluded", &excluded.len())
            .field("shared_len", &shared.len())
            .finish_non_exhaustive()
    }
}

/// Shows the devices, not the user.
impl fmt::Debug for SentRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service_id: _, devices, wrapped_seed: _, tag: _ } = self;
        f.debug_struct("SentRecipient")
            .field("devices", &devices.iter().map(|(device, _)| device).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// The remaining bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], DecodeError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(DecodeError::TooShort)?;
        self.0 = rest;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        self.take().map(|[byte]| *byte)
    }

    /// Up to 32 bits, in the shortest form, because others misread longer ones.
    fn varint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let shortest = byte != 0 || shift == 0;
                return u32::try_from(value).ok().filter(|_| shortest).ok_or(DecodeError::Malformed);
            }
        }
        Err(DecodeError::Malformed)
    }

    /// `kind` is the kind of all of them, if it is not encoded.
    fn service_id(&mut self, kind: Option<u8>) -> Result<[u8; 17], DecodeError> {
        let mut id = [0; 17];
        let [first, uuid @ ..] = &mut id;
        *first = kind.map_or_else(|| self.byte(), Ok)?;
        *uuid = *self.take()?;
        if has_known_kind(&id) { Ok(id) } else { Err(DecodeError::OutOfRange) }
    }

    /// What follows a service id. `None` if the user is excluded.
    fn entry(&mut self, service_id: [u8; 17]) -> Result<Option<SentRecipient>, DecodeError> {
        let mut devices = Vec::new();
        loop {
            let device = self.byte()?;
            if device == 0 && devices.is_empty() {
                return Ok(None);
            }
            let device = DeviceId::new(device.into()).map_err(|_| DecodeError::OutOfRange)?;
            let number = u16::from_be_bytes(*self.take()?);
            devices.push((device, number & SentRecipient::MAX_REGISTRATION_ID));
            if number & MORE_DEVICES == 0 {
                break;
            }
        }
        Ok(Some(SentRecipient { service_id, devices, wrapped_seed: *self.take()?, tag: *self.take()? }))
    }
}

fn has_known_kind([kind, ..]: &[u8; 17]) -> bool {
    [ACCOUNT, PHONE_NUMBER].contains(kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;
    use crate::vectors::{self, bytes};

    #[test]
    fn sent_messages_are_parsed_as_in_the_vectors() {
        for case in vectors::load("misc-kats")["ssv2_sent_message_parse"].as_array().unwrap() {
            let message = SentMessage::parse(&bytes(&case["message"])).unwrap();
            let expected = case["recipients"].as_object().unwrap();
            assert_eq!(message.recipients().len(), expected.len());
            assert!(message.excluded().is_empty());
            for (name, numbers) in expected {
                let id = *Address::new(name, DeviceId::new(1).unwrap()).service_id().unwrap();
                let recipient = message.recipients().iter().find(|recipient| recipient.service_id == id);
                let devices = recipient.unwrap().devices();
                let devices = devices.map(|(device, number)| (u64::from(device.get()), u64::from(number)));
                // First the devices, then their registration ids.
                let list = |at: usize| numbers[at].as_array().unwrap().iter().map(|n| n.as_u64().unwrap());
                assert!(devices.eq(list(0).zip(list(1))));
                let received = message.received_by(recipient.unwrap());
                assert_eq!(received[0], RECEIVED);
                assert!(received[1..49].iter().all(|byte| *byte == received[1]));
                assert!(received[49..].iter().all(|byte| *byte == 0x99));
            }
        }
    }
}
