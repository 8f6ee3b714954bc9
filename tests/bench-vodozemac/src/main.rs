//! Measures vodozemac's operations that are most similar to ours, and prints `name<TAB>nanoseconds` for each, with the
//! names of the rows in `crates/protocol/benches`.
//!
//! Olm has neither a post-quantum key agreement nor a post-quantum ratchet, and verifies no signature when it starts a
//! session; an app does that beforehand. Megolm is the counterpart of sender keys.

use std::hint::black_box;
use std::time::{Duration, Instant};

use vodozemac::megolm::{GroupSession, InboundGroupSession};
use vodozemac::olm::{Account, AccountPickle, OlmMessage, PreKeyMessage, Session, SessionConfig};
use vodozemac::{Curve25519PublicKey, megolm};

/// Version 2 has MACs of full length. Version 1, which is the one in use, truncates them as Signal does.
const CONFIG: SessionConfig = SessionConfig::version_1();
const TEXT: [u8; 79] = [7; 79];
const ROUNDS: usize = 150;
const ROUND: Duration = Duration::from_millis(2);
const BATCH: usize = 32;

fn main() {
    row("identity, 100 + 100 pre-keys", each(|| Account::new().generate_one_time_keys(100)));

    let (alice, mut bob) = (Account::new(), Account::new());
    let bobs_key = bob.curve25519_key();
    let one_time = one_time_key(&mut bob);
    let meet = || alice.create_outbound_session(CONFIG, bobs_key, one_time).expect("a good key");
    row("initiate (PQXDH), bundle verified", each(meet));

    let first = pre_key(meet().encrypt(TEXT).expect("a new session"));
    let stored = store(&bob);
    let accept = |mut bob: Account| {
        bob.create_inbound_session(CONFIG, alice.curve25519_key(), &first).expect("a good message")
    };
    row("accept (PQXDH), with first message", batched(|| restore(&stored, BATCH), accept));

    let (mut at_alice, mut at_bob) = acquainted();
    row("encrypt, one way", each(|| at_alice.encrypt(TEXT)));
    let send = |session: &mut Session| session.encrypt(TEXT).expect("an old session");
    let messages = || (0..BATCH).map(|_| send(&mut at_alice)).collect();
    row("decrypt, one way", batched(messages, |message| at_bob.decrypt(&message)));

    let (mut at_alice, mut at_bob) = acquainted();
    let mut ping_pong = || {
        let ping = send(&mut at_alice);
        at_bob.decrypt(&ping).expect("a good message");
        let pong = send(&mut at_bob);
        at_alice.decrypt(&pong).expect("a good message")
    };
    row("ping-pong, each message", each(&mut ping_pong) / 2.0);

    let config = megolm::SessionConfig::version_1();
    let mut ours = GroupSession::new(config);
    let mut theirs = InboundGroupSession::new(&ours.session_key(), config);
    row("sender key, encrypt", each(|| ours.encrypt(TEXT)));
    let messages = || (0..BATCH).map(|_| ours.encrypt(TEXT)).collect();
    row("sender key, decrypt", batched(messages, |message| theirs.decrypt(&message)));
}

/// A session of two accounts that have both received a message.
fn acquainted() -> (Session, Session) {
    let (alice, mut bob) = (Account::new(), Account::new());
    let (identity, one_time) = (bob.curve25519_key(), one_time_key(&mut bob));
    let mut at_alice = alice.create_outbound_session(CONFIG, identity, one_time).expect("a good key");
    let first = pre_key(at_alice.encrypt(TEXT).expect("a new session"));
    let accepted = bob.create_inbound_session(CONFIG, alice.curve25519_key(), &first);
    let mut at_bob = accepted.expect("a good message").session;
    let answer = at_bob.encrypt(TEXT).expect("a new session");
    at_alice.decrypt(&answer).expect("a good message");
    (at_alice, at_bob)
}

fn one_time_key(account: &mut Account) -> Curve25519PublicKey {
    account.generate_one_time_keys(1).created[0]
}

fn pre_key(message: OlmMessage) -> PreKeyMessage {
    match message {
        OlmMessage::PreKey(message) => message,
        OlmMessage::Normal(_) => panic!("nobody has answered"),
    }
}

/// Serializes an account. Accepting a session uses up one of its keys, and an account cannot be cloned, so a benchmark
/// restores a copy for each call.
fn store(account: &Account) -> String {
    account.pickle().encrypt(&[0; 32])
}

fn restore(stored: &str, count: usize) -> Vec<Account> {
    let restore = || AccountPickle::from_encrypted(stored, &[0; 32]).expect("our own pickle");
    (0..count).map(|_| Account::from_pickle(restore())).collect()
}

fn row(name: &str, ns: f64) {
    println!("{name}\t{ns}");
}

/// The duration of one call in nanoseconds, in the best of several rounds.
fn each<T>(mut call: impl FnMut() -> T) -> f64 {
    let round = |_| {
        let (start, mut calls) = (Instant::now(), 0_u32);
        while start.elapsed() < ROUND {
            for _ in 0..8 {
                black_box(call());
            }
            calls += 8;
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

/// Like [`each`], for calls that consume an input, which is prepared before the clock starts.
fn batched<I, T>(mut prepare: impl FnMut() -> Vec<I>, mut call: impl FnMut(I) -> T) -> f64 {
    let round = |_| {
        let inputs = prepare();
        let (count, mut outputs) = (inputs.len() as f64, Vec::with_capacity(inputs.len()));
        let start = Instant::now();
        outputs.extend(inputs.into_iter().map(&mut call));
        let elapsed = start.elapsed();
        black_box(outputs);
        elapsed.as_secs_f64() * 1e9 / count
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}
