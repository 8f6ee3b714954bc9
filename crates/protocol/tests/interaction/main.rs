//! Two parties, a network that loses, repeats, damages and reorders messages, and stores that are rolled back. The events
//! are data, so that a failing conversation can be shrunk to a short one, and a fuzzer can generate conversations.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

mod event;
mod party;
mod world;

use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};
use sealpost_protocol::{DecryptError, IdentityKeyPair, SessionPolicy, SessionRecord, Standing};

use event::{Event, Script};
use party::Party;
use world::{CHAINS, NAMES, NOW, World};

fn script(events: &[Event]) -> Script {
    Script { policies: [SessionPolicy::default(); 2], events: events.to_vec() }
}

/// SPQR is required or offered, independently by each side.
fn policies() -> impl Strategy<Value = [SessionPolicy; 2]> {
    let policy = || prop_oneof![Just(SessionPolicy::TripleRatchet), Just(SessionPolicy::Pqxdh)];
    [policy(), policy()]
}

fn party() -> impl Strategy<Value = usize> {
    0..2_usize
}

/// Messages arrive in order and none is lost; either party may start a session at any time.
fn orderly() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => party().prop_map(Event::Send),
        6 => party().prop_map(Event::Receive),
        1 => party().prop_map(Event::Begin),
        1 => party().prop_map(Event::Archive),
    ]
}

fn hostile() -> impl Strategy<Value = Event> {
    let pick = || (party(), any::<u8>());
    prop_oneof![
        4 => orderly(),
        2 => pick().prop_map(|(at, pick)| Event::Shuffle(at, pick)),
        1 => pick().prop_map(|(at, pick)| Event::Drop(at, pick)),
        1 => pick().prop_map(|(at, pick)| Event::Repeat(at, pick)),
        1 => pick().prop_map(|(at, pick)| Event::Damage(at, pick)),
    ]
}

