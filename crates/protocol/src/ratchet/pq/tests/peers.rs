//! Peers that behave differently from ours: one that forges messages, and one of a later version.

use std::collections::BTreeSet;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;
use braid::BraidError;
use message::Payload;

/// The name of the payload of a message.
fn kind(message: &[u8]) -> &'static str {
    let Ok(Preamble::Known(keyed)) = Preamble::parse(message) else { panic!("version 1") };
    match keyed.payload().unwrap() {
        Payload::None | Payload::Ct1Ack => "no chunk",
        Payload::Header(_) => "header",
        Payload::Ek(_) | Payload::EkCt1Ack(_) => "ek",
        Payload::Ct1(_) => "ct1",
        Payload::Ct2(_) => "ct2",
    }
}

/// Two sides send in turn; `look` is called with each receiver and its message before it is delivered.
fn talk(turns: usize, mut look: impl FnMut(&Side, &[u8])) {
    let mut sides = [Direction::Initiator, Direction::Responder]
        .map(|direction| Side::new(direction, Negotiation::Required));
    let mut rng = StdRng::seed_from_u64(1);
    for turn in 0..turns {
        let (message, key) = sides[turn % 2].send(&mut rng);
        let receiver = &mut sides[1 - turn % 2];
        look(receiver, &message);
        assert_eq!(receiver.receive(&message), Ok(key));
    }
}

#[test]
fn a_forged_chunk_is_detected_when_it_completes_an_object() {
    let mut noticed = BTreeSet::new();
    talk(400, |receiver, message| {
        let mut forged = message.to_vec();
        *forged.last_mut().unwrap() ^= 1;
        match (kind(message), receiver.try_receive(&forged)) {
            // The first half of a ciphertext is authenticated by the MAC in the second half.
            ("no chunk", _) | (_, Ok(_)) => {}
            (kind, Err(reason)) => drop(noticed.insert((kind, format!("{reason:?}")))),
        }
    });
    let expected = [("ct2", "BadMac"), ("ek", "BadKey"), ("header", "BadMac")];
    assert_eq!(noticed, expected.map(|(kind, reason)| (kind, reason.to_owned())).into());
}

#[test]
fn a_message_two_epochs_ahead_is_refused() {
    let mut waited = false;
    talk(400, |receiver, _| {
        let Spqr::On(Running { braid, .. }) = &receiver.spqr else { panic!("both speak version 1") };
        let hear =
            |ahead| braid.receive(braid.epoch() + ahead, Payload::None).map(|heard| heard.next.epoch());
        let waits = receiver.state() == "Ct2Sampled";
        let next = if waits { Ok(braid.epoch() + 1) } else { Err(BraidError::Epoch) };
        assert_eq!((hear(0), hear(1), hear(2)), (Ok(braid.epoch()), next, Err(BraidError::Epoch)));
        waited |= waits;
    });
    assert!(waited);
}

#[test]
fn a_peer_of_a_later_version_has_our_first_keys_and_may_stop_using_spqr_unless_it_is_required() {
    let mut rng = StdRng::seed_from_u64(1);
    for (negotiation, silence) in
        [(Negotiation::Offered, Ok(None)), (Negotiation::Required, Err(ReceiveError::MinimumVersion))]
    {
        let mut theirs = Side::new(Direction::Initiator, Negotiation::Required);
        let mut ours = Side::new(Direction::Responder, negotiation);
        let _lost = theirs.send(&mut rng);
        let (message, key) = theirs.send(&mut rng);
        let mut later = message.to_vec();
        later[0] = message::VERSION + 1;
        assert_eq!(ours.receive(&later), Ok(key));
        assert_eq!(ours.skipped.len(), 1);
        // The peer has shown that it has keys, so ours are used from now on.
        let (answer, key) = ours.send(&mut rng);
        assert!(key.is_some());
        assert_eq!(theirs.receive(&answer), Ok(key));
        assert_eq!(ours.receive(b""), silence);
    }
}

#[test]
fn a_peer_that_has_used_version_1_must_keep_it() {
    talk(2, |receiver, message| {
        let mut later = message.to_vec();
        later[0] = message::VERSION + 1;
        let agreed = matches!(&receiver.spqr, Spqr::On(running) if running.negotiation == Negotiation::Keyed);
        let refused = receiver.try_receive(&later).err();
        assert_eq!(refused, agreed.then_some(ReceiveError::VersionMismatch));
    });
}

/// A message without a key of SPQR: peers that do not require SPQR begin with such messages, and an attacker with the
/// classical state can forge them.
fn keyless() -> Bytes {
    message::serialize(1, 0, &Payload::None).into()
}

#[test]
fn a_required_key_must_not_be_missing_once_the_peer_has_had_one() {
    let mut rng = StdRng::seed_from_u64(1);
    for must_be_keyed in [false, true] {
        // The peer offers SPQR, and begins without a key.
        let mut theirs = Side::new(Direction::Initiator, Negotiation::Offered);
        let mut ours = Side { must_be_keyed, ..Side::new(Direction::Responder, Negotiation::Required) };
        for _ in 0..2 {
            let (message, key) = theirs.send(&mut rng);
            assert_eq!((ours.receive(&message), key), (Ok(None), None));
        }
        assert_eq!(ours.receive(&keyless()), Ok(None), "nobody can tell yet");
        let (answer, key) = ours.send(&mut rng);
        assert_eq!(theirs.receive(&answer), Ok(key));
        let (message, key) = theirs.send(&mut rng);
        assert!(key.is_some());
        assert_eq!(ours.receive(&message), Ok(key));

        let forged = ours.receive(&keyless());
        assert_eq!(forged, if must_be_keyed { Err(ReceiveError::Keyless) } else { Ok(None) });
        // A message without a key changes nothing about that, even if it was accepted.
        ours.must_be_keyed = true;
        assert_eq!(ours.receive(&keyless()), Err(ReceiveError::Keyless));
        ours.must_be_keyed = must_be_keyed;
        // This remains so in later states.
        let (message, key) = theirs.send(&mut rng);
        assert_eq!(ours.receive(&message), Ok(key));
        assert_eq!(ours.receive(&keyless()), forged);
    }
}
