//! Secrets are wiped: the memory of this process is searched for their bytes, before and after they are dropped.
//!
//! The tests run on Linux, where a process can read its own memory as a file.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

mod memory;
mod sessions;

use std::sync::{Mutex, MutexGuard, PoisonError};

use memory::{Needle, holds, is_free_of};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use sealpost_protocol::device::AccountKeyPair;
use sealpost_protocol::group::{GroupLink, GroupSecret, LinkSecret, SenderKeyRecord};
use sealpost_protocol::sealed::{self, Remembered};
use sealpost_protocol::{
    DistributionId, IdentityKeyPair, KemPreKey, KemPreKeyId, KnownKeys, OneTimePreKey, OneTimePreKeyId,
    Secret, SenderKeyDistributionMessage, SharedPartKey, SignedPreKey, SignedPreKeyId, UnixSeconds, hpke,
};

/// Only one search runs at a time, because it would find the buffer of another.
fn alone() -> MutexGuard<'static, ()> {
    static SEARCH: Mutex<()> = Mutex::new(());
    SEARCH.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks that the needles are found while `owner` exists, and not after it has been dropped.
#[track_caller]
fn is_wiped_with<T>(owner: T, needles: &[Needle]) {
    assert!(holds(needles), "not found before the owner was dropped");
    drop(owner);
    assert!(is_free_of(needles), "found after the owner was dropped");
}

/// A single unwiped copy might be overwritten before the search. If every call leaves a copy, one of them is found.
fn many<T>(make: impl Fn() -> T) -> Vec<T> {
    (0..16).map(|_| make()).collect()
}

/// The search finds bytes that are not wiped, even in freed memory.
#[test]
fn bytes_that_are_not_wiped_are_found() {
    let _alone = alone();
    let bytes = Secret::new(StdRng::seed_from_u64(100).random::<[u8; 32]>());
    let needle = [Needle::new(bytes.expose())];
    let copies = many(|| Box::new(*bytes.expose()));
    drop(bytes);
    assert!(holds(&needle));
    drop(copies);
    assert!(holds(&needle));
}

#[test]
fn a_secret_is_wiped() {
    let _alone = alone();
    let secret = Secret::new(StdRng::seed_from_u64(101).random::<[u8; 32]>());
    let needle = Needle::new(secret.expose());
    let copies = many(|| Secret::new(*secret.expose()));
    is_wiped_with((secret, copies), &[needle]);
}

#[test]
fn an_identity_is_wiped() {
    let _alone = alone();
    let rng = &mut StdRng::seed_from_u64(102);
    let identity = IdentityKeyPair::generate(rng);
    let stored = identity.to_bytes();
    let needle = Needle::new(&stored[stored.len() - 32..]);
    let read = many(|| (IdentityKeyPair::from_bytes(&stored).unwrap(), identity.to_bytes()));
    is_wiped_with((identity, read, stored), &[needle]);
}

#[test]
fn an_account_key_is_wiped() {
    let _alone = alone();
    let rng = &mut StdRng::seed_from_u64(105);
    let account = AccountKeyPair::generate(rng);
    let stored = account.to_bytes();
    let needle = Needle::new(&stored[stored.len() - 32..]);
    let read = many(|| (AccountKeyPair::from_bytes(&stored).unwrap(), account.to_bytes()));
    is_wiped_with((account, read, stored), &[needle]);
}

#[test]
fn pre_keys_are_wiped() {
    let _alone = alone();
    let rng = &mut StdRng::seed_from_u64(103);
    let identity = IdentityKeyPair::generate(rng);
    let one_time = OneTimePreKey::generate(OneTimePreKeyId(1), rng);
    let stored = one_time.to_bytes();
    let needle = Needle::new(sessions::field(&stored, 3));
    let read = many(|| (OneTimePreKey::from_bytes(&stored).unwrap(), one_time.to_bytes()));
    is_wiped_with((read, one_time, stored), &[needle]);

    let signed = SignedPreKey::generate(SignedPreKeyId(1), &identity, 0, rng);
    let stored = signed.to_bytes();
    let needle = Needle::new(sessions::field(&stored, 3));
    let read = many(|| (SignedPreKey::from_bytes(&stored).unwrap(), signed.to_bytes()));
    is_wiped_with((read, signed, stored), &[needle]);

    let kem = KemPreKey::generate(KemPreKeyId(1), &identity, 0, rng);
    let stored = kem.to_bytes();
    let secret = sessions::field(&stored, 3);
    let needles = [Needle::new(secret), Needle::new(&secret[secret.len() - 32..])];
    let read = many(|| (KemPreKey::from_bytes(&stored).unwrap(), kem.to_bytes()));
    is_wiped_with((read, kem, stored), &needles);
}

