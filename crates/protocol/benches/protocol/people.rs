//! Two devices with everything they need, and the shortest way to exchange messages between them.

use rand::{SeedableRng as _, rngs::StdRng};
use sealpost_protocol::{
    Address, Advanced, Ciphertext, Decrypted, DeviceId, IdentityKeyPair, Inbound, KemPreKey, KemPreKeyId,
    LocalDevice, OneTimePreKey, OneTimePreKeyId, OurPreKeys, PreKeyBundle, RawPreKeyBundle, RawSigned,
    SessionPolicy, SessionRecord, SignedPreKey, SignedPreKeyId, SkippedKey, UnixSeconds,
};

pub(crate) const NOW: UnixSeconds = UnixSeconds(1_764_000_000);
/// A short text, padded as clients pad it.
pub(crate) const TEXT: [u8; 79] = [7; 79];

/// A generator that yields the same numbers in every run.
pub(crate) fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

pub(crate) struct Device {
    pub(crate) identity: IdentityKeyPair,
    pub(crate) address: Address,
    pub(crate) signed: SignedPreKey,
    pub(crate) one_time: OneTimePreKey,
    pub(crate) kem: KemPreKey,
    kem_public: Vec<u8>,
}

pub(crate) fn two_devices() -> [Device; 2] {
    let rng = &mut rng(1);
    ["9d0652a3-dcc3-4d11-975f-74d61598733f", "796abedb-ca4e-4f18-8803-1fde5b921f9f"].map(|name| {
        let identity = IdentityKeyPair::generate(rng);
        let kem = KemPreKey::generate(KemPreKeyId(1), &identity, 0, rng);
        Device {
            address: Address::new(name, DeviceId::new(1).unwrap()),
            signed: SignedPreKey::generate(SignedPreKeyId(1), &identity, 0, rng),
            one_time: OneTimePreKey::generate(OneTimePreKeyId(1), rng),
            kem_public: kem.public_key(),
            kem,
            identity,
        }
    })
}

impl Device {
    pub(crate) fn local(&self) -> LocalDevice<'_> {
        LocalDevice { identity: &self.identity, address: &self.address, registration_id: 1 }
    }

    pub(crate) fn inbound<'a>(&'a self, peer: &'a Self, skipped: &'a [SkippedKey]) -> Inbound<'a> {
        let (local, remote, policy) = (self.local(), &peer.address, SessionPolicy::TripleRatchet);
        Inbound { local, remote, skipped, policy, now: NOW }
    }

    pub(crate) fn bundle(&self) -> PreKeyBundle {
        let signed = RawSigned { id: 1, key: &self.signed.public_key(), signature: self.signed.signature() };
        let raw = RawPreKeyBundle {
            registration_id: 1,
            device_id: 1,
            identity_key: &self.identity.public().serialize(),
            signed_pre_key: signed,
            one_time_pre_key: Some((1, &self.one_time.public_key())),
            kem_pre_key: Some(RawSigned { id: 1, key: &self.kem_public, signature: self.kem.signature() }),
        };
        PreKeyBundle::parse(raw).unwrap()
    }

    pub(crate) fn meet(&self, peer: &Self, rng: &mut StdRng) -> SessionRecord {
        let (bundle, policy) = (peer.bundle().verify().unwrap(), SessionPolicy::TripleRatchet);
        SessionRecord::empty().initiate(&self.local(), &peer.address, bundle, policy, NOW, rng).unwrap()
    }

    pub(crate) fn send(
        &self,
        record: &SessionRecord,
        peer: &Self,
        rng: &mut StdRng,
    ) -> (SessionRecord, Ciphertext) {
        let Advanced { next, output, .. } =
            record.encrypt(&self.local(), &peer.address, &TEXT, NOW, rng).unwrap();
        (next, output)
    }

    /// Decrypts with no stored skipped keys.
    pub(crate) fn receive(
        &self,
        record: &SessionRecord,
        peer: &Self,
        ciphertext: &Ciphertext,
        rng: &mut StdRng,
    ) -> SessionRecord {
        self.receive_with(record, peer, ciphertext, &[], rng).next
    }

    pub(crate) fn receive_with(
        &self,
        record: &SessionRecord,
        peer: &Self,
        ciphertext: &Ciphertext,
        skipped: &[SkippedKey],
        rng: &mut StdRng,
    ) -> Advanced<Decrypted> {
        let inbound = self.inbound(peer, skipped);
        match ciphertext {
            Ciphertext::Signal(message) => record.decrypt(&inbound, message, rng).unwrap(),
            Ciphertext::PreKey(message) => {
                let keys =
                    OurPreKeys { signed: &self.signed, one_time: Some(&self.one_time), kem: Some(&self.kem) };
                record.decrypt_pre_key(&inbound, message, Some(keys), rng).unwrap().advanced
            }
        }
    }
}

/// Two users who have received messages from each other; the first is the next to send.
pub(crate) struct Pair {
    pub(crate) alice: Device,
    pub(crate) bob: Device,
    pub(crate) at_alice: SessionRecord,
    pub(crate) at_bob: SessionRecord,
    pub(crate) rng: StdRng,
}

impl Pair {
    pub(crate) fn acquainted() -> Self {
        let [alice, bob] = two_devices();
        let (at_alice, mut rng) = (SessionRecord::empty(), rng(2));
        let met = alice.meet(&bob, &mut rng);
        let mut pair = Self { alice, bob, at_bob: at_alice, at_alice: met, rng };
        pair.ping_pong();
        pair
    }

    /// A message there, and one back.
    pub(crate) fn ping_pong(&mut self) {
        let Self { alice, bob, at_alice, at_bob, rng } = self;
        let (sent, ping) = alice.send(at_alice, bob, rng);
        let heard = bob.receive(at_bob, alice, &ping, rng);
        let (answered, pong) = bob.send(&heard, alice, rng);
        (*at_alice, *at_bob) = (alice.receive(&sent, bob, &pong, rng), answered);
    }

    /// The first user sends a message that the other does not receive.
    pub(crate) fn say(&mut self) -> Ciphertext {
        let (next, message) = self.alice.send(&self.at_alice, &self.bob, &mut self.rng);
        self.at_alice = next;
        message
    }

    pub(crate) fn hear(&mut self, message: &Ciphertext) {
        self.at_bob = self.bob.receive(&self.at_bob, &self.alice, message, &mut self.rng);
    }
}
