//! Continues sessions of another implementation: known answers, then failures.
//!
//! The handshakes and primitives are compared with the same files by unit tests, which have access to internal values.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use rand::{SeedableRng as _, rngs::StdRng};
use sealpost_protocol::{
    Ciphertext, DecryptError, Inbound, Plaintext, PreKeyBundle, PreKeySignalMessage, RawPreKeyBundle,
    RawSigned, SessionPolicy, SessionRecord, SignalMessage, SkippedKeys, UnixSeconds,
};
use serde_json::Value;
use support::records::{OurSession, TheirRecord, ours};
use support::{Peer, PreKeys, bytes, load, number, spqr};

const SESSIONS: [&str; 5] = [
    "session-v4-spqr",
    "session-v4-spqr-old-initiator",
    "session-v4-nospqr",
    "session-v3-x3dh",
    "session-v3-x3dh-0x33",
];

/// One side of a vector, which receives the messages of the other implementation.
struct Receiver<'a> {
    peer: &'a Peer,
    sender: &'a Peer,
    keys: &'a PreKeys,
    record: SessionRecord,
    skipped: SkippedKeys,
    rng: StdRng,
}

fn inbound<'a>(peer: &'a Peer, sender: &'a Peer, policy: SessionPolicy) -> Inbound<'a> {
    let (local, remote, now) = (peer.local(), &sender.address, UnixSeconds(1_764_000_000));
    Inbound { local, remote, skipped: &[], policy, now }
}

impl Receiver<'_> {
    fn receive(&mut self, kind: u64, message: &[u8]) -> Result<Plaintext, DecryptError> {
        let inbound = inbound(self.peer, self.sender, SessionPolicy::X3dh);
        let advanced = if kind == 3 {
            let message = PreKeySignalMessage::parse(message).unwrap();
            let (keys, skipped) = (Some(self.keys.ours()), self.skipped.find(message.signal_message()));
            let inbound = Inbound { skipped: &skipped, ..inbound };
            self.record.decrypt_pre_key(&inbound, &message, keys, &mut self.rng)?.advanced
        } else {
            let message = SignalMessage::parse(message).unwrap();
            let skipped = self.skipped.find(&message);
            self.record.decrypt(&Inbound { skipped: &skipped, ..inbound }, &message, &mut self.rng)?
        };
        self.record = advanced.next;
        self.skipped.apply(advanced.skipped);
        assert_eq!(advanced.output.authenticated_by, *self.sender.identity.public());
        Ok(advanced.output.plaintext)
    }
}

fn import(record: &Value) -> SessionRecord {
    if record.is_null() { SessionRecord::empty() } else { TheirRecord::parse(&bytes(record)).import() }
}

/// Everything except the braid and the parts that depend on our next ratchet key, which is random: until the peer answers,
/// these are the root key and the sending chain.
fn comparable(mut session: OurSession, stepped: bool) -> OurSession {
    session.spqr = spqr::without_braid(&session.spqr);
    if stepped {
        session.root_key.clear();
        let sending = session.sending.as_mut().unwrap();
        sending.ratchet_key.clear();
        sending.ratchet_private.clear();
        sending.chain_key.clear();
    }
    session
}

