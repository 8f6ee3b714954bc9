//! The stored form of a record: one small blob, because skipped keys are separate rows.
//!
//! ```text
//! record    1 form   2 distribution id   3 chains, newest first
//! chain     1 chain id   2 iteration   3 chain key   4 signing key   5 its private half, if the chain is ours   6
//! kept
//! ```
//!
//! Field numbers are never reused.

use std::sync::Arc;

use super::record::{MAX_CHAINS, SenderKeyRecord};
use super::sender_key::{SenderKey, SigningKey};
use crate::distribution_id::DistributionId;
use crate::error::DecodeError;
use crate::form::{Fields, Output, written};
use crate::primitives::secret::Secret;
use crate::primitives::x25519::{KeyPair, PublicKey};
use crate::ratchet::chain_key::ChainKey;
use crate::stored::StoredBytes;

/// The version of the form that is written. Older ones are always readable.
const FORM: u32 = 1;

impl SenderKeyRecord {
    /// The stored form.
    pub fn to_bytes(&self) -> StoredBytes {
        written(|out| {
            out.uint(1, FORM);
            out.bytes(2, self.distribution_id.as_bytes());
            self.chains.iter().for_each(|chain| out.message(3, |out| chain.write(out)));
        })
    }

    /// Parses the stored form.
    ///
    /// # Errors
    /// [`DecodeError`] if it is not what was written.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let form = Fields::<4>::parse(bytes)?;
        match form.uint32(1)? {
            0 => return Err(DecodeError::VersionTooOld),
            FORM => {}
            _ => return Err(DecodeError::UnknownVersion),
        }
        let chains = form.rows(3, MAX_CHAINS)?.map(|row| SenderKey::read(row?).map(Arc::new));
        Ok(Self {
            distribution_id: DistributionId::parse(form.bytes(2)?)?,
            chains: chains.collect::<Result<_, _>>()?,
        })
    }
}

impl SenderKey {
    fn write(&self, out: &mut Output) {
        let Self { chain_id, chain_key, signing, kept } = self;
        out.uint(1, *chain_id);
        out.uint(2, chain_key.index());
        out.bytes(3, chain_key.expose());
        out.bytes(4, signing.public().as_bytes());
        if let SigningKey::Ours(pair) = signing {
            out.bytes(5, pair.private().expose());
        }
        out.uint(6, *kept);
    }

    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let form = Fields::<7>::parse(bytes)?;
        let secret = |bytes: &[u8]| Secret::from_slice(bytes).ok_or(DecodeError::Length);
        let public = PublicKey::parse(form.bytes(4)?)?;
        let signing = match form.bytes(5)? {
            [] => SigningKey::Theirs(public),
            private => SigningKey::Ours(Arc::new(KeyPair::from_parts(public, secret(private)?))),
        };
        Ok(Self {
            chain_id: form.uint32(1)?,
            chain_key: ChainKey::at(secret(form.bytes(3)?)?, form.uint32(2)?),
            signing,
            kept: form.uint32(6)?,
        })
    }
}
