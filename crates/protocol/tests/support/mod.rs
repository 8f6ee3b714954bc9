//! The vector files, and the peers in them.

pub(crate) mod records;
pub(crate) mod spqr;

use std::path::PathBuf;

use prost::Message as _;
use sealpost_protocol::{
    Address, DeviceId, IdentityKeyPair, KemPreKey, LocalDevice, OneTimePreKey, OurPreKeys, SignedPreKey,
};
use serde_json::Value;

#[expect(clippy::disallowed_methods, reason = "vectors are files")]
pub(crate) fn load(name: &str) -> Value {
    let file =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name).with_extension("json");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

/// One of the two peers of a session vector.
pub(crate) struct Peer {
    pub(crate) identity: IdentityKeyPair,
    pub(crate) address: Address,
    pub(crate) registration_id: u32,
}

impl Peer {
    pub(crate) fn new(file: &Value, who: &str) -> Self {
        let peer = &file[who];
        let (public, private) = (bytes(&peer["identity_public"]), bytes(&peer["identity_private"]));
        let stored = [&[0x0a, 33], &public[..], &[0x12, 32], &private[..]].concat();
        let (name, device) = peer["address"].as_str().unwrap().split_once('.').unwrap();
        Self {
            identity: IdentityKeyPair::from_bytes(&stored).unwrap(),
            address: Address::new(name, DeviceId::new(device.parse().unwrap()).unwrap()),
            registration_id: number(&peer["registration_id"]),
        }
    }

    pub(crate) fn local(&self) -> LocalDevice<'_> {
        let Self { identity, address, registration_id } = self;
        LocalDevice { identity, address, registration_id: *registration_id }
    }
}

/// The responder's pre-keys of a session vector.
pub(crate) struct PreKeys {
    pub(crate) signed: SignedPreKey,
    pub(crate) one_time: OneTimePreKey,
    pub(crate) kem: Option<KemPreKey>,
}

impl PreKeys {
    pub(crate) fn new(file: &Value) -> Self {
        let (bundle, private) = (&file["bob"]["bundle"], &file["bob"]["prekey_private"]);
        let stored = |id: &str, key: &str, signature: &str| {
            let form = PreKeyForm {
                id: number(&bundle[id]),
                public: bytes(&bundle[key]),
                secret: bytes(&private[key]),
                signature: bundle.get(signature).map(bytes).unwrap_or_default(),
            };
            form.encode_to_vec()
        };
        Self {
            signed: SignedPreKey::from_bytes(&stored("spkId", "spk", "spkSig")).unwrap(),
            one_time: OneTimePreKey::from_bytes(&stored("pkId", "pk", "none")).unwrap(),
            kem: bundle.get("k").map(|_| KemPreKey::from_bytes(&stored("kId", "k", "kSig")).unwrap()),
        }
    }

    pub(crate) fn ours(&self) -> OurPreKeys<'_> {
        OurPreKeys { signed: &self.signed, one_time: Some(&self.one_time), kem: self.kem.as_ref() }
    }
}

pub(crate) fn number(value: &Value) -> u32 {
    value.as_u64().unwrap().try_into().unwrap()
}

#[derive(Clone, PartialEq, prost::Message)]
struct PreKeyForm {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(bytes = "vec", tag = "2")]
    public: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    secret: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    signature: Vec<u8>,
}
