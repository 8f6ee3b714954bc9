//! The protobuf of the stored form. Field numbers are never reused. Fields are shares of buffers that are wiped: when
//! reading, of one copy of the stored bytes.

use bytes::Bytes;

use crate::guarded::guarded;

#[derive(prost::Message)]
#[prost(skip_debug)]
pub(super) struct RecordForm {
    #[prost(uint32, tag = "1")]
    pub(super) form: u32,
    #[prost(message, repeated, tag = "2")]
    pub(super) rows: Vec<RowForm>,
}

#[derive(prost::Message)]
#[prost(skip_debug)]
pub(super) struct RowForm {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) id: Bytes,
    #[prost(sint64, tag = "2")]
    pub(super) rank: i64,
    #[prost(bool, tag = "3")]
    pub(super) active: bool,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) bytes: Bytes,
}

#[derive(prost::Message)]
#[prost(skip_debug)]
pub(super) struct SessionForm {
    #[prost(uint32, tag = "1")]
    pub(super) form: u32,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) id: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) local_identity: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) remote_identity: Bytes,
    #[prost(uint32, tag = "5")]
    pub(super) remote_registration_id: u32,
    #[prost(bytes = "bytes", tag = "6")]
    pub(super) root_key: Bytes,
    #[prost(message, optional, tag = "7")]
    pub(super) sending: Option<SendingForm>,
    /// Oldest first.
    #[prost(message, repeated, tag = "8")]
    pub(super) receiving: Vec<ReceivingForm>,
    #[prost(message, optional, tag = "9")]
    pub(super) unanswered: Option<UnansweredForm>,
    /// SPQR in its own form, or nothing. From version 2 on.
    #[prost(bytes = "bytes", tag = "10")]
    pub(super) spqr: Bytes,
}

#[derive(prost::Message)]
#[prost(skip_debug)]
pub(super) struct SendingForm {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) ratchet_key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) ratchet_private: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) chain_key: Bytes,
    #[prost(uint32, tag = "4")]
    pub(super) index: u32,
    #[prost(uint32, tag = "5")]
    pub(super) previous: u32,
}

#[derive(prost::Message)]
#[prost(skip_debug)]
pub(super) struct ReceivingForm {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) ratchet_key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) chain_key: Bytes,
    #[prost(uint32, tag = "3")]
    pub(super) index: u32,
    #[prost(uint32, tag = "4")]
    pub(super) kept: u32,
}

#[derive(prost::Message)]
#[prost(skip_debug)]
pub(super) struct UnansweredForm {
    /// Seconds since 1970.
    #[prost(uint64, tag = "1")]
    pub(super) since: u64,
    #[prost(uint32, optional, tag = "2")]
    pub(super) one_time: Option<u32>,
    #[prost(uint32, tag = "3")]
    pub(super) signed: u32,
    #[prost(uint32, optional, tag = "4")]
    pub(super) kem: Option<u32>,
    #[prost(bytes = "bytes", optional, tag = "5")]
    pub(super) kem_ciphertext: Option<Bytes>,
}

guarded! {
    RecordForm: ;
    RowForm: ;
    SessionForm: ;
    SendingForm: ;
    ReceivingForm: ;
    UnansweredForm: ;
}
