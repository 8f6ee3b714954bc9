//! An attacker who has stolen a state once, and from then on sees every message.

use prost::Message as _;
use sealpost_protocol::{Ciphertext, SessionPolicy, SkippedKeyName};

use super::pair::{Pair, Stored, signal_message};
use super::support::records::{OurReceiving, OurSession};
use super::support::spqr::{OurSpqr, OurState};

/// All states that the attacker has stolen or derived. Each message is tried with all of them.
struct Thief(Vec<Stored>);

impl Thief {
    /// Whether one of the states decrypts a message to device `at`. The state after it is added.
    fn reads(&mut self, pair: &mut Pair, at: usize, ciphertext: &Ciphertext) -> bool {
        let opened = self.0.iter().find_map(|stored| pair.open(at, stored, ciphertext).ok());
        opened.map(|opened| self.0.push(opened.stored)).is_some()
    }
}

/// The state with which a peer of the stolen session decrypts its messages.
fn mirrored(stolen: &OurSession) -> OurSession {
    let sending = stolen.sending.clone().unwrap();
    let receiving = OurReceiving {
        ratchet_key: sending.ratchet_key,
        chain_key: sending.chain_key,
        index: sending.index,
        kept: 0,
    };
    let spqr = OurSpqr::decode(&*stolen.spqr).unwrap();
    let spqr = OurSpqr {
        responder: !spqr.responder,
        sending: spqr.receiving,
        receiving: spqr.sending,
        // A state that only receives.
        state: Some(OurState { kind: 11, sending: vec![0; 160], ..OurState::default() }),
        ..spqr
    };
    OurSession {
        local_identity: stolen.remote_identity.clone(),
        remote_identity: stolen.local_identity.clone(),
        receiving: vec![receiving],
        spqr: if stolen.spqr.is_empty() { Vec::new() } else { spqr.encode_to_vec() },
        ..stolen.clone()
    }
}

/// Both have sent and received `rounds` times; device 0 received last.
fn talk(policy: SessionPolicy, rounds: usize) -> Pair {
    let mut pair = Pair::new(policy);
    for _ in 0..rounds {
        for (from, to) in [(0, 1), (1, 0)] {
            let sent = pair.send(from, b"before");
            pair.receive(to, &sent).unwrap();
        }
    }
    pair
}

/// Device `robbed` sends next, with a ratchet key that the attacker has. The attacker can therefore decrypt that message and
/// the reply to it. Both announce ratchet keys that the attacker does not have.
#[test]
fn a_stolen_state_is_useless_after_both_have_replied() {
    for policy in [SessionPolicy::TripleRatchet, SessionPolicy::X3dh] {
        for rounds in [1, 2, 7] {
            for robbed in [0, 1] {
                let mut pair = talk(policy, rounds);
                if robbed == 1 {
                    let sent = pair.send(0, b"before");
                    pair.receive(1, &sent).unwrap();
                }
                let (stolen, peer) = (pair.devices[robbed].stored.clone(), 1 - robbed);
                let mut to_peer = Thief(vec![Stored::only(&mirrored(&stolen.session().unwrap()))]);
                let mut to_robbed = Thief(vec![stolen]);
                for round in 0..8 {
                    let sent = pair.send(robbed, b"after");
                    assert_eq!(to_peer.reads(&mut pair, peer, &sent), round < 1, "{policy:?}, {round}");
                    pair.receive(peer, &sent).unwrap();
                    let sent = pair.send(peer, b"after");
                    assert_eq!(to_robbed.reads(&mut pair, robbed, &sent), round < 1, "{policy:?}, {round}");
                    pair.receive(robbed, &sent).unwrap();
                }
            }
        }
    }
}

/// Without a reply there is no new ratchet key, so the session does not heal.
#[test]
fn a_stolen_state_decrypts_messages_in_one_direction() {
    let mut pair = talk(SessionPolicy::TripleRatchet, 1);
    let mut thief = Thief(vec![pair.devices[1].stored.clone()]);
    for _ in 0..20 {
        let sent = pair.send(0, b"after");
        assert!(thief.reads(&mut pair, 1, &sent));
        pair.receive(1, &sent).unwrap();
    }
}

