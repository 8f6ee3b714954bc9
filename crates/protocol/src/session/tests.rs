//! What a message may cost, and which session it brings back.

#![allow(clippy::arithmetic_side_effects, reason = "a test fails by panicking")]

use rand::{SeedableRng as _, rngs::StdRng};

use super::*;
use crate::address::DeviceId;
use crate::identity::IdentityKeyPair;
use crate::message::{Associated, Ciphertext, SignalMessage};
use crate::prekey::{
    KemPreKey, OneTimePreKey, OurPreKeys, PreKeyBundle, RawPreKeyBundle, RawSigned, SignedPreKey,
};
use crate::ratchet::skipped::SkippedKeys;
use crate::ratchet::walk::{Jump, Work};
use crate::session_id::{SessionId, SessionVersion};

const NOW: UnixSeconds = UnixSeconds(1_764_000_000);
const DAY: u64 = 24 * 3600;
const STRICT: SessionPolicy = SessionPolicy::TripleRatchet;

struct Device {
    identity: IdentityKeyPair,
    address: Address,
    signed: SignedPreKey,
    one_time: OneTimePreKey,
    kem: KemPreKey,
    record: SessionRecord,
    skipped: SkippedKeys,
    policy: SessionPolicy,
    now: UnixSeconds,
    rng: StdRng,
}

impl Device {
    fn new(name: &str, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let identity = IdentityKeyPair::generate(&mut rng);
        Self {
            address: Address::new(name, DeviceId::new(1).unwrap()),
            signed: SignedPreKey::generate(SignedPreKeyId(1), &identity, 0, &mut rng),
            one_time: OneTimePreKey::generate(OneTimePreKeyId(1), &mut rng),
            kem: KemPreKey::generate(KemPreKeyId(1), &identity, 0, &mut rng),
            identity,
            record: SessionRecord::empty(),
            skipped: SkippedKeys::default(),
            policy: STRICT,
            now: NOW,
            rng,
        }
    }

    fn meet(&mut self, peer: &Self, with_kem: bool) {
        let kem = peer.kem.public_key();
        let raw = RawPreKeyBundle {
            registration_id: 1,
            device_id: 1,
            identity_key: &peer.identity.public().serialize(),
            signed_pre_key: RawSigned {
                id: 1,
                key: &peer.signed.public_key(),
                signature: peer.signed.signature(),
            },
            one_time_pre_key: Some((1, &peer.one_time.public_key())),
            kem_pre_key: with_kem.then_some(RawSigned { id: 1, key: &kem, signature: peer.kem.signature() }),
        };
        let bundle = PreKeyBundle::parse(raw).unwrap().verify().unwrap();
        let local = LocalDevice { identity: &self.identity, address: &self.address, registration_id: 1 };
        let Self { policy, now, .. } = *self;
        let met = self.record.initiate(&local, &peer.address, bundle, policy, now, &mut self.rng);
        self.record = met.unwrap();
    }

    fn say(&mut self, peer: &Self) -> Ciphertext {
        let local = LocalDevice { identity: &self.identity, address: &self.address, registration_id: 1 };
        let sent = self.record.encrypt(&local, &peer.address, b"text", self.now, &mut self.rng).unwrap();
        self.record = sent.next;
        self.skipped.apply(sent.skipped);
        sent.output
    }

    fn hear(&mut self, peer: &Self, ciphertext: &Ciphertext) -> Result<(), DecryptError> {
        let local = LocalDevice { identity: &self.identity, address: &self.address, registration_id: 1 };
        let found = self.skipped.find(signal(ciphertext));
        let Self { policy, now, .. } = *self;
        let inbound = Inbound { local, remote: &peer.address, skipped: &found, policy, now };
        let advanced = match ciphertext {
            Ciphertext::Signal(message) => self.record.decrypt(&inbound, message, &mut self.rng)?,
            Ciphertext::PreKey(message) => {
                let (one_time, kem) = (Some(&self.one_time), Some(&self.kem));
                let keys = Some(OurPreKeys { signed: &self.signed, one_time, kem });
                self.record.decrypt_pre_key(&inbound, message, keys, &mut self.rng)?.advanced
            }
        };
        assert_eq!(advanced.output.authenticated_by, *peer.identity.public());
        self.skipped.apply(advanced.skipped);
        self.record = advanced.next;
        Ok(())
    }

    fn active(&self) -> Option<SessionId> {
        self.record.active.as_ref().map(|entry| entry.session.parties.id)
    }

