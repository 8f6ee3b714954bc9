//! Two parties, alone with SPQR: what others have recorded, and what chance brings.

#![allow(clippy::arithmetic_side_effects, reason = "a test fails by panicking")]

use std::collections::HashSet;

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand_core::{Infallible, TryCryptoRng, TryRng};
use serde_json::Value;

use super::*;
use crate::ratchet::skipped::{SkippedKeyName, SkippedKeys};
use crate::vectors::{self, bytes, secret};

/// Gives what the vector says was drawn, and nothing else.
struct Drawn(Vec<u8>);

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("only bytes are drawn")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("only bytes are drawn")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.copy_from_slice(&self.0[..out.len()]);
        self.0.clear();
        Ok(())
    }
}

impl TryCryptoRng for Drawn {}

fn session() -> SessionId {
    SessionId::from_bytes(&[&[4][..], &[5; 33]].concat()).unwrap()
}

/// One side, and what it would have in a store.
struct Side {
    spqr: Spqr,
    limits: Limits,
    skipped: SkippedKeys,
}

impl Side {
    fn new(direction: Direction, parameters: &Value, auth_key: &Secret<32>) -> Self {
        let number = |name: &str, default| parameters.get(name).map_or(default, |n| n.as_u64().unwrap());
        let negotiation =
            if number("min_version", 1) == 0 { Negotiation::Offered } else { Negotiation::Required };
        let spqr = match number("version", 1) {
            0 => Spqr::Off,
            _ => Spqr::new(direction, negotiation, auth_key),
        };
        let [jump, keep] = [("max_jump", 25_000), ("max_ooo_keys", 2_000)]
            .map(|(name, default)| u32::try_from(number(name, default)).unwrap());
        Self { spqr, limits: Limits { jump, keep }, skipped: SkippedKeys::default() }
    }

    /// Goes on with what a store gives back, having checked that it is the same.
    fn store(&mut self, next: Spqr, skipped: Vec<SkippedChange>) {
        let bytes = next.to_bytes();
        self.spqr = Spqr::from_bytes(&bytes).unwrap();
        assert_eq!(self.spqr.to_bytes(), bytes);
        self.skipped.apply(skipped);
        if let Spqr::On(running) = &self.spqr {
            let kept: u32 = running.chains.receiving.iter().map(|chain| chain.kept).sum();
            assert_eq!(self.skipped.len(), kept as usize, "the chains count the rows");
        }
    }

    fn send(&mut self, rng: &mut impl CryptoRng) -> (Bytes, Option<[u8; 32]>) {
        let sent = self.spqr.send(session(), rng).unwrap();
        self.store(sent.next, sent.skipped);
        (sent.message, sent.key.map(|key| *key.expose()))
    }

    fn receive(&mut self, message: &[u8]) -> Result<Option<[u8; 32]>, ReceiveError> {
        let received = self.try_receive(message)?;
        self.store(received.next, received.skipped);
        Ok(received.key.map(|key| *key.expose()))
    }

    fn try_receive(&self, message: &[u8]) -> Result<Received, ReceiveError> {
        let name = SkippedKeyName::of_pq(message);
        let skipped: Vec<_> = name.into_iter().flat_map(|name| self.skipped.named(name)).collect();
        self.spqr.receive(session(), message, self.limits, &skipped)
    }

    fn everything(&self) -> (Vec<u8>, Vec<u8>) {
        (self.spqr.to_bytes().to_vec(), self.skipped.to_bytes().to_vec())
    }

    fn state(&self) -> String {
        let Spqr::On(Running { braid, .. }) = &self.spqr else { return "V0".into() };
        let state = format!("{:?}", braid.state);
        state.split('(').next().unwrap().into()
    }
}

fn key(value: &Value) -> Option<Vec<u8>> {
    (!value.is_null()).then(|| bytes(value))
}