/// The chain key of each message is wiped by the next step; the last one and the signing key, with the record.
#[test]
fn sender_keys_are_wiped() {
    let _alone = alone();
    let rng = &mut StdRng::seed_from_u64(104);
    let id = DistributionId::new([7; 16]);
    let made = SenderKeyRecord::empty(id).create_distribution(rng);
    let (mut writer, handed_out) = (made.next, made.output);
    let received = SenderKeyDistributionMessage::parse(handed_out.serialize()).unwrap();
    let mut reader = SenderKeyRecord::empty(id).process(&received).unwrap().next;
    drop((handed_out, received));
    let chain_key = |record: &SenderKeyRecord| {
        let stored = record.to_bytes();
        Needle::new(sessions::field(sessions::field(&stored, 3), 3))
    };
    let mut spent = Vec::new();
    for _ in 0..4 {
        let before = chain_key(&writer);
        assert!(holds(&[before]));
        spent.push(before);
        let sent = writer.encrypt(b"text", rng).unwrap();
        reader = reader.decrypt(&sent.output, None, UnixSeconds(0), &mut KnownKeys::default()).unwrap().next;
        writer = sent.next;
        assert!(is_free_of(&spent));
    }
    let stored = writer.to_bytes();
    let signing = Needle::new(sessions::field(sessions::field(&stored, 3), 5));
    drop(stored);
    let read = many(|| SenderKeyRecord::from_bytes(&writer.to_bytes()).unwrap());
    is_wiped_with((read, writer, reader), &[signing]);
}

/// And the details that were opened with the secret, and the token that comes from a link.
#[test]
fn secrets_of_groups_are_wiped() {
    let _alone = alone();
    let rng = &mut StdRng::seed_from_u64(108);
    let text = Secret::new(rng.random::<[u8; 64]>());
    let secret = GroupSecret::generate(rng);
    let sealed = secret.seal_details(&[3; 16], 9, text.expose(), rng).unwrap();
    let needles = [Needle::new(text.expose()), Needle::new(secret.expose())];
    drop(text);
    let opened = many(|| secret.open_details(&[3; 16], 9, &sealed).unwrap());
    is_wiped_with(opened, &needles[..1]);
    let copies = many(|| (GroupSecret::parse(secret.expose()).unwrap(), secret.commitment()));
    is_wiped_with((secret, copies), &needles[1..]);

    let link = LinkSecret::generate(rng);
    let needle = Needle::new(link.expose());
    let copies = many(|| (LinkSecret::parse(link.expose()).unwrap(), link.public_key()));
    let token = Needle::new(link.access_token().expose());
    is_wiped_with(many(|| link.access_token()), &[token]);
    let written = many(|| LinkSecret::parse(link.expose()).unwrap());
    let written: Vec<_> = written
        .into_iter()
        .map(|secret| GroupLink { group: [3; 16], secret, group_secret: None }.to_text())
        .collect();
    let read: Vec<GroupLink> = written.iter().map(|text| text.parse().unwrap()).collect();
    is_wiped_with((link, copies, written, read), &[needle]);
}

/// The cached agreement with the sender's identity, and the content.
#[test]
fn cached_agreements_of_sealed_sender_are_wiped() {
    let _alone = alone();
    let rng = &mut StdRng::seed_from_u64(105);
    let (alice, bob) = (IdentityKeyPair::generate(rng), IdentityKeyPair::generate(rng));
    let needle = Needle::new(sessions::agreed(&alice, &bob.public().serialize()).expose());
    assert!(is_free_of(&[needle]));
    let mut remembered = Remembered::default();
    let sealed = sessions::sealed_content(&alice, &bob, &mut remembered, rng);
    is_wiped_with(remembered, &[needle]);
    let mut remembered = Remembered::default();
    let opened = sealed::open(&sealed, &bob, &mut remembered).unwrap();
    is_wiped_with((remembered, opened), &[needle]);
}

#[test]
fn keys_of_shared_parts_and_what_they_open_are_wiped() {
    let _alone = alone();
    let rng = &mut StdRng::seed_from_u64(107);
    let text = Secret::new(rng.random::<[u8; 64]>());
    let (key, part) = SharedPartKey::seal(text.expose(), rng).unwrap();
    let needles = [Needle::new(text.expose()), Needle::new(&key.serialize()[..32])];
    drop(text);
    let keys = many(|| SharedPartKey::parse(&*key.serialize()).unwrap());
    let opened = many(|| key.open(&part).unwrap());
    is_wiped_with((key, keys), &needles[1..]);
    is_wiped_with(opened, &needles[..1]);
}

#[test]
fn opened_hpke_plaintext_is_wiped() {
    let _alone = alone();
    let rng = &mut StdRng::seed_from_u64(106);
    let alice = IdentityKeyPair::generate(rng);
    let text = Secret::new(rng.random::<[u8; 64]>());
    let needle = Needle::new(text.expose());
    let sealed = hpke::seal(alice.public(), b"info", b"associated", text.expose(), rng).unwrap();
    drop(text);
    assert!(is_free_of(&[needle]));
    let opened = hpke::open(&alice, b"info", b"associated", &sealed).unwrap();
    is_wiped_with(opened, &[needle]);
}
