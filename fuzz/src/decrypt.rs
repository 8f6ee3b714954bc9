//! Forged messages. The first byte of an input picks a device in the middle of a talk, the rest is what it gets.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use rand::{SeedableRng as _, rngs::StdRng};
use sealpost_protocol::group::{self, SenderKeyRecord, SkippedKeyId};
use sealpost_protocol::{
    Address, Ciphertext, DistributionId, PreKeySignalMessage, SenderKeyMessage, SessionPolicy, SessionRecord,
    SignalMessage,
};

use crate::allocation::{Limit, limited};
use crate::interaction::event::Event::{self, Drop, Receive, Send, Shuffle};
use crate::interaction::party::Party;
use crate::interaction::world::World;

/// A forged header may make a chain walk, and its skipped keys wait for the proof that it was no forgery.
const LIMIT: Limit = Limit { factor: 2, constant: 1 << 20 };

/// A party of a talk.
struct Victim {
    party: Party,
    peer: Address,
}

/// A member of a group.
struct Member {
    record: SenderKeyRecord,
    skipped: BTreeMap<SkippedKeyId, [u8; 32]>,
    under_way: Vec<SenderKeyMessage>,
}

static VICTIMS: LazyLock<Vec<Victim>> = LazyLock::new(|| {
    let beginnings: [&[Event]; 3] = [
        &[Send(0)],
        &[Send(0), Send(0), Receive(1), Send(1)],
        &[Send(0), Send(0), Shuffle(1, 1), Receive(1)],
    ];
    // SPQR takes some 70 turns to an epoch, and another state of its braid every few.
    let turns = [1, 2, 6, 20, 38, 45, 60, 75].map(|count| {
        let turn = [Send(0), Receive(1), Send(1), Receive(0)];
        let late = [Send(0), Send(0), Send(0), Shuffle(1, 2), Receive(1), Send(1), Send(1), Drop(0, 0)];
        [turn.repeat(count), late.to_vec()].concat()
    });
    let talks = beginnings.into_iter().map(<[Event]>::to_vec).chain(turns);
    talks.flat_map(|events| Victim::both(&events)).collect()
});

static MEMBER: LazyLock<Member> = LazyLock::new(Member::new);

pub(crate) fn run(input: &[u8]) {
    let (victims, member) = (&*VICTIMS, &*MEMBER);
    let Some((pick, message)) = input.split_first() else { return };
    match victims.get(usize::from(*pick) % (victims.len() + 1)) {
        Some(victim) => victim.get_message(message),
        None => member.get_message(message),
    }
}

/// What is really under way to each of them.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let victims = VICTIMS.iter().map(|victim| {
        victim.party.inbox.iter().map(|envelope| envelope.ciphertext.serialize().to_vec()).collect()
    });
    let member = MEMBER.under_way.iter().map(|message| message.serialize().to_vec()).collect();
    let all = victims.chain([member]).enumerate();
    all.flat_map(|(pick, messages): (usize, Vec<_>)| {
        let pick = u8::try_from(pick).unwrap();
        messages.into_iter().map(move |message| [&[pick], message.as_slice()].concat())
    })
    .collect()
}

impl Victim {
    fn both(events: &[Event]) -> [Self; 2] {
        let mut world = World::new([SessionPolicy::default(); 2]);
        for event in events {
            world.happen(*event);
        }
        let [first, second] = world.parties;
        let peers = [second.address.clone(), first.address.clone()];
        let [theirs, ours] = peers;
        [Self { party: first, peer: theirs }, Self { party: second, peer: ours }]
    }

    fn get_message(&self, message: &[u8]) {
        if let Ok(message) = SignalMessage::parse(message) {
            self.open(&Ciphertext::Signal(message));
        }
        if let Ok(message) = PreKeySignalMessage::parse(message) {
            self.open(&Ciphertext::PreKey(message));
        }
    }

    fn open(&self, ciphertext: &Ciphertext) {
        let rng = &mut StdRng::seed_from_u64(0);
        let opened =
            limited(LIMIT, ciphertext.serialize(), || self.party.decrypt(&self.peer, ciphertext, rng));
        if let Ok((advanced, _)) = opened {
            let stored = advanced.next.to_bytes();
            assert_eq!(SessionRecord::from_bytes(&stored).unwrap().to_bytes(), stored);
        }
    }
}

impl Member {
    /// Has got the third of six messages.
    fn new() -> Self {
        let rng = &mut StdRng::seed_from_u64(0);
        let id = DistributionId::generate(rng);
        let mut sender = SenderKeyRecord::empty(id);
        let handed = sender.create_distribution(rng);
        sender = handed.next;
        let mut under_way: Vec<_> = (0..6)
            .map(|_| {
                let sent = sender.encrypt(b"message", rng).unwrap();
                sender = sent.next;
                sent.output
            })
            .collect();
        let record = SenderKeyRecord::empty(id).process(&handed.output).unwrap().next;
        let opened = record.decrypt(&under_way.remove(2), None).unwrap();
        let kept = opened.skipped.iter().map(|change| match change {
            group::SkippedChange::Keep(key) => (key.id, *key.seed.expose()),
            other => panic!("a first jump only keeps keys, no {other:?}"),
        });
        Self { skipped: kept.collect(), record: opened.next, under_way }
    }

    fn get_message(&self, message: &[u8]) {
        let Ok(message) = SenderKeyMessage::parse(message) else { return };
        let id = SkippedKeyId::of(&message);
        let kept = self.skipped.get(&id).map(|seed| group::SkippedKey::new(id, *seed));
        let opened = limited(LIMIT, message.serialize(), || self.record.decrypt(&message, kept.as_ref()));
        if let Ok(advanced) = opened {
            let stored = advanced.next.to_bytes();
            assert_eq!(SenderKeyRecord::from_bytes(&stored).unwrap().to_bytes(), stored);
        }
    }
}
