//! The beginning of a conversation between Alice and Bob, using only the public API.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

use rand::{SeedableRng as _, rngs::StdRng};
use sealpost_protocol::{
    Address, Ciphertext, DecodeError, DecryptError, DecryptionErrorMessage, DeviceId, EncryptError,
    IdentityKeyPair, Inbound, InitiateError, KemPreKey, KemPreKeyId, LocalDevice, OneTimePreKey,
    OneTimePreKeyId, OurPreKeys, PlaintextContent, PreKeyBundle, PreKeyKind, PreKeySignalMessage,
    RawPreKeyBundle, RawSigned, SessionChange, SessionPolicy, SessionRecord, SignalMessage, SignedPreKey,
    SignedPreKeyId, SkippedChange, SkippedKeys, StoredSession, UnixSeconds, VerifiedBundle,
};

const NOW: UnixSeconds = UnixSeconds(1_764_000_000);
const DAY: u64 = 24 * 3600;

struct Device {
    identity: IdentityKeyPair,
    address: Address,
    signed: SignedPreKey,
    one_time: OneTimePreKey,
    kem: KemPreKey,
}

impl Device {
    fn new(name: &str, rng: &mut StdRng) -> Self {
        let identity = IdentityKeyPair::generate(rng);
        Self {
            address: Address::new(name, DeviceId::new(1).unwrap()),
            signed: SignedPreKey::generate(SignedPreKeyId(0), &identity, 0, rng),
            one_time: OneTimePreKey::generate(OneTimePreKeyId(u32::MAX), rng),
            kem: KemPreKey::generate(KemPreKeyId(3), &identity, 0, rng),
            identity,
        }
    }

    fn local(&self) -> LocalDevice<'_> {
        LocalDevice { identity: &self.identity, address: &self.address, registration_id: 77 }
    }

    /// The input for decrypting a message from `peer` without stored skipped keys.
    fn inbound<'a>(&'a self, peer: &'a Self) -> Inbound<'a> {
        let (local, remote, policy) = (self.local(), &peer.address, SessionPolicy::TripleRatchet);
        Inbound { local, remote, skipped: &[], policy, now: NOW }
    }

    fn keys(&self) -> OurPreKeys<'_> {
        OurPreKeys { signed: &self.signed, one_time: Some(&self.one_time), kem: Some(&self.kem) }
    }

    fn bundle(&self, with_kem: bool) -> VerifiedBundle {
        let kem_key = self.kem.public_key();
        let raw = RawPreKeyBundle {
            registration_id: 77,
            device_id: 1,
            identity_key: &self.identity.public().serialize(),
            signed_pre_key: RawSigned {
                id: self.signed.id().0,
                key: &self.signed.public_key(),
                signature: self.signed.signature(),
            },
            one_time_pre_key: Some((self.one_time.id().0, &self.one_time.public_key())),
            kem_pre_key: with_kem.then_some(RawSigned {
                id: self.kem.id().0,
                key: &kem_key,
                signature: self.kem.signature(),
            }),
        };
        PreKeyBundle::parse(raw).unwrap().verify().unwrap()
    }

    fn meet(&self, peer: &Self, rng: &mut StdRng) -> SessionRecord {
        let (local, policy) = (self.local(), SessionPolicy::TripleRatchet);
        SessionRecord::empty().initiate(&local, &peer.address, peer.bundle(true), policy, NOW, rng).unwrap()
    }

    fn send(&self, record: &mut SessionRecord, peer: &Self, text: &str, rng: &mut StdRng) -> Ciphertext {
        let sent = record.encrypt(&self.local(), &peer.address, text.as_bytes(), NOW, rng).unwrap();
        *record = sent.next;
        sent.output
    }

    fn receive(
        &self,
        record: &mut SessionRecord,
        peer: &Self,
        ciphertext: &Ciphertext,
        rng: &mut StdRng,
    ) -> Result<String, DecryptError> {
        let inbound = self.inbound(peer);
        let advanced = match ciphertext {
            Ciphertext::Signal(message) => {
                let message = SignalMessage::parse(message.serialize()).unwrap();
                record.decrypt(&inbound, &message, rng)?
            }
            Ciphertext::PreKey(message) => {
                let message = PreKeySignalMessage::parse(message.serialize()).unwrap();
                let keys = Some(self.keys());
                record.decrypt_pre_key(&inbound, &message, keys, rng)?.advanced
            }
        };
        *record = advanced.next;
        assert_eq!(advanced.output.authenticated_by, *peer.identity.public());
        Ok(String::from_utf8(advanced.output.plaintext.expose().to_vec()).unwrap())
    }
}

