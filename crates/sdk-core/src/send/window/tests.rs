//! Whatever happens on the way, the contents of a lane are stored by the relay once and in their order.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use sealpost_wire::{Error as Refusal, SendAck, reason};

use super::super::answer::{Moment, judge};
use super::*;
use crate::error::Offline;
use crate::id::ClientMsgId;
use crate::message::FailReason;
use crate::transport;

const NOW_MS: u64 = 1_700_000_000_000;

/// Something that happens; what it does not apply to, it leaves alone.
#[derive(Debug, Clone, Copy)]
enum Event {
    Queue,
    /// So many are sealed in one transaction.
    Seal(usize),
    Submit,
    /// The relay reads a send, of this connection or of one that the client has given up.
    Read {
        old: bool,
        fate: Fate,
    },
    Answer,
    Settle,
    /// The connection breaks. What is on its way may still be read.
    Break,
    /// No answer comes in time; the connection stays.
    TimeOut,
    /// The client is killed and starts again.
    Kill,
}

/// What the relay makes of a send, if it gets as far.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Stores,
    WrongDevices,
    Busy,
    NotAccepted,
    WrongClock,
    NotAMember,
}

fn event() -> impl Strategy<Value = Event> {
    let fate = prop_oneof![
        12 => Just(Fate::Stores),
        1 => Just(Fate::WrongDevices),
        1 => Just(Fate::Busy),
        1 => Just(Fate::NotAccepted),
        1 => Just(Fate::WrongClock),
        1 => Just(Fate::NotAMember),
    ];
    prop_oneof![
        6 => Just(Event::Queue),
        4 => (1..5_usize).prop_map(Event::Seal),
        12 => Just(Event::Submit),
        12 => (prop::bool::weighted(0.2), fate).prop_map(|(old, fate)| Event::Read { old, fate }),
        12 => Just(Event::Answer),
        6 => Just(Event::Settle),
        1 => Just(Event::Break),
        1 => Just(Event::TimeOut),
        1 => Just(Event::Kill),
    ]
}

/// An entry on the client's disk.
struct Row {
    state: State,
    attempts: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    ToSeal,
    Sealed(ClientMsgId),
    Accepted,
    Failed,
}

/// A connection: what the relay has not read, and what the client has not.
#[derive(Default)]
struct Connection {
    sends: VecDeque<(i64, ClientMsgId, bool)>,
    answers: VecDeque<transport::Result<SendAck>>,
    is_stopped: bool,
}

#[derive(Default)]
struct World {
    /// By number, which is also the content.
    rows: BTreeMap<i64, Row>,
    window: Window,
    last: i64,
    connection: Connection,
    old: Vec<Connection>,
    names: u64,
    /// What the client knows not to be stored, until it is killed.
    fresh: BTreeSet<i64>,
    /// What the relay has stored under which name, and the contents in their order.
    names_stored: BTreeSet<ClientMsgId>,
    stored: Vec<i64>,
}

impl World {
    fn happens(&mut self, event: Event) {
        match event {
            Event::Queue => {
                let next = self.rows.len() as i64 + 1;
                self.rows.insert(next, Row { state: State::ToSeal, attempts: 0 });
            }
            Event::Seal(most) => self.seal(most),
            Event::Submit => {
                if let Some((parcel, resume)) = self.window.next() {
                    let Parcel { client_msg_id, bytes } = parcel.get();
                    let content = i64::from_be_bytes(bytes[..].try_into().unwrap());
                    self.connection.sends.push_back((content, *client_msg_id, resume));
                }
            }
            Event::Read { old, fate } => self.read(old, fate),
            Event::Answer => {
                if let Some(answer) = self.connection.answers.pop_front() {
                    self.answer(answer);
                }
            }
            Event::Settle => self.settle(),
            Event::Break => {
                let mut broken = std::mem::take(&mut self.connection);
                broken.answers.clear();
                self.old.push(broken);
                self.end_unanswered();
                // A window belongs to a connection, also one that had nothing in flight.
                self.settle();
                (self.window, self.last) = (Window::default(), 0);
            }
            Event::TimeOut => {
                self.read_late();
                self.end_unanswered();
            }
            Event::Kill => {
                let mut broken = std::mem::take(&mut self.connection);
                broken.answers.clear();
                self.old.push(broken);
                (self.window, self.last) = (Window::default(), 0);
                self.fresh.clear();
            }
        }
        self.begin_again();
    }

    /// What times out is still read, before all that is submitted after it.
    fn read_late(&mut self) {
        while let Some(send) = self.connection.sends.front() {
            let fate = if send.0 % 3 == 0 { Fate::Busy } else { Fate::Stores };
            self.read(false, fate);
        }
        // The answers find nobody who waits for them.
        self.connection.answers.clear();
    }

