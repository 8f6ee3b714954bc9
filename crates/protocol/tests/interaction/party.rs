//! One of the two parties, and everything that it stores.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use sealpost_protocol::{
    Address, Advanced, Ciphertext, DecryptError, Decrypted, DeviceId, IdentityKeyPair, Inbound, KemPreKey,
    KemPreKeyId, LocalDevice, OneTimePreKey, OneTimePreKeyId, OurPreKeys, PreKeyBundle, RawPreKeyBundle,
    RawSigned, SessionChange, SessionId, SessionPolicy, SessionRecord, SignedPreKey, SignedPreKeyId,
    SkippedChange, SkippedKey, SkippedKeys, Standing, StoredSession, VerifiedBundle,
};

use super::world::NOW;

/// A message in transit.
#[derive(Clone)]
pub(crate) struct Envelope {
    pub(crate) number: usize,
    pub(crate) ciphertext: Ciphertext,
}

/// Everything that a party stores.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) rows: BTreeMap<SessionId, (i64, Standing, Vec<u8>)>,
    pub(crate) skipped: Vec<u8>,
    pub(crate) one_time: BTreeMap<u32, Vec<u8>>,
}

pub(crate) struct Party {
    pub(crate) identity: IdentityKeyPair,
    pub(crate) address: Address,
    pub(crate) policy: SessionPolicy,
    pub(crate) signed: SignedPreKey,
    pub(crate) kem: KemPreKey,
    pub(crate) record: SessionRecord,
    pub(crate) skipped: SkippedKeys,
    pub(crate) stored: Stored,
    pub(crate) backup: Stored,
    pub(crate) inbox: Vec<Envelope>,
    pub(crate) received: BTreeSet<usize>,
    /// The ratchet keys of the peer, in the order in which they were first seen.
    pub(crate) chains: Vec<[u8; 33]>,
}

impl Party {
    pub(crate) fn new(
        name: &str,
        identity: IdentityKeyPair,
        policy: SessionPolicy,
        rng: &mut StdRng,
    ) -> Self {
        let stored = Stored {
            rows: BTreeMap::new(),
            skipped: SkippedKeys::default().to_bytes().to_vec(),
            one_time: BTreeMap::new(),
        };
        Self {
            address: Address::new(name, DeviceId::new(1).unwrap()),
            signed: SignedPreKey::generate(SignedPreKeyId(1), &identity, 0, rng),
            kem: KemPreKey::generate(KemPreKeyId(1), &identity, 0, rng),
            identity,
            policy,
            record: SessionRecord::empty(),
            skipped: SkippedKeys::default(),
            backup: stored.clone(),
            stored,
            inbox: Vec::new(),
            received: BTreeSet::new(),
            chains: Vec::new(),
        }
    }

    pub(crate) fn bundle(&mut self, rng: &mut StdRng) -> VerifiedBundle {
        let id = self.stored.one_time.last_key_value().map_or(0, |(last, _)| last + 1);
        let one_time = OneTimePreKey::generate(OneTimePreKeyId(id), rng);
        self.stored.one_time.insert(id, one_time.to_bytes().to_vec());
        let raw = RawPreKeyBundle {
            registration_id: 1,
            device_id: 1,
            identity_key: &self.identity.public().serialize(),
            signed_pre_key: RawSigned {
                id: 1,
                key: &self.signed.public_key(),
                signature: self.signed.signature(),
            },
            one_time_pre_key: Some((id, &one_time.public_key())),
            kem_pre_key: Some(RawSigned {
                id: 1,
                key: &self.kem.public_key(),
                signature: self.kem.signature(),
            }),
        };
        PreKeyBundle::parse(raw).unwrap().verify().unwrap()
    }

    /// Stores the changes, and checks that the rows match the record.
    pub(crate) fn commit(&mut self, next: SessionRecord, skipped: Vec<SkippedChange>) {
        self.skipped.apply(skipped);
        for change in next.changes_since(&self.record) {
            match change {
                SessionChange::Put(StoredSession { id, rank, standing, bytes }) => {
                    self.stored.rows.insert(id, (rank, standing, bytes.to_vec()));
                }
                SessionChange::Remove(id) => {
                    self.stored.rows.remove(&id);
                    self.skipped.apply(vec![SkippedChange::ForgetSession(id)]);
                }
            }
        }
        self.record = next;
        self.stored.skipped = self.skipped.to_bytes().to_vec();
        assert_eq!(*self.stored.record().to_bytes(), *self.record.to_bytes());
    }

    /// Decrypts a message, and stores the result only on success.
    pub(crate) fn open(
        &mut self,
        peer: &Address,
        ciphertext: &Ciphertext,
        rng: &mut StdRng,
    ) -> Result<Vec<u8>, DecryptError> {
        let (advanced, spent) = self.decrypt(peer, ciphertext, rng)?;
        if let Some(OneTimePreKeyId(spent)) = spent {
            self.stored.one_time.remove(&spent);
        }
        self.commit(advanced.next, advanced.skipped);
        Ok(advanced.output.plaintext.expose().to_vec())
    }

    /// The result of decrypting a message, and the one-time pre-key that it would consume.
    pub(crate) fn decrypt(
        &self,
        peer: &Address,
        ciphertext: &Ciphertext,
        rng: &mut StdRng,
    ) -> Result<(Advanced<Decrypted>, Option<OneTimePreKeyId>), DecryptError> {
        match ciphertext {
            Ciphertext::Signal(message) => {
                let skipped = self.skipped.find(message);
                let advanced = self.record.decrypt(&self.inbound(peer, &skipped), message, rng)?;
                Ok((advanced, None))
            }
            Ciphertext::PreKey(message) => {
                let stored = message.one_time_pre_key_id().and_then(|id| self.stored.one_time.get(&id.0));
                let one_time = stored.map(|key| OneTimePreKey::from_bytes(key).unwrap());
                let keys = (message.signed_pre_key_id() == self.signed.id()).then_some(OurPreKeys {
                    signed: &self.signed,
                    one_time: one_time.as_ref(),
                    kem: Some(&self.kem).filter(|kem| message.kem_pre_key_id() == Some(kem.id())),
                });
                let skipped = self.skipped.find(message.signal_message());
                let inbound = self.inbound(peer, &skipped);
                let accepted = self.record.decrypt_pre_key(&inbound, message, keys, rng)?;
                Ok((accepted.advanced, accepted.consumed.and_then(|consumed| consumed.one_time)))
            }
        }
    }

    fn inbound<'a>(&'a self, peer: &'a Address, skipped: &'a [SkippedKey]) -> Inbound<'a> {
        Inbound { local: self.local(), remote: peer, skipped, policy: self.policy, now: NOW }
    }

    pub(crate) fn local(&self) -> LocalDevice<'_> {
        LocalDevice { identity: &self.identity, address: &self.address, registration_id: 1 }
    }

    pub(crate) fn everything(&self) -> (Vec<u8>, Vec<u8>) {
        (self.record.to_bytes().to_vec(), self.skipped.to_bytes().to_vec())
    }
}

impl Stored {
    pub(crate) fn record(&self) -> SessionRecord {
        let rows = self.rows.iter().map(|(id, (rank, standing, bytes))| StoredSession {
            id: *id,
            rank: *rank,
            standing: *standing,
            bytes,
        });
        SessionRecord::from_stored(rows).unwrap()
    }
}
