//! Sessions: every key that a step replaces is wiped with the record from before the step.

use curve25519_dalek::MontgomeryPoint;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use sealpost_protocol::sealed::{
    ContentHint, Remembered, SenderCertificate, SenderClaims, ServerCertificate, ServerKeyPair, Signer,
    UnidentifiedContent, UnixMillis, seal_v1,
};
use sealpost_protocol::{
    Address, Ciphertext, DeviceId, IdentityKeyPair, Inbound, KemPreKey, KemPreKeyId, LocalDevice,
    MessageType, OneTimePreKey, OneTimePreKeyId, OurPreKeys, Plaintext, PreKeyBundle, RawPreKeyBundle,
    RawSigned, Secret, SessionPolicy, SessionRecord, SignedPreKey, SignedPreKeyId, SkippedKeys, UnixSeconds,
};

use sha2::Sha256;
use zeroize::Zeroize as _;

use super::alone;
use super::memory::{Needle, holds, is_free_of};

const NOW: UnixSeconds = UnixSeconds(1_764_000_000);
const POLICY: SessionPolicy = SessionPolicy::TripleRatchet;

/// The positions of secrets in a stored record: protobuf field numbers, outermost first.
const SECRETS: [&[u64]; 10] = [
    &[2, 4, 6],         // root key
    &[2, 4, 7, 2],      // private half of the ratchet key
    &[2, 4, 7, 3],      // sending chain key
    &[2, 4, 8, 2],      // receiving chain keys
    &[2, 4, 10, 4],     // SPQR: root of the chains
    &[2, 4, 10, 6, 3],  // its sending chains
    &[2, 4, 10, 7, 3],  // its receiving chains
    &[2, 4, 10, 9],     // its authenticator: root
    &[2, 4, 10, 10],    // its authenticator: MAC key
    &[2, 4, 10, 11, 2], // the seed of its key pair, or what it encapsulates
];

/// All fields with this number, in place.
fn fields(mut message: &[u8], number: u64) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        match tag & 7 {
            0 => drop(varint(&mut message)),
            2 => {
                let length = varint(&mut message) as usize;
                let (field, rest) = message.split_at(length);
                message = rest;
                if tag >> 3 == number {
                    found.push(field);
                }
            }
            other => panic!("wire type {other}"),
        }
    }
    found
}