fn two() -> (Device, Device, StdRng) {
    let mut rng = StdRng::seed_from_u64(7);
    let alice = Device::new("9d0652a3-dcc3-4d11-975f-74d61598733f", &mut rng);
    let bob = Device::new("796abedb-ca4e-4f18-8803-1fde5b921f9f", &mut rng);
    (alice, bob, rng)
}

#[test]
fn the_first_message_carries_the_handshake_until_the_answer() {
    let (alice, bob, mut rng) = two();
    let mut at_alice = alice.meet(&bob, &mut rng);
    let mut at_bob = SessionRecord::empty();
    for text in ["one", "two"] {
        let sent = alice.send(&mut at_alice, &bob, text, &mut rng);
        assert!(matches!(sent, Ciphertext::PreKey(_)));
        assert_eq!(bob.receive(&mut at_bob, &alice, &sent, &mut rng).unwrap(), text);
    }
    for text in ["three", "four"] {
        let sent = bob.send(&mut at_bob, &alice, text, &mut rng);
        assert!(matches!(sent, Ciphertext::Signal(_)));
        assert_eq!(alice.receive(&mut at_alice, &bob, &sent, &mut rng).unwrap(), text);
    }
    let sent = alice.send(&mut at_alice, &bob, "five", &mut rng);
    assert!(matches!(sent, Ciphertext::Signal(_)));
    assert_eq!(bob.receive(&mut at_bob, &alice, &sent, &mut rng).unwrap(), "five");
    assert_eq!(bob.receive(&mut at_bob, &alice, &sent, &mut rng), Err(DecryptError::Duplicate));
    assert_eq!(at_bob.remote_identity(), Some(alice.identity.public()));
    assert_eq!(at_bob.remote_registration_id(), Some(77));
}

#[test]
fn the_handshake_names_its_pre_keys_once() {
    let (alice, bob, mut rng) = two();
    let mut at_alice = alice.meet(&bob, &mut rng);
    let [first, second] = ["one", "two"].map(|text| alice.send(&mut at_alice, &bob, text, &mut rng));
    let (Ciphertext::PreKey(first), Ciphertext::PreKey(second)) = (first, second) else { panic!() };
    let (empty, inbound) = (SessionRecord::empty(), bob.inbound(&alice));

    let accept = |record: &SessionRecord, message, keys, rng: &mut StdRng| {
        record.decrypt_pre_key(&inbound, message, keys, rng)
    };
    assert!(!empty.knows(&first));
    let accepted = accept(&empty, &first, Some(bob.keys()), &mut rng).unwrap();
    let consumed = accepted.consumed.unwrap();
    assert_eq!(consumed.one_time, Some(OneTimePreKeyId(u32::MAX)));
    assert_eq!(consumed.kem, Some(KemPreKeyId(3)));
    assert_eq!(consumed.signed, SignedPreKeyId(0));
    // The owner of a last-resort KEM pre-key recognises a replay by the base key. It is that of the message, and differs for
    // each session.
    assert_eq!(consumed.base_key, first.session_id().as_bytes()[1..]);
    let another = alice.send(&mut alice.meet(&bob, &mut rng), &bob, "again", &mut rng);
    let Ciphertext::PreKey(another) = another else { panic!() };
    let accepted = accept(&empty, &another, Some(bob.keys()), &mut rng).unwrap();
    assert_eq!(accepted.consumed.unwrap().base_key, another.session_id().as_bytes()[1..]);
    assert_ne!(first.session_id(), another.session_id());
    let accepted = accept(&empty, &first, Some(bob.keys()), &mut rng).unwrap();
    let record = accepted.advanced.next;
    assert!(record.knows(&second));
    assert!(accept(&record, &second, None, &mut rng).unwrap().consumed.is_none());

    let without_one_time = OurPreKeys { one_time: None, ..bob.keys() };
    let without_kem = OurPreKeys { kem: None, ..bob.keys() };
    for (keys, kind) in [
        (None, PreKeyKind::Signed),
        (Some(without_one_time), PreKeyKind::OneTime),
        (Some(without_kem), PreKeyKind::Kem),
    ] {
        let refused = accept(&empty, &first, keys, &mut rng);
        assert_eq!(refused.err(), Some(DecryptError::MissingPreKey(kind)));
    }
}