    fn inactive(&self) -> Vec<SessionId> {
        self.record.inactive.iter().map(|entry| entry.session.parties.id).collect()
    }

    /// The work that it takes to try a message with all sessions, if this much is allowed.
    fn cost(&self, peer: &Self, message: &SignalMessage, left: u32) -> (u32, Option<DecryptError>) {
        let local = LocalDevice { identity: &self.identity, address: &self.address, registration_id: 1 };
        let inbound = Inbound { local, remote: &peer.address, skipped: &[], policy: STRICT, now: NOW };
        let (mut work, mut rng) = (Work { left }, StdRng::seed_from_u64(0));
        let opened = self.record.open(&inbound, message, &mut work, &mut rng);
        (left - work.left, opened.err())
    }
}

fn two() -> (Device, Device) {
    (
        Device::new("9d0652a3-dcc3-4d11-975f-74d61598733f", 1),
        Device::new("796abedb-ca4e-4f18-8803-1fde5b921f9f", 2),
    )
}

/// Two devices that have received messages from each other.
fn acquainted() -> (Device, Device) {
    let (mut alice, mut bob) = two();
    alice.meet(&bob, true);
    exchange(&mut alice, &mut bob);
    (alice, bob)
}

fn exchange(from: &mut Device, to: &mut Device) {
    let sent = from.say(to);
    to.hear(from, &sent).unwrap();
    let answer = to.say(from);
    from.hear(to, &answer).unwrap();
}

fn signal(ciphertext: &Ciphertext) -> &SignalMessage {
    match ciphertext {
        Ciphertext::Signal(message) => message,
        Ciphertext::PreKey(message) => message.signal_message(),
    }
}

/// A message that anyone can construct: `number` of the chain of `ratchet_key`, and of the first chain of SPQR.
fn forged(ratchet_key: &[u8; PUBLIC_KEY_LEN], number: u32) -> SignalMessage {
    let varint = |number: u32| {
        let mut out = Vec::new();
        prost::encoding::encode_varint(number.into(), &mut out);
        out
    };
    let pq = [&[1, 1][..], &varint(number), &[0]].concat();
    let bytes = [
        &[0x44, 0x0a, 33][..],
        ratchet_key,
        &[0x10],
        &varint(number),
        &[0x22, 16],
        &[0; 16],
        &[0x2a, u8::try_from(pq.len()).unwrap()],
        &pq,
        &[0; 8],
    ];
    SignalMessage::parse(&bytes.concat()).unwrap()
}

/// Bob has 41 sessions, all of which Alice started.
fn with_a_past() -> (Device, Device, Vec<SessionRecord>) {
    let (mut alice, mut bob) = two();
    let mut records = Vec::new();
    for _ in 0..41 {
        alice.record = SessionRecord::empty();
        alice.meet(&bob, true);
        exchange(&mut alice, &mut bob);
        records.push(alice.record.clone());
    }
    assert_eq!(bob.inactive().len(), 40);
    (alice, bob, records)
}

#[test]
fn the_work_limit_of_a_forged_message_is_shared_by_all_sessions() {
    let (alice, bob, _) = with_a_past();
    let most = Work::new(Jump::Limited).left;
    let unknown = *IdentityKeyPair::generate(&mut StdRng::seed_from_u64(9)).public().as_bytes();
    // If no session knows the chain, each is tried: here 41 times 2,001 steps of one ratchet, and 1,999 of the other.
    let message = forged(&unknown, 2_000);
    let (spent, reason) = bob.cost(&alice, &message, u32::MAX);
    assert_eq!((spent, reason), (41 * (2_001 + 2 * 1_999), Some(DecryptError::NotDecryptable)));
    let (spent, reason) = bob.cost(&alice, &message, most);
    assert_eq!(reason, Some(DecryptError::NotDecryptable));
    assert!((most - 2_001..=most).contains(&spent), "{spent} of {most}");
    // If a session knows the chain, only that session is tried.
    let theirs =
        bob.record.inactive[7].session.ratchet.double.receiving.heads().next_back().unwrap().ratchet_key;
    let (spent, _) = bob.cost(&alice, &forged(theirs.as_bytes(), 2_000), u32::MAX);
    assert_eq!(spent, 2_000 + 2 * 1_999);
    // If SPQR has no key, no chain is walked.
    let spent_on = |message: &SignalMessage| bob.cost(&alice, message, most).0;
    let mut too_old = message.serialize().to_vec();
    let index = too_old.len() - 8 - 3;
    assert_eq!(too_old[index - 3..index], [5, 1, 1]);
    too_old[index..index + 2].copy_from_slice(&[0x81, 0]);
    assert_eq!(spent_on(&SignalMessage::parse(&too_old).unwrap()), 0);
    // A walk to a message that is too far ahead is not started.
    assert_eq!(spent_on(&forged(&unknown, 25_001)), 0);
    assert_eq!(spent_on(&forged(&unknown, u32::MAX)), 0);
}