/// The first field with this number.
pub(crate) fn field(message: &[u8], number: u64) -> &[u8] {
    fields(message, number)[0]
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = message.split_first().unwrap();
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

/// The secrets of a record as needles.
fn secrets(record: &SessionRecord) -> Vec<Needle> {
    let stored = record.to_bytes();
    let at = |path: &[u64]| {
        path.iter().fold(vec![&*stored], |messages, number| {
            messages.into_iter().flat_map(|message| fields(message, *number)).collect()
        })
    };
    SECRETS.iter().flat_map(|path| at(path)).filter(|secret| !secret.is_empty()).map(Needle::new).collect()
}

/// The next message key, which both sides derive and drop within a step.
fn message_key(record: &SessionRecord) -> Needle {
    let stored = record.to_bytes();
    let session = field(field(&stored, 2), 4);
    let mut mac = Hmac::<Sha256>::new_from_slice(field(field(session, 7), 3)).unwrap();
    mac.update(&[1]);
    let needle = Needle::new(&mac.finalize().into_bytes());
    wipe_below();
    needle
}

/// Wipes what calls have left on the stack, because a moved value can carry it along in its padding.
#[inline(never)]
fn wipe_below() {
    std::hint::black_box(&mut [0_u8; 4096]).zeroize();
}

struct Device {
    identity: IdentityKeyPair,
    address: Address,
    signed: SignedPreKey,
    one_time: OneTimePreKey,
    kem: KemPreKey,
    record: SessionRecord,
    skipped: SkippedKeys,
    /// The secrets of the current record.
    has: Vec<Needle>,
    /// The secrets of earlier records, and those that existed only within a step.
    had: Vec<Needle>,
}

impl Device {
    fn new(name: &str, rng: &mut StdRng) -> Self {
        let identity = IdentityKeyPair::generate(rng);
        Self {
            address: Address::new(name, DeviceId::new(1).unwrap()),
            signed: SignedPreKey::generate(SignedPreKeyId(1), &identity, 0, rng),
            one_time: OneTimePreKey::generate(OneTimePreKeyId(1), rng),
            kem: KemPreKey::generate(KemPreKeyId(1), &identity, 0, rng),
            identity,
            record: SessionRecord::empty(),
            skipped: SkippedKeys::default(),
            has: Vec::new(),
            had: Vec::new(),
        }
    }

    fn local(&self) -> LocalDevice<'_> {
        LocalDevice { identity: &self.identity, address: &self.address, registration_id: 1 }
    }

    fn meet(&mut self, peer: &Self, rng: &mut StdRng) {
        let kem = peer.kem.public_key();
        let bundle = RawPreKeyBundle {
            registration_id: 1,
            device_id: 1,
            identity_key: &peer.identity.public().serialize(),
            signed_pre_key: RawSigned {
                id: 1,
                key: &peer.signed.public_key(),
                signature: peer.signed.signature(),
            },
            one_time_pre_key: Some((1, &peer.one_time.public_key())),
            kem_pre_key: Some(RawSigned { id: 1, key: &kem, signature: peer.kem.signature() }),
        };
        let bundle = PreKeyBundle::parse(bundle).unwrap().verify().unwrap();
        let next = self.record.initiate(&self.local(), &peer.address, bundle, POLICY, NOW, rng).unwrap();
        self.replace(next);
    }

    fn send(&mut self, peer: &Self, text: &[u8], rng: &mut StdRng) -> Ciphertext {
        self.had.push(message_key(&self.record));
        let sent = self.record.encrypt(&self.local(), &peer.address, text, NOW, rng).unwrap();
        self.skipped.apply(sent.skipped);
        self.replace(sent.next);
        sent.output
    }

    fn receive(&mut self, peer: &Self, ciphertext: &Ciphertext, rng: &mut StdRng) -> Plaintext {
        let (local, remote) = (self.local(), &peer.address);
        let inbound = |skipped| Inbound { local, remote, skipped, policy: POLICY, now: NOW };
        let advanced = match ciphertext {
            Ciphertext::Signal(message) => {
                let found = self.skipped.find(message);
                self.record.decrypt(&inbound(&found), message, rng).unwrap()
            }
            Ciphertext::PreKey(message) => {
                let found = self.skipped.find(message.signal_message());
                let (one_time, kem) = (Some(&self.one_time), Some(&self.kem));
                let keys = Some(OurPreKeys { signed: &self.signed, one_time, kem });
                self.record.decrypt_pre_key(&inbound(&found), message, keys, rng).unwrap().advanced
            }
        };
        self.skipped.apply(advanced.skipped);
        self.replace(advanced.next);
        advanced.output.plaintext
    }

    fn replace(&mut self, next: SessionRecord) {
        self.record = next;
        let has = secrets(&self.record);
        let old = std::mem::replace(&mut self.has, has);
        self.had.extend(old.into_iter().filter(|needle| !self.has.contains(needle)));
    }
}

fn two(seed: u64) -> (Device, Device, StdRng) {
    let mut rng = StdRng::seed_from_u64(seed);
    let alice = Device::new("9d0652a3-dcc3-4d11-975f-74d61598733f", &mut rng);
    let bob = Device::new("796abedb-ca4e-4f18-8803-1fde5b921f9f", &mut rng);
    (alice, bob, rng)
}

/// Covers every state of SPQR, on both sides.
#[test]
fn replaced_keys_of_a_session_are_wiped() {
    let _alone = alone();
    let (mut alice, mut bob, mut rng) = two(200);
    alice.meet(&bob, &mut rng);
    for round in 0..100 {
        let text = Secret::new(rng.random::<[u8; 64]>());
        alice.had.push(Needle::new(text.expose()));
        let sent = alice.send(&bob, text.expose(), &mut rng);
        drop(text);
        bob.receive(&alice, &sent, &mut rng);
        let sent = bob.send(&alice, b"answer", &mut rng);
        alice.receive(&bob, &sent, &mut rng);
        if round % 20 == 0 {
            let has = [&alice.has[..], &bob.has].concat();
            assert!(holds(&has), "round {round}");
            // The peer receives with the keys that we send with, and may keep them longer.
            let gone = [&alice.had[..], &bob.had].concat();
            let gone: Vec<_> = gone.into_iter().filter(|needle| !has.contains(needle)).collect();
            assert!(gone.len() > round && is_free_of(&gone), "round {round}");
        }
    }
    assert!(alice.had.len() > 500 && bob.had.len() > 500);
    let all = [&alice, &bob].map(|device| [&device.has[..], &device.had].concat()).concat();
    drop((alice, bob));
    assert!(is_free_of(&all));
}

