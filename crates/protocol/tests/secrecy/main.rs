//! What a thief can make of the stored forms: nothing of the messages before (forward secrecy), and soon nothing of
//! those after (healing).
//!
//! He gets all that a device stores, its long-term keys included, but not what it has deleted.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

mod group;
mod healing;
mod keys;
mod pair;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod support;

use keys::Keys;
use pair::{Pair, Stored, signal_message};
use proptest::prelude::*;
use prost::Message as _;
use sealpost_protocol::{Ciphertext, DecryptError, PreKeyKind, SessionPolicy, SkippedKeyName};
use support::spqr::OurSpqr;

/// What happens in a talk.
#[derive(Debug, Clone, Copy)]
enum Event {
    Send(usize),
    /// Gets one of the messages under way to it, 0 for the oldest.
    Receive(usize, u8),
}
use Event::{Receive, Send};

/// A message under way or received, and what no thief may find.
struct Sent {
    ciphertext: Ciphertext,
    text: Vec<u8>,
    keys: Keys,
    /// The root key of the sender when it was sent.
    root_key: [u8; 32],
}

/// A talk in which both devices are robbed at every step.
struct Talk {
    pair: Pair,
    under_way: [Vec<Sent>; 2],
    received: [Vec<Sent>; 2],
}

impl Talk {
    fn hold(policy: SessionPolicy, events: &[Event]) -> Self {
        let pair = Pair::new(policy);
        let mut talk = Self { pair, under_way: Default::default(), received: Default::default() };
        for event in events {
            match *event {
                Send(at) => talk.send(at),
                Receive(at, pick) => talk.receive(at, pick),
            }
        }
        talk
    }

    fn send(&mut self, at: usize) {
        let before = self.pair.devices[at].stored.clone();
        // Who has received nothing has nothing to send with.
        let Some(session) = before.session() else { return };
        let text = format!("message {}", self.under_way[1 - at].len()).into_bytes();
        let ciphertext = self.pair.send(at, &text);
        let receiver = self.pair.devices[1 - at].identity.public();
        let keys = Keys::of(signal_message(&ciphertext), &session, receiver);
        assert!(keys.stored.iter().all(|key| before.holds(key)), "the keys were there");
        let after = &self.pair.devices[at].stored;
        assert!(!keys.all().any(|key| after.holds(key)), "a key of a message is left with its sender");
        let root_key = session.root_key.try_into().unwrap();
        self.under_way[1 - at].push(Sent { ciphertext, text, keys, root_key });
    }

    fn receive(&mut self, at: usize, pick: u8) {
        let Some(position) = usize::from(pick).checked_rem(self.under_way[at].len()) else { return };
        let sent = self.under_way[at].remove(position);
        let before = self.pair.devices[at].stored.clone();
        match self.pair.receive(at, &sent.ciphertext) {
            // Whoever was robbed before the message came was robbed of it.
            Ok(text) => assert_eq!(text, sent.text),
            // Beyond five chains a late message is lost.
            Err(reason) => return assert_eq!(reason, DecryptError::NotDecryptable),
        }
        let after = self.pair.devices[at].stored.clone();
        assert!(!after.holds(&sent.root_key), "the root key that gave the chain is left");
        let next = |stored: &Stored| stored.session().unwrap().sending.unwrap();
        if before.session().is_some_and(|session| session.root_key != after.session().unwrap().root_key) {
            assert!(
                !after.holds(&next(&before).ratchet_private.try_into().unwrap()),
                "a ratchet key is left"
            );
        }
        self.received[at].push(sent);
        let chains = after.session().unwrap().receiving;
        for sent in &self.received[at] {
            assert!(!sent.keys.all().any(|key| after.holds(key)), "a key of a message is left");
            let opened = self.pair.open(at, &after, &sent.ciphertext);
            let ratchet_key = signal_message(&sent.ciphertext).ratchet_key();
            let is_known = chains.iter().any(|chain| chain.ratchet_key == ratchet_key);
            let reason = if is_known { DecryptError::Duplicate } else { DecryptError::NotDecryptable };
            assert_eq!(opened.err(), Some(reason));
            // That the counters say so need not stop a thief.
            let opened = self.pair.open(at, &rewound(&after, sent), &sent.ciphertext);
            assert_eq!(opened.err(), Some(DecryptError::NotDecryptable));
        }
    }
}

