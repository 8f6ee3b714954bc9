//! Reading and writing the stored forms.

use std::hint::black_box;

use sealpost_protocol::{SessionChange, SessionRecord};

use super::people::Pair;
use super::{Call, Operation};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { name: "session record to bytes", per_call: 1, floor: None, prepare: to_bytes },
    Operation { name: "session record from bytes", per_call: 1, floor: None, prepare: from_bytes },
    Operation { name: "what a message changed, to bytes", per_call: 1, floor: None, prepare: changes },
    Operation {
        name: "encrypt, loaded and stored",
        per_call: 1,
        floor: Some(|floor| floor.seal()),
        prepare: encrypt,
    },
    Operation {
        name: "decrypt, loaded and stored",
        per_call: 1,
        floor: Some(|floor| floor.open_with_header()),
        prepare: decrypt,
    },
];

/// A session with five receiving chains, and with SPQR in the middle of an exchange.
fn with_a_past() -> Pair {
    let mut pair = Pair::acquainted();
    for _ in 0..20 {
        pair.ping_pong();
    }
    pair
}

fn to_bytes() -> Call {
    let record = with_a_past().at_bob;
    Box::new(move || {
        black_box(record.to_bytes());
    })
}

fn from_bytes() -> Call {
    let bytes = with_a_past().at_bob.to_bytes();
    Box::new(move || {
        black_box(SessionRecord::from_bytes(&bytes).unwrap());
    })
}

fn changes() -> Call {
    let mut pair = with_a_past();
    let before = pair.at_alice.clone();
    pair.say();
    Box::new(move || {
        black_box(pair.at_alice.changes_since(&before));
    })
}

/// Encrypts like a client that keeps nothing in memory: the record is read, and the changed session is written.
fn encrypt() -> Call {
    let mut pair = Pair::acquainted();
    let stored = pair.at_alice.to_bytes();
    Box::new(move || {
        let record = SessionRecord::from_bytes(&stored).unwrap();
        let (next, message) = pair.alice.send(&record, &pair.bob, &mut pair.rng);
        black_box((next.changes_since(&record), message));
    })
}

fn decrypt() -> Call {
    let mut pair = Pair::acquainted();
    let first = pair.say();
    pair.hear(&first);
    let (message, stored) = (pair.say(), pair.at_bob.to_bytes());
    Box::new(move || {
        let record = SessionRecord::from_bytes(&stored).unwrap();
        let next = pair.bob.receive(&record, &pair.alice, &message, &mut pair.rng);
        black_box(next.changes_since(&record));
    })
}

/// Prints the sizes of the stored forms.
pub(crate) fn print_sizes() {
    let mut pair = with_a_past();
    let before = pair.at_alice.clone();
    let whole = before.to_bytes().len();
    pair.say();
    let changes = pair.at_alice.changes_since(&before);
    let written: usize = changes
        .iter()
        .map(|change| match change {
            SessionChange::Put(session) => session.bytes.len(),
            SessionChange::Remove(_) => 0,
        })
        .sum();
    println!(
        "\na record of one session has {whole} bytes; a message rewrites {written} bytes, however many there are"
    );
}