/// An error as the vectors tell it.
fn error(text: &str) -> ReceiveError {
    match text.split_once(':').map_or(text, |(reason, _)| reason) {
        "message decode failed" => ReceiveError::Malformed,
        "Minimum version" => ReceiveError::MinimumVersion,
        "Version mismatch after negotiation" => ReceiveError::VersionMismatch,
        "epoch not in valid range" => ReceiveError::Epoch,
        "MAC verification failed" => ReceiveError::BadMac,
        "Key jump" => ReceiveError::TooFarAhead,
        "Key trimmed" => ReceiveError::Trimmed,
        "Key already requested" => ReceiveError::Duplicate,
        other => panic!("no error of ours is called {other}"),
    }
}

fn check_send(side: &mut Side, event: &Value) -> Bytes {
    let mut rng = Drawn(event.get("rng").map(bytes).unwrap_or_default());
    let (message, sent) = side.send(&mut rng);
    assert_eq!(message, bytes(&event["msg"]), "{event}");
    assert_eq!(sent.map(Vec::from), key(&event["key"]), "{event}");
    assert_eq!(side.state(), event["state"].as_str().unwrap(), "{event}");
    message
}

/// `expected` is the error where the vector is older than what it is to be.
fn check_receive(side: &mut Side, message: &[u8], event: &Value, expected: Option<ReceiveError>) {
    let before = side.everything();
    let received = side.receive(message);
    match event.get("err") {
        Some(reason) => {
            let expected = expected.unwrap_or_else(|| error(reason.as_str().unwrap()));
            assert_eq!(received, Err(expected), "{event}");
            assert_eq!(side.everything(), before, "a failure changes nothing");
        }
        None => assert_eq!(received.unwrap().map(Vec::from), key(&event["key"]), "{event}"),
    }
    if let Some(state) = event.get("state") {
        assert_eq!(side.state(), state.as_str().unwrap(), "{event}");
    }
}

fn talk_agrees(name: &str, expected: Option<ReceiveError>) {
    let file = vectors::load_spqr(name);
    let auth_key = secret(&file["auth_key"]);
    let mut a = Side::new(Direction::Initiator, &file["A"], &auth_key);
    let mut b = Side::new(Direction::Responder, &file["B"], &auth_key);
    let mut messages = Vec::new();
    for event in file["events"].as_array().unwrap() {
        let side = if event["who"] == "A" { &mut a } else { &mut b };
        if event["op"] == "send" {
            assert_eq!(event["n"].as_u64().unwrap() as usize, messages.len());
            messages.push(check_send(side, event));
        } else {
            let message = match event.get("raw") {
                Some(raw) => bytes(raw).into(),
                None => messages[event["n"].as_u64().unwrap() as usize].clone(),
            };
            check_receive(side, &message, event, expected);
        }
    }
}

#[test]
fn ten_epochs_of_any_kind_agree() {
    for name in ["lockstep", "simultaneous", "bursts_small", "loss50", "reorder", "parity_only"] {
        talk_agrees(name, None);
    }
}

#[test]
fn limits_agree() {
    talk_agrees("jumps", None);
    talk_agrees("malformed", None);
}

#[test]
fn negotiations_agree() {
    for name in ["minversion0", "negotiate_v0", "negotiate_refused"] {
        talk_agrees(name, None);
    }
    // Recorded from a version with another word for silence after version 1.
    talk_agrees("mismatch_after", Some(ReceiveError::MinimumVersion));
}

#[test]
fn negotiations_of_a_fresh_responder_agree() {
    let file = vectors::load_spqr("negotiation_v16");
    for case in file["cases"].as_array().unwrap() {
        let mut side = Side::new(Direction::Responder, &case["B"], &secret(&file["auth_key"]));
        for step in case["steps"].as_array().unwrap() {
            check_receive(&mut side, &bytes(&step["msg"]), step, None);
        }
    }
}