#[test]
fn version_3_sessions_begin_only_if_the_policy_allows_them() {
    let (alice, bob, mut rng) = two();
    let local = alice.local();
    let meet = |policy, with_kem, rng: &mut StdRng| {
        let bundle = bob.bundle(with_kem);
        SessionRecord::empty().initiate(&local, &bob.address, bundle, policy, NOW, rng)
    };
    assert_eq!(meet(SessionPolicy::default(), false, &mut rng).err(), Some(InitiateError::NoKemPreKey));
    let version = |record: &SessionRecord| record.sessions().next().unwrap().id.as_bytes()[0];
    assert_eq!(version(&meet(SessionPolicy::X3dh, true, &mut rng).unwrap()), 4);
    let mut at_alice = meet(SessionPolicy::X3dh, false, &mut rng).unwrap();
    assert_eq!(version(&at_alice), 3);

    let Ciphertext::PreKey(sent) = alice.send(&mut at_alice, &bob, "old", &mut rng) else { panic!() };
    let sent = PreKeySignalMessage::parse(sent.serialize()).unwrap();
    assert_eq!(sent.serialize()[0], 0x34);
    assert_eq!(sent.kem_pre_key_id(), None);
    let empty = SessionRecord::empty();
    let under = |policy| Inbound { policy, ..bob.inbound(&alice) };
    let accept =
        |policy, rng: &mut StdRng| empty.decrypt_pre_key(&under(policy), &sent, Some(bob.keys()), rng);
    assert_eq!(accept(SessionPolicy::TripleRatchet, &mut rng).err(), Some(DecryptError::UnsupportedVersion));
    let accepted = accept(SessionPolicy::X3dh, &mut rng).unwrap();
    assert_eq!(accepted.advanced.output.plaintext.expose(), b"old");
    // KEM fields have no meaning in version 3: they consume no key of ours.
    let fields_7_and_8 = [&[0x38, 3, 0x42, 0xa1, 0x0c, 8][..], &[0; 1568]].concat();
    let padded = PreKeySignalMessage::parse(&[sent.serialize(), &fields_7_and_8].concat()).unwrap();
    assert_eq!(padded.kem_pre_key_id(), Some(KemPreKeyId(3)));
    let inbound = under(SessionPolicy::X3dh);
    let joined = empty.decrypt_pre_key(&inbound, &padded, Some(bob.keys()), &mut rng).unwrap();
    assert_eq!(joined.consumed.unwrap().kem, None);
    // An existing session continues.
    let next = accepted.advanced.next;
    let again = next.decrypt_pre_key(&bob.inbound(&alice), &sent, None, &mut rng);
    assert_eq!(again.err(), Some(DecryptError::Duplicate));
}

#[test]
fn an_unanswered_session_is_stale_after_30_days() {
    let (alice, bob, mut rng) = two();
    let mut record = alice.meet(&bob, &mut rng);
    let last = UnixSeconds(NOW.0 + 30 * DAY);
    let late = UnixSeconds(last.0 + 1);
    let mut encrypt = |record: &SessionRecord, now| {
        record.encrypt(&alice.local(), &bob.address, b"hello", now, &mut rng).map(drop)
    };
    let policy = SessionPolicy::TripleRatchet;
    assert!(record.usable_for_sending(policy, last));
    assert_eq!(encrypt(&record, last), Ok(()));
    assert!(record.has_active() && !record.usable_for_sending(policy, late));
    assert_eq!(encrypt(&record, late), Err(EncryptError::Stale));
    let archived = record.archive(NOW);
    assert!(!archived.has_active());
    assert_eq!(encrypt(&archived, NOW), Err(EncryptError::NoSession));

    let mut rng = StdRng::seed_from_u64(8);
    let mut at_bob = SessionRecord::empty();
    let sent = alice.send(&mut record, &bob, "hello", &mut rng);
    bob.receive(&mut at_bob, &alice, &sent, &mut rng).unwrap();
    let answer = bob.send(&mut at_bob, &alice, "hi", &mut rng);
    alice.receive(&mut record, &bob, &answer, &mut rng).unwrap();
    assert!(record.usable_for_sending(policy, late));
}