/// A message to the robbed device, and the state of the device when it arrived.
struct Arrival {
    before: OurSession,
    ciphertext: Ciphertext,
    /// The epoch of its SPQR chain.
    epoch: u64,
}

/// A conversation of 300 rounds, as received by device `robbed`.
fn arrivals(policy: SessionPolicy, robbed: usize) -> (Pair, Vec<Arrival>) {
    let (mut pair, mut arrivals) = (talk(policy, 1), Vec::new());
    for _ in 0..300 {
        for (from, to) in [(0, 1), (1, 0)] {
            let ciphertext = pair.send(from, b"after");
            if to == robbed {
                let name = SkippedKeyName::of(signal_message(&ciphertext)).nth(1);
                let epoch =
                    name.map_or(0, |name| u64::from_be_bytes(*name.ratchet_key.last_chunk().unwrap()));
                let before = pair.devices[to].stored.session().unwrap();
                arrivals.push(Arrival { before, ciphertext: ciphertext.clone(), epoch });
            }
            pair.receive(to, &ciphertext).unwrap();
        }
    }
    (pair, arrivals)
}

/// How many messages after the theft can be decrypted by an attacker who later learns the whole classical state: every
/// ratchet key, chain key and root key at the time when a message arrives.
fn reads_with_all_classical_keys(pair: &mut Pair, robbed: usize, arrivals: &[Arrival]) -> usize {
    let mut spqr = arrivals[0].before.spqr.clone();
    let read = |arrival: &Arrival| {
        let knows = OurSession { spqr: spqr.clone(), ..arrival.before.clone() };
        let opened = pair.open(robbed, &Stored::only(&knows), &arrival.ciphertext);
        opened.map(|opened| spqr = opened.stored.session().unwrap().spqr).is_ok()
    };
    let read: Vec<_> = arrivals.iter().map(read).collect();
    let count = read.iter().take_while(|read| **read).count();
    assert!(!read[count..].contains(&true), "once a message cannot be decrypted, no later one can");
    count
}

/// Messages can be decrypted if the secret of their epoch was known at the time of the theft, or was being sent to a key that
/// was stolen. Messages of later epochs cannot.
#[test]
fn after_an_epoch_of_spqr_all_classical_keys_are_not_enough() {
    for robbed in [0, 1] {
        let (mut pair, arrivals) = arrivals(SessionPolicy::TripleRatchet, robbed);
        let mut in_flight = 0;
        for theft in (0..arrivals.len() / 2).step_by(11) {
            let arrivals = &arrivals[theft..];
            let stolen = OurSpqr::decode(&*arrivals[0].before.spqr).unwrap();
            // The robbed device has generated the key pair of the epoch, and the ciphertext has not arrived yet.
            let has_key = matches!(stolen.state.unwrap().kind, 2..=5);
            let last = stolen.chain_epoch + u64::from(has_key);
            let expected = arrivals.iter().take_while(|arrival| arrival.epoch <= last).count();
            assert!(
                (1..arrivals.len()).contains(&expected),
                "some messages can be decrypted, and some cannot"
            );
            assert_eq!(reads_with_all_classical_keys(&mut pair, robbed, arrivals), expected, "from {theft}");
            in_flight += usize::from(has_key);
        }
        assert!(in_flight > 0);
    }
}

/// In contrast, without SPQR an attacker who can compute discrete logarithms decrypts everything.
#[test]
fn without_spqr_all_classical_keys_are_enough() {
    for robbed in [0, 1] {
        let (mut pair, arrivals) = arrivals(SessionPolicy::X3dh, robbed);
        assert_eq!(reads_with_all_classical_keys(&mut pair, robbed, &arrivals), arrivals.len());
    }
}

/// Conversely, the current state of SPQR is not enough together with an old classical state.
#[test]
fn all_keys_of_spqr_are_not_enough_either() {
    let (mut pair, arrivals) = arrivals(SessionPolicy::TripleRatchet, 1);
    let read = arrivals.iter().map(|arrival| {
        let knows = OurSession { spqr: arrival.before.spqr.clone(), ..arrivals[0].before.clone() };
        pair.open(1, &Stored::only(&knows), &arrival.ciphertext).is_ok()
    });
    assert_eq!(read.take(40).filter(|read| *read).count(), 1, "only the message that arrived at the theft");
}
