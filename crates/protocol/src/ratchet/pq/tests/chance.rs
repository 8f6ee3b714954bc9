//! Two parties and a network that loses, repeats, damages and reorders, and stores that are rolled back. What happens is
//! data, so that a failing talk shrinks to the shortest one.

use std::collections::HashSet;

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;

/// An event at one of two parties, 0 or 1; `u8` picks one of the messages in transit to it.
#[derive(Debug, Clone, Copy)]
enum Event {
    Send(usize),
    /// The oldest message arrives.
    Deliver(usize),
    /// The picked message arrives.
    Reorder(usize, u8),
    /// The picked message arrives, and will arrive again.
    Repeat(usize, u8),
    /// The picked message arrives with one byte changed, and will arrive intact.
    Damage(usize, u8),
    Drop(usize, u8),
    Snapshot(usize),
    Restore(usize),
}

#[derive(Clone)]
struct Envelope {
    number: usize,
    message: Bytes,
    key: Option<[u8; 32]>,
}

struct World {
    sides: [Side; 2],
    backups: [(Vec<u8>, Vec<u8>); 2],
    /// The messages in transit to each party.
    inboxes: [Vec<Envelope>; 2],
    received: [HashSet<usize>; 2],
    sent: usize,
    restored: bool,
    rng: StdRng,
}

impl World {
    /// The state after `round_trips`, so that a test can begin in any part of an epoch.
    fn new(negotiations: [Negotiation; 2], round_trips: usize) -> Self {
        let sides = [Direction::Initiator, Direction::Responder].map(|direction| {
            let negotiation = negotiations[usize::from(direction == Direction::Responder)];
            Side::new(direction, negotiation)
        });
        let mut world = Self {
            backups: sides.each_ref().map(Side::everything),
            sides,
            inboxes: Default::default(),
            received: Default::default(),
            sent: 0,
            restored: false,
            rng: StdRng::seed_from_u64(round_trips as u64),
        };
        for _ in 0..round_trips {
            for event in [Event::Send(0), Event::Deliver(1), Event::Send(1), Event::Deliver(0)] {
                world.happen(event);
            }
        }
        world
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Send(at) => {
                let (message, key) = self.sides[at].send(&mut self.rng);
                self.inboxes[1 - at].push(Envelope { number: self.sent, message, key });
                self.sent += 1;
            }
            Event::Deliver(at) => self.deliver(at, 0, true),
            Event::Reorder(at, pick) => self.deliver(at, pick, true),
            Event::Repeat(at, pick) => self.deliver(at, pick, false),
            Event::Damage(at, pick) => {
                if let Some(picked) = self.pick(at, pick) {
                    let mut message = self.inboxes[at][picked].message.to_vec();
                    let byte = usize::from(pick) % message.len();
                    message[byte] ^= 1 << (pick % 8);
                    // Whatever the result, the MAC of the outer message would be wrong.
                    let _ = self.sides[at].try_receive(&message);
                }
            }
            Event::Drop(at, pick) => {
                if let Some(picked) = self.pick(at, pick) {
                    self.inboxes[at].remove(picked);
                }
            }
            Event::Snapshot(at) => self.backups[at] = self.sides[at].everything(),
            Event::Restore(at) => {
                let (spqr, skipped) = &self.backups[at];
                self.sides[at].spqr = Spqr::read(spqr).unwrap();
                self.sides[at].skipped = SkippedKeys::from_bytes(skipped).unwrap();
                self.restored = true;
            }
        }
    }

    fn pick(&self, at: usize, pick: u8) -> Option<usize> {
        usize::from(pick).checked_rem(self.inboxes[at].len())
    }

    fn deliver(&mut self, at: usize, pick: u8, last: bool) {
        let Some(picked) = self.pick(at, pick) else { return };
        let Envelope { number, message, key } = self.inboxes[at][picked].clone();
        if last {
            self.inboxes[at].remove(picked);
        }
        let side = &mut self.sides[at];
        let again = self.received[at].contains(&number);
        let before = side.everything();
        match side.try_receive(&message) {
            Ok(received) if received.key.as_ref().map(|key| *key.expose()) == key => {
                assert!(self.restored || !again || key.is_none(), "no key is given twice");
                side.store(received.next, received.skipped.into_changes());
                self.received[at].insert(number);
            }
            // The MAC of the outer message would be wrong.
            Ok(_) => assert!(self.restored, "both have the same key for the same message"),
            Err(reason) => {
                assert_eq!(side.everything(), before);
                let Spqr::On(running) = &side.spqr else { panic!("without SPQR, everything is received") };
                let Ok(Preamble::Known(keyed)) = Preamble::parse(&message) else { panic!("version 1") };
                let gone =
                    running.chains.of(chain::Side::Theirs).next().unwrap().0.epoch > keyed.chain_epoch();
                let explained = match reason {
                    ReceiveError::Epoch => gone,
                    ReceiveError::Duplicate => again,
                    _ => false,
                };
                assert!(self.restored || explained, "{reason:?} for message {number}");
            }
        }
    }
}

fn negotiation() -> impl Strategy<Value = Negotiation> {
    prop_oneof![Just(Negotiation::Offered), Just(Negotiation::Required)]
}

fn event() -> impl Strategy<Value = Event> {
    let (at, pick) = (0_usize..2, any::<u8>());
    prop_oneof![
        8 => at.clone().prop_map(Event::Send),
        6 => at.clone().prop_map(Event::Deliver),
        2 => (at.clone(), pick).prop_map(|(at, pick)| Event::Reorder(at, pick)),
        1 => (at.clone(), pick).prop_map(|(at, pick)| Event::Repeat(at, pick)),
        1 => (at.clone(), pick).prop_map(|(at, pick)| Event::Damage(at, pick)),
        1 => (at, pick).prop_map(|(at, pick)| Event::Drop(at, pick)),
    ]
}

fn event_with_backups() -> impl Strategy<Value = Event> {
    let at = 0_usize..2;
    prop_oneof![
        20 => event(),
        1 => at.clone().prop_map(Event::Snapshot),
        1 => at.prop_map(Event::Restore),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn both_have_the_same_keys(
        negotiations in [negotiation(), negotiation()],
        round_trips in 0_usize..100,
        events in proptest::collection::vec(event(), 0..400),
    ) {
        let mut world = World::new(negotiations, round_trips);
        events.into_iter().for_each(|event| world.happen(event));
    }

    #[test]
    fn after_a_restore_every_wrong_key_is_detected(
        round_trips in 0_usize..100,
        events in proptest::collection::vec(event_with_backups(), 0..400),
    ) {
        let mut world = World::new([Negotiation::Required; 2], round_trips);
        events.into_iter().for_each(|event| world.happen(event));
    }

    #[test]
    fn invalid_messages_and_records_do_not_panic(
        round_trips in 0_usize..100,
        message: Vec<u8>,
        cut: proptest::sample::Index,
        (at, bit) in (any::<proptest::sample::Index>(), 0_u8..8),
    ) {
        let world = World::new([Negotiation::Required; 2], round_trips);
        for side in &world.sides {
            let _ = side.try_receive(&message);
            let (mut stored, _) = side.everything();
            let _ = Spqr::read(&stored[..cut.index(stored.len())]);
            let at = at.index(stored.len());
            stored[at] ^= 1 << bit;
            if let Ok(spqr) = Spqr::read(&stored) {
                let _ = spqr.receive(&message, &side.terms(&[]), &mut Work::new(Jump::Limited));
                let _ = spqr.send(session(), &mut StdRng::seed_from_u64(1));
            }
        }
    }
}
