//! A stored session can be moved to another processor: each stored state of a conversation is read, continued and stored
//! again.
//!
//! Processors compute the same bytes with different code: 64 or 32 bits, with AVX2, Neon or neither. Here a conversation is
//! continued on the processor that stored it. With `./dev arm`, each processor continues the conversation of another, in the
//! files that two environment variables name.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

use rand::{SeedableRng as _, rngs::StdRng};
use sealpost_protocol::{
    Address, Ciphertext, DeviceId, IdentityKeyPair, Inbound, KemPreKey, KemPreKeyId, LocalDevice,
    OneTimePreKey, OneTimePreKeyId, OurPreKeys, PreKeyBundle, PreKeySignalMessage, RawPreKeyBundle,
    RawSigned, SessionPolicy, SessionRecord, SignalMessage, SignedPreKey, SignedPreKeyId, UnixSeconds,
};
use serde::{Deserialize, Serialize};

/// The variable with the path of another processor's conversation.
const FROM: &str = "SEALPOST_TALK_FROM";
/// The variable with the path that ours is written to.
const TO: &str = "SEALPOST_TALK_TO";

const NOW: UnixSeconds = UnixSeconds(1_764_000_000);
const POLICY: SessionPolicy = SessionPolicy::TripleRatchet;
/// By the sizes of its parts, an epoch of SPQR takes about 45 messages from each side. This is enough for two epochs, so that
/// each side has had each role, and for the beginning of a third.
const MESSAGES: usize = 240;

/// A message, and the records before it.
#[derive(Serialize, Deserialize, Clone, PartialEq)]
struct Step {
    /// The records of the two devices, if they have one.
    records: [String; 2],
    message: String,
}

struct Device {
    identity: IdentityKeyPair,
    address: Address,
    signed: SignedPreKey,
    one_time: OneTimePreKey,
    kem: KemPreKey,
}

impl Device {
    fn new(name: &str, seed: u64) -> Self {
        let rng = &mut StdRng::seed_from_u64(seed);
        let identity = IdentityKeyPair::generate(rng);
        Self {
            address: Address::new(name, DeviceId::new(1).unwrap()),
            signed: SignedPreKey::generate(SignedPreKeyId(1), &identity, 0, rng),
            one_time: OneTimePreKey::generate(OneTimePreKeyId(2), rng),
            kem: KemPreKey::generate(KemPreKeyId(3), &identity, 0, rng),
            identity,
        }
    }

    fn local(&self) -> LocalDevice<'_> {
        LocalDevice { identity: &self.identity, address: &self.address, registration_id: 77 }
    }

    fn begin(&self, peer: &Self, rng: &mut StdRng) -> SessionRecord {
        let (identity, keys) = (
            peer.identity.public().serialize(),
            (peer.signed.public_key(), peer.one_time.public_key(), peer.kem.public_key()),
        );
        let raw = RawPreKeyBundle {
            registration_id: 77,
            device_id: 1,
            identity_key: &identity,
            signed_pre_key: RawSigned { id: 1, key: &keys.0, signature: peer.signed.signature() },
            one_time_pre_key: Some((2, &keys.1)),
            kem_pre_key: Some(RawSigned { id: 3, key: &keys.2, signature: peer.kem.signature() }),
        };
        let bundle = PreKeyBundle::parse(raw).unwrap().verify().unwrap();
        SessionRecord::empty().initiate(&self.local(), &peer.address, bundle, POLICY, NOW, rng).unwrap()
    }
}

fn devices() -> [Device; 2] {
    [
        Device::new("9d0652a3-dcc3-4d11-975f-74d61598733f", 1),
        Device::new("796abedb-ca4e-4f18-8803-1fde5b921f9f", 2),
    ]
}

fn text(number: usize) -> String {
    format!("message {number}")
}