/// All sessions that the peer started with the same signed pre-key know it as a ratchet key.
#[test]
fn the_work_limit_holds_for_a_chain_that_all_sessions_know() {
    let (mut alice, bob) = two();
    for _ in 0..41 {
        alice.meet(&bob, true);
    }
    let message = forged(&bob.signed.public_key(), 2_000);
    let (spent, _) = alice.cost(&bob, &message, u32::MAX);
    assert_eq!(spent, 41 * (2_001 + 2 * 2_000));
    assert!(alice.cost(&bob, &message, Work::new(Jump::Limited).left).0 <= 112_504);
}

/// Sends one message that arrives and then `lost` messages that do not, and returns the next message.
fn jump(alice: &mut Device, bob: &mut Device, lost: usize) -> Ciphertext {
    let arrives = alice.say(bob);
    bob.hear(alice, &arrives).unwrap();
    (0..lost).for_each(|_| drop(alice.say(bob)));
    alice.say(bob)
}

#[test]
fn a_message_of_a_known_chain_may_skip_25_000_messages() {
    let (mut alice, mut bob, records) = with_a_past();
    // First the active session, then an inactive one.
    for (at, is_active) in [(3, true), (4, false)] {
        alice.record = records[at].clone();
        let far = jump(&mut alice, &mut bob, 24_990);
        let session = alice.active();
        if !is_active {
            alice.record = records[5].clone();
            exchange(&mut alice, &mut bob);
        }
        assert_eq!(bob.active() == session, is_active);
        assert_eq!(bob.hear(&alice, &far), Ok(()));
        assert_eq!(bob.active(), session);
    }
}

#[test]
fn a_message_of_another_user_has_the_lower_work_limit() {
    let (alice, bob) = acquainted();
    let local = LocalDevice { identity: &bob.identity, address: &bob.address, registration_id: 1 };
    let inbound = Inbound { local, remote: &alice.address, skipped: &[], policy: STRICT, now: NOW };
    let others = Work::new(Jump::Limited).left;
    assert_eq!(bob.record.work(&inbound).left, others);
    assert!(others < Work::new(Jump::Far).left, "which only an own device may");
}

/// SPQR counts the skipped messages from the last message, the Double Ratchet from the next one.
#[test]
fn a_message_with_keys_of_both_ratchets_may_skip_24_999_messages() {
    let (mut alice, mut bob) = acquainted();
    let heard = alice.say(&bob);
    bob.hear(&alice, &heard).unwrap();
    (0..24_999).for_each(|_| drop(alice.say(&bob)));
    let (far, too_far) = (alice.say(&bob), alice.say(&bob));
    assert_eq!(bob.hear(&alice, &too_far), Err(DecryptError::NotDecryptable));
    assert_eq!(bob.hear(&alice, &far), Ok(()));
}

#[test]
fn a_message_may_skip_messages_of_a_new_chain() {
    let (mut alice, mut bob, records) = with_a_past();
    // As far as the protocol allows in the active session, which is tried first.
    alice.record = records[40].clone();
    (0..24_990).for_each(|_| drop(alice.say(&bob)));
    let far = alice.say(&bob);
    assert_eq!(bob.hear(&alice, &far), Ok(()));
    // An inactive session is found by the distances of both ratchets, because the others have received more or fewer
    // messages.
    let mut talked = Vec::new();
    for (times, record) in records.iter().enumerate().take(8).skip(1) {
        alice.record = record.clone();
        (0..2 * times).for_each(|_| exchange(&mut alice, &mut bob));
        talked.push(alice.record.clone());
    }
    alice.record = talked[3].clone();
    let session = alice.active();
    assert_ne!(bob.active(), session);
    (0..9_000).for_each(|_| drop(alice.say(&bob)));
    let far = alice.say(&bob);
    assert_eq!(bob.hear(&alice, &far), Ok(()));
    assert_eq!(bob.active(), session);
}