    fn end_unanswered(&mut self) {
        while self.window.oldest().is_some() {
            self.answer(Err(Offline::TimedOut.into()));
        }
    }

    fn answer(&mut self, answer: transport::Result<SendAck>) {
        let Some(entry) = self.window.oldest() else { return };
        let at = Moment { local_ms: NOW_MS, server_ms: NOW_MS, backoff_ms: 1_000 };
        let verdict = judge(&at, entry, answer);
        self.window.answered(verdict);
    }

    fn seal(&mut self, most: usize) {
        if !self.window.wants_more() {
            return;
        }
        let mut sealed = Vec::new();
        for (number, row) in self.rows.range_mut(self.last + 1..) {
            if sealed.len() >= most {
                break;
            }
            let (name, may_be_stored) = match row.state {
                State::Accepted | State::Failed => continue,
                State::Sealed(name) => (name, !self.fresh.remove(number)),
                State::ToSeal => {
                    self.names += 1;
                    let mut random = [0; 10];
                    random[..8].copy_from_slice(&self.names.to_be_bytes());
                    let name = ClientMsgId::new(NOW_MS, &random);
                    row.state = State::Sealed(name);
                    (name, false)
                }
            };
            let parcel = Parcel { client_msg_id: name, bytes: number.to_be_bytes().to_vec().into() };
            let id = OutgoingId::numbered(*number);
            sealed.push(Sealed {
                id,
                attempts: row.attempts,
                may_be_stored,
                parcel: Durable::assumed(parcel),
            });
            self.last = *number;
        }
        self.window.add(sealed);
    }

    fn read(&mut self, old: bool, fate: Fate) {
        if old {
            let mut connections = std::mem::take(&mut self.old);
            if let Some(connection) = connections.first_mut()
                && let Some(send) = connection.sends.pop_front()
            {
                self.take(connection, send, fate);
            }
            connections.retain(|connection| !connection.sends.is_empty());
            self.old = connections;
        } else if let Some(send) = self.connection.sends.pop_front() {
            let mut connection = std::mem::take(&mut self.connection);
            self.take(&mut connection, send, fate);
            self.connection = connection;
        }
    }

    /// As the relay takes a send (its own tests hold it to that).
    fn take(&mut self, on: &mut Connection, (content, name, resume): (i64, ClientMsgId, bool), fate: Fate) {
        let refused = |code, reason: &str| {
            let refusal = Refusal { code, reason: reason.into(), ..Refusal::default() };
            Err(match code {
                429 => Offline::Busy(std::time::Duration::from_secs(1)).into(),
                _ => transport::Error::Refused(Box::new(refusal)),
            })
        };
        let known = self.names_stored.contains(&name);
        let answer = match fate {
            Fate::Busy => refused(429, reason::RATE_LIMITED),
            _ if on.is_stopped && !resume && !known => refused(409, reason::LANE_STOPPED),
            _ if on.is_stopped && !resume => Ok(SendAck { server_seq: 1, ..SendAck::default() }),
            Fate::NotAMember => refused(404, reason::NOT_FOUND),
            Fate::WrongDevices if !known => refused(409, reason::MISMATCHED_DEVICES),
            Fate::NotAccepted if !known => refused(409, reason::NOT_ACCEPTED),
            Fate::WrongClock if !known => refused(400, reason::CLOCK_SKEW),
            _ => {
                if self.names_stored.insert(name) {
                    self.stored.push(content);
                }
                Ok(SendAck { server_seq: 1, ..SendAck::default() })
            }
        };
        on.is_stopped = answer.is_err() || (on.is_stopped && !resume);
        on.answers.push_back(answer);
    }

    fn settle(&mut self) {
        self.fresh.extend(self.window.take_fresh().into_iter().map(OutgoingId::number));
        for (id, submitted, settlement) in self.window.take_settled().unwrap_or_default() {
            let row = self.rows.get_mut(&id.number()).unwrap();
            let is_still = submitted.map(State::Sealed) == Some(row.state);
            match settlement {
                Settlement::Accepted { .. } => row.state = State::Accepted,
                _ if !is_still => {}
                Settlement::Requeue { .. } => row.state = State::ToSeal,
                Settlement::Outdated { .. } => {
                    row.state = State::ToSeal;
                    row.attempts += 1;
                }
                Settlement::Later { .. } => row.attempts += 1,
                Settlement::Failed(_) => row.state = State::Failed,
            }
        }
    }

    /// A window that has stopped, and has nothing in flight, gives way to another one on the same connection.
    fn begin_again(&mut self) {
        if self.window.stopped.is_some() && self.window.in_flight.is_empty() && self.window.waiting.is_empty()
        {
            self.settle();
            (self.window, self.last) = (Window::default(), 0);
            // What was in flight on this connection has been answered.
            assert!(self.connection.sends.is_empty() && self.connection.answers.is_empty());
        }
    }