#[test]
fn a_pre_key_message_opens_only_at_the_address_it_was_sent_to() {
    let (alice, mut bob, mut rng) = two();
    let sent = alice.send(&mut alice.meet(&bob, &mut rng), &bob, "hello", &mut rng);
    let at_home = bob.address.clone();
    bob.address = Address::new(at_home.name(), DeviceId::new(2).unwrap());
    let elsewhere = bob.receive(&mut SessionRecord::empty(), &alice, &sent, &mut rng);
    assert_eq!(elsewhere, Err(DecryptError::NotDecryptable));
    bob.address = at_home;
    assert_eq!(bob.receive(&mut SessionRecord::empty(), &alice, &sent, &mut rng).unwrap(), "hello");
}

#[test]
fn a_retry_request_identifies_the_session_that_failed() {
    let (alice, bob, mut rng) = two();
    let (mut at_alice, mut at_bob) = (alice.meet(&bob, &mut rng), SessionRecord::empty());
    let first = alice.send(&mut at_alice, &bob, "one", &mut rng);
    bob.receive(&mut at_bob, &alice, &first, &mut rng).unwrap();

    // Bob has lost his session: he cannot decrypt Alice's message, and reports that without a session.
    let lost = alice.send(&mut at_alice, &bob, "two", &mut rng);
    let about = |sent: &Ciphertext| {
        let device = alice.address.device();
        DecryptionErrorMessage::about(sent.serialize(), sent.message_type(), 1_764_000_000_123, device)
    };
    let request = PlaintextContent::new(&about(&lost).unwrap());
    let request = PlaintextContent::parse(request.serialize()).unwrap().decryption_error().unwrap();
    let ratchet_key = *request.ratchet_key().unwrap();
    assert_eq!(request.device_id(), alice.address.device().get());
    assert!(at_alice.sends_with(&ratchet_key));
    // Once there is another ratchet key, or no active session, the request refers to an old state.
    assert!(!at_alice.archive(NOW).sends_with(&ratchet_key));
    let answer = bob.send(&mut at_bob, &alice, "three", &mut rng);
    alice.receive(&mut at_alice, &bob, &answer, &mut rng).unwrap();
    assert!(!at_alice.sends_with(&ratchet_key));
    assert!(!at_bob.sends_with(&ratchet_key));
}

#[test]
fn a_bundle_of_another_device_is_refused() {
    let (alice, bob, mut rng) = two();
    let other = Address::new(bob.address.name(), DeviceId::new(2).unwrap());
    let (local, policy) = (alice.local(), SessionPolicy::TripleRatchet);
    let refused = SessionRecord::empty().initiate(&local, &other, bob.bundle(true), policy, NOW, &mut rng);
    assert_eq!(refused.err(), Some(InitiateError::WrongDevice));
}

#[test]
fn forty_inactive_sessions_are_kept() {
    let (alice, bob, mut rng) = two();
    let mut at_bob = SessionRecord::empty();
    let mut firsts = Vec::new();
    for text in 0..42 {
        let mut at_alice = alice.meet(&bob, &mut rng);
        let sent = alice.send(&mut at_alice, &bob, &text.to_string(), &mut rng);
        bob.receive(&mut at_bob, &alice, &sent, &mut rng).unwrap();
        firsts.push((at_alice, sent));
    }
    assert_eq!(at_bob.sessions().count(), 41);
    // This many can be read again, but a record with one more is malformed.
    assert_eq!(*SessionRecord::from_bytes(&at_bob.to_bytes()).unwrap().to_bytes(), *at_bob.to_bytes());
    let read = SessionRecord::from_stored(at_bob.sessions()).unwrap();
    assert_eq!(*read.to_bytes(), *at_bob.to_bytes());
    let other = firsts[0].0.archive(NOW);
    let too_many = at_bob.sessions().chain(other.sessions());
    assert_eq!(SessionRecord::from_stored(too_many).err(), Some(DecodeError::Malformed));
    let too_many = [&*at_bob.to_bytes(), &*other.to_bytes()].concat();
    assert_eq!(SessionRecord::from_bytes(&too_many).err(), Some(DecodeError::Malformed));
    // A deleted session is reported, so that its skipped keys are deleted with it.
    let another = alice.send(&mut alice.meet(&bob, &mut rng), &bob, "more", &mut rng);
    let Ciphertext::PreKey(message) = &another else { panic!() };
    let (keys, inbound) = (Some(bob.keys()), bob.inbound(&alice));
    let accepted = at_bob.decrypt_pre_key(&inbound, message, keys, &mut rng).unwrap();
    let oldest = at_bob.sessions().last().unwrap().id;
    assert!(matches!(accepted.advanced.skipped[..], [SkippedChange::ForgetSession(id)] if id == oldest));
    let changes = accepted.advanced.next.changes_since(&at_bob);
    assert!(matches!(changes.last(), Some(SessionChange::Remove(id)) if *id == oldest));
    // The second session is the oldest one left. A message makes it active, and the others stay.
    let (at_alice, first) = &mut firsts[1];
    assert_eq!(bob.receive(&mut at_bob, &alice, first, &mut rng), Err(DecryptError::Duplicate));
    let sent = alice.send(at_alice, &bob, "back", &mut rng);
    assert_eq!(bob.receive(&mut at_bob, &alice, &sent, &mut rng).unwrap(), "back");
    assert_eq!(at_bob.sessions().count(), 41);
    let sessions: Vec<_> = at_bob.sessions().collect();
    assert!(sessions.windows(2).all(|pair| pair[0].rank > pair[1].rank));
    // The first one has been deleted: its messages need pre-keys again.
    let Ciphertext::PreKey(first) = &firsts[0].1 else { panic!() };
    assert!(!at_bob.knows(first));
}

