//! Two parties, a network that loses, repeats, damages and reorders, and stores that are rolled back. What happens is
//! data, so that a failing talk shrinks to the shortest one.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};
use sealpost_protocol::{
    Address, Ciphertext, DecryptError, DeviceId, IdentityKeyPair, KemPreKey, KemPreKeyId, LocalDevice,
    OneTimePreKey, OneTimePreKeyId, OurPreKeys, PreKeyBundle, PreKeySignalMessage, RawPreKeyBundle,
    RawSigned, SessionChange, SessionId, SessionPolicy, SessionRecord, SignalMessage, SignedPreKey,
    SignedPreKeyId, SkippedChange, SkippedKeys, UnixSeconds, VerifiedBundle,
};

const NOW: UnixSeconds = UnixSeconds(1_764_000_000);
const NAMES: [&str; 2] = ["9d0652a3-dcc3-4d11-975f-74d61598733f", "bob"];
/// Receiving chains that a session remembers: beyond them a late message may be lost.
const CHAINS: usize = 5;

/// `usize` is a party, 0 or 1; `u8` picks a message under way to it.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// Sends to the other one, after beginning a session if there is none to send with.
    Send(usize),
    /// Gets the oldest message under way to it.
    Receive(usize),
    /// The network reorders: the picked message comes next.
    Shuffle(usize, u8),
    /// The network loses it.
    Drop(usize, u8),
    /// The network delivers it, and will deliver it again.
    Repeat(usize, u8),
    /// The network delivers it damaged, and will deliver it whole.
    Damage(usize, u8),
    /// Begins a new session, whether it has one or not.
    Begin(usize),
    /// Puts its session away.
    Archive(usize),
    /// Makes a backup.
    Snapshot(usize),
    /// Goes back to its backup.
    Restore(usize),
}

#[derive(Clone)]
struct Envelope {
    number: usize,
    ciphertext: Ciphertext,
}

/// All that a party stores.
#[derive(Clone)]
struct Stored {
    rows: BTreeMap<SessionId, (i64, bool, Vec<u8>)>,
    skipped: Vec<u8>,
    one_time: BTreeMap<u32, Vec<u8>>,
}

struct Party {
    identity: IdentityKeyPair,
    address: Address,
    policy: SessionPolicy,
    signed: SignedPreKey,
    kem: KemPreKey,
    record: SessionRecord,
    skipped: SkippedKeys,
    stored: Stored,
    backup: Stored,
    inbox: Vec<Envelope>,
    received: BTreeSet<usize>,
    /// Their ratchet keys, in the order in which they were first seen.
    chains: Vec<[u8; 33]>,
}

struct World {
    parties: [Party; 2],
    sent: usize,
    restored: bool,
    rng: StdRng,
}

fn text(number: usize) -> Vec<u8> {
    format!("message {number}").repeat(number % 5).into_bytes()
}

impl Party {
    fn new(name: &str, identity: IdentityKeyPair, policy: SessionPolicy, rng: &mut StdRng) -> Self {
        let stored = Stored {
            rows: BTreeMap::new(),
            skipped: SkippedKeys::default().to_bytes().to_vec(),
            one_time: BTreeMap::new(),
        };
        Self {
            address: Address::new(name, DeviceId::new(1).unwrap()),
            signed: SignedPreKey::generate(SignedPreKeyId(1), &identity, 0, rng),
            kem: KemPreKey::generate(KemPreKeyId(1), &identity, 0, rng),
            identity,
            policy,
            record: SessionRecord::empty(),
            skipped: SkippedKeys::default(),
            backup: stored.clone(),
            stored,
            inbox: Vec::new(),
            received: BTreeSet::new(),
            chains: Vec::new(),
        }
    }

    fn bundle(&mut self, rng: &mut StdRng) -> VerifiedBundle {
        let id = self.stored.one_time.last_key_value().map_or(0, |(last, _)| last + 1);
        let one_time = OneTimePreKey::generate(OneTimePreKeyId(id), rng);
        self.stored.one_time.insert(id, one_time.to_bytes().to_vec());
        let raw = RawPreKeyBundle {
            registration_id: 1,
            device_id: 1,
            identity_key: &self.identity.public().serialize(),
            signed_pre_key: RawSigned {
                id: 1,
                key: &self.signed.public_key(),
                signature: self.signed.signature(),
            },
            one_time_pre_key: Some((id, &one_time.public_key())),
            kem_pre_key: Some(RawSigned {
                id: 1,
                key: &self.kem.public_key(),
                signature: self.kem.signature(),
            }),
        };
        PreKeyBundle::parse(raw).unwrap().verify().unwrap()
    }

