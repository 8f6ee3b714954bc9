//! The complete device as one value, composed of the stored forms of its parts.

use sealpost_protocol::group::{SenderKeyRecord, SkippedKey, SkippedKeyId};
use sealpost_protocol::sealed::Remembered;
use sealpost_protocol::{
    Address, DeviceId, DistributionId, IdentityKey, IdentityKeyPair, KemPreKey, KemPreKeyId, KnownKeys,
    OneTimePreKey, SessionPolicy, SessionRecord, SignedPreKey, SignedPreKeyId, SkippedKeys, UnixSeconds,
};
use serde::{Deserialize, Serialize};

use crate::commands::Policy;
use crate::device::{Device, Peer, PreKeys, SenderKey};
use crate::failure::Failure;
use crate::hex::Hex;
use crate::skipped::SenderSkippedKeys;

/// What `save` writes and `load` reads.
#[derive(Serialize, Deserialize)]
pub(crate) struct Saved {
    address: SavedAddress,
    registration_id: u32,
    policy: Policy,
    identity: Hex,
    signed: Vec<Hex>,
    one_time: Vec<Hex>,
    kem: Vec<Hex>,
    /// KEM pre-key, signed pre-key, base key.
    used: Vec<(u32, u32, Hex)>,
    peers: Vec<SavedPeer>,
    sender_keys: Vec<SavedSenderKey>,
}

#[derive(Serialize, Deserialize)]
struct SavedAddress {
    name: String,
    device: u32,
}

#[derive(Serialize, Deserialize)]
struct SavedPeer {
    address: SavedAddress,
    record: Hex,
    skipped: Hex,
    identity: Option<Hex>,
}

#[derive(Serialize, Deserialize)]
struct SavedSenderKey {
    sender: SavedAddress,
    record: Hex,
    /// The chain, the iteration, the message key, and the time since which it has been kept.
    skipped: Vec<(u32, u32, Hex, Option<u64>)>,
}

impl Saved {
    pub(crate) fn of(device: &Device) -> Self {
        let Device {
            identity,
            address,
            registration_id,
            policy,
            pre_keys,
            peers,
            sender_keys,
            remembered: _,
            known_keys: _,
        } = device;
        let PreKeys { signed, one_time, kem, used } = pre_keys;
        let used = used.iter().map(|(kem, signed, base_key)| (kem.0, signed.0, base_key[..].into()));
        Self {
            address: SavedAddress::of(address),
            registration_id: *registration_id,
            policy: Policy::of(*policy),
            identity: hex(&identity.to_bytes()),
            signed: signed.values().map(|key| hex(&key.to_bytes())).collect(),
            one_time: one_time.values().map(|key| hex(&key.to_bytes())).collect(),
            kem: kem.values().map(|key| hex(&key.to_bytes())).collect(),
            used: used.collect(),
            peers: peers.iter().map(|(address, peer)| SavedPeer::of(address, peer)).collect(),
            sender_keys: sender_keys
                .iter()
                .map(|((sender, _), key)| SavedSenderKey::of(sender, key))
                .collect(),
        }
    }

    pub(crate) fn restore(self) -> Result<Device, Failure> {
        let mut pre_keys = PreKeys::default();
        for bytes in &self.signed {
            let key = SignedPreKey::from_bytes(&bytes.0)?;
            pre_keys.signed.insert(key.id(), key);
        }
        for bytes in &self.one_time {
            let key = OneTimePreKey::from_bytes(&bytes.0)?;
            pre_keys.one_time.insert(key.id(), key);
        }
        for bytes in &self.kem {
            let key = KemPreKey::from_bytes(&bytes.0)?;
            pre_keys.kem.insert(key.id(), key);
        }
        for (kem, signed, base_key) in &self.used {
            pre_keys.used.insert((KemPreKeyId(*kem), SignedPreKeyId(*signed), array(base_key)?));
        }
        Ok(Device {
            identity: IdentityKeyPair::from_bytes(&self.identity.0)?,
            address: self.address.parse()?,
            registration_id: self.registration_id,
            policy: SessionPolicy::from(self.policy),
            pre_keys,
            peers: self.peers.iter().map(SavedPeer::restore).collect::<Result<_, _>>()?,
            sender_keys: self.sender_keys.iter().map(SavedSenderKey::restore).collect::<Result<_, _>>()?,
            remembered: Remembered::default(),
            known_keys: KnownKeys::default(),
        })
    }
}

impl SavedAddress {
    fn of(address: &Address) -> Self {
        Self { name: address.name().to_owned(), device: address.device().get() }
    }

    fn parse(&self) -> Result<Address, Failure> {
        Ok(Address::new(&self.name, DeviceId::new(self.device)?))
    }
}

impl SavedPeer {
    fn of(address: &Address, peer: &Peer) -> Self {
        let Peer { record, skipped, identity } = peer;
        Self {
            address: SavedAddress::of(address),
            record: hex(&record.to_bytes()),
            skipped: hex(&skipped.to_bytes()),
            identity: identity.map(|key| hex(&key.serialize())),
        }
    }

    fn restore(&self) -> Result<(Address, Peer), Failure> {
        let record = SessionRecord::from_bytes(&self.record.0)?;
        let skipped = SkippedKeys::from_bytes(&self.skipped.0)?;
        let identity = self.identity.as_ref().map(|key| IdentityKey::parse(&key.0)).transpose()?;
        Ok((self.address.parse()?, Peer { record, skipped, identity }))
    }
}

impl SavedSenderKey {
    fn of(sender: &Address, key: &SenderKey) -> Self {
        let rows = key.skipped.rows().map(|SkippedKey { id, seed, since }| {
            (id.chain_id, id.iteration, seed.expose()[..].into(), since.map(|since| since.0))
        });
        Self {
            sender: SavedAddress::of(sender),
            record: hex(&key.record.to_bytes()),
            skipped: rows.collect(),
        }
    }

    fn restore(&self) -> Result<((Address, DistributionId), SenderKey), Failure> {
        let record = SenderKeyRecord::from_bytes(&self.record.0)?;
        let distribution_id = record.distribution_id();
        let mut skipped = SenderSkippedKeys::default();
        for (chain_id, iteration, seed, since) in &self.skipped {
            let id = SkippedKeyId { distribution_id, chain_id: *chain_id, iteration: *iteration };
            skipped.insert(SkippedKey::new(id, array(seed)?, since.map(UnixSeconds)));
        }
        Ok(((self.sender.parse()?, distribution_id), SenderKey { record, skipped }))
    }
}

fn hex(bytes: &[u8]) -> Hex {
    bytes.into()
}

fn array<const N: usize>(bytes: &Hex) -> Result<[u8; N], Failure> {
    bytes.0.as_slice().try_into().map_err(|_| Failure::new("wrong_length", "a key of another length"))
}
