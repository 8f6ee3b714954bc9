//! The value of a stolen state: it decrypts no earlier messages (forward secrecy), and soon no later ones (healing).
//!
//! The attacker gets everything that a device stores, including its long-term keys, but not what has been deleted.

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

/// An event of a conversation.
#[derive(Debug, Clone, Copy)]
enum Event {
    Send(usize),
    /// Receives one of the messages in transit to it, 0 for the oldest.
    Receive(usize, u8),
}
use Event::{Receive, Send};

/// A message in transit or received, and the keys that must not be found.
struct Sent {
    ciphertext: Ciphertext,
    text: Vec<u8>,
    keys: Keys,
    /// The root key of the sender at the time of sending.
    root_key: [u8; 32],
}

/// A conversation in which the states of both devices are stolen at every step.
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
        // A device that has received nothing has no session to send with.
        let Some(session) = before.session() else { return };
        let text = format!("message {}", self.under_way[1 - at].len()).into_bytes();
        let ciphertext = self.pair.send(at, &text);
        let receiver = self.pair.devices[1 - at].identity.public();
        let keys = Keys::of(signal_message(&ciphertext), &session, receiver);
        assert!(keys.stored.iter().all(|key| before.holds(key)), "the keys were stored before");
        let after = &self.pair.devices[at].stored;
        assert!(!keys.all().any(|key| after.holds(key)), "a key of the message remains with its sender");
        let root_key = session.root_key.try_into().unwrap();
        self.under_way[1 - at].push(Sent { ciphertext, text, keys, root_key });
    }

    fn receive(&mut self, at: usize, pick: u8) {
        let Some(position) = usize::from(pick).checked_rem(self.under_way[at].len()) else { return };
        let sent = self.under_way[at].remove(position);
        let before = self.pair.devices[at].stored.clone();
        match self.pair.receive(at, &sent.ciphertext) {
            // A theft before the message arrived reveals it.
            Ok(text) => assert_eq!(text, sent.text),
            // A late message of the sixth chain is lost.
            Err(reason) => return assert_eq!(reason, DecryptError::NotDecryptable),
        }
        let after = self.pair.devices[at].stored.clone();
        assert!(!after.holds(&sent.root_key), "the root key of the chain remains");
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
            assert!(!sent.keys.all().any(|key| after.holds(key)), "a key of the message remains");
            let opened = self.pair.open(at, &after, &sent.ciphertext);
            let ratchet_key = signal_message(&sent.ciphertext).ratchet_key();
            let is_known = chains.iter().any(|chain| chain.ratchet_key == ratchet_key);
            let reason = if is_known { DecryptError::Duplicate } else { DecryptError::NotDecryptable };
            assert_eq!(opened.err(), Some(reason));
            // An attacker can change the counters.
            let opened = self.pair.open(at, &rewound(&after, sent), &sent.ciphertext);
            assert_eq!(opened.err(), Some(DecryptError::NotDecryptable));
        }
    }
}

/// The state with every counter set to that of the message, as if it were the next one.
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

/// How many messages each device received, which is the same under every policy.
fn received(events: &[Event]) -> [usize; 2] {
    let [first, second] =
        POLICIES.map(|policy| Talk::hold(policy, events).received.map(|received| received.len()));
    assert_eq!(first, second);
    first
}

#[test]
fn no_key_remains_of_messages_in_one_direction() {
    assert_eq!(received(&[Send(0), Receive(1, 0)].repeat(12)), [0, 12]);
}

/// Long enough for two epochs of SPQR.
#[test]
fn no_key_remains_of_messages_in_both_directions() {
    let round = [Send(0), Receive(1, 0), Send(1), Receive(0, 0)];
    assert_eq!(received(&round.repeat(80)), [80, 80]);
    let talk = Talk::hold(SessionPolicy::TripleRatchet, &round.repeat(80));
    let spqr = talk.pair.devices[0].stored.session().unwrap().spqr;
    assert_eq!(OurSpqr::decode(&*spqr).unwrap().chain_epoch, 2);
}

#[test]
fn no_key_remains_of_messages_out_of_order() {
    let begin = [Send(0), Receive(1, 0), Send(1), Receive(0, 0)];
    let sent = [Send(0), Send(1)].repeat(8);
    // The last message first, and then from the middle on, wrapping around.
    let received_late = [Receive(1, 7), Receive(0, 7), Receive(1, 3), Receive(0, 3)].repeat(4);
    assert_eq!(received(&[&begin[..], &sent, &received_late].concat()), [9, 9]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_key_remains_of_any_conversation(
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

/// The keys of a late message are stored until it arrives, and are then deleted: only a theft in between reveals them.
#[test]
fn the_key_of_a_late_message_is_deleted_when_it_arrives() {
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

/// All long-term keys and the stored state do not include the one-time key that a handshake has consumed.
#[test]
fn the_first_message_cannot_be_decrypted_without_its_one_time_key() {
    for policy in POLICIES {
        let mut pair = Pair::new(policy);
        let first = pair.send(0, b"first");
        assert_eq!(pair.open(1, &Stored::nothing(), &first).unwrap().text, b"first");
        pair.receive(1, &first).unwrap();
        let again = pair.open(1, &Stored::nothing(), &first);
        assert_eq!(again.err(), Some(DecryptError::MissingPreKey(PreKeyKind::OneTime)));
    }
}