    /// Nothing goes wrong any more.
    fn come_to_rest(&mut self) {
        while self.rows.values().any(|row| !matches!(row.state, State::Accepted | State::Failed)) {
            let fate = Fate::Stores;
            for event in [Event::Seal(9), Event::Submit, Event::Read { old: false, fate }, Event::Answer] {
                self.happens(event);
            }
            self.happens(Event::Settle);
            if self.window.in_flight.is_empty() && self.window.waiting.is_empty() {
                (self.window, self.last) = (Window::default(), 0);
            }
        }
        while !self.old.is_empty() {
            self.read(true, Fate::Stores);
            self.old.retain(|connection| !connection.sends.is_empty());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn contents_are_stored_once_and_in_order_whatever_happens(
        events in prop::collection::vec(event(), 10..150)
    ) {
        let mut world = World::default();
        for event in events {
            world.happens(event);
        }
        world.come_to_rest();
        // Receivers show a content once, where it came first.
        let mut seen = BTreeSet::new();
        let first: Vec<_> = world.stored.iter().copied().filter(|content| seen.insert(*content)).collect();
        let accepted = |content: &i64| world.rows[content].state == State::Accepted;
        let in_order: Vec<_> = first.into_iter().filter(accepted).collect();
        let expected: Vec<_> = world.rows.keys().copied().filter(accepted).collect();
        prop_assert_eq!(in_order, expected);
    }
}

fn sealed(number: i64, may_be_stored: bool) -> Sealed {
    let name = ClientMsgId::new(NOW_MS, &[u8::try_from(number).unwrap(); 10]);
    let parcel = Parcel { client_msg_id: name, bytes: Vec::new().into() };
    let id = OutgoingId::numbered(number);
    Sealed { id, attempts: 0, may_be_stored, parcel: Durable::assumed(parcel) }
}

fn verdict(answer: Result<(), (u32, &str)>) -> Verdict {
    let at = Moment { local_ms: NOW_MS, server_ms: NOW_MS, backoff_ms: 1_000 };
    let answer = answer.map(|()| SendAck::default()).map_err(|(code, reason)| {
        transport::Error::Refused(Box::new(Refusal { code, reason: reason.into(), ..Refusal::default() }))
    });
    judge(&at, &sealed(1, false), answer)
}

#[test]
fn only_the_first_of_a_window_resumes_the_lane_and_nothing_leaves_after_a_refusal() {
    let mut window = Window::default();
    window.add((1..=4).map(|number| sealed(number, false)).collect());
    let resumes: Vec<_> = (0..3).map(|_| window.next().unwrap().1).collect();
    assert_eq!(resumes, [true, false, false]);
    window.answered(verdict(Ok(())));
    window.answered(verdict(Err((404, reason::NOT_FOUND))));
    assert!(window.next().is_none() && !window.wants_more());
    window.answered(verdict(Err((409, reason::LANE_STOPPED))));
    let settled: Vec<_> = window.take_settled().unwrap();
    let [(_, _, first), (_, _, second)] = settled[..] else { panic!("{settled:?}") };
    assert!(matches!(first, Settlement::Accepted { .. }));
    assert!(matches!(second, Settlement::Failed(FailReason::NotAMember)));
    // The relay may know the thread again soon.
    assert_eq!(window.into_stopped().unwrap().flow, Flow::Stop);
}

#[test]
fn what_stands_behind_one_that_is_sealed_anew_is_too_once_it_is_known_not_to_be_stored() {
    let mut window = Window::default();
    window.add(vec![sealed(1, false), sealed(2, true), sealed(3, false), sealed(4, true), sealed(5, false)]);
    for _ in 0..3 {
        assert!(window.next().is_some());
    }
    window.answered(verdict(Err((409, reason::MISMATCHED_DEVICES))));
    // The relay has not said of the fourth whether it is stored. So it is asked, and what is behind it is not sent.
    assert!(window.next().is_some_and(|(_, resumes)| !resumes));
    assert!(window.next().is_none());
    window.answered(verdict(Err((409, reason::LANE_STOPPED))));
    window.answered(verdict(Err((409, reason::LANE_STOPPED))));
    // A duplicate.
    window.answered(verdict(Ok(())));
    let settled: BTreeMap<_, _> =
        window.take_settled().unwrap().into_iter().map(|(id, _, how)| (id.number(), how)).collect();
    assert!(matches!(settled[&1], Settlement::Requeue { refused: true }));
    assert!([2, 3, 5].iter().all(|id| matches!(settled[id], Settlement::Requeue { refused: false })));
    assert!(matches!(settled[&4], Settlement::Accepted { .. }));
    // What is sealed late is, too.
    window.add(vec![sealed(6, false)]);
    assert_eq!(window.take_settled().unwrap().len(), 1);
}
