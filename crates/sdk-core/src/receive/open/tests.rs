//! Tests with two devices in one process, and a network between them that loses, repeats, reorders and damages messages.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::prelude::*;
use rand::SeedableRng as _;
use sealpost_protocol::{
    Address, Ciphertext, DeviceId as ProtocolDeviceId, IdentityKeyPair, KemPreKeyId, LocalDevice,
    OneTimePreKeyId, PreKeyBundle, RawPreKeyBundle, RawSigned, SessionPolicy, SharedPartKey, SignedPreKeyId,
    SkippedKeys, UnixSeconds,
};

use super::*;
use crate::content::{Body, Header, before_shared};
use crate::id::{ClientMsgId, ThreadId};

const NOW: UnixSeconds = UnixSeconds(1_795_000_000);

/// One of the two devices, with everything that its database would contain.
struct Device {
    identity: IdentityKeyPair,
    address: Address,
    keys: NamedPreKeys,
    record: SessionRecord,
    skipped: SkippedKeys,
}

impl Device {
    fn new(name: &str, rng: &mut StdRng) -> Self {
        let identity = IdentityKeyPair::generate(rng);
        let keys = NamedPreKeys {
            signed: Some(SignedPreKey::generate(SignedPreKeyId(1), &identity, 0, rng)),
            one_time: Some(OneTimePreKey::generate(OneTimePreKeyId(2), rng)),
            kem: Some(KemPreKey::generate(KemPreKeyId(3), &identity, 0, rng)),
        };
        Self {
            address: Address::new(name, ProtocolDeviceId::new(1).unwrap()),
            identity,
            keys,
            record: SessionRecord::empty(),
            skipped: SkippedKeys::default(),
        }
    }

    fn local(&self) -> LocalDevice<'_> {
        LocalDevice { identity: &self.identity, address: &self.address, registration_id: 77 }
    }

    fn meet(&mut self, peer: &Self, rng: &mut StdRng) {
        let NamedPreKeys { signed: Some(signed), one_time: Some(one_time), kem: Some(kem) } = &peer.keys
        else {
            panic!()
        };
        let kem_key = kem.public_key();
        let bundle = PreKeyBundle::parse(RawPreKeyBundle {
            registration_id: 77,
            device_id: 1,
            identity_key: &peer.identity.public().serialize(),
            signed_pre_key: RawSigned { id: 1, key: &signed.public_key(), signature: signed.signature() },
            one_time_pre_key: Some((2, &one_time.public_key())),
            kem_pre_key: Some(RawSigned { id: 3, key: &kem_key, signature: kem.signature() }),
        });
        let bundle = bundle.unwrap().verify().unwrap();
        let policy = SessionPolicy::TripleRatchet;
        self.record = self.record.initiate(&self.local(), &peer.address, bundle, policy, NOW, rng).unwrap();
    }

    fn seal(&mut self, peer: &Address, plaintext: &[u8], rng: &mut StdRng) -> wire::Envelope {
        let Advanced { next, skipped, output } =
            self.record.encrypt(&self.local(), peer, plaintext, NOW, rng).unwrap();
        self.record = next;
        self.skipped.apply(skipped);
        let (kind, ciphertext) = match &output {
            Ciphertext::Signal(message) => (wire::envelope::SIGNAL, message.serialize()),
            Ciphertext::PreKey(message) => (wire::envelope::PRE_KEY, message.serialize()),
        };
        wire::Envelope { kind, ciphertext: Bytes::copy_from_slice(ciphertext), ..wire::Envelope::default() }
    }

    /// Opens an envelope, and stores the changes.
    fn open(&mut self, peer: &Address, envelope: &wire::Envelope, rng: &mut StdRng) -> Opened {
        let (message, shared) = match parse(envelope) {
            Ok(parsed) => parsed,
            Err(cause) => return Opened::Undecryptable(cause),
        };
        let skipped = self.skipped.find(message.signal());
        let policy = SessionPolicy::TripleRatchet;
        let inbound = Inbound { local: self.local(), remote: peer, skipped: &skipped, policy, now: NOW };
        let (opened, changes) = open(&inbound, &self.record, (&message, shared), &self.keys, rng).unwrap();
        // A duplicate changes nothing, so there is nothing to store.
        assert!(!matches!(opened, Opened::Duplicate) || changes.is_none());
        if let Some(changes) = changes {
            if let Some(consumed) = changes.consumed {
                assert_eq!(consumed.signed, SignedPreKeyId(1));
                self.keys.one_time = None;
            }
            self.record = changes.record;
            self.skipped.apply(changes.skipped);
        }
        opened
    }

    fn stored(&self) -> (Vec<u8>, Vec<u8>) {
        (self.record.to_bytes().to_vec(), self.skipped.to_bytes().to_vec())
    }
}

fn content(number: u8) -> Content {
    Content {
        timer: crate::content::Timer::default(),
        thread: ThreadId::from_bytes([9; 16]),
        id: ClientMsgId::new(u64::from(number), &[number; 10]),
        sent_ms: 1_000,
        header: Header::default(),
        body: Body::text(format!("line {number}")),
    }
}