#[test]
fn talks_with_the_published_library_agree() {
    for name in ["npm_0.103.0_peer_of_A", "npm_0.103.0_peer_of_B"] {
        let file = vectors::load_spqr(name);
        let direction = if file["role"] == "A" { Direction::Initiator } else { Direction::Responder };
        let mut side = Side::new(direction, &file, &secret(&file["auth_key"]));
        for event in file["events"].as_array().unwrap() {
            if event["op"] == "send" {
                check_send(&mut side, event);
            } else {
                check_receive(&mut side, &bytes(&event["msg"]), event, None);
            }
        }
    }
}

/// What happens to one of two parties, 0 or 1; `u8` picks a message under way to it.
#[derive(Debug, Clone, Copy)]
enum Event {
    Send(usize),
    /// The oldest message comes.
    Deliver(usize),
    /// The picked message comes.
    Reorder(usize, u8),
    /// The picked message comes, and will come again.
    Repeat(usize, u8),
    /// The picked message comes with a byte changed, and will come whole.
    Damage(usize, u8),
    Drop(usize, u8),
    Snapshot(usize),
    Restore(usize),
}

#[derive(Clone)]
struct Envelope {
    number: usize,
    message: Bytes,
    key: Option<[u8; 32]>,
}

struct World {
    sides: [Side; 2],
    backups: [(Vec<u8>, Vec<u8>); 2],
    /// Under way to each.
    inboxes: [Vec<Envelope>; 2],
    received: [HashSet<usize>; 2],
    sent: usize,
    restored: bool,
    rng: StdRng,
}

impl World {
    /// After `round_trips`, so that any part of an epoch is where it begins.
    fn new(negotiations: [Negotiation; 2], round_trips: usize) -> Self {
        let sides = [Direction::Initiator, Direction::Responder].map(|direction| {
            let negotiation = negotiations[usize::from(direction == Direction::Responder)];
            Side {
                spqr: Spqr::new(direction, negotiation, &Secret::new([7; 32])),
                limits: Limits::new(Jump::Limited),
                skipped: SkippedKeys::default(),
            }
        });
        let mut world = Self {
            backups: sides.each_ref().map(Side::everything),
            sides,
            inboxes: Default::default(),
            received: Default::default(),
            sent: 0,
            restored: false,
            rng: StdRng::seed_from_u64(round_trips as u64),
        };
        for _ in 0..round_trips {
            for event in [Event::Send(0), Event::Deliver(1), Event::Send(1), Event::Deliver(0)] {
                world.happen(event);
            }
        }
        world
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Send(at) => {
                let (message, key) = self.sides[at].send(&mut self.rng);
                self.inboxes[1 - at].push(Envelope { number: self.sent, message, key });
                self.sent += 1;
            }
            Event::Deliver(at) => self.deliver(at, 0, true),
            Event::Reorder(at, pick) => self.deliver(at, pick, true),
            Event::Repeat(at, pick) => self.deliver(at, pick, false),
            Event::Damage(at, pick) => {
                if let Some(picked) = self.pick(at, pick) {
                    let mut message = self.inboxes[at][picked].message.to_vec();
                    let byte = usize::from(pick) % message.len();
                    message[byte] ^= 1 << (pick % 8);
                    // Whatever it leads to, the MAC of the message around it will not be right.
                    let _ = self.sides[at].try_receive(&message);
                }
            }
            Event::Drop(at, pick) => {
                if let Some(picked) = self.pick(at, pick) {
                    self.inboxes[at].remove(picked);
                }
            }
            Event::Snapshot(at) => self.backups[at] = self.sides[at].everything(),
            Event::Restore(at) => {
                let (spqr, skipped) = &self.backups[at];
                self.sides[at].spqr = Spqr::from_bytes(spqr).unwrap();
                self.sides[at].skipped = SkippedKeys::from_bytes(skipped).unwrap();
                self.restored = true;
            }
        }
    }

    fn pick(&self, at: usize, pick: u8) -> Option<usize> {
        usize::from(pick).checked_rem(self.inboxes[at].len())
    }

    fn deliver(&mut self, at: usize, pick: u8, last: bool) {
        let Some(picked) = self.pick(at, pick) else { return };
        let Envelope { number, message, key } = self.inboxes[at][picked].clone();
        if last {
            self.inboxes[at].remove(picked);
        }
        let side = &mut self.sides[at];
        let again = self.received[at].contains(&number);
        let before = side.everything();
        match side.try_receive(&message) {
            Ok(received) if received.key.as_ref().map(|key| *key.expose()) == key => {
                assert!(self.restored || !again || key.is_none(), "no key is given twice");
                side.store(received.next, received.skipped);
                self.received[at].insert(number);
            }
            // The MAC of the message around it will not be right.
            Ok(_) => assert!(self.restored, "both have the same key for the same message"),
            Err(reason) => {
                assert_eq!(side.everything(), before);
                let Spqr::On(running) = &side.spqr else { panic!("who is off receives anything") };
                let Ok(Preamble::Known(keyed)) = Preamble::parse(&message) else { panic!("version 1") };
                let gone = running.chains.receiving[0].epoch > keyed.chain_epoch();
                let explained = match reason {
                    ReceiveError::Epoch => gone,
                    ReceiveError::Duplicate => again,
                    _ => false,
                };
                assert!(self.restored || explained, "{reason:?} for message {number}");
            }
        }
    }
}