/// The key of a skipped message is kept until the message arrives. The plaintext is wiped when it is dropped.
#[test]
fn a_skipped_key_is_wiped_when_its_message_arrives() {
    let _alone = alone();
    let (mut alice, mut bob, mut rng) = two(201);
    alice.meet(&bob, &mut rng);
    let text = Secret::new(rng.random::<[u8; 64]>());
    let said = Needle::new(text.expose());
    let late = alice.send(&bob, text.expose(), &mut rng);
    drop(text);
    let next = alice.send(&bob, b"next", &mut rng);
    bob.receive(&alice, &next, &mut rng);
    let kept: Vec<_> =
        fields(&bob.skipped.to_bytes(), 1).into_iter().map(|key| Needle::new(field(key, 4))).collect();
    assert_eq!(kept.len(), 2, "one key of each ratchet");
    assert!(holds(&kept));
    assert!(is_free_of(&[said]));
    let read = bob.receive(&alice, &late, &mut rng);
    assert!(is_free_of(&kept));
    assert!(holds(&[said]));
    drop(read);
    assert!(is_free_of(&[said]));
}

/// The first of the four agreements, of which neither side keeps anything.
#[test]
fn agreements_of_a_handshake_are_wiped() {
    let _alone = alone();
    let (mut alice, mut bob, mut rng) = two(203);
    let agreed = agreed(&alice.identity, &bob.signed.public_key());
    let needle = [Needle::new(agreed.expose())];
    assert!(holds(&needle));
    drop(agreed);
    for _ in 0..4 {
        alice.meet(&bob, &mut rng);
        let sent = alice.send(&bob, b"first", &mut rng);
        bob.receive(&alice, &sent, &mut rng);
    }
    assert!(is_free_of(&needle));
}

/// The agreement that both sides compute.
pub(crate) fn agreed(ours: &IdentityKeyPair, theirs: &[u8; 33]) -> Secret<32> {
    let stored = ours.to_bytes();
    let (private, [_, public @ ..]) = (stored.last_chunk().unwrap(), *theirs);
    Secret::new(MontgomeryPoint(public).mul_clamped(*private).0)
}

/// A record that was stored and read back.
#[test]
fn a_stored_record_is_wiped() {
    let _alone = alone();
    let (mut alice, bob, mut rng) = two(202);
    alice.meet(&bob, &mut rng);
    let (has, stored, rows) = (alice.has.clone(), alice.record.to_bytes(), alice.record.sessions());
    let rows: Vec<_> = rows.collect();
    let read = SessionRecord::from_bytes(&stored).unwrap();
    let changes = read.changes_since(&SessionRecord::empty());
    drop(alice);
    assert!(holds(&has));
    drop((stored, rows, read, changes));
    assert!(is_free_of(&has));
}

/// A sealed message with an arbitrary text.
pub(crate) fn sealed_content(
    alice: &IdentityKeyPair,
    bob: &IdentityKeyPair,
    remembered: &mut Remembered,
    rng: &mut StdRng,
) -> Vec<u8> {
    let (root, server) = (ServerKeyPair::generate(rng), ServerKeyPair::generate(rng));
    let issued = ServerCertificate::issue(1, &server.public(), &root, rng);
    let address = Address::new("9d0652a3-dcc3-4d11-975f-74d61598733f", DeviceId::new(1).unwrap());
    let claims =
        SenderClaims { address: &address, e164: None, identity_key: alice.public(), expires: UnixMillis(9) };
    let certificate = SenderCertificate::issue(&claims, Signer::Embedded(issued), &server, rng);
    let content =
        UnidentifiedContent::new(MessageType::Signal, certificate, b"text", ContentHint::Default, b"");
    seal_v1(&content, alice, bob.public(), remembered, rng).unwrap()
}
