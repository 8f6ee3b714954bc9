//! Secrets are wiped: their bytes are looked for in the memory of this process, while somebody owns them and after.
//!
//! The tests are for Linux, where a process can read its own memory as a file.

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
use sealpost_protocol::group::SenderKeyRecord;
use sealpost_protocol::sealed::{self, Remembered};
use sealpost_protocol::{
    DistributionId, IdentityKeyPair, KemPreKey, KemPreKeyId, KnownKeys, OneTimePreKey, OneTimePreKeyId,
    Secret, SenderKeyDistributionMessage, SignedPreKey, SignedPreKeyId, UnixSeconds, hpke,
};

/// One search at a time: what one thread has read would be found by another.
fn alone() -> MutexGuard<'static, ()> {
    static SEARCH: Mutex<()> = Mutex::new(());
    SEARCH.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `needles` are there as long as `owner` is, and gone with it.
#[track_caller]
fn goes_with<T>(owner: T, needles: &[Needle]) {
    assert!(holds(needles), "not found while somebody owns them");
    drop(owner);
    assert!(is_free_of(needles), "left behind");
}

/// What is left behind once may be written over before it is looked for; what is left behind every time is found.
fn many<T>(make: impl Fn() -> T) -> Vec<T> {
    (0..16).map(|_| make()).collect()
}

/// The search would find what it looks for: in memory that was given back too.
#[test]
fn what_is_not_wiped_is_found() {
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
    goes_with((secret, copies), &[needle]);
}

#[test]
fn an_identity_is_wiped() {
    let _alone = alone();
    let rng = &mut StdRng::seed_from_u64(102);
    let identity = IdentityKeyPair::generate(rng);
    let stored = identity.to_bytes();
    let needle = Needle::new(&stored[stored.len() - 32..]);
    let read = many(|| (IdentityKeyPair::from_bytes(&stored).unwrap(), identity.to_bytes()));
    goes_with((identity, read, stored), &[needle]);
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
    goes_with((read, one_time, stored), &[needle]);

    let signed = SignedPreKey::generate(SignedPreKeyId(1), &identity, 0, rng);
    let stored = signed.to_bytes();
    let needle = Needle::new(sessions::field(&stored, 3));
    let read = many(|| (SignedPreKey::from_bytes(&stored).unwrap(), signed.to_bytes()));
    goes_with((read, signed, stored), &[needle]);

    let kem = KemPreKey::generate(KemPreKeyId(1), &identity, 0, rng);
    let stored = kem.to_bytes();
    let secret = sessions::field(&stored, 3);
    let needles = [Needle::new(secret), Needle::new(&secret[secret.len() - 32..])];
    let read = many(|| (KemPreKey::from_bytes(&stored).unwrap(), kem.to_bytes()));
    goes_with((read, kem, stored), &needles);
}

/// The chain key of each message goes with it; the last one, and the signing key, with the record.
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
    goes_with((read, writer, reader), &[signing]);
}

/// The agreement with the sender's identity, which is remembered, and the content.
#[test]
fn what_sealed_sender_remembers_is_wiped() {
    let _alone = alone();
    let rng = &mut StdRng::seed_from_u64(105);
    let (alice, bob) = (IdentityKeyPair::generate(rng), IdentityKeyPair::generate(rng));
    let needle = Needle::new(sessions::agreed(&alice, &bob.public().serialize()).expose());
    assert!(is_free_of(&[needle]));
    let mut remembered = Remembered::default();
    let sealed = sessions::sealed_content(&alice, &bob, &mut remembered, rng);
    goes_with(remembered, &[needle]);
    let mut remembered = Remembered::default();
    let opened = sealed::open(&sealed, &bob, &mut remembered).unwrap();
    goes_with((remembered, opened), &[needle]);
}

#[test]
fn what_was_opened_is_wiped() {
    let _alone = alone();
    let rng = &mut StdRng::seed_from_u64(106);
    let alice = IdentityKeyPair::generate(rng);
    let text = Secret::new(rng.random::<[u8; 64]>());
    let needle = Needle::new(text.expose());
    let sealed = hpke::seal(alice.public(), b"info", b"associated", text.expose(), rng).unwrap();
    drop(text);
    assert!(is_free_of(&[needle]));
    let opened = hpke::open(&alice, b"info", b"associated", &sealed).unwrap();
    goes_with(opened, &[needle]);
}
