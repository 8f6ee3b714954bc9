//! Both parties, the network between them, and the invariants that hold after every event.

use rand::{SeedableRng as _, rngs::StdRng};
use sealpost_protocol::{
    Ciphertext, DecryptError, IdentityKeyPair, PreKeySignalMessage, SessionPolicy, SignalMessage,
    SkippedKeys, UnixSeconds,
};

use super::event::{Event, Script};
use super::party::{Envelope, Party};

pub(crate) const NOW: UnixSeconds = UnixSeconds(1_764_000_000);
pub(crate) const NAMES: [&str; 2] = ["9d0652a3-dcc3-4d11-975f-74d61598733f", "bob"];
/// How many receiving chains a session keeps: a late message of an older chain may be lost.
pub(crate) const CHAINS: usize = 5;
/// How many inactive sessions a record keeps: messages of older sessions are lost.
const INACTIVE: usize = 40;

pub(crate) struct World {
    pub(crate) parties: [Party; 2],
    pub(crate) sent: usize,
    restored: bool,
    pub(crate) rng: StdRng,
}

fn text(number: usize) -> Vec<u8> {
    format!("message {number}").repeat(number % 5).into_bytes()
}

impl World {
    pub(crate) fn new(policies: [SessionPolicy; 2]) -> Self {
        let mut rng = StdRng::seed_from_u64(1);
        let parties = [0, 1].map(|at| {
            let identity = IdentityKeyPair::generate(&mut rng);
            Party::new(NAMES[at], identity, policies[at], &mut rng)
        });
        Self { parties, sent: 0, restored: false, rng }
    }

    pub(crate) fn happen(&mut self, event: Event) {
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
                party.commit(party.record.archive(NOW), Vec::new());
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
        let (local, policy) = (party.local(), party.policy);
        let next = party.record.initiate(&local, &remote, bundle, policy, NOW, &mut self.rng).unwrap();
        party.commit(next, Vec::new());
    }

    fn send(&mut self, at: usize) {
        let Party { record, policy, .. } = &self.parties[at];
        if !record.usable_for_sending(*policy, NOW) {
            self.begin(at);
        }
        let remote = self.parties[1 - at].address.clone();
        let party = &mut self.parties[at];
        let sent =
            party.record.encrypt(&party.local(), &remote, &text(self.sent), NOW, &mut self.rng).unwrap();
        party.commit(sent.next, sent.skipped);
        let bytes = sent.output.serialize();
        let ciphertext = match sent.output {
            Ciphertext::Signal(_) => Ciphertext::Signal(SignalMessage::parse(bytes).unwrap()),
            Ciphertext::PreKey(_) => Ciphertext::PreKey(PreKeySignalMessage::parse(bytes).unwrap()),
        };
        self.parties[1 - at].inbox.push(Envelope { number: self.sent, ciphertext });
        self.sent += 1;
    }

    /// Delivers the message at `position`. It must be decrypted, unless it was decrypted before or a documented limit
    /// applies.
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
        let signal = match &ciphertext {
            Ciphertext::Signal(message) => message,
            Ciphertext::PreKey(message) => message.signal_message(),
        };
        let chain = *signal.ratchet_key();
        // Version 1, epoch 1, number 0: a message without a key, as it is sent while SPQR is only offered. A party that
        // requires SPQR accepts it until a message with a key has arrived.
        let is_keyless = signal.pq_ratchet().starts_with(&[1, 1, 0]);
        match opened {
            Ok(plaintext) => {
                assert_eq!(plaintext, text(number), "the plaintext is the one that was sent");
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
                let forgotten = newer >= CHAINS || party.record.sessions().count() >= INACTIVE;
                let refused =
                    is_keyless && party.policy == SessionPolicy::TripleRatchet && !party.received.is_empty();
                assert!(forgotten || refused, "message {number} was lost: {reason}");
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
                // The parts around the inner message are not authenticated, but the last byte is part of its MAC.
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

    /// Performs all events of the script, and then delivers the messages that are still in transit.
    pub(crate) fn talk(script: &Script) -> Self {
        let mut world = Self::new(script.policies);
        for event in &script.events {
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