fn two(seed: u64) -> (Device, Device, StdRng) {
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut ada, ben) = (Device::new("ada", &mut rng), Device::new("ben", &mut rng));
    ada.meet(&ben, &mut rng);
    (ada, ben, rng)
}

fn cause(opened: Opened) -> Undecryptable {
    match opened {
        Opened::Undecryptable(cause) => cause,
        Opened::Content(content) => panic!("opened: {content:?}"),
        Opened::Duplicate => panic!("a duplicate"),
    }
}

#[test]
fn a_first_message_is_opened_once_and_consumes_its_one_time_key() {
    let (mut ada, mut ben, mut rng) = two(1);
    let first = ada.seal(&ben.address, &content(1).to_plaintext(), &mut rng);
    assert_eq!(first.kind, wire::envelope::PRE_KEY);
    assert!(
        matches!(ben.open(&ada.address, &first, &mut rng), Opened::Content(opened) if *opened == content(1))
    );
    assert!(ben.keys.one_time.is_none(), "the one-time key is to be deleted");
    assert!(matches!(ben.open(&ada.address, &first, &mut rng), Opened::Duplicate));
}

#[test]
fn a_first_message_without_its_pre_keys_is_undecryptable() {
    let (mut ada, mut ben, mut rng) = two(2);
    let first = ada.seal(&ben.address, &content(1).to_plaintext(), &mut rng);
    let before = ben.stored();
    let mut missing = |ben: &mut Device| {
        assert_eq!(cause(ben.open(&ada.address, &first, &mut rng)), Undecryptable::MissingPreKey);
        assert_eq!(ben.stored(), before);
    };
    let signed = ben.keys.signed.take();
    missing(&mut ben);
    ben.keys.signed = signed;
    let one_time = ben.keys.one_time.take();
    missing(&mut ben);
    ben.keys.one_time = one_time;
    let kem = ben.keys.kem.take();
    missing(&mut ben);
    ben.keys.kem = kem;
    assert!(matches!(ben.open(&ada.address, &first, &mut rng), Opened::Content(_)), "with them it opens");
}

#[test]
fn a_message_without_a_session_is_undecryptable() {
    let (mut ada, mut ben, mut rng) = two(3);
    let first = ada.seal(&ben.address, &content(1).to_plaintext(), &mut rng);
    ben.open(&ada.address, &first, &mut rng);
    let answer = ben.seal(&ada.address, &content(2).to_plaintext(), &mut rng);
    assert_eq!(answer.kind, wire::envelope::SIGNAL);
    let mut stranger = Device::new("cyd", &mut rng);
    assert_eq!(cause(stranger.open(&ben.address, &answer, &mut rng)), Undecryptable::NoSession);
}

#[test]
fn invalid_bytes_and_unknown_kinds_are_undecryptable() {
    let (mut ada, mut ben, mut rng) = two(4);
    let mut envelope = ada.seal(&ben.address, &content(1).to_plaintext(), &mut rng);
    let opened = |ben: &mut Device, envelope: &_, rng: &mut _| cause(ben.open(&ada.address, envelope, rng));
    for bytes in [&b""[..], b"x", &envelope.ciphertext.slice(..20)] {
        let cut = wire::Envelope { ciphertext: Bytes::copy_from_slice(bytes), ..envelope.clone() };
        let cause = opened(&mut ben, &cut, &mut rng);
        assert!(matches!(cause, Undecryptable::Malformed | Undecryptable::UnsupportedVersion), "{cause:?}");
    }
    envelope.kind = 99;
    assert_eq!(opened(&mut ben, &envelope, &mut rng), Undecryptable::UnsupportedVersion);
}

#[test]
fn an_invalid_content_is_undecryptable_but_advances_the_session() {
    let (mut ada, mut ben, mut rng) = two(5);
    let first = ada.seal(&ben.address, b"not padded, not a content", &mut rng);
    let before = ben.stored();
    assert_eq!(cause(ben.open(&ada.address, &first, &mut rng)), Undecryptable::Malformed);
    assert_ne!(ben.stored(), before, "its key is spent");
    let next = ada.seal(&ben.address, &content(2).to_plaintext(), &mut rng);
    assert!(
        matches!(ben.open(&ada.address, &next, &mut rng), Opened::Content(opened) if *opened == content(2))
    );
}

