//! Distributes a sender key: `version || protobuf`, inside an encrypted message to each member.

use std::fmt;

use super::sender_key::{VERSION_BYTE, check_version};
use crate::distribution_id::DistributionId;
use crate::error::DecodeError;
use crate::form::{Fields, written};
use crate::primitives::secret::Secret;
use crate::primitives::x25519::{PUBLIC_KEY_LEN, PublicKey};
use crate::stored::StoredBytes;

/// The minimum length.
const MIN_LEN: usize = 65;

/// What a member needs to read a sender's messages to a group, from a certain message on. It is a secret of the
/// group. It is not signed; the session that transports it authenticates its sender.
pub struct SenderKeyDistributionMessage {
    distribution_id: DistributionId,
    chain_id: u32,
    iteration: u32,
    chain_key: Secret<32>,
    signing_key: PublicKey,
    serialized: StoredBytes,
}

impl SenderKeyDistributionMessage {
    /// Parses the message.
    ///
    /// # Errors
    /// [`DecodeError`] for fewer than 65 bytes, a version other than 3, invalid protobuf, a missing field, an id or a
    /// key of another length, or an invalid key.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (_, body) = bytes.split_first().ok_or(DecodeError::TooShort)?;
        if bytes.len() < MIN_LEN {
            return Err(DecodeError::TooShort);
        }
        check_version(bytes)?;
        let form = Fields::<6>::parse(body)?;
        let [id, chain_key, signing_key] =
            [1, 4, 5].map(|number| form.optional_bytes(number)?.ok_or(DecodeError::MissingField));
        let signing_key = signing_key?;
        if signing_key.len() > PUBLIC_KEY_LEN {
            return Err(DecodeError::Length);
        }
        Ok(Self {
            distribution_id: DistributionId::parse(id?)?,
            chain_id: form.optional_uint32(2)?.ok_or(DecodeError::MissingField)?,
            iteration: form.optional_uint32(3)?.ok_or(DecodeError::MissingField)?,
            chain_key: Secret::from_slice(chain_key?).ok_or(DecodeError::Length)?,
            signing_key: PublicKey::parse(signing_key)?,
            serialized: StoredBytes::new(bytes.to_vec()),
        })
    }

    /// The bytes to be encrypted for each member.
    pub fn serialize(&self) -> &[u8] {
        &self.serialized
    }

    /// Which distribution of the sender.
    pub fn distribution_id(&self) -> DistributionId {
        self.distribution_id
    }

    /// Which chain of that distribution.
    pub fn chain_id(&self) -> u32 {
        self.chain_id
    }

    /// The number of the first message that can be read with it.
    pub fn iteration(&self) -> u32 {
        self.iteration
    }

    pub(crate) fn chain_key(&self) -> &Secret<32> {
        &self.chain_key
    }

    pub(crate) fn signing_key(&self) -> &PublicKey {
        &self.signing_key
    }

    pub(crate) fn new(
        distribution_id: DistributionId,
        chain_id: u32,
        iteration: u32,
        chain_key: Secret<32>,
        signing_key: PublicKey,
    ) -> Self {
        let serialized = written(|out| {
            out.raw(&[VERSION_BYTE]);
            out.bytes(1, distribution_id.as_bytes());
            // Written even if they are zero.
            out.optional_uint(2, Some(chain_id));
            out.optional_uint(3, Some(iteration));
            out.bytes(4, chain_key.expose());
            out.bytes(5, signing_key.as_bytes());
        });
        Self { distribution_id, chain_id, iteration, chain_key, signing_key, serialized }
    }
}

impl fmt::Debug for SenderKeyDistributionMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { distribution_id, chain_id, iteration, chain_key: _, signing_key, serialized: _ } = self;
        f.debug_struct("SenderKeyDistributionMessage")
            .field("distribution_id", distribution_id)
            .field("chain_id", chain_id)
            .field("iteration", iteration)
            .field("signing_key", signing_key)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{self, bytes};

    #[test]
    fn distribution_messages_are_encoded_as_in_the_vectors() {
        let theirs = bytes(&vectors::load("sender-keys")["skdm"]);
        let parsed = SenderKeyDistributionMessage::parse(&theirs).unwrap();
        let chain_key = parsed.chain_key().copy();
        let ours = SenderKeyDistributionMessage::new(
            parsed.distribution_id(),
            parsed.chain_id(),
            parsed.iteration(),
            chain_key,
            *parsed.signing_key(),
        );
        assert_eq!(ours.serialize(), theirs);
    }
}
