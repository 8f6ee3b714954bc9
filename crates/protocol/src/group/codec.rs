//! The stored form of a record: one small blob, for skipped keys are rows of their own.

use std::sync::Arc;

use prost::Message as _;
use zeroize::Zeroizing;

use super::record::SenderKeyRecord;
use super::sender_key::{SenderKey, SigningKey};
use crate::distribution_id::DistributionId;
use crate::error::DecodeError;
use crate::guarded::{self, guarded};
use crate::primitives::secret::Secret;
use crate::primitives::x25519::{KeyPair, PublicKey};
use crate::ratchet::chain_key::ChainKey;

/// The version of the form that is written. Older ones are read for ever.
const FORM: u32 = 1;

impl SenderKeyRecord {
    /// The stored form.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let form = RecordForm {
            form: FORM,
            distribution_id: self.distribution_id.as_bytes().to_vec(),
            chains: self.chains.iter().map(|chain| encode(chain)).collect(),
        };
        Zeroizing::new(form.encode_to_vec())
    }

    /// From its stored form.
    ///
    /// # Errors
    /// [`DecodeError`] when it is not what was written.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let form = RecordForm::decode(guarded::shared(bytes)).map_err(|_| DecodeError::Malformed)?;
        match form.form {
            0 => return Err(DecodeError::VersionTooOld),
            FORM => {}
            _ => return Err(DecodeError::UnknownVersion),
        }
        let chains = form.chains.iter().map(|chain| decode(chain).map(Arc::new));
        Ok(Self {
            distribution_id: DistributionId::parse(&form.distribution_id)?,
            chains: chains.collect::<Result<_, _>>()?,
        })
    }
}

fn encode(chain: &SenderKey) -> ChainForm {
    let SenderKey { chain_id, chain_key, signing, kept } = chain;
    let signing_private = match signing {
        SigningKey::Ours(pair) => pair.private().expose().to_vec(),
        SigningKey::Theirs(_) => Vec::new(),
    };
    ChainForm {
        chain_id: *chain_id,
        iteration: chain_key.index(),
        chain_key: chain_key.expose().to_vec(),
        signing_public: signing.public().as_bytes().to_vec(),
        signing_private,
        kept: *kept,
    }
}

fn decode(form: &ChainForm) -> Result<SenderKey, DecodeError> {
    let secret = |bytes: &[u8]| Secret::from_slice(bytes).ok_or(DecodeError::Length);
    let public = PublicKey::parse(&form.signing_public)?;
    let signing = match form.signing_private.as_slice() {
        [] => SigningKey::Theirs(public),
        private => SigningKey::Ours(Arc::new(KeyPair::from_parts(public, &secret(private)?))),
    };
    Ok(SenderKey {
        chain_id: form.chain_id,
        chain_key: ChainKey::at(secret(&form.chain_key)?, form.iteration),
        signing,
        kept: form.kept,
    })
}

#[derive(prost::Message)]
#[prost(skip_debug)]
struct RecordForm {
    #[prost(uint32, tag = "1")]
    form: u32,
    #[prost(bytes = "vec", tag = "2")]
    distribution_id: Vec<u8>,
    /// Newest first.
    #[prost(message, repeated, tag = "3")]
    chains: Vec<ChainForm>,
}

#[derive(prost::Message)]
#[prost(skip_debug)]
struct ChainForm {
    #[prost(uint32, tag = "1")]
    chain_id: u32,
    #[prost(uint32, tag = "2")]
    iteration: u32,
    #[prost(bytes = "vec", tag = "3")]
    chain_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    signing_public: Vec<u8>,
    /// Empty unless the chain is ours.
    #[prost(bytes = "vec", tag = "5")]
    signing_private: Vec<u8>,
    #[prost(uint32, tag = "6")]
    kept: u32,
}

guarded! {
    RecordForm: ;
    ChainForm: chain_key, signing_private;
}
