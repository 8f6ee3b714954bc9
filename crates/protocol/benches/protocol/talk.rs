//! Messages of a conversation. A step does not change its record, so the same step can be measured repeatedly.

use std::hint::black_box;

use sealpost_protocol::{Ciphertext, SkippedKeys};

use super::people::Pair;
use super::{Call, Operation};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { name: "encrypt, one way", per_call: 1, floor: Some(|floor| floor.seal()), prepare: encrypt },
    Operation {
        name: "decrypt, one way",
        per_call: 1,
        floor: Some(|floor| floor.open_with_header()),
        prepare: decrypt,
    },
    Operation {
        name: "decrypt, change of direction",
        per_call: 1,
        floor: Some(|floor| floor.dh_ratchet() + floor.open()),
        prepare: turn,
    },
    Operation {
        name: "ping-pong, each message",
        per_call: 2,
        floor: Some(|floor| floor.seal() + floor.dh_ratchet() + floor.open()),
        prepare: ping_pong,
    },
    Operation {
        name: "1,000 in reverse order, each message",
        per_call: 1_000,
        // Each message costs a step of the chain when it is skipped, and the rest when it arrives.
        floor: Some(|floor| floor.open()),
        prepare: reverse,
    },
    Operation {
        name: "late message, 100 keys held",
        per_call: 1,
        floor: Some(|floor| floor.open_late()),
        prepare: || late(100),
    },
    Operation {
        name: "late message, 2,000 keys held",
        per_call: 1,
        floor: Some(|floor| floor.open_late()),
        prepare: || late(2_000),
    },
];

fn encrypt() -> Call {
    let mut pair = Pair::acquainted();
    Box::new(move || {
        black_box(pair.alice.send(&pair.at_alice, &pair.bob, &mut pair.rng));
    })
}

fn decrypt() -> Call {
    let mut pair = Pair::acquainted();
    let first = pair.say();
    pair.hear(&first);
    receive_next(pair)
}

/// Decrypts the first message after one of ours. Its new ratchet key requires two steps of the root chain and a new key of
/// ours.
fn turn() -> Call {
    receive_next(Pair::acquainted())
}

fn receive_next(mut pair: Pair) -> Call {
    let message = pair.say();
    Box::new(move || {
        black_box(pair.bob.receive(&pair.at_bob, &pair.alice, &message, &mut pair.rng));
    })
}

/// The conversation continues for so long that the post-quantum ratchet passes through all its states.
fn ping_pong() -> Call {
    let mut pair = Pair::acquainted();
    Box::new(move || pair.ping_pong())
}

fn reverse() -> Call {
    let mut pair = Pair::acquainted();
    let messages: Vec<Ciphertext> = (0..1_000).map(|_| pair.say()).collect();
    Box::new(move || {
        let (mut record, mut keys) = (pair.at_bob.clone(), SkippedKeys::default());
        for message in messages.iter().rev() {
            let found = keys.find(signal(message));
            let received = pair.bob.receive_with(&record, &pair.alice, message, &found, &mut pair.rng);
            keys.apply(received.skipped);
            record = received.next;
        }
        black_box(record);
    })
}

/// Decrypts a message that was overtaken by `held` others, of which only the last has arrived.
fn late(held: usize) -> Call {
    let mut pair = Pair::acquainted();
    let messages: Vec<Ciphertext> = (0..=held).map(|_| pair.say()).collect();
    let (rng, mut keys) = (&mut pair.rng, SkippedKeys::default());
    let overtaken = pair.bob.receive_with(&pair.at_bob, &pair.alice, &messages[held], &[], rng);
    keys.apply(overtaken.skipped);
    Box::new(move || {
        let message = &messages[held / 2];
        let found = keys.find(signal(message));
        let rng = &mut pair.rng;
        drop(black_box(pair.bob.receive_with(&overtaken.next, &pair.alice, message, &found, rng)));
    })
}

fn signal(message: &Ciphertext) -> &sealpost_protocol::SignalMessage {
    match message {
        Ciphertext::Signal(message) => message,
        Ciphertext::PreKey(_) => panic!("both have received a message"),
    }
}