    /// Stores what changed, and checks that the rows are the record.
    fn commit(&mut self, next: SessionRecord, skipped: Vec<SkippedChange>) {
        self.skipped.apply(skipped);
        for change in next.changes_since(&self.record) {
            match change {
                SessionChange::Put { id, rank, active, bytes } => {
                    self.stored.rows.insert(id, (rank, active, bytes.to_vec()));
                }
                SessionChange::Remove(id) => {
                    self.stored.rows.remove(&id);
                    self.skipped.apply(vec![SkippedChange::ForgetSession(id)]);
                }
            }
        }
        self.record = next;
        self.stored.skipped = self.skipped.to_bytes().to_vec();
        assert_eq!(self.stored.record().to_bytes(), self.record.to_bytes());
    }

    /// Decrypts, and commits only a success.
    fn open(
        &mut self,
        peer: &Address,
        ciphertext: &Ciphertext,
        rng: &mut StdRng,
    ) -> Result<Vec<u8>, DecryptError> {
        let Self { identity, address, .. } = &*self;
        let local = LocalDevice { identity, address, registration_id: 1 };
        let advanced = match ciphertext {
            Ciphertext::Signal(message) => {
                let skipped = self.skipped.find(message);
                self.record.decrypt(&local, peer, message, &skipped, rng)?
            }
            Ciphertext::PreKey(message) => {
                let id = message.one_time_pre_key_id().unwrap().0;
                let one_time =
                    self.stored.one_time.get(&id).map(|key| OneTimePreKey::from_bytes(key).unwrap());
                let keys =
                    OurPreKeys { signed: &self.signed, one_time: one_time.as_ref(), kem: Some(&self.kem) };
                let skipped = self.skipped.find(message.signal_message());
                let policy = self.policy;
                let accepted =
                    self.record.decrypt_pre_key(&local, peer, message, Some(keys), &skipped, policy, rng)?;
                if let Some(OneTimePreKeyId(spent)) = accepted.consumed.and_then(|consumed| consumed.one_time)
                {
                    self.stored.one_time.remove(&spent);
                }
                accepted.advanced
            }
        };
        self.commit(advanced.next, advanced.skipped);
        Ok(advanced.output.expose().to_vec())
    }

    fn everything(&self) -> (Vec<u8>, Vec<u8>) {
        (self.record.to_bytes().to_vec(), self.skipped.to_bytes().to_vec())
    }
}

impl Stored {
    fn record(&self) -> SessionRecord {
        let rows = self.rows.iter().map(|(id, (rank, active, bytes))| (*id, *rank, *active, bytes));
        SessionRecord::from_stored(rows).unwrap()
    }
}