fn negotiation() -> impl Strategy<Value = Negotiation> {
    prop_oneof![Just(Negotiation::Offered), Just(Negotiation::Required)]
}

fn event() -> impl Strategy<Value = Event> {
    let (at, pick) = (0_usize..2, any::<u8>());
    prop_oneof![
        8 => at.clone().prop_map(Event::Send),
        6 => at.clone().prop_map(Event::Deliver),
        2 => (at.clone(), pick).prop_map(|(at, pick)| Event::Reorder(at, pick)),
        1 => (at.clone(), pick).prop_map(|(at, pick)| Event::Repeat(at, pick)),
        1 => (at.clone(), pick).prop_map(|(at, pick)| Event::Damage(at, pick)),
        1 => (at, pick).prop_map(|(at, pick)| Event::Drop(at, pick)),
    ]
}

fn event_with_backups() -> impl Strategy<Value = Event> {
    let at = 0_usize..2;
    prop_oneof![
        20 => event(),
        1 => at.clone().prop_map(Event::Snapshot),
        1 => at.prop_map(Event::Restore),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn both_have_the_same_keys(
        negotiations in [negotiation(), negotiation()],
        round_trips in 0_usize..100,
        events in proptest::collection::vec(event(), 0..400),
    ) {
        let mut world = World::new(negotiations, round_trips);
        events.into_iter().for_each(|event| world.happen(event));
    }

    #[test]
    fn after_a_restore_no_key_is_wrong_unnoticed(
        round_trips in 0_usize..100,
        events in proptest::collection::vec(event_with_backups(), 0..400),
    ) {
        let mut world = World::new([Negotiation::Required; 2], round_trips);
        events.into_iter().for_each(|event| world.happen(event));
    }

    #[test]
    fn anything_may_be_received_or_stored(
        round_trips in 0_usize..100,
        message: Vec<u8>,
        cut: proptest::sample::Index,
        (at, bit) in (any::<proptest::sample::Index>(), 0_u8..8),
    ) {
        let world = World::new([Negotiation::Required; 2], round_trips);
        for side in &world.sides {
            let _ = side.try_receive(&message);
            let (mut stored, _) = side.everything();
            let _ = Spqr::from_bytes(&stored[..cut.index(stored.len())]);
            let at = at.index(stored.len());
            stored[at] ^= 1 << bit;
            if let Ok(spqr) = Spqr::from_bytes(&stored) {
                let _ = spqr.receive(session(), &message, side.limits, &[]);
                let _ = spqr.send(session(), &mut StdRng::seed_from_u64(1));
            }
        }
    }
}
