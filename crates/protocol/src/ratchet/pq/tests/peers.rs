//! Peers that are not what we are: one that forges, and one that speaks a later version.

use std::collections::BTreeSet;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;
use braid::BraidError;
use message::Payload;

/// What a message says, in a word.
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

/// Two sides that talk in turn; `look` sees each receiver and its message before it is delivered.
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
fn a_forged_chunk_is_noticed_when_it_completes_something() {
    let mut noticed = BTreeSet::new();
    talk(400, |receiver, message| {
        let mut forged = message.to_vec();
        *forged.last_mut().unwrap() ^= 1;
        match (kind(message), receiver.try_receive(&forged)) {
            // Of the first half of a ciphertext nothing is known before the MAC in the second half.
            ("no chunk", _) | (_, Ok(_)) => {}
            (kind, Err(reason)) => drop(noticed.insert((kind, format!("{reason:?}")))),
        }
    });
    let expected = [("ct2", "BadMac"), ("ek", "BadKey"), ("header", "BadMac")];
    assert_eq!(noticed, expected.map(|(kind, reason)| (kind, reason.to_owned())).into());
}

#[test]
fn nobody_is_two_epochs_ahead() {
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
fn who_speaks_a_later_version_has_our_keys_and_may_yet_fall_silent_unless_we_require_it() {
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
        // They have shown that they have keys, so ours is used from now on.
        let (answer, key) = ours.send(&mut rng);
        assert!(key.is_some());
        assert_eq!(theirs.receive(&answer), Ok(key));
        assert_eq!(ours.receive(b""), silence);
    }
}

#[test]
fn who_has_spoken_version_1_speaks_no_other() {
    talk(2, |receiver, message| {
        let mut later = message.to_vec();
        later[0] = message::VERSION + 1;
        let agreed = matches!(&receiver.spqr, Spqr::On(running) if running.negotiation == Negotiation::Keyed);
        let refused = receiver.try_receive(&later).err();
        assert_eq!(refused, agreed.then_some(ReceiveError::VersionMismatch));
    });
}

/// Who holds the classical state makes messages without a key of SPQR: what peers begin with who do not require it.
fn keyless() -> Bytes {
    message::serialize(1, 0, &Payload::None).into()
}

#[test]
fn what_has_no_key_is_refused_once_they_have_had_one_where_keys_are_required() {
    let mut rng = StdRng::seed_from_u64(1);
    for must_be_keyed in [false, true] {
        // They offer SPQR, and begin without a key.
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
        // Nobody forgets it again.
        let (message, key) = theirs.send(&mut rng);
        assert_eq!(ours.receive(&message), Ok(key));
        assert_eq!(ours.receive(&keyless()), forged);
    }
}