impl World {
    fn new(policies: [SessionPolicy; 2]) -> Self {
        let mut rng = StdRng::seed_from_u64(1);
        let parties = [0, 1].map(|at| {
            let identity = IdentityKeyPair::generate(&mut rng);
            Party::new(NAMES[at], identity, policies[at], &mut rng)
        });
        Self { parties, sent: 0, restored: false, rng }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Send(at) => self.send(at),
            Event::Receive(at) => self.deliver(at, 0),
            Event::Shuffle(at, pick) => {
                if let Some(position) = self.pick(at, pick) {
                    let envelope = self.parties[at].inbox.remove(position);
                    self.parties[at].inbox.insert(0, envelope);
                }
            }
            Event::Drop(at, pick) => {
                if let Some(position) = self.pick(at, pick) {
                    self.parties[at].inbox.remove(position);
                }
            }
            Event::Repeat(at, pick) => {
                if let Some(position) = self.pick(at, pick) {
                    let again = self.parties[at].inbox[position].clone();
                    self.deliver(at, position);
                    self.parties[at].inbox.push(again);
                }
            }
            Event::Damage(at, pick) => {
                if let Some(position) = self.pick(at, pick) {
                    self.damage(at, position);
                }
            }
            Event::Begin(at) => self.begin(at),
            Event::Archive(at) => {
                let party = &mut self.parties[at];
                party.commit(party.record.archive(), Vec::new());
            }
            Event::Snapshot(at) => self.parties[at].backup = self.parties[at].stored.clone(),
            Event::Restore(at) => {
                self.restored = true;
                let party = &mut self.parties[at];
                party.stored = party.backup.clone();
                party.record = party.stored.record();
                party.skipped = SkippedKeys::from_bytes(&party.stored.skipped).unwrap();
            }
        }
    }

    fn pick(&self, at: usize, pick: u8) -> Option<usize> {
        usize::from(pick).checked_rem(self.parties[at].inbox.len())
    }

    fn begin(&mut self, at: usize) {
        let bundle = self.parties[1 - at].bundle(&mut self.rng);
        let remote = self.parties[1 - at].address.clone();
        let party = &mut self.parties[at];
        let local = LocalDevice { identity: &party.identity, address: &party.address, registration_id: 1 };
        let policy = party.policy;
        let next = party.record.initiate(&local, &remote, bundle, policy, NOW, &mut self.rng).unwrap();
        party.commit(next, Vec::new());
    }

    fn send(&mut self, at: usize) {
        if !self.parties[at].record.usable_for_sending(NOW) {
            self.begin(at);
        }
        let remote = self.parties[1 - at].address.clone();
        let party = &mut self.parties[at];
        let local = LocalDevice { identity: &party.identity, address: &party.address, registration_id: 1 };
        let sent = party.record.encrypt(&local, &remote, &text(self.sent), NOW, &mut self.rng).unwrap();
        party.commit(sent.next, sent.skipped);
        let bytes = sent.output.serialize();
        let ciphertext = match sent.output {
            Ciphertext::Signal(_) => Ciphertext::Signal(SignalMessage::parse(bytes).unwrap()),
            Ciphertext::PreKey(_) => Ciphertext::PreKey(PreKeySignalMessage::parse(bytes).unwrap()),
        };
        self.parties[1 - at].inbox.push(Envelope { number: self.sent, ciphertext });
        self.sent += 1;
    }

    /// Delivers the message at `position`. It must open, unless it did before or a rule says why not.
    fn deliver(&mut self, at: usize, position: usize) {
        if position >= self.parties[at].inbox.len() {
            return;
        }
        let Envelope { number, ciphertext } = self.parties[at].inbox.remove(position);
        let remote = self.parties[1 - at].address.clone();
        let party = &mut self.parties[at];
        let before = party.everything();
        let opened = party.open(&remote, &ciphertext, &mut self.rng);
        if opened.is_err() {
            assert_eq!(party.everything(), before, "a failure changes nothing");
        }
        let chain = match &ciphertext {
            Ciphertext::Signal(message) => *message.ratchet_key(),
            Ciphertext::PreKey(message) => *message.signal_message().ratchet_key(),
        };
        match opened {
            Ok(plaintext) => {
                assert_eq!(plaintext, text(number), "what is received is what was sent");
                let first_time = party.received.insert(number);
                assert!(first_time || self.restored, "message {number} was received twice");
                if !party.chains.contains(&chain) {
                    party.chains.push(chain);
                }
            }
            Err(_) if self.restored => {}
            Err(DecryptError::Duplicate) => {
                assert!(party.received.contains(&number), "message {number} was never received");
            }
            Err(reason) => {
                let known = party.chains.iter().position(|known| *known == chain);
                let newer = party.chains.len() - known.map_or(0, |position| position + 1);
                assert!(newer >= CHAINS, "message {number} was lost: {reason}");
            }
        }
    }

    fn damage(&mut self, at: usize, position: usize) {
        let ciphertext = match &self.parties[at].inbox[position].ciphertext {
            Ciphertext::Signal(message) => {
                let mut bytes = message.serialize().to_vec();
                *bytes.last_mut().unwrap() ^= 1;
                Ciphertext::Signal(SignalMessage::parse(&bytes).unwrap())
            }
            Ciphertext::PreKey(message) => {
                // What is around the message inside is not authenticated; the last byte of its MAC is.
                let (mut bytes, inside) =
                    (message.serialize().to_vec(), message.signal_message().serialize());
                let from = bytes.windows(inside.len()).position(|window| window == inside).unwrap();
                bytes[from + inside.len() - 1] ^= 1;
                Ciphertext::PreKey(PreKeySignalMessage::parse(&bytes).unwrap())
            }
        };
        let remote = self.parties[1 - at].address.clone();
        let party = &mut self.parties[at];
        let before = (party.everything(), party.stored.one_time.clone());
        party.open(&remote, &ciphertext, &mut self.rng).unwrap_err();
        assert_eq!((party.everything(), party.stored.one_time.clone()), before);
    }

    fn talk(events: &[Event]) -> Self {
        Self::talk_under([SessionPolicy::default(); 2], events)
    }

    fn talk_under(policies: [SessionPolicy; 2], events: &[Event]) -> Self {
        let mut world = Self::new(policies);
        for event in events {
            world.happen(*event);
        }
        for at in [0, 1] {
            while !world.parties[at].inbox.is_empty() {
                world.deliver(at, 0);
            }
        }
        world
    }
}

