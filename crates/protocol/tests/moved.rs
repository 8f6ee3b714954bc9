//! A session goes from one processor to another: each stored state of a talk is read, continued and stored again.
//!
//! Two processors reach the same bytes by different code: 64 and 32 bits, AVX2, Neon and none. Here a talk is continued on
//! the processor that wrote it; `./dev arm` lets each continue the talk of another, through files that two variables name.

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

/// Where the talk of another processor is.
const FROM: &str = "SEALPOST_TALK_FROM";
/// Where to put ours.
const TO: &str = "SEALPOST_TALK_TO";

const NOW: UnixSeconds = UnixSeconds(1_764_000_000);
const POLICY: SessionPolicy = SessionPolicy::TripleRatchet;
/// A key of SPQR takes some 45 messages of each side in turn, by the sizes of its parts: here are two of them, so that each side
/// was in each role, and the beginning of a third.
const MESSAGES: usize = 240;

/// A message, and what was stored before it.
#[derive(Serialize, Deserialize, Clone, PartialEq)]
struct Step {
    /// The records of both, who stores one.
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

/// What the sender of this message has after it, and the message.
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

/// What the receiver of this message has after it.
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

/// The talk, and at its end a step without a message.
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

/// Goes on from each stored state of a talk, as if it had moved here at that moment.
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

#[expect(clippy::disallowed_methods, reason = "files carry a talk to another processor")]
#[test]
fn a_session_goes_on_from_whatever_state_another_processor_stored() {
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