#[test]
fn a_weaker_session_does_not_become_active_again() {
    let (mut alice, mut bob) = two();
    (alice.policy, bob.policy) = (SessionPolicy::X3dh, SessionPolicy::X3dh);
    // A delayed message: the second one of a session without post-quantum keys.
    alice.meet(&bob, false);
    exchange(&mut alice, &mut bob);
    let (old, held_back) = (alice.active(), alice.say(&bob));
    alice.policy = STRICT;
    alice.meet(&bob, true);
    exchange(&mut alice, &mut bob);
    let strong = alice.active();
    assert_eq!((bob.active(), bob.inactive()), (strong, vec![old.unwrap()]));

    assert_eq!(bob.hear(&alice, &held_back), Ok(()), "it is read");
    assert_eq!((bob.active(), bob.inactive()), (strong, vec![old.unwrap()]));
    assert_eq!(bob.hear(&alice, &held_back), Err(DecryptError::Duplicate), "and only once");
}

#[test]
fn a_delayed_first_message_does_not_activate_a_weaker_session() {
    let (mut alice, mut bob) = two();
    (alice.policy, bob.policy) = (SessionPolicy::X3dh, SessionPolicy::X3dh);
    alice.meet(&bob, false);
    let (old, held_back) = (alice.active(), alice.say(&bob));
    alice.meet(&bob, true);
    alice.policy = STRICT;
    exchange(&mut alice, &mut bob);
    let strong = alice.active();
    assert_eq!(bob.hear(&alice, &held_back), Ok(()), "it is read");
    assert_eq!((bob.active(), bob.inactive()), (strong, vec![old.unwrap()]));
    // Storing keeps the order.
    let stored = bob.record.to_bytes();
    assert_eq!(*SessionRecord::from_bytes(&stored).unwrap().to_bytes(), *stored);
    bob.meet(&alice, true);
    let stored = bob.record.to_bytes();
    assert_eq!(*SessionRecord::from_bytes(&stored).unwrap().to_bytes(), *stored);

    // Another identity is another peer, so its session is not compared with those of the previous identity.
    let mut again = Device::new(alice.address.name(), 3);
    again.policy = SessionPolicy::X3dh;
    again.meet(&bob, false);
    let first = again.say(&bob);
    assert_eq!(bob.hear(&again, &first), Ok(()));
    assert_eq!(bob.active(), again.active());
}

#[test]
fn a_session_that_the_policy_does_not_allow_does_not_become_active() {
    let (mut alice, mut bob) = two();
    (alice.policy, bob.policy) = (SessionPolicy::X3dh, SessionPolicy::X3dh);
    alice.meet(&bob, false);
    exchange(&mut alice, &mut bob);
    let usable = |device: &Device, policy| device.record.usable_for_sending(policy, NOW);
    assert!(usable(&bob, SessionPolicy::X3dh));
    assert!(!usable(&bob, SessionPolicy::Pqxdh) && !usable(&bob, STRICT));
    // If there is no other session, it is still used for sending.
    bob.policy = STRICT;
    let sent = bob.say(&alice);
    assert_eq!(alice.hear(&bob, &sent), Ok(()));
    // Even if there is no active session, a message does not make it active.
    bob.record = bob.record.archive(NOW);
    bob.policy = STRICT;
    let sent = alice.say(&bob);
    assert_eq!(bob.hear(&alice, &sent), Ok(()));
    assert_eq!(bob.active(), None);
    bob.policy = SessionPolicy::X3dh;
    let sent = alice.say(&bob);
    assert_eq!(bob.hear(&alice, &sent), Ok(()));
    assert_eq!(bob.active(), alice.active());

    // SPQR that is only offered may still be declined.
    let (mut alice, mut bob) = two();
    (alice.policy, bob.policy) = (SessionPolicy::Pqxdh, SessionPolicy::Pqxdh);
    alice.meet(&bob, true);
    assert!(usable(&alice, SessionPolicy::Pqxdh) && !usable(&alice, STRICT));
    exchange(&mut alice, &mut bob);
    assert!(usable(&alice, STRICT) && usable(&bob, STRICT));
}