/// An event on one of the devices or in the network.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// Ada seals the next content, or Ben, once he has a session.
    Seal { ada: bool },
    /// Any envelope that was sealed so far is delivered, possibly again.
    Deliver { pick: usize },
    /// Any envelope that was sealed so far is delivered with a changed bit.
    Damage { pick: usize, bit: usize },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => any::<bool>().prop_map(|ada| Event::Seal { ada }),
        6 => any::<usize>().prop_map(|pick| Event::Deliver { pick }),
        2 => any::<[usize; 2]>().prop_map(|[pick, bit]| Event::Damage { pick, bit }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn on_any_network_each_content_is_opened_once_and_failures_change_nothing(
        seed: u64,
        events in proptest::collection::vec(event(), 1..60),
    ) {
        let (mut ada, mut ben, mut rng) = two(seed);
        let mut sealed: Vec<(bool, u8, wire::Envelope)> = Vec::new();
        let mut opened = BTreeSet::new();
        for event in events {
            match event {
                Event::Seal { ada: by_ada } => {
                    let by_ada = by_ada || !ben.record.has_active();
                    let (from, to) = if by_ada { (&mut ada, &ben.address) } else { (&mut ben, &ada.address) };
                    let number = u8::try_from(sealed.len()).unwrap();
                    let envelope = from.seal(to, &content(number).to_plaintext(), &mut rng);
                    sealed.push((by_ada, number, envelope));
                }
                Event::Deliver { pick } if !sealed.is_empty() => {
                    let (by_ada, number, envelope) = &sealed[pick % sealed.len()];
                    let (to, from) = if *by_ada { (&mut ben, &ada.address) } else { (&mut ada, &ben.address) };
                    let before = to.stored();
                    match to.open(from, envelope, &mut rng) {
                        Opened::Content(found) => {
                            prop_assert_eq!(*found, content(*number));
                            prop_assert!(opened.insert(*number), "opened twice");
                        }
                        Opened::Duplicate => {
                            prop_assert!(opened.contains(number), "never opened");
                            prop_assert_eq!(to.stored(), before);
                        }
                        Opened::Undecryptable(cause) => prop_assert!(false, "{:?}", cause),
                    }
                }
                Event::Damage { pick, bit } if !sealed.is_empty() => {
                    let (by_ada, number, envelope) = &sealed[pick % sealed.len()];
                    let mut bytes = envelope.ciphertext.to_vec();
                    let bit = bit % (bytes.len() * 8);
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    let damaged = wire::Envelope { ciphertext: bytes.into(), ..envelope.clone() };
                    let (to, from) = if *by_ada { (&mut ben, &ada.address) } else { (&mut ada, &ben.address) };
                    let before = to.stored();
                    match to.open(from, &damaged, &mut rng) {
                        // The fields that name the keys with which a session was started are not authenticated.
                        Opened::Content(found) => {
                            prop_assert_eq!(*found, content(*number));
                            prop_assert!(opened.insert(*number), "opened twice");
                        }
                        Opened::Duplicate => prop_assert_eq!(to.stored(), before),
                        Opened::Undecryptable(_) => prop_assert_eq!(to.stored(), before),
                    }
                }
                Event::Deliver { .. } | Event::Damage { .. } => {}
            }
        }
    }
}

/// The relay has changed or exchanged the part that several devices share, or says that there is one, or none. Nothing changes, so the intact message
/// is still opened.
#[test]
fn a_shared_part_that_is_not_the_named_one_changes_nothing() {
    let (mut ada, mut ben, mut rng) = two(9);
    let with_part = |ada: &mut Device, ben: &Device, number: u8, rng: &mut StdRng| {
        let (key, part) = SharedPartKey::seal(&content(number).to_plaintext(), rng).unwrap();
        let named = SharedContent { key, devices: None, peer: None };
        let sealed = ada.seal(&ben.address, &named.to_plaintext(), rng);
        (before_shared(&sealed.ciphertext).unwrap(), part)
    };
    let (one, part) = with_part(&mut ada, &ben, 1, &mut rng);
    let (_, other) = with_part(&mut ada, &ben, 2, &mut rng);
    let plain = ada.seal(&ben.address, &content(3).to_plaintext(), &mut rng);
    let kind = wire::envelope::PRE_KEY_WITH_SHARED;
    let joined = |kind: u32, before: &[u8], part: &[u8]| wire::Envelope {
        kind,
        ciphertext: [before, part].concat().into(),
        ..wire::Envelope::default()
    };
    let mut damaged = part.clone();
    damaged[50] ^= 1;
    let long = [&part[..], b"x"].concat();
    let wrong = [
        ("damaged", joined(kind, &one, &damaged)),
        ("of another message", joined(kind, &one, &other)),
        ("absent", joined(kind, &one, b"")),
        ("cut", joined(kind, &one, &part[..part.len() - 1])),
        ("too long", joined(kind, &one, &long)),
        ("taken away", joined(wire::envelope::PRE_KEY, &one[2..], b"")),
        ("added", joined(kind, &before_shared(&plain.ciphertext).unwrap(), &part)),
    ];
    let before = ben.stored();
    for (what, envelope) in &wrong {
        assert_eq!(
            cause(ben.open(&ada.address, envelope, &mut rng)),
            Undecryptable::NotDecryptable,
            "{what}"
        );
        assert_eq!(ben.stored(), before, "{what}");
    }
    let cut = joined(kind, &one[..one.len() - 1], b"");
    assert_eq!(cause(ben.open(&ada.address, &cut, &mut rng)), Undecryptable::Malformed);
    for (envelope, number) in [(joined(kind, &one, &part), 1), (plain, 3)] {
        let opened = ben.open(&ada.address, &envelope, &mut rng);
        assert!(matches!(opened, Opened::Content(opened) if *opened == content(number)), "{number}");
    }
}
