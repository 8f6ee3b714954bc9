//! Sender keys, using only the public API: known answers, failures, and group conversations.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

mod forms;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod support;

use std::collections::BTreeMap;

use forms::{OurRecord, TheirRecord};
use proptest::prelude::*;
use prost::Message as _;
use rand::{SeedableRng as _, rngs::StdRng};
use sealpost_protocol::group::{
    DecryptError, EncryptError, SenderKeyRecord, SkippedChange, SkippedKey, SkippedKeyId, WrongDistribution,
};
use sealpost_protocol::{
    DecodeError, DistributionId, KnownKeys, SenderKeyDistributionMessage, SenderKeyMessage, UnixSeconds,
};
use serde_json::Value;
use support::{bytes, load};

/// The state of a device for one sender: the record, and the skipped keys as rows.
struct Device {
    record: SenderKeyRecord,
    rows: BTreeMap<SkippedKeyId, ([u8; 32], Option<UnixSeconds>)>,
    now: UnixSeconds,
    known: KnownKeys,
}

impl Device {
    fn new(record: SenderKeyRecord) -> Self {
        Self { record, rows: BTreeMap::new(), now: UnixSeconds(1_764_000_000), known: KnownKeys::default() }
    }

    /// Starts with the distribution message of a sender.
    fn receiving(distribution: &SenderKeyDistributionMessage) -> Self {
        let mut device = Self::new(SenderKeyRecord::empty(distribution.distribution_id()));
        device.process(distribution);
        device
    }

    fn distribute(&mut self, rng: &mut StdRng) -> SenderKeyDistributionMessage {
        let made = self.record.create_distribution(rng);
        self.store(made.next, made.skipped);
        SenderKeyDistributionMessage::parse(made.output.serialize()).unwrap()
    }

    fn process(&mut self, distribution: &SenderKeyDistributionMessage) {
        let processed = self.record.process(distribution).unwrap();
        self.store(processed.next, processed.skipped);
    }

    fn send(&mut self, text: &str, rng: &mut StdRng) -> SenderKeyMessage {
        let sent = self.record.encrypt(text.as_bytes(), rng).unwrap();
        self.store(sent.next, sent.skipped);
        SenderKeyMessage::parse(sent.output.serialize()).unwrap()
    }

    fn receive(&mut self, message: &SenderKeyMessage) -> Result<String, DecryptError> {
        let id = SkippedKeyId::of(message);
        let row = self.rows.get(&id).map(|(seed, since)| SkippedKey::new(id, *seed, *since));
        let opened = self.record.decrypt(message, row.as_ref(), self.now, &mut self.known)?;
        self.store(opened.next, opened.skipped);
        Ok(String::from_utf8(opened.output.expose().to_vec()).unwrap())
    }