#[test]
fn a_late_message_is_decrypted_and_activates_no_session() {
    let (mut alice, mut bob) = acquainted();
    let late = alice.say(&bob);
    let next = alice.say(&bob);
    bob.hear(&alice, &next).unwrap();
    let old = alice.record.clone();
    alice.meet(&bob, true);
    exchange(&mut alice, &mut bob);
    let newest = bob.active();
    assert_eq!(bob.hear(&alice, &late), Ok(()));
    assert_eq!(bob.active(), newest);
    // A message that continues the old session makes it active, because the peer may have no other.
    alice.record = old;
    let sent = alice.say(&bob);
    assert_eq!(bob.hear(&alice, &sent), Ok(()));
    assert_eq!((bob.active(), alice.active() == newest), (alice.active(), false));
}

/// Otherwise the restored device would use keys again that it used after the copy was made.
#[test]
fn a_session_of_a_restored_copy_still_receives_and_never_becomes_active_again() {
    let (mut alice, mut bob) = acquainted();
    let older = bob.record.clone();
    bob.meet(&alice, true);
    exchange(&mut bob, &mut alice);
    assert_ne!(older.sessions().next().unwrap().id, bob.record.sessions().next().unwrap().id);
    let copy = bob.record.archive_for_ever(NOW);
    assert_eq!(copy.sessions().count(), 2);
    let copy = SessionRecord::from_bytes(&copy.to_bytes()).unwrap();
    let waiting = [alice.say(&bob), alice.say(&bob), alice.say(&bob)];
    let lost = bob.say(&alice);
    assert_eq!(alice.hear(&bob, &lost), Ok(()));

    bob.record = copy;
    assert_eq!(bob.hear(&alice, &waiting[0]), Ok(()));
    assert_eq!(bob.active(), None);
    assert!(!bob.record.usable_for_sending(bob.policy, NOW));
    // Not after it was stored and loaded again, nor in place of a newer session.
    bob.record = SessionRecord::from_bytes(&bob.record.to_bytes()).unwrap();
    assert_eq!(bob.hear(&alice, &waiting[1]), Ok(()));
    assert_eq!(bob.active(), None);
    bob.meet(&alice, true);
    let newest = bob.active();
    assert_eq!(bob.hear(&alice, &waiting[2]), Ok(()));
    assert_eq!(bob.active(), newest);
    // The peer takes the new one.
    exchange(&mut bob, &mut alice);
    assert_eq!((alice.active(), bob.active()), (newest, newest));
}

#[test]
fn an_inactive_session_that_only_receives_never_becomes_active_and_the_others_stay_as_they_were() {
    let (mut alice, mut bob) = acquainted();
    let first = bob.active().unwrap();
    let waiting = [alice.say(&bob), alice.say(&bob)];
    bob.meet(&alice, true);
    let newest = bob.active();
    // The active one is not ended.
    let unchanged = bob.record.receive_only(&[newest.unwrap()]);
    assert_eq!(unchanged.changes_since(&bob.record).len(), 0);
    let before = bob.record.clone();
    bob.record = bob.record.receive_only(&[first, newest.unwrap()]);
    assert_eq!(bob.record.changes_since(&before).len(), 1);
    assert_eq!(bob.record.receive_only(&[first]).changes_since(&bob.record).len(), 0);
    bob.record = bob.record.archive(NOW);
    assert_eq!(bob.hear(&alice, &waiting[0]), Ok(()));
    assert_eq!(bob.active(), None);
    // Without that, it becomes active again.
    bob.record = before.archive(NOW);
    assert_eq!(bob.hear(&alice, &waiting[0]), Ok(()));
    assert_eq!(bob.active(), Some(first));
}

/// A chain stays open after its successor, so a late message need not have been skipped before.
#[test]
fn a_late_message_of_an_older_chain_activates_no_session() {
    let (mut alice, mut bob) = acquainted();
    let first = alice.say(&bob);
    bob.hear(&alice, &first).unwrap();
    let late = alice.say(&bob);
    let answer = bob.say(&alice);
    alice.hear(&bob, &answer).unwrap();
    let next = alice.say(&bob);
    bob.hear(&alice, &next).unwrap();
    alice.meet(&bob, true);
    exchange(&mut alice, &mut bob);
    let newest = bob.active();
    assert_eq!(bob.hear(&alice, &late), Ok(()));
    assert_eq!(bob.active(), newest);
}

#[test]
fn changes_remove_a_session_that_another_record_does_not_have() {
    let (mut alice, bob) = two();
    alice.meet(&bob, true);
    let (old, replaced) = (alice.record.clone(), alice.active().unwrap());
    alice.record = SessionRecord::empty();
    alice.meet(&bob, true);
    let changes = alice.record.changes_since(&old);
    let [SessionChange::Put(put), SessionChange::Remove(removed)] = &*changes else { panic!("{changes:?}") };
    assert_eq!((Some(put.id), *removed), (alice.active(), replaced));
}

