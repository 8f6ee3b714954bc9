//! Forged messages for devices in the middle of a conversation, from strangers and from peers.
//!
//! The first byte of an input selects the device. The rest is an unauthenticated message, or, if the highest bit is
//! set, a state for its peer: what the peer then sends has a valid MAC, but may contain anything.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use rand::{SeedableRng as _, rngs::StdRng};
use sealpost_protocol::group::{self, SenderKeyRecord, SkippedKeyId};
use sealpost_protocol::{
    Address, Ciphertext, DistributionId, EncryptError, KnownKeys, PreKeySignalMessage, SenderKeyMessage,
    SessionPolicy, SessionRecord, SignalMessage,
};

use crate::allocation::{Limit, limited_step};
use crate::interaction::event::Event::{self, Drop, Receive, Send, Shuffle};
use crate::interaction::party::Party;
use crate::interaction::world::{NOW, World};

/// A refused message allocates almost nothing, however far its header advances the chains. A message that is
/// decrypted keeps the keys of the messages that it skips, 2,000 of each ratchet.
const LIMITS: (Limit, Limit) =
    (Limit { factor: 2, constant: 4 << 10 }, Limit { factor: 2, constant: 1 << 20 });

/// In the first byte: the rest is a state of the peer.
const ALTERED: u8 = 0x80;

/// A party of a conversation.
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
    // SPQR takes about 70 turns for an epoch, with a different state of its braid every few turns.
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
    let Some((pick, rest)) = input.split_first() else { return };
    let (at, altered) = (usize::from(pick & !ALTERED) % (victims.len() + 1), pick & ALTERED != 0);
    match victims.get(at) {
        // The two parties of a conversation are adjacent.
        Some(victim) if altered => victim.get_from_altered(&victims[at ^ 1].party, rest),
        Some(victim) => victim.get_message(rest),
        None => member.get_message(rest),
    }
}

/// The messages in transit to each of them, and the actual states of their peers.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let input = |pick: usize, rest: &[u8]| [&[u8::try_from(pick).unwrap()], rest].concat();
    let mut seeds = Vec::new();
    for (at, Victim { party, .. }) in VICTIMS.iter().enumerate() {
        seeds.extend(party.inbox.iter().map(|envelope| input(at, envelope.ciphertext.serialize())));
        seeds.push(input((at ^ 1) | usize::from(ALTERED), &party.record.to_bytes()));
        let messages = party.inbox.iter().map(|envelope| match &envelope.ciphertext {
            Ciphertext::Signal(message) => message,
            Ciphertext::PreKey(message) => message.signal_message(),
        });
        seeds.extend(messages.map(|message| input(at, far_ahead(message).serialize())));
    }
    seeds.extend(MEMBER.under_way.iter().map(|message| input(VICTIMS.len(), message.serialize())));
    seeds
}

/// What anybody can derive from a message: number 20,000 of the same chains, with a MAC of zeros.
fn far_ahead(message: &SignalMessage) -> SignalMessage {
    const NUMBER: &[u8] = &[0xa0, 0x9c, 0x01];
    let after_varint = |bytes: &[u8]| 1 + bytes.iter().position(|byte| byte & 0x80 == 0).unwrap();
    let pq = message.pq_ratchet();
    let index = 1 + after_varint(&pq[1..]);
    let payload = index + after_varint(&pq[index..]);
    let pq = [&pq[..index], NUMBER, &pq[payload..]].concat();
    let bytes =
        |field: u8, bytes: &[u8]| [&[field << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat();
    let forged = [
        &[0x44][..],
        &bytes(1, message.ratchet_key()),
        &[2 << 3],
        NUMBER,
        &bytes(4, &[0; 16]),
        &bytes(5, &pq),
        &[0; 8],
    ];
    let forged = SignalMessage::parse(&forged.concat()).unwrap();
    assert_eq!((forged.counter(), forged.pq_ratchet()), (20_000, &*pq));
    forged
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

    fn get_from_altered(&self, peer: &Party, state: &[u8]) {
        let Ok(record) = SessionRecord::from_bytes(state) else { return };
        let rng = &mut StdRng::seed_from_u64(1);
        if let Ok(sent) = record.encrypt(&peer.local(), &self.party.address, b"text", NOW, rng) {
            self.open(&sent.output);
        }
    }

    fn open(&self, ciphertext: &Ciphertext) {
        let rng = &mut StdRng::seed_from_u64(0);
        let opened =
            limited_step(LIMITS, ciphertext.serialize(), || self.party.decrypt(&self.peer, ciphertext, rng));
        if let Ok((advanced, _)) = opened {
            let stored = advanced.next.to_bytes();
            assert_eq!(*SessionRecord::from_bytes(&stored).unwrap().to_bytes(), *stored);
            let answer = advanced.next.encrypt(&self.party.local(), &self.peer, b"answer", NOW, rng);
            assert!(!matches!(answer, Err(EncryptError::NoSession | EncryptError::Bug(_))));
        }
    }
}

impl Member {
    /// Has received the third of six messages.
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
        let opened = record.decrypt(&under_way.remove(2), None, NOW, &mut KnownKeys::default()).unwrap();
        let kept = opened.skipped.iter().map(|change| match change {
            group::SkippedChange::Keep(key) => (key.id, *key.seed.expose()),
            other => panic!("a first jump only keeps keys, no {other:?}"),
        });
        Self { skipped: kept.collect(), record: opened.next, under_way }
    }

    fn get_message(&self, message: &[u8]) {
        let Ok(message) = SenderKeyMessage::parse(message) else { return };
        let id = SkippedKeyId::of(&message);
        let kept = self.skipped.get(&id).map(|seed| group::SkippedKey::new(id, *seed, Some(NOW)));
        let opened = limited_step(LIMITS, message.serialize(), || {
            self.record.decrypt(&message, kept.as_ref(), NOW, &mut KnownKeys::default())
        });
        if let Ok(advanced) = opened {
            let stored = advanced.next.to_bytes();
            assert_eq!(*SenderKeyRecord::from_bytes(&stored).unwrap().to_bytes(), *stored);
        }
    }
}