/// SPQR required or offered, on either side.
fn policies() -> impl Strategy<Value = [SessionPolicy; 2]> {
    let policy = || prop_oneof![Just(SessionPolicy::TripleRatchet), Just(SessionPolicy::Pqxdh)];
    [policy(), policy()]
}

fn party() -> impl Strategy<Value = usize> {
    0..2_usize
}

/// In order, nothing lost; sessions begin whenever anybody likes.
fn orderly() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => party().prop_map(Event::Send),
        6 => party().prop_map(Event::Receive),
        1 => party().prop_map(Event::Begin),
        1 => party().prop_map(Event::Archive),
    ]
}

fn hostile() -> impl Strategy<Value = Event> {
    let pick = || (party(), any::<u8>());
    prop_oneof![
        4 => orderly(),
        2 => pick().prop_map(|(at, pick)| Event::Shuffle(at, pick)),
        1 => pick().prop_map(|(at, pick)| Event::Drop(at, pick)),
        1 => pick().prop_map(|(at, pick)| Event::Repeat(at, pick)),
        1 => pick().prop_map(|(at, pick)| Event::Damage(at, pick)),
    ]
}

fn with_backups() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => hostile(),
        1 => party().prop_map(Event::Snapshot),
        1 => party().prop_map(Event::Restore),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_order_everything_arrives_once(
        policies in policies(),
        events in prop::collection::vec(orderly(), 1..60),
    ) {
        let world = World::talk_under(policies, &events);
        let received = world.parties[0].received.len() + world.parties[1].received.len();
        prop_assert_eq!(received, world.sent);
    }

    #[test]
    fn on_a_hostile_network_nothing_arrives_twice_or_changed(
        policies in policies(),
        events in prop::collection::vec(hostile(), 1..80),
    ) {
        World::talk_under(policies, &events);
    }

    #[test]
    fn after_a_restore_nothing_arrives_changed(events in prop::collection::vec(with_backups(), 1..80)) {
        World::talk(&events);
    }

    #[test]
    fn after_a_new_session_both_ways_are_open_again(events in prop::collection::vec(with_backups(), 1..40)) {
        let mut world = World::talk(&events);
        let at = world.sent;
        world.happen(Event::Begin(0));
        for event in [Event::Send(0), Event::Receive(1), Event::Send(1), Event::Receive(0)] {
            world.happen(event);
        }
        prop_assert!(world.parties[1].received.contains(&at));
        prop_assert!(world.parties[0].received.contains(&(at + 1)));
    }
}

#[test]
fn both_begin_at_once_and_nothing_is_lost() {
    use Event::{Receive, Send};
    let world = World::talk(&[
        Send(0),
        Send(1),
        Receive(0),
        Receive(1),
        Send(0),
        Send(1),
        Receive(1),
        Receive(0),
        Send(1),
        Receive(0),
        Send(0),
        Receive(1),
    ]);
    assert_eq!(world.parties.iter().map(|party| party.received.len()).sum::<usize>(), 6);
    let [alice, bob] = &world.parties;
    let active = |party: &Party| party.record.sessions().find(|row| row.active).unwrap().id;
    assert_eq!(active(alice), active(bob), "once a direction is quiet they meet in one session");
}

