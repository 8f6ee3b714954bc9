//! Converts records of another implementation to ours through the stored form, and compares them in that form.
//!
//! Both forms are defined here a second time, so that an incompatible change of ours is noticed.

use super::spqr;
use prost::Message;
use sealpost_protocol::{SessionId, SessionRecord, Standing, StoredSession};

/// The record as the other implementation stores it.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TheirRecord {
    #[prost(message, optional, tag = "1")]
    pub(crate) current: Option<TheirSession>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) archived: Vec<TheirSession>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TheirSession {
    #[prost(uint32, tag = "1")]
    pub(crate) version: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) local_identity: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) remote_identity: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) root_key: Vec<u8>,
    #[prost(uint32, tag = "5")]
    pub(crate) previous: u32,
    #[prost(message, optional, tag = "6")]
    pub(crate) sender: Option<TheirChain>,
    #[prost(message, repeated, tag = "7")]
    pub(crate) receivers: Vec<TheirChain>,
    #[prost(message, optional, tag = "9")]
    pub(crate) pending: Option<TheirPending>,
    #[prost(uint32, tag = "10")]
    pub(crate) remote_registration_id: u32,
    #[prost(bytes = "vec", tag = "13")]
    pub(crate) base_key: Vec<u8>,
    #[prost(message, optional, tag = "14")]
    pub(crate) pending_kem: Option<TheirPendingKem>,
    /// Empty without SPQR.
    #[prost(bytes = "vec", tag = "15")]
    pub(crate) spqr: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TheirChain {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) public: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) private: Vec<u8>,
    #[prost(message, optional, tag = "3")]
    pub(crate) chain_key: Option<TheirChainKey>,
    /// Stored skipped keys. None of the records in the vectors has any.
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub(crate) kept: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TheirChainKey {
    #[prost(uint32, tag = "1")]
    pub(crate) index: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) key: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TheirPending {
    #[prost(uint32, optional, tag = "1")]
    pub(crate) one_time: Option<u32>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) base_key: Vec<u8>,
    #[prost(int32, tag = "3")]
    pub(crate) signed: i32,
    #[prost(uint64, tag = "4")]
    pub(crate) since: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TheirPendingKem {
    #[prost(uint32, tag = "1")]
    pub(crate) id: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) ciphertext: Vec<u8>,
}

/// One session as we store it.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct OurSession {
    #[prost(uint32, tag = "1")]
    pub(crate) form: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) id: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) local_identity: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) remote_identity: Vec<u8>,
    #[prost(uint32, tag = "5")]
    pub(crate) remote_registration_id: u32,
    #[prost(bytes = "vec", tag = "6")]
    pub(crate) root_key: Vec<u8>,
    #[prost(message, optional, tag = "7")]
    pub(crate) sending: Option<OurSending>,
    #[prost(message, repeated, tag = "8")]
    pub(crate) receiving: Vec<OurReceiving>,
    #[prost(message, optional, tag = "9")]
    pub(crate) unanswered: Option<OurUnanswered>,
    /// Empty without SPQR.
    #[prost(bytes = "vec", tag = "10")]
    pub(crate) spqr: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct OurSending {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) ratchet_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) ratchet_private: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) chain_key: Vec<u8>,
    #[prost(uint32, tag = "4")]
    pub(crate) index: u32,
    #[prost(uint32, tag = "5")]
    pub(crate) previous: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct OurReceiving {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) ratchet_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) chain_key: Vec<u8>,
    #[prost(uint32, tag = "3")]
    pub(crate) index: u32,
    #[prost(uint32, tag = "4")]
    pub(crate) kept: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct OurUnanswered {
    #[prost(uint64, tag = "1")]
    pub(crate) since: u64,
    #[prost(uint32, optional, tag = "2")]
    pub(crate) one_time: Option<u32>,
    #[prost(uint32, tag = "3")]
    pub(crate) signed: u32,
    #[prost(uint32, optional, tag = "4")]
    pub(crate) kem: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "5")]
    pub(crate) kem_ciphertext: Option<Vec<u8>>,
}

impl TheirRecord {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        Self::decode(bytes).unwrap()
    }

    pub(crate) fn import(&self) -> SessionRecord {
        let newest = i64::try_from(self.archived.len()).unwrap();
        let current = self.current.iter().map(|session| (session.import(), newest, Standing::Active));
        let archived = self.archived.iter().zip((0..newest).rev());
        let archived =
            archived.map(|(session, rank)| (session.import(), rank, Standing::Inactive { since: None }));
        let rows = current.chain(archived).map(|(session, rank, standing)| StoredSession {
            id: SessionId::from_bytes(&session.id).unwrap(),
            rank,
            standing,
            bytes: session.encode_to_vec(),
        });
        SessionRecord::from_stored(rows).unwrap()
    }

    /// All sessions in our form, the current one first.
    pub(crate) fn sessions(&self) -> Vec<OurSession> {
        self.current.iter().chain(&self.archived).map(TheirSession::import).collect()
    }
}

impl TheirSession {
    fn import(&self) -> OurSession {
        let sender = self.sender.as_ref().unwrap();
        let chain_key = sender.chain_key.clone().unwrap();
        let receiving = self.receivers.iter().map(|chain| {
            assert!(chain.kept.is_empty(), "a kept key of the vectors would have to be imported");
            let TheirChainKey { index, key } = chain.chain_key.clone().unwrap();
            OurReceiving { ratchet_key: chain.public.clone(), chain_key: key, index, kept: 0 }
        });
        OurSession {
            form: 2,
            id: [&[u8::try_from(self.version).unwrap()], &self.base_key[..]].concat(),
            local_identity: self.local_identity.clone(),
            remote_identity: self.remote_identity.clone(),
            remote_registration_id: self.remote_registration_id,
            root_key: self.root_key.clone(),
            sending: Some(OurSending {
                ratchet_key: sender.public.clone(),
                ratchet_private: sender.private.clone(),
                chain_key: chain_key.key,
                index: chain_key.index,
                previous: self.previous,
            }),
            receiving: receiving.collect(),
            unanswered: self.pending.as_ref().map(|pending| OurUnanswered {
                since: pending.since,
                one_time: pending.one_time,
                signed: pending.signed.cast_unsigned(),
                kem: self.pending_kem.as_ref().map(|kem| kem.id),
                kem_ciphertext: self.pending_kem.as_ref().map(|kem| kem.ciphertext.clone()),
            }),
            spqr: spqr::import(&self.spqr),
        }
    }
}

/// All sessions of our record, the active one first.
pub(crate) fn ours(record: &SessionRecord) -> Vec<OurSession> {
    let read = |row: StoredSession| {
        let session = OurSession::decode(&*row.bytes).unwrap();
        assert_eq!(session.encode_to_vec(), *row.bytes, "the encoding is not canonical");
        session
    };
    record.sessions().map(read).collect()
}