    /// Stores the result, as a store does in one transaction.
    fn store(&mut self, next: SenderKeyRecord, changes: Vec<SkippedChange>) {
        self.record = SenderKeyRecord::from_bytes(&next.to_bytes()).unwrap();
        for change in changes {
            match change {
                SkippedChange::Keep(key) => {
                    self.rows.insert(key.id, (*key.seed.expose(), key.since));
                }
                SkippedChange::Forget(id) => {
                    self.rows.remove(&id);
                }
                SkippedChange::KeepNewest { distribution_id, chain_id, count } => {
                    let of_chain = |iteration| SkippedKeyId { distribution_id, chain_id, iteration };
                    let chain = self.rows.range(of_chain(0)..=of_chain(u32::MAX)).map(|(id, _)| *id);
                    let oldest: Vec<_> = chain.rev().skip(usize::try_from(count).unwrap()).collect();
                    for id in oldest {
                        self.rows.remove(&id);
                    }
                }
                SkippedChange::ForgetChain { distribution_id, chain_id } => {
                    self.rows
                        .retain(|id, _| (id.distribution_id, id.chain_id) != (distribution_id, chain_id));
                }
            }
        }
    }
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

/// A sender with a chain, and its distribution message.
fn sender(rng: &mut StdRng) -> (Device, SenderKeyDistributionMessage) {
    let mut sender = Device::new(SenderKeyRecord::empty(DistributionId::generate(rng)));
    let distribution = sender.distribute(rng);
    (sender, distribution)
}

fn vector() -> (Value, SenderKeyDistributionMessage, Vec<SenderKeyMessage>) {
    let file = load("sender-keys");
    let distribution = SenderKeyDistributionMessage::parse(&bytes(&file["skdm"])).unwrap();
    let messages = file["messages"].as_array().unwrap().iter();
    let messages = messages.map(|message| SenderKeyMessage::parse(&bytes(message)).unwrap()).collect();
    (file, distribution, messages)
}

#[test]
fn messages_of_the_vectors_are_decrypted_and_result_in_the_same_record() {
    let (file, distribution, messages) = vector();
    let mut receiver = Device::receiving(&distribution);
    for (message, plaintext) in messages.iter().zip(file["plaintexts"].as_array().unwrap()) {
        assert_eq!(receiver.receive(message).unwrap().into_bytes(), bytes(plaintext));
        assert_eq!(receiver.receive(message), Err(DecryptError::Duplicate));
    }
    let theirs = TheirRecord::decode(bytes(&file["receiver_record_after"]).as_slice()).unwrap();
    let id = distribution.distribution_id();
    let ours = OurRecord::decode(&*receiver.record.to_bytes()).unwrap();
    assert_eq!(ours, forms::import(&theirs, id));
}

#[test]
fn messages_of_the_vectors_are_decrypted_in_any_order() {
    let (file, distribution, messages) = vector();
    for order in [[4, 3, 2, 1, 0], [2, 0, 4, 1, 3]] {
        let mut receiver = Device::receiving(&distribution);
        for position in order {
            let plaintext = receiver.receive(&messages[position]).unwrap();
            assert_eq!(plaintext.into_bytes(), bytes(&file["plaintexts"][position]));
            assert_eq!(receiver.receive(&messages[position]), Err(DecryptError::Duplicate));
        }
        assert!(receiver.rows.is_empty());
    }
}

/// Only the signature is random.
#[test]
fn an_imported_sender_encrypts_as_in_the_vectors() {
    let (file, distribution, messages) = vector();
    let theirs = TheirRecord::decode(bytes(&file["sender_record_before"]).as_slice()).unwrap();
    let imported = forms::import(&theirs, distribution.distribution_id()).encode_to_vec();
    let (mut sender, mut rng) = (Device::new(SenderKeyRecord::from_bytes(&imported).unwrap()), rng());
    assert_eq!(sender.distribute(&mut rng).serialize(), distribution.serialize());
    for (theirs, plaintext) in messages.iter().zip(file["plaintexts"].as_array().unwrap()) {
        let ours = sender.send(std::str::from_utf8(&bytes(plaintext)).unwrap(), &mut rng);
        let unsigned = ours.serialize().len() - 64;
        assert_eq!(ours.serialize()[..unsigned], theirs.serialize()[..unsigned]);
    }
}

#[test]
fn every_failure_has_its_reason_and_changes_nothing() {
    let (_, distribution, messages) = vector();
    let failures = load("sender-key-failures");
    for case in failures["messages"].as_array().unwrap() {
        let mut receiver = Device::receiving(&distribution);
        if case["after"] == "all" {
            messages.iter().for_each(|message| drop(receiver.receive(message).unwrap()));
        }
        let (before, input) = (receiver.record.to_bytes(), bytes(&case["message"]));
        let outcome = match SenderKeyMessage::parse(&input) {
            Err(reason) => format!("{reason:?}"),
            Ok(message) => match receiver.receive(&message) {
                Err(reason) => format!("{reason:?}"),
                Ok(text) => format!("read: {text}"),
            },
        };
        assert_eq!(outcome, case["outcome"].as_str().unwrap(), "{}", case["name"]);
        if !outcome.starts_with("read") {
            assert_eq!(*receiver.record.to_bytes(), *before, "{}", case["name"]);
        }
    }
    for case in failures["distributions"].as_array().unwrap() {
        let outcome = SenderKeyDistributionMessage::parse(&bytes(&case["message"])).err();
        let outcome = outcome.map(|reason| format!("{reason:?}"));
        assert_eq!(outcome.as_deref(), case["outcome"].as_str(), "{}", case["name"]);
    }
}

#[test]
fn records_of_an_earlier_version_can_be_read() {
    let file: Value = serde_json::from_str(include_str!("../fixtures/sender-key-form-1.json")).unwrap();
    let mut sender = Device::new(SenderKeyRecord::from_bytes(&bytes(&file["sender"])).unwrap());
    let mut receiver = Device::new(SenderKeyRecord::from_bytes(&bytes(&file["receiver"])).unwrap());
    assert_eq!(*receiver.record.to_bytes(), *bytes(&file["receiver"]));
    let text = receiver.receive(&SenderKeyMessage::parse(&bytes(&file["message"])).unwrap()).unwrap();
    assert_eq!(text, file["plaintext"].as_str().unwrap());
    assert_eq!(receiver.receive(&sender.send("goes on", &mut rng())).unwrap(), "goes on");
}

#[test]
fn all_members_and_our_other_device_decrypt_the_same_message() {
    let mut rng = rng();
    let (mut phone, distribution) = sender(&mut rng);
    let mut devices = ["bob", "carol", "our tablet"].map(|_| Device::receiving(&distribution));
    let first = phone.send("hello", &mut rng);
    for device in &mut devices {
        assert_eq!(device.receive(&first).unwrap(), "hello");
        assert_eq!(device.record.encrypt(b"as the phone", &mut rng).err(), Some(EncryptError::NoSenderKey));
    }
    // The phone sent it itself, and no distribution message removes its key pair.
    assert_eq!(phone.receive(&first), Err(DecryptError::Duplicate));
    phone.process(&distribution);
    assert_eq!(devices[0].receive(&phone.send("again", &mut rng)).unwrap(), "again");
    let empty = SenderKeyRecord::empty(DistributionId::generate(&mut rng));
    assert!(empty.is_empty() && !phone.record.is_empty());
    assert_eq!(empty.encrypt(b"x", &mut rng).err(), Some(EncryptError::NoSenderKey));
}

#[test]
fn a_new_member_decrypts_only_later_messages() {
    let mut rng = rng();
    let (mut alice, early) = sender(&mut rng);
    let (mut bob, before) = (Device::receiving(&early), alice.send("before", &mut rng));
    let late = alice.distribute(&mut rng);
    assert_eq!((late.chain_id(), late.iteration()), (early.chain_id(), 1));
    let mut carol = Device::receiving(&late);
    let after = alice.send("after", &mut rng);
    assert_eq!(carol.receive(&before), Err(DecryptError::Duplicate));
    assert_eq!(carol.receive(&after).unwrap(), "after");
    // Bob already has the chain, so it is neither advanced nor reset.
    bob.process(&late);
    assert_eq!(bob.receive(&before).unwrap(), "before");
    assert_eq!(bob.receive(&after).unwrap(), "after");
    bob.process(&early);
    assert_eq!(bob.receive(&before), Err(DecryptError::Duplicate));
}

#[test]
fn a_former_member_cannot_decrypt_messages_of_the_new_chain() {
    let mut rng = rng();
    let (mut alice, distribution) = sender(&mut rng);
    let [mut stays, mut leaves] = ["bob", "carol"].map(|_| Device::receiving(&distribution));
    let late = alice.send("late", &mut rng);
    alice = Device::new(SenderKeyRecord::empty(alice.record.distribution_id()));
    stays.process(&alice.distribute(&mut rng));
    let secret = alice.send("without carol", &mut rng);
    assert_eq!(leaves.receive(&secret), Err(DecryptError::NoSenderKey));
    assert_eq!(stays.receive(&secret).unwrap(), "without carol");
    assert_eq!(stays.receive(&late).unwrap(), "late");
}

#[test]
fn a_sixth_chain_replaces_the_oldest_and_its_skipped_keys() {
    let mut rng = rng();
    let (mut alice, distribution) = sender(&mut rng);
    let mut bob = Device::receiving(&distribution);
    let [late, _, skipped] = ["late", "lost", "skipped"].map(|text| alice.send(text, &mut rng));
    bob.receive(&skipped).unwrap();
    assert_eq!(bob.rows.len(), 2);
    for _ in 0..4 {
        alice = Device::new(SenderKeyRecord::empty(alice.record.distribution_id()));
        bob.process(&alice.distribute(&mut rng));
    }
    assert_eq!(bob.receive(&late).unwrap(), "late");
    // Distributed again, the oldest chain becomes the newest.
    bob.process(&distribution);
    for chains in [5, 5, 5, 5] {
        let last = Device::new(SenderKeyRecord::empty(alice.record.distribution_id())).distribute(&mut rng);
        bob.process(&last);
        assert_eq!(OurRecord::decode(&*bob.record.to_bytes()).unwrap().chains.len(), chains);
        assert_eq!(bob.rows.len(), 1);
    }
    bob.process(&Device::new(SenderKeyRecord::empty(alice.record.distribution_id())).distribute(&mut rng));
    assert!(bob.rows.is_empty());
    assert_eq!(bob.receive(&late), Err(DecryptError::NoSenderKey));
}

#[test]
fn a_chain_with_the_same_id_and_another_key_replaces_the_old_one() {
    let mut rng = rng();
    let (mut alice, distribution) = sender(&mut rng);
    let mut bob = Device::receiving(&distribution);
    let [late, early] = ["one", "two"].map(|text| alice.send(text, &mut rng));
    bob.receive(&early).unwrap();
    assert_eq!(bob.rows.len(), 1);
    let (_, other) = sender(&mut rng);
    let mut forged = OurRecord::decode(&*Device::receiving(&other).record.to_bytes()).unwrap();
    forged.chains[0].chain_id = distribution.chain_id();
    forged.distribution_id = distribution.distribution_id().as_bytes().to_vec();
    // The distribution message of a sender that drew the same chain ID twice.
    let twin = forms::distribution(&forged);
    bob.process(&SenderKeyDistributionMessage::parse(&twin).unwrap());
    assert!(bob.rows.is_empty());
    assert_eq!(bob.receive(&late), Err(DecryptError::NotDecryptable));
}

#[test]
fn a_record_is_for_one_distribution() {
    let mut rng = rng();
    let ((mut alice, distribution), (_, other)) = (sender(&mut rng), sender(&mut rng));
    let mut elsewhere = Device::receiving(&other);
    assert_eq!(elsewhere.record.process(&distribution).err(), Some(WrongDistribution));
    assert_eq!(elsewhere.receive(&alice.send("hello", &mut rng)), Err(DecryptError::NoSenderKey));
}

#[test]
fn at_most_25_000_messages_are_skipped_and_2_000_keys_kept() {
    let mut rng = rng();
    let (mut alice, distribution) = sender(&mut rng);
    let mut bob = Device::receiving(&distribution);
    let mut messages = BTreeMap::new();
    for number in 0..=25_005_u32 {
        // Only a few messages are needed, so the others are not signed.
        if [0, 22_999, 23_000, 23_001, 23_002, 24_999, 25_000, 25_001, 25_005].contains(&number) {
            messages.insert(number, alice.send(&number.to_string(), &mut rng));
        } else {
            alice.record = forms::skip_one(&alice.record);
        }
    }
    assert_eq!(bob.receive(&messages[&25_001]), Err(DecryptError::TooFarAhead));
    assert_eq!(bob.receive(&messages[&25_000]).unwrap(), "25000");
    assert_eq!(bob.rows.len(), 2_000);
    for (number, expected) in [(22_999, None), (0, None), (23_000, Some("23000")), (24_999, Some("24999"))] {
        assert_eq!(bob.receive(&messages[&number]).ok().as_deref(), expected);
    }
    assert_eq!(bob.receive(&messages[&25_001]).unwrap(), "25001");
    assert_eq!(bob.rows.len(), 1_998);
    // Three more are skipped, which is one too many.
    assert_eq!(bob.receive(&messages[&25_005]).unwrap(), "25005");
    assert_eq!(bob.rows.len(), 2_000);
    assert_eq!(bob.receive(&messages[&23_001]), Err(DecryptError::Duplicate));
    assert_eq!(bob.receive(&messages[&23_002]).unwrap(), "23002");
}

/// A forged message costs one verification and no step of the chain, whatever number it claims: it is refused for its
/// signature.
#[test]
fn the_signature_is_verified_before_the_chain_advances() {
    let rng = &mut rng();
    let (mut alice, distribution) = sender(rng);
    let mut bob = Device::receiving(&distribution);
    let first = alice.send("first", rng);
    assert_eq!(bob.receive(&first).unwrap(), "first");
    for iteration in [0, 1, 2, 25_001, 25_002, u32::MAX] {
        let forged = ForgedMessage {
            distribution_id: distribution.distribution_id().as_bytes().to_vec(),
            chain_id: Some(distribution.chain_id()),
            iteration: Some(iteration),
            ciphertext: vec![1; 32],
        };
        let forged = [&[0x33], &forged.encode_to_vec()[..], &[2; 64]].concat();
        let forged = SenderKeyMessage::parse(&forged).unwrap();
        assert_eq!(bob.receive(&forged), Err(DecryptError::NotDecryptable), "{iteration}");
    }
    assert_eq!(bob.receive(&first), Err(DecryptError::Duplicate));
}

#[derive(Clone, PartialEq, prost::Message)]
struct ForgedMessage {
    #[prost(bytes = "vec", tag = "1")]
    distribution_id: Vec<u8>,
    #[prost(uint32, optional, tag = "2")]
    chain_id: Option<u32>,
    #[prost(uint32, optional, tag = "3")]
    iteration: Option<u32>,
    #[prost(bytes = "vec", tag = "4")]
    ciphertext: Vec<u8>,
}

#[test]
fn a_damaged_record_is_refused() {
    let (sender, _) = sender(&mut rng());
    let stored = OurRecord::decode(&*sender.record.to_bytes()).unwrap();
    let open = |change: fn(&mut OurRecord)| {
        let mut changed = stored.clone();
        change(&mut changed);
        SenderKeyRecord::from_bytes(&changed.encode_to_vec()).err()
    };
    assert_eq!(open(|_| {}), None);
    assert_eq!(open(|record| record.form = 0), Some(DecodeError::VersionTooOld));
    assert_eq!(open(|record| record.form = 2), Some(DecodeError::UnknownVersion));
    assert_eq!(open(|record| record.distribution_id.truncate(15)), Some(DecodeError::Length));
    assert_eq!(open(|record| record.chains[0].chain_key.truncate(31)), Some(DecodeError::Length));
    assert_eq!(open(|record| record.chains[0].signing_public.clear()), Some(DecodeError::KeyType));
    assert_eq!(open(|record| record.chains = vec![record.chains[0].clone(); 5]), None);
    let six = open(|record| record.chains = vec![record.chains[0].clone(); 6]);
    assert_eq!(six, Some(DecodeError::Malformed));
    // A truncated private key is not the same as none.
    assert_eq!(open(|record| record.chains[0].signing_private.truncate(31)), Some(DecodeError::Length));
}

/// An event in a group of one sender and one receiver.
#[derive(Debug, Clone)]
enum Event {
    Send,
    /// One of the messages in transit arrives, and may arrive again.
    Deliver(prop::sample::Index),
    /// One of the messages in transit arrives with one byte changed.
    Damage(prop::sample::Index, prop::sample::Index),
    /// The sender starts a new chain.
    Rotate,
    /// The distribution message of the sender arrives, perhaps not for the first time.
    Distribute,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        8 => Just(Event::Send),
        8 => any::<prop::sample::Index>().prop_map(Event::Deliver),
        2 => any::<(prop::sample::Index, prop::sample::Index)>().prop_map(|(m, b)| Event::Damage(m, b)),
        1 => Just(Event::Rotate),
        2 => Just(Event::Distribute),
    ];
    prop::collection::vec(event, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_message_is_decrypted_once_or_refused_for_a_reason(events in events()) {
        let mut rng = rng();
        let (mut alice, mut distribution) = sender(&mut rng);
        let mut bob = Device::new(SenderKeyRecord::empty(distribution.distribution_id()));
        // The chains that were distributed, newest first, with the number from which they were distributed.
        let mut handed: Vec<(u32, u32)> = Vec::new();
        let mut sent: Vec<(SenderKeyMessage, bool)> = Vec::new();
        for event in events {
            match event {
                Event::Send => sent.push((alice.send(&sent.len().to_string(), &mut rng), false)),
                Event::Rotate => {
                    alice = Device::new(SenderKeyRecord::empty(alice.record.distribution_id()));
                    distribution = alice.distribute(&mut rng);
                }
                Event::Distribute => {
                    let chain = distribution.chain_id();
                    let known = handed.iter().position(|(id, _)| *id == chain);
                    let entry = known.map_or((chain, distribution.iteration()), |at| handed.remove(at));
                    handed.insert(0, entry);
                    handed.truncate(5);
                    bob.process(&distribution);
                    distribution = alice.distribute(&mut rng);
                }
                Event::Deliver(index) if !sent.is_empty() => {
                    let at = index.index(sent.len());
                    let (message, read) = &mut sent[at];
                    let from = handed.iter().find(|(id, _)| *id == message.chain_id());
                    let expected = match from {
                        None => Err(DecryptError::NoSenderKey),
                        Some((_, from)) if message.iteration() < *from => Err(DecryptError::Duplicate),
                        Some(_) if *read => Err(DecryptError::Duplicate),
                        Some(_) => Ok(at.to_string()),
                    };
                    *read |= expected.is_ok();
                    prop_assert_eq!(bob.receive(message), expected);
                }
                Event::Damage(index, byte) if !sent.is_empty() => {
                    let mut damaged = sent[index.index(sent.len())].0.serialize().to_vec();
                    let byte = byte.index(damaged.len());
                    damaged[byte] ^= 0x55;
                    let before = bob.record.to_bytes();
                    if let Ok(damaged) = SenderKeyMessage::parse(&damaged) {
                        prop_assert!(bob.receive(&damaged).is_err());
                    }
                    prop_assert_eq!(&*bob.record.to_bytes(), &*before);
                }
                Event::Deliver(_) | Event::Damage(..) => {}
            }
        }
    }
}