#[test]
fn of_skipped_keys_2000_are_kept() {
    use Event::{Receive, Send};
    let mut world = World::talk(&[Send(0), Receive(1), Send(1), Receive(0)]);
    for _ in 0..2_501 {
        world.happen(Send(0));
    }
    let late = world.parties[1].inbox.split_off(2_500);
    let held = std::mem::replace(&mut world.parties[1].inbox, late);
    world.happen(Receive(1));
    assert_eq!(world.parties[1].skipped.len(), 2 * 2_000, "of each ratchet");
    let remote = world.parties[0].address.clone();
    for (position, opens) in [(0, false), (499, false), (500, true), (2_499, true)] {
        let opened = world.parties[1].open(&remote, &held[position].ciphertext, &mut world.rng);
        assert_eq!(opened.err(), (!opens).then_some(DecryptError::Duplicate), "message {position}");
    }
    assert_eq!(world.parties[1].skipped.len(), 2 * 1_998);
    // Three more are skipped: one more than there is room for, and the oldest makes it. The count is stored, too.
    world.happen(Event::Snapshot(1));
    world.happen(Event::Restore(1));
    for _ in 0..4 {
        world.happen(Send(0));
    }
    world.parties[1].inbox.drain(..3);
    world.happen(Receive(1));
    assert_eq!(world.parties[1].skipped.len(), 2 * 2_000);
    let oldest = world.parties[1].open(&remote, &held[501].ciphertext, &mut world.rng);
    assert_eq!(oldest.err(), Some(DecryptError::Duplicate));
}

#[test]
fn five_chains_are_remembered() {
    use Event::{Receive, Send};
    let mut world = World::talk(&[Send(0), Receive(1), Send(1), Receive(0)]);
    // One message of each chain arrives, one is held back.
    let mut held = Vec::new();
    for _ in 0..6 {
        world.happen(Send(0));
        world.happen(Send(0));
        held.push(world.parties[1].inbox.remove(0));
        for event in [Receive(1), Send(1), Receive(0)] {
            world.happen(event);
        }
    }
    assert_eq!(world.parties[1].skipped.len(), CHAINS + held.len(), "one epoch of SPQR outlives many chains");
    let remote = world.parties[0].address.clone();
    for (position, envelope) in held.iter().enumerate() {
        let opened = world.parties[1].open(&remote, &envelope.ciphertext, &mut world.rng);
        assert_eq!(opened.err(), (position == 0).then_some(DecryptError::NotDecryptable));
    }
}

/// Two epochs of SPQR later nobody can use the key of a lost message any more, and nobody keeps it.
#[test]
fn keys_of_lost_messages_go_with_their_epoch() {
    use Event::{Drop, Receive, Send};
    let mut world = World::talk(&[Send(0), Receive(1), Send(1), Receive(0)]);
    for event in [Send(0), Drop(1, 0), Send(0), Receive(1), Send(1), Drop(0, 0)] {
        world.happen(event);
    }
    assert_eq!(world.parties[1].skipped.len(), 2, "one of each ratchet");
    for _ in 0..100 {
        for event in [Send(1), Receive(0), Send(0), Receive(1)] {
            world.happen(event);
        }
    }
    assert!(world.parties.iter().all(|party| party.skipped.is_empty()));
    let received = world.parties.iter().map(|party| party.received.len()).sum::<usize>();
    assert_eq!(received, world.sent - 2);
}

/// Oneself is the same identity under the same service id.
#[test]
fn a_session_with_oneself_jumps_any_distance() {
    for (name, same, opens) in [(NAMES[0], true, true), (NAMES[0], false, false), (NAMES[1], true, false)] {
        let mut rng = StdRng::seed_from_u64(3);
        let identity = IdentityKeyPair::generate(&mut rng);
        let other = IdentityKeyPair::generate(&mut rng);
        let other = if same { IdentityKeyPair::from_bytes(&identity.to_bytes()).unwrap() } else { other };
        let policy = SessionPolicy::TripleRatchet;
        let phone = Party::new(name, identity, policy, &mut rng);
        let mut laptop = Party::new(name, other, policy, &mut rng);
        let local = LocalDevice { identity: &phone.identity, address: &phone.address, registration_id: 1 };
        let bundle = laptop.bundle(&mut rng);
        let mut record =
            SessionRecord::empty().initiate(&local, &laptop.address, bundle, policy, NOW, &mut rng).unwrap();
        let mut last = None;
        for _ in 0..=25_001 {
            let sent = record.encrypt(&local, &laptop.address, b"far", NOW, &mut rng).unwrap();
            (record, last) = (sent.next, Some(sent.output));
        }
        assert_eq!(laptop.open(&phone.address, &last.unwrap(), &mut rng).is_ok(), opens);
    }
}
