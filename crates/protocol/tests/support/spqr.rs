//! Converts the state of SPQR of another implementation to ours, as [`records`](super::records) converts sessions.
//!
//! The chains are imported, but not the braid, whose stored form is internal to that implementation. A braid that only
//! receives replaces it, and everything except the braid is compared. The braid has its own vectors.

use hkdf::Hkdf;
use prost::Message;
use sha2::Sha256;

#[derive(Clone, PartialEq, Message)]
struct TheirSpqr {
    /// Until the peer's first message.
    #[prost(message, optional, tag = "1")]
    negotiation: Option<TheirNegotiation>,
    /// From the first key on.
    #[prost(message, optional, tag = "2")]
    chains: Option<TheirChains>,
}

#[derive(Clone, PartialEq, Message)]
struct TheirNegotiation {
    #[prost(bytes = "vec", tag = "1")]
    auth_key: Vec<u8>,
    #[prost(uint32, tag = "2")]
    direction: u32,
    #[prost(uint32, tag = "3")]
    minimum: u32,
}

#[derive(Clone, PartialEq, Message)]
struct TheirChains {
    /// 0 for the initiator, 1 for the responder.
    #[prost(uint32, tag = "1")]
    direction: u32,
    #[prost(uint64, tag = "2")]
    epoch: u64,
    /// The chains of consecutive epochs, ending with the newest.
    #[prost(message, repeated, tag = "3")]
    links: Vec<TheirLink>,
    #[prost(bytes = "vec", tag = "4")]
    root: Vec<u8>,
    #[prost(uint64, tag = "5")]
    send_epoch: u64,
}

#[derive(Clone, PartialEq, Message)]
struct TheirLink {
    #[prost(message, optional, tag = "1")]
    sending: Option<TheirHalf>,
    #[prost(message, optional, tag = "2")]
    receiving: Option<TheirHalf>,
}

#[derive(Clone, PartialEq, Message)]
struct TheirHalf {
    #[prost(uint32, tag = "1")]
    index: u32,
    #[prost(bytes = "vec", tag = "2")]
    key: Vec<u8>,
    /// Stored skipped keys. None of the records in the vectors has any.
    #[prost(bytes = "vec", tag = "3")]
    kept: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct OurSpqr {
    #[prost(uint32, tag = "1")]
    pub(crate) form: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) negotiation: u32,
    #[prost(bool, tag = "3")]
    pub(crate) responder: bool,
    #[prost(uint64, tag = "4")]
    pub(crate) chain_epoch: u64,
    #[prost(bytes = "vec", tag = "5")]
    pub(crate) chain_root: Vec<u8>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) sending: Vec<OurLink>,
    #[prost(message, repeated, tag = "7")]
    pub(crate) receiving: Vec<OurLink>,
    #[prost(uint64, tag = "8")]
    pub(crate) braid_epoch: u64,
    #[prost(bytes = "vec", tag = "9")]
    pub(crate) auth_root: Vec<u8>,
    #[prost(bytes = "vec", tag = "10")]
    pub(crate) mac_key: Vec<u8>,
    #[prost(message, optional, tag = "11")]
    pub(crate) state: Option<OurState>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct OurLink {
    #[prost(uint64, tag = "1")]
    pub(crate) epoch: u64,
    #[prost(uint32, tag = "2")]
    pub(crate) index: u32,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) key: Vec<u8>,
    #[prost(uint32, tag = "4")]
    pub(crate) kept: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct OurState {
    #[prost(uint32, tag = "1")]
    pub(crate) kind: u32,
    /// The seed of our key pair, or the message of our encapsulation.
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) secret: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) header: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) sending: Vec<u8>,
    #[prost(uint32, tag = "5")]
    pub(crate) next: u32,
    #[prost(bytes = "vec", tag = "6")]
    pub(crate) partial: Vec<u8>,
    #[prost(bytes = "vec", tag = "7")]
    pub(crate) complete: Vec<u8>,
}

/// The state in our form.
pub(crate) fn import(theirs: &[u8]) -> Vec<u8> {
    if theirs.is_empty() {
        return Vec::new();
    }
    let TheirSpqr { negotiation, chains } = TheirSpqr::decode(theirs).unwrap();
    let chains = chains.unwrap_or_else(|| TheirChains::start(negotiation.as_ref().unwrap()));
    // Newest first there, and oldest first in our form.
    let mut links: Vec<_> = (0..=chains.epoch).rev().zip(chains.links.iter().rev()).collect();
    links.reverse();
    let links = || links.iter().copied();
    let sending = links().filter(|(epoch, _)| *epoch >= chains.send_epoch);
    let ours = OurSpqr {
        form: 1,
        negotiation: negotiation.map_or(4, |negotiation| if negotiation.minimum == 0 { 1 } else { 3 }),
        responder: chains.direction == 1,
        chain_epoch: chains.epoch,
        chain_root: chains.root.clone(),
        sending: sending.map(|(epoch, link)| import_half(epoch, link.sending.as_ref())).collect(),
        receiving: links().map(|(epoch, link)| import_half(epoch, link.receiving.as_ref())).collect(),
        // The last state of an epoch, which waits for the next one.
        braid_epoch: chains.epoch.max(1),
        auth_root: vec![0; 32],
        mac_key: vec![0; 32],
        state: Some(OurState { kind: 11, sending: vec![0; 160], ..OurState::default() }),
    };
    ours.encode_to_vec()
}

/// Our form without the braid.
pub(crate) fn without_braid(ours: &[u8]) -> Vec<u8> {
    if ours.is_empty() {
        return Vec::new();
    }
    let ours = OurSpqr::decode(ours).unwrap();
    let (auth_root, mac_key) = (Vec::new(), Vec::new());
    // The other implementation does not record whether the peer has had a key.
    let negotiation = ours.negotiation.min(4);
    OurSpqr { negotiation, braid_epoch: 0, auth_root, mac_key, state: None, ..ours }.encode_to_vec()
}

fn import_half(epoch: u64, half: Option<&TheirHalf>) -> OurLink {
    let TheirHalf { index, key, kept } = half.cloned().unwrap();
    assert!(kept.is_empty(), "a kept key of the vectors would have to be imported");
    OurLink { epoch, index, key, kept: 0 }
}

impl TheirChains {
    /// The chains, whose derivation the other implementation postpones until the first key.
    fn start(negotiation: &TheirNegotiation) -> Self {
        let mut keys = [[0; 32]; 3];
        let hkdf = Hkdf::<Sha256>::new(None, &negotiation.auth_key);
        hkdf.expand(b"Signal PQ Ratchet V1 Chain  Start", keys.as_flattened_mut()).unwrap();
        let [root, a_to_b, b_to_a] = keys.map(|key| key.to_vec());
        let (ours, theirs) = if negotiation.direction == 0 { (a_to_b, b_to_a) } else { (b_to_a, a_to_b) };
        let half = |key| Some(TheirHalf { key, ..TheirHalf::default() });
        let links = vec![TheirLink { sending: half(ours), receiving: half(theirs) }];
        Self { direction: negotiation.direction, links, root, ..Self::default() }
    }
}
