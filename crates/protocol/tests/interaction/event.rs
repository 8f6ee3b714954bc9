//! The events of a conversation between two parties, and their encoding as bytes, so that a fuzzer can generate them.

use sealpost_protocol::SessionPolicy;

/// `usize` is a party, 0 or 1; `u8` picks one of the messages in transit to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// Sends to the other party, after starting a session if there is no usable one.
    Send(usize),
    /// Receives the oldest message in transit.
    Receive(usize),
    /// The network reorders: the picked message is delivered next.
    Shuffle(usize, u8),
    /// The network loses the picked message.
    Drop(usize, u8),
    /// The network delivers the picked message, and will deliver it again.
    Repeat(usize, u8),
    /// The network delivers the picked message damaged, and will deliver it intact.
    Damage(usize, u8),
    /// Starts a new session, whether it has one or not.
    Begin(usize),
    /// Archives its active session.
    Archive(usize),
    /// Makes a backup.
    Snapshot(usize),
    /// Restores its backup.
    Restore(usize),
}

/// The number of kinds of events.
const KINDS: u8 = 10;

/// A conversation: the policies of both parties, and the events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) policies: [SessionPolicy; 2],
    pub(crate) events: Vec<Event>,
}

impl Script {
    /// Parses any bytes: the policies are two bits of the first byte, and the events follow.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let mut bytes = bytes.iter().copied();
        let first = bytes.next().unwrap_or(0);
        let policies = [first & 1, first & 2].map(|bit| match bit {
            0 => SessionPolicy::TripleRatchet,
            _ => SessionPolicy::Pqxdh,
        });
        Self { policies, events: std::iter::from_fn(|| Event::read(&mut bytes)).collect() }
    }

    /// The bytes from which [`from_bytes`](Self::from_bytes) parses it.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let [first, second] = self.policies.map(|policy| u8::from(policy == SessionPolicy::Pqxdh));
        [first | second << 1].into_iter().chain(self.events.iter().flat_map(Event::write)).collect()
    }
}

impl Event {
    /// `2 * kind + party`, followed by the pick if the event has one.
    fn read(bytes: &mut impl Iterator<Item = u8>) -> Option<Self> {
        let byte = bytes.next()?;
        let at = usize::from(byte & 1);
        let mut pick = || bytes.next().unwrap_or(0);
        Some(match (byte >> 1) % KINDS {
            0 => Self::Send(at),
            1 => Self::Receive(at),
            2 => Self::Shuffle(at, pick()),
            3 => Self::Drop(at, pick()),
            4 => Self::Repeat(at, pick()),
            5 => Self::Damage(at, pick()),
            6 => Self::Begin(at),
            7 => Self::Archive(at),
            8 => Self::Snapshot(at),
            _ => Self::Restore(at),
        })
    }

    fn write(&self) -> Vec<u8> {
        let (kind, at, pick) = match *self {
            Self::Send(at) => (0, at, None),
            Self::Receive(at) => (1, at, None),
            Self::Shuffle(at, pick) => (2, at, Some(pick)),
            Self::Drop(at, pick) => (3, at, Some(pick)),
            Self::Repeat(at, pick) => (4, at, Some(pick)),
            Self::Damage(at, pick) => (5, at, Some(pick)),
            Self::Begin(at) => (6, at, None),
            Self::Archive(at) => (7, at, None),
            Self::Snapshot(at) => (8, at, None),
            Self::Restore(at) => (9, at, None),
        };
        let party = u8::from(at == 1);
        [kind << 1 | party].into_iter().chain(pick).collect()
    }
}
