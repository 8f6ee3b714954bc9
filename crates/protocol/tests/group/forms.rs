//! Converts sender keys of another implementation to ours through the stored form. As for sessions, both forms are defined
//! here a second time.

use prost::Message;
use sealpost_protocol::DistributionId;
use sealpost_protocol::group::SenderKeyRecord;

/// The record as the other implementation stores it.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TheirRecord {
    #[prost(message, repeated, tag = "1")]
    pub(crate) states: Vec<TheirState>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TheirState {
    #[prost(uint32, tag = "1")]
    pub(crate) chain_id: u32,
    #[prost(message, optional, tag = "2")]
    pub(crate) chain_key: Option<TheirKey>,
    #[prost(message, optional, tag = "3")]
    pub(crate) signing: Option<TheirSigning>,
    /// Stored skipped keys. None of the records in the vectors has any.
    #[prost(message, repeated, tag = "4")]
    pub(crate) kept: Vec<TheirKey>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TheirKey {
    #[prost(uint32, tag = "1")]
    pub(crate) iteration: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) key: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TheirSigning {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) public: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) private: Vec<u8>,
}

/// The record as we store it.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct OurRecord {
    #[prost(uint32, tag = "1")]
    pub(crate) form: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) distribution_id: Vec<u8>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) chains: Vec<OurChain>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct OurChain {
    #[prost(uint32, tag = "1")]
    pub(crate) chain_id: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) iteration: u32,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) chain_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) signing_public: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    pub(crate) signing_private: Vec<u8>,
    #[prost(uint32, tag = "6")]
    pub(crate) kept: u32,
}

pub(crate) fn import(record: &TheirRecord, id: DistributionId) -> OurRecord {
    let chains = record.states.iter().map(|state| {
        assert!(state.kept.is_empty(), "a kept key of the vectors would have to be imported");
        let TheirKey { iteration, key } = state.chain_key.clone().unwrap();
        let TheirSigning { public, private } = state.signing.clone().unwrap();
        OurChain {
            chain_id: state.chain_id,
            iteration,
            chain_key: key,
            signing_public: public,
            signing_private: private,
            kept: 0,
        }
    });
    OurRecord { form: 1, distribution_id: id.as_bytes().to_vec(), chains: chains.collect() }
}

/// The newest chain of a record, as its sender would distribute it.
pub(crate) fn distribution(record: &OurRecord) -> Vec<u8> {
    #[derive(Clone, PartialEq, Message)]
    struct Form {
        #[prost(bytes = "vec", optional, tag = "1")]
        distribution_id: Option<Vec<u8>>,
        #[prost(uint32, optional, tag = "2")]
        chain_id: Option<u32>,
        #[prost(uint32, optional, tag = "3")]
        iteration: Option<u32>,
        #[prost(bytes = "vec", optional, tag = "4")]
        chain_key: Option<Vec<u8>>,
        #[prost(bytes = "vec", optional, tag = "5")]
        signing_key: Option<Vec<u8>>,
    }
    let chain = record.chains[0].clone();
    let form = Form {
        distribution_id: Some(record.distribution_id.clone()),
        chain_id: Some(chain.chain_id),
        iteration: Some(chain.iteration),
        chain_key: Some(chain.chain_key),
        signing_key: Some(chain.signing_public),
    };
    [&[0x33], form.encode_to_vec().as_slice()].concat()
}

/// The record of a sender after one more message, which is discarded.
pub(crate) fn skip_one(record: &SenderKeyRecord) -> SenderKeyRecord {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let mut form = OurRecord::decode(&*record.to_bytes()).unwrap();
    let chain = &mut form.chains[0];
    let mut next = Hmac::<sha2::Sha256>::new_from_slice(&chain.chain_key).unwrap();
    next.update(&[2]);
    chain.chain_key = next.finalize().into_bytes().to_vec();
    chain.iteration += 1;
    SenderKeyRecord::from_bytes(&form.encode_to_vec()).unwrap()
}