#[test]
fn an_inactive_session_expires_after_thirty_days_counted_from_now_if_its_age_is_unknown() {
    let (mut alice, mut bob) = acquainted();
    let late = alice.say(&bob);
    let next = alice.say(&bob);
    bob.hear(&alice, &next).unwrap();
    let kept = bob.skipped.len();
    assert!(kept > 0);
    alice.meet(&bob, true);
    exchange(&mut alice, &mut bob);
    let inactive = bob.inactive();
    assert_eq!(inactive.len(), 1);

    // A message to another session removes it, as `expire` does.
    let before = bob.record.clone();
    bob.now = UnixSeconds(NOW.0 + 30 * DAY);
    assert_eq!(bob.record.expire(bob.now).inactive.len(), 1);
    bob.now = UnixSeconds(bob.now.0 + 1);
    assert!(bob.record.expire(bob.now).inactive.is_empty());
    assert_eq!(bob.hear(&alice, &late), Err(DecryptError::NotDecryptable));
    let sent = alice.say(&bob);
    assert_eq!(bob.hear(&alice, &sent), Ok(()));
    assert!(bob.inactive().is_empty() && bob.skipped.is_empty(), "its skipped keys go with it");
    let changes = bob.record.changes_since(&before);
    assert!(matches!(changes[..], [SessionChange::Put(_), SessionChange::Remove(id)] if id == inactive[0]));

    // A session from before ages were stored.
    let rows = before.sessions().map(|row| match row.standing {
        Standing::Active => row,
        Standing::Inactive { .. } => StoredSession { standing: Standing::Inactive { since: None }, ..row },
    });
    let unknown = SessionRecord::from_stored(rows).unwrap();
    let seen = unknown.expire(bob.now);
    assert_eq!(seen.inactive.len(), 1);
    assert_eq!(seen.expire(UnixSeconds(bob.now.0 + 30 * DAY)).inactive.len(), 1);
    assert!(seen.expire(UnixSeconds(bob.now.0 + 30 * DAY + 1)).inactive.is_empty());
}

#[test]
fn a_skipped_key_cannot_be_used_after_thirty_days() {
    let (mut alice, mut bob) = acquainted();
    let late = [alice.say(&bob), alice.say(&bob)];
    let next = alice.say(&bob);
    bob.hear(&alice, &next).unwrap();
    bob.now = UnixSeconds(NOW.0 + 30 * DAY);
    assert_eq!(bob.hear(&alice, &late[0]), Ok(()));
    bob.now = UnixSeconds(bob.now.0 + 1);
    assert_eq!(bob.hear(&alice, &late[1]), Err(DecryptError::Duplicate), "as if it had not been kept");
}

/// A message without a key of SPQR, forged by an attacker who has stolen the classical half of the sender's state and
/// nothing of SPQR.
fn forged_by_a_thief(alice: &Device, bob: &Device) -> Ciphertext {
    let session = &alice.record.active.as_ref().unwrap().session;
    let (_, header, key) = session.ratchet.double.send().unwrap();
    let (sender, receiver) = (alice.identity.public(), bob.identity.public());
    let associated = Associated { sender, receiver, addresses: None };
    // Version 1, epoch 1, number 0, without a payload.
    let keyless = &[1, 1, 0, 0];
    let keys = key.into_cipher_keys(None);
    Ciphertext::Signal(SignalMessage::seal(SessionVersion::V4, header, keyless, b"forged", keys, &associated))
}

#[test]
fn a_message_without_a_key_of_spqr_can_be_forged_with_the_classical_state_unless_one_is_required() {
    for (policy, forging) in [(SessionPolicy::Pqxdh, Ok(())), (STRICT, Err(DecryptError::NotDecryptable))] {
        let (mut alice, mut bob) = acquainted();
        bob.policy = policy;
        for _ in 0..3 {
            let before = bob.record.to_bytes();
            let forged = forged_by_a_thief(&alice, &bob);
            let forged = bob.hear(&alice, &forged);
            assert_eq!(forged, forging, "{policy:?}");
            if forged.is_ok() {
                break;
            }
            assert_eq!(*bob.record.to_bytes(), *before);
            exchange(&mut alice, &mut bob);
        }
    }
}