#[test]
fn every_message_is_received_and_results_in_the_same_session() {
    for name in SESSIONS {
        let file = load(name);
        let (alice, bob, keys) = (Peer::new(&file, "alice"), Peer::new(&file, "bob"), PreKeys::new(&file));
        for (position, step) in file["steps"].as_array().unwrap().iter().enumerate() {
            let (sender, peer) = if step["from"] == "alice" { (&alice, &bob) } else { (&bob, &alice) };
            let record = import(&step["receiver_record_before"]);
            let before = ours(&record);
            let rng = StdRng::seed_from_u64(1);
            let mut receiver =
                Receiver { peer, sender, keys: &keys, record, skipped: SkippedKeys::default(), rng };
            let plaintext =
                receiver.receive(step["type"].as_u64().unwrap(), &bytes(&step["message"])).unwrap();
            assert_eq!(plaintext.expose(), bytes(&step["plaintext"]), "{name}, step {position}");

            let theirs = TheirRecord::parse(&bytes(&step["receiver_record_after"])).sessions();
            let own = ours(&receiver.record);
            assert_eq!(own.len(), theirs.len());
            let chains =
                |sessions: &[OurSession]| sessions.first().map_or(0, |session| session.receiving.len());
            let stepped = before.is_empty()
                || chains(&before) != chains(&own)
                || before[0].receiving.last().map(|chain| &chain.ratchet_key)
                    != own[0].receiving.last().map(|chain| &chain.ratchet_key);
            for (own, theirs) in own.into_iter().zip(theirs) {
                assert_eq!(comparable(own, stepped), comparable(theirs, stepped), "{name}, step {position}");
            }
            let again = receiver.receive(step["type"].as_u64().unwrap(), &bytes(&step["message"]));
            assert_eq!(again.err(), Some(DecryptError::Duplicate));
        }
    }
}

#[test]
fn messages_are_received_out_of_order() {
    for name in SESSIONS {
        let file = load(name);
        let (alice, bob, keys) = (Peer::new(&file, "alice"), Peer::new(&file, "bob"), PreKeys::new(&file));
        let case = &file["out_of_order"];
        let mut receiver = Receiver {
            peer: &bob,
            sender: &alice,
            keys: &keys,
            record: import(&case["bob_record_before"]),
            skipped: SkippedKeys::default(),
            rng: StdRng::seed_from_u64(1),
        };
        for position in case["delivery_order"].as_array().unwrap() {
            let position = usize::try_from(position.as_u64().unwrap()).unwrap();
            let message = bytes(&case["messages"][position]);
            let plaintext = receiver.receive(case["type"].as_u64().unwrap(), &message).unwrap();
            assert_eq!(plaintext.expose(), bytes(&case["plaintexts"][position]), "{name}");
        }
        assert!(receiver.skipped.is_empty());
        let theirs = TheirRecord::parse(&bytes(&case["bob_record_after"])).sessions();
        let own = ours(&receiver.record);
        // There is no DH ratchet step, so nothing is random.
        let all = |sessions: Vec<OurSession>| {
            sessions.into_iter().map(|session| comparable(session, false)).collect::<Vec<_>>()
        };
        assert_eq!(all(own), all(theirs), "{name}");
    }
}

/// The imported session of the other side receives what ours sends.
#[test]
fn imported_sessions_are_answered() {
    for name in SESSIONS {
        let file = load(name);
        let (alice, bob, keys) = (Peer::new(&file, "alice"), Peer::new(&file, "bob"), PreKeys::new(&file));
        let at_alice = import(&file["alice_record_after_bundle"]);
        let mut rng = StdRng::seed_from_u64(1);
        let now = UnixSeconds(ours(&at_alice)[0].unanswered.as_ref().unwrap().since);
        let sent = at_alice.encrypt(&alice.local(), &bob.address, b"imported", now, &mut rng).unwrap();
        let Ciphertext::PreKey(message) = &sent.output else { panic!("nobody has answered") };
        assert_eq!(message.registration_id(), alice.registration_id);
        let record = SessionRecord::empty();
        let mut receiver = Receiver {
            peer: &bob,
            sender: &alice,
            keys: &keys,
            record,
            skipped: SkippedKeys::default(),
            rng,
        };
        assert_eq!(receiver.receive(3, sent.output.serialize()).unwrap().expose(), b"imported");
        // The answer to the peer's first message continues the session that the peer started.
        let mut rng = StdRng::seed_from_u64(2);
        let answer = receiver.record.encrypt(&bob.local(), &alice.address, b"answer", now, &mut rng).unwrap();
        let Ciphertext::Signal(message) = &answer.output else { panic!("bob has received") };
        let inbound = inbound(&alice, &bob, SessionPolicy::X3dh);
        let read = sent.next.decrypt(&inbound, message, &mut rng).unwrap();
        assert_eq!(read.output.plaintext.expose(), b"answer");
    }
}