/// Every counter is that of the message, as if it were the next to come.
fn rewound(stored: &Stored, sent: &Sent) -> Stored {
    let message = signal_message(&sent.ciphertext);
    let mut session = stored.session().unwrap();
    for chain in &mut session.receiving {
        chain.index = message.counter();
    }
    if let Some(name) = SkippedKeyName::of(message).nth(1) {
        let mut spqr = OurSpqr::decode(&*session.spqr).unwrap();
        for link in &mut spqr.receiving {
            link.index = name.number - 1;
        }
        session.spqr = spqr.encode_to_vec();
    }
    Stored::only(&session)
}

const POLICIES: [SessionPolicy; 2] = [SessionPolicy::TripleRatchet, SessionPolicy::X3dh];

/// How many messages each device received: as many under every policy.
fn received(events: &[Event]) -> [usize; 2] {
    let [first, second] =
        POLICIES.map(|policy| Talk::hold(policy, events).received.map(|received| received.len()));
    assert_eq!(first, second);
    first
}

#[test]
fn nothing_is_left_of_messages_one_way() {
    assert_eq!(received(&[Send(0), Receive(1, 0)].repeat(12)), [0, 12]);
}

/// Long enough for two epochs of SPQR.
#[test]
fn nothing_is_left_of_messages_back_and_forth() {
    let round = [Send(0), Receive(1, 0), Send(1), Receive(0, 0)];
    assert_eq!(received(&round.repeat(80)), [80, 80]);
    let talk = Talk::hold(SessionPolicy::TripleRatchet, &round.repeat(80));
    let spqr = talk.pair.devices[0].stored.session().unwrap().spqr;
    assert_eq!(OurSpqr::decode(&*spqr).unwrap().chain_epoch, 2);
}

#[test]
fn nothing_is_left_of_messages_out_of_order() {
    let begin = [Send(0), Receive(1, 0), Send(1), Receive(0, 0)];
    let sent = [Send(0), Send(1)].repeat(8);
    // The last first; then from the middle on, round and round.
    let received_late = [Receive(1, 7), Receive(0, 7), Receive(1, 3), Receive(0, 3)].repeat(4);
    assert_eq!(received(&[&begin[..], &sent, &received_late].concat()), [9, 9]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_left_of_any_talk(
        events in prop::collection::vec(
            prop_oneof![
                (0..2_usize).prop_map(Send),
                (0..2_usize, prop_oneof![Just(0), any::<u8>()]).prop_map(|(at, pick)| Receive(at, pick)),
            ],
            1..50,
        ),
    ) {
        received(&events);
    }
}

/// The keys of a late message wait for it, and are then gone: a theft in between is the one that hurts.
#[test]
fn a_key_is_kept_for_a_late_message_and_no_longer() {
    for policy in POLICIES {
        let mut pair = Pair::new(policy);
        let first = pair.send(0, b"first");
        pair.receive(1, &first).unwrap();
        let session = pair.devices[0].stored.session().unwrap();
        let late = pair.send(0, b"late");
        let keys = Keys::of(signal_message(&late), &session, pair.devices[1].identity.public());
        let next = pair.send(0, b"next");
        pair.receive(1, &next).unwrap();

        let between = pair.devices[1].stored.clone();
        assert!(between.holds(&keys.derived[0]), "the message key");
        assert_eq!(pair.open(1, &between, &late).unwrap().text, b"late");
        assert_eq!(pair.receive(1, &late).unwrap(), b"late");
        assert!(!keys.all().any(|key| pair.devices[1].stored.holds(key)));
    }
}

/// Who has all long-term keys, and what is stored, still lacks the one-time key that a handshake used up.
#[test]
fn the_first_message_is_gone_with_its_one_time_key() {
    for policy in POLICIES {
        let mut pair = Pair::new(policy);
        let first = pair.send(0, b"first");
        assert_eq!(pair.open(1, &Stored::nothing(), &first).unwrap().text, b"first");
        pair.receive(1, &first).unwrap();
        let again = pair.open(1, &Stored::nothing(), &first);
        assert_eq!(again.err(), Some(DecryptError::MissingPreKey(PreKeyKind::OneTime)));
    }
}