fn with_backups() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => hostile(),
        1 => party().prop_map(Event::Snapshot),
        1 => party().prop_map(Event::Restore),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_order_everything_arrives_once(
        policies in policies(),
        events in prop::collection::vec(orderly(), 1..60),
    ) {
        let world = World::talk(&Script { policies, events });
        let received = world.parties[0].received.len() + world.parties[1].received.len();
        prop_assert_eq!(received, world.sent);
    }

    #[test]
    fn on_a_hostile_network_nothing_arrives_twice_or_changed(
        policies in policies(),
        events in prop::collection::vec(hostile(), 1..80),
    ) {
        World::talk(&Script { policies, events });
    }

    #[test]
    fn after_a_restore_nothing_arrives_changed(events in prop::collection::vec(with_backups(), 1..80)) {
        World::talk(&script(&events));
    }

    #[test]
    fn after_a_new_session_both_ways_are_open_again(events in prop::collection::vec(with_backups(), 1..40)) {
        let mut world = World::talk(&script(&events));
        let at = world.sent;
        world.happen(Event::Begin(0));
        for event in [Event::Send(0), Event::Receive(1), Event::Send(1), Event::Receive(0)] {
            world.happen(event);
        }
        prop_assert!(world.parties[1].received.contains(&at));
        prop_assert!(world.parties[0].received.contains(&(at + 1)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_script_round_trips(policies in policies(), events in prop::collection::vec(with_backups(), 0..40)) {
        let script = Script { policies, events };
        prop_assert_eq!(Script::from_bytes(&script.to_bytes()), script);
    }

    #[test]
    fn arbitrary_bytes_decode_to_a_script(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let script = Script::from_bytes(&bytes);
        prop_assert_eq!(Script::from_bytes(&script.to_bytes()), script);
    }
}

#[test]
fn nothing_is_lost_if_both_start_a_session_at_once() {
    use Event::{Receive, Send};
    let world = World::talk(&script(&[
        Send(0),
        Send(1),
        Receive(0),
        Receive(1),
        Send(0),
        Send(1),
        Receive(1),
        Receive(0),
        Send(1),
        Receive(0),
        Send(0),
        Receive(1),
    ]));
    assert_eq!(world.parties.iter().map(|party| party.received.len()).sum::<usize>(), 6);
    let [alice, bob] = &world.parties;
    let active =
        |party: &Party| party.record.sessions().find(|row| row.standing == Standing::Active).unwrap().id;
    assert_eq!(active(alice), active(bob), "once one direction is quiet, both use the same session");
}

#[test]
fn the_newest_2_000_skipped_keys_are_kept() {
    use Event::{Receive, Send};
    let mut world = World::talk(&script(&[Send(0), Receive(1), Send(1), Receive(0)]));
    for _ in 0..2_501 {
        world.happen(Send(0));
    }
    let late = world.parties[1].inbox.split_off(2_500);
    let held = std::mem::replace(&mut world.parties[1].inbox, late);
    world.happen(Receive(1));
    assert_eq!(world.parties[1].skipped.len(), 2 * 2_000, "2,000 of each ratchet");
    let remote = world.parties[0].address.clone();
    for (position, opens) in [(0, false), (499, false), (500, true), (2_499, true)] {
        let opened = world.parties[1].open(&remote, &held[position].ciphertext, &mut world.rng);
        assert_eq!(opened.err(), (!opens).then_some(DecryptError::Duplicate), "message {position}");
    }
    assert_eq!(world.parties[1].skipped.len(), 2 * 1_998);
    // Three more are skipped, one more than there is room for, so the oldest key is dropped. The count is stored, too.
    world.happen(Event::Snapshot(1));
    world.happen(Event::Restore(1));
    for _ in 0..4 {
        world.happen(Send(0));
    }
    world.parties[1].inbox.drain(..3);
    world.happen(Receive(1));
    assert_eq!(world.parties[1].skipped.len(), 2 * 2_000);
    let oldest = world.parties[1].open(&remote, &held[501].ciphertext, &mut world.rng);
    assert_eq!(oldest.err(), Some(DecryptError::Duplicate));
}

#[test]
fn five_receiving_chains_are_kept() {
    use Event::{Receive, Send};
    let mut world = World::talk(&script(&[Send(0), Receive(1), Send(1), Receive(0)]));
    // One message of each chain arrives, and one is held back.
    let mut held = Vec::new();
    for _ in 0..6 {
        world.happen(Send(0));
        world.happen(Send(0));
        held.push(world.parties[1].inbox.remove(0));
        for event in [Receive(1), Send(1), Receive(0)] {
            world.happen(event);
        }
    }
    assert_eq!(
        world.parties[1].skipped.len(),
        CHAINS + held.len(),
        "an epoch of SPQR lasts longer than many chains"
    );
    let remote = world.parties[0].address.clone();
    for (position, envelope) in held.iter().enumerate() {
        let opened = world.parties[1].open(&remote, &envelope.ciphertext, &mut world.rng);
        assert_eq!(opened.err(), (position == 0).then_some(DecryptError::NotDecryptable));
    }
}

/// After two more epochs of SPQR, the key of a lost message is no longer usable, and is deleted.
#[test]
fn keys_of_lost_messages_are_deleted_with_their_epoch() {
    use Event::{Drop, Receive, Send};
    let mut world = World::talk(&script(&[Send(0), Receive(1), Send(1), Receive(0)]));
    for event in [Send(0), Drop(1, 0), Send(0), Receive(1), Send(1), Drop(0, 0)] {
        world.happen(event);
    }
    assert_eq!(world.parties[1].skipped.len(), 2, "one of each ratchet");
    for _ in 0..100 {
        for event in [Send(1), Receive(0), Send(0), Receive(1)] {
            world.happen(event);
        }
    }
    assert!(world.parties.iter().all(|party| party.skipped.is_empty()));
    let received = world.parties.iter().map(|party| party.received.len()).sum::<usize>();
    assert_eq!(received, world.sent - 2);
}

/// Our own device has the same identity and the same service ID.
#[test]
fn a_session_with_our_own_device_may_skip_more_messages() {
    for (name, same, opens) in [(NAMES[0], true, true), (NAMES[0], false, false), (NAMES[1], true, false)] {
        let mut rng = StdRng::seed_from_u64(3);
        let identity = IdentityKeyPair::generate(&mut rng);
        let other = IdentityKeyPair::generate(&mut rng);
        let other = if same { IdentityKeyPair::from_bytes(&identity.to_bytes()).unwrap() } else { other };
        let policy = SessionPolicy::TripleRatchet;
        let phone = Party::new(name, identity, policy, &mut rng);
        let mut laptop = Party::new(name, other, policy, &mut rng);
        let local = phone.local();
        let bundle = laptop.bundle(&mut rng);
        let mut record =
            SessionRecord::empty().initiate(&local, &laptop.address, bundle, policy, NOW, &mut rng).unwrap();
        let mut last = None;
        for _ in 0..=25_001 {
            let sent = record.encrypt(&local, &laptop.address, b"far", NOW, &mut rng).unwrap();
            (record, last) = (sent.next, Some(sent.output));
        }
        assert_eq!(laptop.open(&phone.address, &last.unwrap(), &mut rng).is_ok(), opens);
    }
}