/// The outcome, in the terms of `failures.json`.
fn outcome(receiver: &mut Receiver<'_>, policy: SessionPolicy, kind: u64, message: &[u8]) -> Option<String> {
    let inbound = inbound(receiver.peer, receiver.sender, policy);
    let opened = if kind == 3 {
        let message = match PreKeySignalMessage::parse(message) {
            Ok(message) => message,
            Err(reason) => return Some(format!("{reason:?}")),
        };
        let (keys, rng) = (Some(receiver.keys.ours()), &mut receiver.rng);
        receiver.record.decrypt_pre_key(&inbound, &message, keys, rng).map(drop)
    } else {
        let message = match SignalMessage::parse(message) {
            Ok(message) => message,
            Err(reason) => return Some(format!("{reason:?}")),
        };
        receiver.record.decrypt(&inbound, &message, &mut receiver.rng).map(drop)
    };
    opened.err().map(|reason| format!("{reason:?}"))
}

#[test]
fn every_failure_has_its_reason_and_changes_nothing() {
    for case in load("failures")["messages"].as_array().unwrap() {
        let file = load(case["vector"].as_str().unwrap());
        let (alice, bob, keys) = (Peer::new(&file, "alice"), Peer::new(&file, "bob"), PreKeys::new(&file));
        let step = &file["steps"][usize::try_from(case["step"].as_u64().unwrap()).unwrap()];
        let (sender, peer) = if step["from"] == "alice" { (&alice, &bob) } else { (&bob, &alice) };
        let record = match case.get("record").and_then(Value::as_str) {
            None => import(&step["receiver_record_before"]),
            Some("none") => SessionRecord::empty(),
            Some("after") => import(&step["receiver_record_after"]),
            Some(other) => panic!("{other}"),
        };
        let before = record.to_bytes();
        let policy = match case.get("policy").and_then(Value::as_str) {
            None => SessionPolicy::X3dh,
            Some("pqxdh") => SessionPolicy::Pqxdh,
            Some("triple-ratchet") => SessionPolicy::TripleRatchet,
            Some(other) => panic!("{other}"),
        };
        let rng = StdRng::seed_from_u64(1);
        let mut receiver =
            Receiver { peer, sender, keys: &keys, record, skipped: SkippedKeys::default(), rng };
        let outcome =
            outcome(&mut receiver, policy, case["type"].as_u64().unwrap(), &bytes(&case["message"]));
        assert_eq!(outcome.as_deref(), case["error"].as_str(), "{}", case["name"]);
        assert_eq!(*receiver.record.to_bytes(), *before);
    }
}

#[test]
fn every_invalid_bundle_is_refused_for_its_reason() {
    let file = load("session-v4-nospqr");
    for case in load("failures")["bundles"].as_array().unwrap() {
        let mut bundle = file["bob"]["bundle"].clone();
        for (name, value) in case["change"].as_object().unwrap() {
            bundle[name] = value.clone();
        }
        let [identity_key, spk, spk_sig, pk, k, k_sig] =
            ["identity", "spk", "spkSig", "pk", "k", "kSig"].map(|name| bytes(&bundle[name]));
        let raw = RawPreKeyBundle {
            registration_id: number(&bundle["reg"]),
            device_id: number(&bundle["dev"]),
            identity_key: &identity_key,
            signed_pre_key: RawSigned { id: number(&bundle["spkId"]), key: &spk, signature: &spk_sig },
            one_time_pre_key: Some((number(&bundle["pkId"]), &pk)),
            kem_pre_key: Some(RawSigned { id: number(&bundle["kId"]), key: &k, signature: &k_sig }),
        };
        let outcome = PreKeyBundle::parse(raw).and_then(PreKeyBundle::verify).err();
        let outcome = outcome.map(|reason| format!("{reason:?}"));
        assert_eq!(outcome.as_deref(), case["error"].as_str(), "{}", case["name"]);
    }
}
