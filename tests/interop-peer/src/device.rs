//! The state of one device, in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use sealpost_protocol::group::SenderKeyRecord;
use sealpost_protocol::sealed::Remembered;
use sealpost_protocol::{
    Address, Consumed, DistributionId, IdentityKey, IdentityKeyPair, KemPreKey, KemPreKeyId, KnownKeys,
    LocalDevice, OneTimePreKey, OneTimePreKeyId, OurPreKeys, PreKeySignalMessage, SessionChange,
    SessionPolicy, SessionRecord, SignedPreKey, SignedPreKeyId, SkippedChange, SkippedKeys, UnixSeconds,
};

use crate::failure::Failure;
use crate::skipped::SenderSkippedKeys;

/// One device.
pub(crate) struct Device {
    pub(crate) identity: IdentityKeyPair,
    pub(crate) address: Address,
    pub(crate) registration_id: u32,
    pub(crate) policy: SessionPolicy,
    pub(crate) pre_keys: PreKeys,
    pub(crate) peers: BTreeMap<Address, Peer>,
    /// The sender keys by sender, including ourselves, and distribution.
    pub(crate) sender_keys: BTreeMap<(Address, DistributionId), SenderKey>,
    /// A cache, which is not part of the saved state.
    pub(crate) remembered: Remembered,
    pub(crate) known_keys: KnownKeys,
}

/// Our pre-keys.
#[derive(Default)]
pub(crate) struct PreKeys {
    pub(crate) signed: BTreeMap<SignedPreKeyId, SignedPreKey>,
    /// Each key is deleted when a session is started with it.
    pub(crate) one_time: BTreeMap<OneTimePreKeyId, OneTimePreKey>,
    /// All of them are last-resort keys, which are kept.
    pub(crate) kem: BTreeMap<KemPreKeyId, KemPreKey>,
    /// The first messages that used a last-resort key. A repetition is a replay.
    pub(crate) used: BTreeSet<(KemPreKeyId, SignedPreKeyId, [u8; 33])>,
}

/// The sessions with another device.
#[derive(Default)]
pub(crate) struct Peer {
    pub(crate) record: SessionRecord,
    pub(crate) skipped: SkippedKeys,
    /// The identity key of the latest session. It is kept after the session has been deleted.
    pub(crate) identity: Option<IdentityKey>,
}

impl Peer {
    /// Replaces the sessions by those of `next`, and deletes the skipped keys of sessions that no longer exist.
    pub(crate) fn advance(&mut self, next: SessionRecord) {
        self.identity = next.remote_identity().copied().or(self.identity);
        let forgotten = next.changes_since(&self.record).into_iter().filter_map(|change| match change {
            SessionChange::Remove(id) => Some(SkippedChange::ForgetSession(id)),
            SessionChange::Put(_) => None,
        });
        self.skipped.apply(forgotten.collect());
        self.record = next;
    }
}

/// The chains of one sender for one distribution.
pub(crate) struct SenderKey {
    pub(crate) record: SenderKeyRecord,
    pub(crate) skipped: SenderSkippedKeys,
}

impl Device {
    pub(crate) fn new(
        identity: IdentityKeyPair,
        address: Address,
        registration_id: u32,
        policy: SessionPolicy,
    ) -> Self {
        Self {
            identity,
            address,
            registration_id,
            policy,
            pre_keys: PreKeys::default(),
            peers: BTreeMap::new(),
            sender_keys: BTreeMap::new(),
            remembered: Remembered::default(),
            known_keys: KnownKeys::default(),
        }
    }

    pub(crate) fn local(&self) -> LocalDevice<'_> {
        LocalDevice {
            identity: &self.identity,
            address: &self.address,
            registration_id: self.registration_id,
        }
    }

    /// The sessions with `remote`; an empty record if there are none.
    pub(crate) fn record(&self, remote: &Address) -> SessionRecord {
        self.peers.get(remote).map(|peer| peer.record.clone()).unwrap_or_default()
    }
}

impl PreKeys {
    /// The pre-keys that `message` names. `None` if the signed one does not exist, because no session can be started
    /// without it.
    pub(crate) fn named_by(&self, message: &PreKeySignalMessage) -> Option<OurPreKeys<'_>> {
        Some(OurPreKeys {
            signed: self.signed.get(&message.signed_pre_key_id())?,
            one_time: message.one_time_pre_key_id().and_then(|id| self.one_time.get(&id)),
            kem: message.kem_pre_key_id().and_then(|id| self.kem.get(&id)),
        })
    }

    /// Records that a session was started with these keys. A second session with the same last-resort key and base key
    /// is refused.
    pub(crate) fn spend(&mut self, consumed: &Consumed) -> Result<(), Failure> {
        let Consumed { one_time, kem, signed, base_key } = consumed;
        if let Some(kem) = kem
            && !self.used.insert((*kem, *signed, *base_key))
        {
            return Err(Failure::new("reused_base_key", "this session was begun before"));
        }
        if let Some(id) = one_time {
            self.one_time.remove(id);
        }
        Ok(())
    }
}

impl SenderKey {
    pub(crate) fn empty(distribution_id: DistributionId) -> Self {
        Self { record: SenderKeyRecord::empty(distribution_id), skipped: SenderSkippedKeys::default() }
    }
}

/// The private key, which is the end of the stored form.
pub(crate) fn private_of(identity: &IdentityKeyPair) -> Vec<u8> {
    identity.to_bytes().last_chunk::<32>().map(|private| private.to_vec()).unwrap_or_default()
}

/// The time of a request: `milliseconds` since 1970 if the request contains it, and otherwise the time of the clock.
pub(crate) fn now(milliseconds: Option<u64>) -> UnixSeconds {
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    UnixSeconds(milliseconds.map_or_else(clock, |milliseconds| milliseconds / 1000))
}