/// The sender's record after this message, and the message.
fn send(devices: &[Device; 2], record: &SessionRecord, number: usize) -> (SessionRecord, Vec<u8>) {
    let (sender, receiver) = (&devices[number % 2], &devices[(number + 1) % 2]);
    let rng = &mut StdRng::seed_from_u64(number as u64);
    let sent = record.encrypt(&sender.local(), &receiver.address, text(number).as_bytes(), NOW, rng).unwrap();
    let message = match &sent.output {
        Ciphertext::Signal(message) => [&[0], message.serialize()].concat(),
        Ciphertext::PreKey(message) => [&[1], message.serialize()].concat(),
    };
    (sent.next, message)
}

/// The receiver's record after this message.
fn receive(devices: &[Device; 2], record: &SessionRecord, message: &[u8], number: usize) -> SessionRecord {
    let (sender, receiver) = (&devices[number % 2], &devices[(number + 1) % 2]);
    let rng = &mut StdRng::seed_from_u64(1_000_000 + number as u64);
    let (local, remote) = (receiver.local(), &sender.address);
    let inbound = Inbound { local, remote, skipped: &[], policy: POLICY, now: NOW };
    let advanced = if message[0] == 0 {
        record.decrypt(&inbound, &SignalMessage::parse(&message[1..]).unwrap(), rng).unwrap()
    } else {
        let message = PreKeySignalMessage::parse(&message[1..]).unwrap();
        let Device { signed, one_time, kem, .. } = receiver;
        let keys = Some(OurPreKeys { signed, one_time: Some(one_time), kem: Some(kem) });
        record.decrypt_pre_key(&inbound, &message, keys, rng).unwrap().advanced
    };
    assert_eq!(advanced.output.plaintext.expose(), text(number).as_bytes());
    advanced.next
}

/// The conversation, followed by a step without a message.
fn talk(devices: &[Device; 2]) -> Vec<Step> {
    let begun = devices[0].begin(&devices[1], &mut StdRng::seed_from_u64(3));
    let mut records = [begun, SessionRecord::empty()];
    let stored =
        |records: &[SessionRecord; 2]| [0, 1].map(|who: usize| hex::encode(&*records[who].to_bytes()));
    let mut steps = Vec::new();
    for number in 0..MESSAGES {
        let (sender, receiver) = (number % 2, (number + 1) % 2);
        let before = stored(&records);
        let (next, message) = send(devices, &records[sender], number);
        records[sender] = next;
        records[receiver] = receive(devices, &records[receiver], &message, number);
        steps.push(Step { records: before, message: hex::encode(message) });
    }
    steps.push(Step { records: stored(&records), message: String::new() });
    steps
}

/// Continues from each stored state of a conversation, as if it had been moved to this processor at that point.
fn continue_each(devices: &[Device; 2], steps: &[Step]) {
    let read = |hex: &str| SessionRecord::from_bytes(&hex::decode(hex).unwrap()).unwrap();
    for (number, pair) in steps.windows(2).enumerate() {
        let (before, after) = (&pair[0], &pair[1]);
        let (sender, receiver) = (number % 2, (number + 1) % 2);
        let (sent, message) = send(devices, &read(&before.records[sender]), number);
        assert_eq!(hex::encode(&message), before.message, "message {number}");
        let received = receive(devices, &read(&before.records[receiver]), &message, number);
        assert_eq!(
            hex::encode(&*sent.to_bytes()),
            after.records[sender],
            "its sender after message {number}"
        );
        assert_eq!(
            hex::encode(&*received.to_bytes()),
            after.records[receiver],
            "its receiver after message {number}"
        );
    }
}

#[expect(clippy::disallowed_methods, reason = "files carry a conversation to another processor")]
#[test]
fn every_state_that_another_processor_stored_can_be_continued() {
    let devices = devices();
    let ours = talk(&devices);
    assert_eq!(ours.len(), MESSAGES + 1);
    let theirs =
        std::env::var_os(FROM).map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap());
    let theirs: Vec<Step> = theirs.unwrap_or_else(|| ours.clone());
    assert_eq!(theirs.len(), ours.len());
    continue_each(&devices, &theirs);
    if let Some(path) = std::env::var_os(TO) {
        std::fs::write(path, serde_json::to_vec(&ours).unwrap()).unwrap();
    }
}
