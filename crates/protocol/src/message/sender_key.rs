//! A message to a group: `version || protobuf || signature`.

use std::fmt;

use bytes::Bytes;
use prost::Message as _;
use rand_core::CryptoRng;

use super::encode;
use crate::distribution_id::DistributionId;
use crate::error::DecodeError;
use crate::primitives::known_keys::KnownKeys;
use crate::primitives::x25519::{KeyPair, PublicKey};
use crate::primitives::xeddsa::{self, SIGNATURE_LEN, Signature};

/// The first byte of messages about sender keys, whose version is 3. Readers examine the high half only.
pub(super) const VERSION_BYTE: u8 = 0x33;

/// Refuses another version in the first byte.
pub(super) fn check_version(bytes: &[u8]) -> Result<(), DecodeError> {
    match bytes.first().ok_or(DecodeError::TooShort)? >> 4 {
        0..=2 => Err(DecodeError::VersionTooOld),
        3 => Ok(()),
        4.. => Err(DecodeError::UnknownVersion),
    }
}

/// A message encrypted once for all members of a group.
#[derive(Clone)]
pub struct SenderKeyMessage {
    distribution_id: DistributionId,
    chain_id: u32,
    iteration: u32,
    ciphertext: Bytes,
    signature: Signature,
    serialized: Bytes,
}

impl SenderKeyMessage {
    /// Parses the message. Of the signature, only its presence is checked.
    ///
    /// # Errors
    /// [`DecodeError`] for fewer than 65 bytes, a version other than 3, invalid protobuf, a missing field, or a
    /// distribution id of another length.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let serialized = Bytes::copy_from_slice(bytes);
        let (body, signature) = bytes.split_last_chunk::<SIGNATURE_LEN>().ok_or(DecodeError::TooShort)?;
        check_version(body)?;
        let form = Form::decode(serialized.slice(1..body.len())).map_err(|_| DecodeError::Malformed)?;
        Ok(Self {
            distribution_id: DistributionId::parse(&form.distribution_id.ok_or(DecodeError::MissingField)?)?,
            chain_id: form.chain_id.ok_or(DecodeError::MissingField)?,
            iteration: form.iteration.ok_or(DecodeError::MissingField)?,
            ciphertext: form.ciphertext.ok_or(DecodeError::MissingField)?,
            signature: Signature::parse(signature)?,
            serialized,
        })
    }

    /// The bytes for the wire.
    pub fn serialize(&self) -> &[u8] {
        &self.serialized
    }

    /// Which of the sender's distributions.
    pub fn distribution_id(&self) -> DistributionId {
        self.distribution_id
    }

    /// Which chain of that distribution.
    pub fn chain_id(&self) -> u32 {
        self.chain_id
    }

    /// The number of this message in the chain, from 0.
    pub fn iteration(&self) -> u32 {
        self.iteration
    }

    pub(crate) fn ciphertext(&self) -> &[u8] {
        &self.ciphertext
    }

    /// Wraps a ciphertext, and signs it.
    pub(crate) fn sign<R: CryptoRng + ?Sized>(
        distribution_id: DistributionId,
        chain_id: u32,
        iteration: u32,
        ciphertext: Vec<u8>,
        key: &KeyPair,
        rng: &mut R,
    ) -> Self {
        let ciphertext = Bytes::from(ciphertext);
        let form = Form {
            distribution_id: Some(Bytes::copy_from_slice(distribution_id.as_bytes())),
            chain_id: Some(chain_id),
            iteration: Some(iteration),
            ciphertext: Some(ciphertext.clone()),
        };
        let mut serialized = encode(VERSION_BYTE, &form, SIGNATURE_LEN);
        let signature = xeddsa::sign(key, &serialized, rng);
        serialized.extend_from_slice(signature.as_bytes());
        Self { distribution_id, chain_id, iteration, ciphertext, signature, serialized: serialized.into() }
    }

    /// Whether the owner of `key` signed it.
    pub(crate) fn is_signed_by(&self, key: &PublicKey, known: &mut KnownKeys) -> bool {
        let body = self.serialized.split_last_chunk::<SIGNATURE_LEN>();
        body.is_some_and(|(body, _)| known.verify(key, body, &self.signature))
    }
}

impl fmt::Debug for SenderKeyMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { distribution_id, chain_id, iteration, ciphertext, signature: _, serialized: _ } = self;
        f.debug_struct("SenderKeyMessage")
            .field("distribution_id", distribution_id)
            .field("chain_id", chain_id)
            .field("iteration", iteration)
            .field("ciphertext_len", &ciphertext.len())
            .finish_non_exhaustive()
    }
}

/// Fields are optional so that zeros are written, and missing fields are detected.
#[derive(Clone, PartialEq, prost::Message)]
struct Form {
    #[prost(bytes = "bytes", optional, tag = "1")]
    distribution_id: Option<Bytes>,
    #[prost(uint32, optional, tag = "2")]
    chain_id: Option<u32>,
    #[prost(uint32, optional, tag = "3")]
    iteration: Option<u32>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    ciphertext: Option<Bytes>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::secret::Secret;
    use crate::vectors::{self, bytes};
    use rand::{SeedableRng as _, rngs::StdRng};

    #[test]
    fn signatures_match_the_vectors() {
        let file = vectors::load("sender-keys");
        let key = PublicKey::parse(&bytes(&file["signing_public"])).unwrap();
        let known = &mut KnownKeys::default();
        for message in file["messages"].as_array().unwrap() {
            let message = bytes(message);
            assert!(SenderKeyMessage::parse(&message).unwrap().is_signed_by(&key, known));
            // The version, the fields and the signature itself.
            for position in [0, 5, 30, 60, message.len() - 1] {
                let mut wrong = message.clone();
                wrong[position] ^= 1;
                assert!(
                    !SenderKeyMessage::parse(&wrong).is_ok_and(|message| message.is_signed_by(&key, known))
                );
            }
        }
    }

    #[test]
    fn the_signed_bytes_are_those_of_the_vectors() {
        let file = vectors::load("sender-keys");
        let key = KeyPair::from_private(&Secret::from_slice(&bytes(&file["signing_private"])).unwrap());
        let (rng, known) = (&mut StdRng::seed_from_u64(1), &mut KnownKeys::default());
        for message in file["messages"].as_array().unwrap() {
            let message = bytes(message);
            let theirs = SenderKeyMessage::parse(&message).unwrap();
            let (id, ciphertext) = (theirs.distribution_id(), theirs.ciphertext().to_vec());
            let ours =
                SenderKeyMessage::sign(id, theirs.chain_id(), theirs.iteration(), ciphertext, &key, rng);
            let unsigned = message.len() - SIGNATURE_LEN;
            assert_eq!(ours.serialize()[..unsigned], message[..unsigned]);
            assert!(ours.is_signed_by(key.public(), known));
        }
    }
}
