//! The vectors of `tests/vectors-spqr/`, byte for byte.

use rand_core::{Infallible, TryCryptoRng, TryRng};
use serde_json::Value;

use super::*;
use crate::vectors::{self, bytes, secret};

/// A generator that yields exactly the bytes that the vector recorded.
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

/// A side with the parameters of a vector.
fn party(direction: Direction, parameters: &Value, auth_key: &Secret<32>) -> Side {
    let number = |name: &str, default| parameters.get(name).map_or(default, |n| n.as_u64().unwrap());
    let negotiation =
        if number("min_version", 1) == 0 { Negotiation::Offered } else { Negotiation::Required };
    let spqr = match number("version", 1) {
        0 => Spqr::Off,
        _ => Spqr::new(direction, negotiation, auth_key),
    };
    let [jump, keep] = [("max_jump", 25_000), ("max_ooo_keys", 2_000)]
        .map(|(name, default)| u32::try_from(number(name, default)).unwrap());
    let limits = Limits { skip: jump - 1, keep };
    Side { spqr, limits, skipped: SkippedKeys::default(), must_be_keyed: false }
}

fn key(value: &Value) -> Option<Vec<u8>> {
    (!value.is_null()).then(|| bytes(value))
}

/// An error as the vectors name it.
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
        other => panic!("unknown error {other}"),
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

/// `expected` overrides the error of a vector that is older than the present behaviour.
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
    let mut a = party(Direction::Initiator, &file["A"], &auth_key);
    let mut b = party(Direction::Responder, &file["B"], &auth_key);
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
fn ten_epochs_agree_with_the_vectors() {
    for name in ["lockstep", "simultaneous", "bursts_small", "loss50", "reorder", "parity_only"] {
        talk_agrees(name, None);
    }
}

#[test]
fn limits_agree_with_the_vectors() {
    talk_agrees("jumps", None);
    talk_agrees("malformed", None);
}

#[test]
fn negotiations_agree_with_the_vectors() {
    for name in ["minversion0", "negotiate_v0", "negotiate_refused"] {
        talk_agrees(name, None);
    }
    // Recorded with a version that had another error for a peer that stops using version 1.
    talk_agrees("mismatch_after", Some(ReceiveError::MinimumVersion));
}

#[test]
fn negotiations_of_a_new_responder_agree_with_the_vectors() {
    let file = vectors::load_spqr("negotiation_v16");
    for case in file["cases"].as_array().unwrap() {
        let mut side = party(Direction::Responder, &case["B"], &secret(&file["auth_key"]));
        for step in case["steps"].as_array().unwrap() {
            check_receive(&mut side, &bytes(&step["msg"]), step, None);
        }
    }
}

#[test]
fn conversations_with_the_published_library_agree() {
    for name in ["npm_0.103.0_peer_of_A", "npm_0.103.0_peer_of_B"] {
        let file = vectors::load_spqr(name);
        let direction = if file["role"] == "A" { Direction::Initiator } else { Direction::Responder };
        let mut side = party(direction, &file, &secret(&file["auth_key"]));
        for event in file["events"].as_array().unwrap() {
            if event["op"] == "send" {
                check_send(&mut side, event);
            } else {
                check_receive(&mut side, &bytes(&event["msg"]), event, None);
            }
        }
    }
}