#[test]
fn a_record_is_the_same_after_storing_it_as_rows_or_bytes() {
    let (alice, bob, mut rng) = two();
    let mut at_alice = alice.meet(&bob, &mut rng);
    let before = at_alice.clone();
    assert_eq!(at_alice.changes_since(&SessionRecord::empty()).len(), 1);
    alice.send(&mut at_alice, &bob, "x", &mut rng);
    assert_eq!(at_alice.changes_since(&before).len(), 1);
    assert!(at_alice.changes_since(&at_alice.clone()).is_empty());
    let with_handshake = at_alice.sessions().next().unwrap().bytes.len();
    at_alice = at_alice.archive(NOW);
    // An archived session does not send any more, so its handshake is removed.
    assert!(at_alice.sessions().next().unwrap().bytes.len() + 1_569 < with_handshake);
    let policy = SessionPolicy::TripleRatchet;
    at_alice =
        at_alice.initiate(&alice.local(), &bob.address, bob.bundle(true), policy, NOW, &mut rng).unwrap();
    let read = SessionRecord::from_stored(at_alice.sessions()).unwrap();
    assert_eq!(*read.to_bytes(), *at_alice.to_bytes());
    let read = SessionRecord::from_bytes(&at_alice.to_bytes()).unwrap();
    assert_eq!(*read.to_bytes(), *at_alice.to_bytes());
    assert!(SkippedKeys::default().is_empty());
}

/// Under a wrong ID, the row would be deleted, and its skipped keys searched for, in the wrong place.
#[test]
fn a_session_under_the_id_of_another_is_refused() {
    let (alice, bob, mut rng) = two();
    let [first, second] = [(); 2].map(|()| alice.meet(&bob, &mut rng));
    let id_of = |record: &SessionRecord| record.sessions().next().unwrap().id;
    let (id, other) = (id_of(&first), id_of(&second));
    assert_ne!(id, other);
    let StoredSession { rank, standing, bytes, .. } = first.sessions().next().unwrap();
    let row = |id| StoredSession { id, rank, standing, bytes: &*bytes };
    let read = |id| SessionRecord::from_stored([row(id)]).map(|record| id_of(&record));
    assert_eq!(read(id), Ok(id));
    assert_eq!(read(other), Err(DecodeError::Malformed));

    // The same in one blob: form (2 bytes), length of the row (3), then the ID.
    let mut whole = first.to_bytes().to_vec();
    let at = whole.windows(34).position(|window| window == id.as_bytes()).unwrap();
    whole[at..at + 34].copy_from_slice(other.as_bytes());
    assert_eq!(SessionRecord::from_bytes(&whole).err(), Some(DecodeError::Malformed));

    // The changes of a message are written under the ID of its session.
    let mut sent = first.clone();
    let message = alice.send(&mut sent, &bob, "x", &mut rng);
    let Ciphertext::PreKey(message) = message else { panic!() };
    assert_eq!(message.session_id(), id);
    let changes = sent.changes_since(&first);
    assert!(matches!(changes[..], [SessionChange::Put(StoredSession { id: put, .. })] if put == id));
}
