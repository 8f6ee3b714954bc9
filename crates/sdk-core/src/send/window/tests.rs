//! Whatever happens to sends and answers, the relay stores each content of a lane once, in the order in which they were
//! written and in the order in which they were sealed. The recipient therefore never has to decrypt an older ratchet step
//! after a newer one.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use sealpost_wire::{Error as Refusal, SendAck, reason};

use super::super::answer::{Moment, judge};
use super::*;
use crate::error::Offline;
use crate::message::FailReason;
use crate::transport;

const NOW_MS: u64 = 1_700_000_000_000;

/// Something that happens. An event that does not apply is ignored.
#[derive(Debug, Clone, Copy)]
enum Event {
    Queue,
    /// At most this many entries are sealed in one transaction.
    Seal(usize),
    Submit,
    /// The relay reads a send, of this connection or of one that the client has given up.
    Read {
        old: bool,
        decision: Decision,
    },
    Answer,
    Settle,
    /// The connection breaks. The relay may still read sends that are in flight.
    Break,
    /// No answer arrives in time. The connection stays open.
    TimeOut,
    /// The client is killed and starts again.
    Kill,
    /// The person gives up one of the messages that wait.
    GiveUp(usize),
    /// The person sends one of the failed messages again.
    Retry(usize),
    /// The relay is restarted. Sends that it has not read are lost.
    Restart,
    /// The relay is restored from a backup, and has lost this many of the newest messages.
    Restore(usize),
}

/// What the relay decides about a send, unless it refuses the send for an earlier reason.
#[derive(Debug, Clone, Copy)]
enum Decision {
    Stores,
    WrongDevices,
    Busy,
    NotAccepted,
    WrongClock,
    NotAMember,
}

fn event() -> impl Strategy<Value = Event> {
    let decision = prop_oneof![
        12 => Just(Decision::Stores),
        1 => Just(Decision::WrongDevices),
        1 => Just(Decision::Busy),
        1 => Just(Decision::NotAccepted),
        1 => Just(Decision::WrongClock),
        1 => Just(Decision::NotAMember),
    ];
    prop_oneof![
        12 => Just(Event::Queue),
        8 => (1..5_usize).prop_map(Event::Seal),
        24 => Just(Event::Submit),
        24 => (prop::bool::weighted(0.3), decision).prop_map(|(old, decision)| Event::Read { old, decision }),
        24 => Just(Event::Answer),
        12 => Just(Event::Settle),
        2 => Just(Event::Break),
        2 => Just(Event::TimeOut),
        2 => Just(Event::Kill),
        1 => (0..9_usize).prop_map(Event::GiveUp),
        1 => (0..9_usize).prop_map(Event::Retry),
        1 => Just(Event::Restart),
        1 => (0..9_usize).prop_map(Event::Restore),
    ]
}

/// An entry on the client's disk.
struct Row {
    content: i64,
    state: State,
    /// How many contents had been sealed when it was sealed.
    sealed: u64,
    attempts: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    ToSeal,
    Sealed(ClientMsgId),
    Accepted(ClientMsgId),
    Failed,
}

/// A sealed content as it is sent: the content, and how many contents had been sealed when it was sealed.
type Copy = (i64, u64);

/// A connection, with the sends that the relay has not read and the answers that the client has not read.
#[derive(Default)]
struct Connection {
    sends: VecDeque<(Copy, ClientMsgId, SendMode)>,
    answers: VecDeque<transport::Result<SendAck>>,
    is_stopped: bool,
    /// Whether the client has begun to send on a newer connection.
    is_superseded: bool,
}

/// What the client does once a window has nothing in flight.
#[derive(Default)]
enum End {
    #[default]
    Open,
    LookUp(Vec<Sealed>),
    LookedUp,
}

#[derive(Default)]
struct World {
    /// The entries by number.
    rows: BTreeMap<i64, Row>,
    contents: i64,
    /// Contents that were sent again by the person. The relay may have them more than once.
    retried: BTreeSet<i64>,
    window: Window,
    end: End,
    last: i64,
    connection: Connection,
    /// Connections that the client has given up, oldest first.
    old: Vec<Connection>,
    sealed: u64,
    lookups: usize,
    /// The parcels that are certainly not stored, as far as the client knows. It forgets this when it is killed.
    fresh: BTreeSet<ClientMsgId>,
    /// The messages that the relay has stored, in its order.
    stored: Vec<(Copy, ClientMsgId)>,
}

impl World {
    fn happens(&mut self, event: Event) {
        match event {
            Event::Queue => {
                self.contents += 1;
                self.insert(self.contents);
            }
            Event::Seal(most) => self.seal(most),
            Event::Submit => {
                if let Some((parcel, mode)) = self.window.next() {
                    let Parcel { client_msg_id, bytes } = parcel.get();
                    let content = i64::from_be_bytes(bytes[..8].try_into().unwrap());
                    let sealed = u64::from_be_bytes(bytes[8..].try_into().unwrap());
                    self.connection.sends.push_back(((content, sealed), *client_msg_id, mode));
                }
            }
            Event::Read { old, decision } => self.read(old, decision),
            Event::Answer => {
                if let Some(answer) = self.connection.answers.pop_front() {
                    self.answer(answer);
                }
            }
            Event::Settle => self.settle(),
            Event::Break => {
                self.connect();
                self.end_unanswered();
                // A window belongs to its connection, even if it had nothing in flight.
                self.settle();
                self.begin(Window::default(), End::Open);
            }
            Event::TimeOut => {
                self.read_late();
                self.end_unanswered();
            }
            Event::Kill => {
                self.connect();
                self.begin(Window::default(), End::Open);
                self.fresh.clear();
            }
            Event::GiveUp(which) => {
                if let Some((_, row)) = self.waiting().nth(which) {
                    row.state = State::Failed;
                }
            }
            Event::Retry(which) => {
                let failed = self.rows.values().filter(|row| row.state == State::Failed);
                if let Some(content) = failed.map(|row| row.content).nth(which)
                    && self.retried.insert(content)
                {
                    self.insert(content);
                }
            }
            Event::Restart => {
                self.happens(Event::Break);
                self.old.clear();
            }
            Event::Restore(lost) => {
                self.happens(Event::Restart);
                self.stored.truncate(self.stored.len().saturating_sub(lost));
                // The client learns of it from the first answer on the new connection.
                for row in self.rows.values_mut() {
                    if let State::Accepted(name) = row.state {
                        row.state = State::Sealed(name);
                    }
                }
            }
        }
        self.begin_next();
    }

    fn insert(&mut self, content: i64) {
        let number = self.rows.last_key_value().map_or(1, |(last, _)| last + 1);
        self.rows.insert(number, Row { content, state: State::ToSeal, sealed: 0, attempts: 0 });
    }

    fn waiting(&mut self) -> impl Iterator<Item = (&i64, &mut Row)> {
        let waits = |state: &State| matches!(state, State::ToSeal | State::Sealed(_));
        self.rows.iter_mut().filter(move |(_, row)| waits(&row.state))
    }

    /// The client opens another connection.
    fn connect(&mut self) {
        let mut broken = std::mem::take(&mut self.connection);
        broken.answers.clear();
        self.old.push(broken);
    }

    fn begin(&mut self, window: Window, end: End) {
        (self.window, self.end, self.last) = (window, end, 0);
    }

    /// The relay still reads the sends that have timed out, before it reads later ones.
    fn read_late(&mut self) {
        while let Some(((content, _), ..)) = self.connection.sends.front() {
            let decision = if content % 3 == 0 { Decision::Busy } else { Decision::Stores };
            self.read(false, decision);
        }
        // Nothing waits for the answers any more.
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

    /// Does what `prepare` does in one transaction.
    fn seal(&mut self, most: usize) {
        if !self.window.wants_more() || !matches!(self.end, End::Open) {
            return;
        }
        let last = self.last;
        let to_seal = self.waiting().find(|(number, row)| **number > last && row.state == State::ToSeal);
        let gap = to_seal.map(|(number, _)| *number);
        let (mut unknown, mut sealed) = (Vec::new(), Vec::new());
        if let Some(gap) = gap {
            for (number, row) in self.rows.range_mut(gap + 1..) {
                let State::Sealed(name) = row.state else { continue };
                if self.fresh.remove(&name) {
                    row.state = State::ToSeal;
                } else {
                    unknown.push(sealed_entry(*number, row, name, true));
                }
            }
        }
        for (number, row) in self.rows.range_mut(last + 1..) {
            if sealed.len() >= most || (!unknown.is_empty() && gap.is_some_and(|gap| gap <= *number)) {
                break;
            }
            let (name, may_be_stored) = match row.state {
                State::Accepted(_) | State::Failed => continue,
                State::Sealed(name) => (name, !self.fresh.remove(&name)),
                State::ToSeal => {
                    self.sealed += 1;
                    let mut number = [0; 10];
                    number[..8].copy_from_slice(&self.sealed.to_be_bytes());
                    let name = ClientMsgId::new(NOW_MS, &number);
                    (row.state, row.sealed) = (State::Sealed(name), self.sealed);
                    (name, false)
                }
            };
            sealed.push(sealed_entry(*number, row, name, may_be_stored));
            self.last = *number;
        }
        if sealed.is_empty() && !unknown.is_empty() {
            self.lookups += unknown.len();
            self.end = End::LookUp(unknown);
        }
        self.window.add(sealed);
    }

    fn read(&mut self, old: bool, decision: Decision) {
        if old {
            let mut connections = std::mem::take(&mut self.old);
            // Any connection may be read next, because the relay serves each in a separate task.
            let which = self.stored.len() % connections.len().max(1);
            if let Some((connection, older)) = connections.get_mut(..=which).and_then(<[_]>::split_last_mut)
                && let Some(send) = connection.sends.pop_front()
            {
                older.iter_mut().for_each(|older| older.is_superseded = true);
                self.take(connection, send, decision);
            }
            connections.retain(|connection| !connection.sends.is_empty());
            self.old = connections;
        } else if let Some(send) = self.connection.sends.pop_front() {
            self.old.iter_mut().for_each(|older| older.is_superseded = true);
            let mut connection = std::mem::take(&mut self.connection);
            self.take(&mut connection, send, decision);
            self.connection = connection;
        }
    }

    /// Handles a send as the relay does, which the relay's own tests check.
    fn take(
        &mut self,
        on: &mut Connection,
        (copy, name, mode): (Copy, ClientMsgId, SendMode),
        decision: Decision,
    ) {
        let refused = |code, reason: &str| {
            let refusal = Refusal { code, reason: reason.into(), ..Refusal::default() };
            Err(match code {
                429 => Offline::Busy(std::time::Duration::from_secs(1)).into(),
                _ => transport::Error::Refused(Box::new(refusal)),
            })
        };
        let known = self.stored.iter().any(|(_, stored)| *stored == name);
        let stores_nothing = match mode {
            _ if on.is_superseded => true,
            SendMode::Lookup => true,
            SendMode::Resume => false,
            SendMode::Follow => on.is_stopped,
        };
        let answer = match decision {
            Decision::Busy => refused(429, reason::RATE_LIMITED),
            _ if stores_nothing && !known => refused(409, reason::LANE_STOPPED),
            _ if stores_nothing => Ok(SendAck { server_seq: 1, ..SendAck::default() }),
            Decision::NotAMember => refused(404, reason::NOT_FOUND),
            Decision::WrongDevices if !known => refused(409, reason::MISMATCHED_DEVICES),
            Decision::NotAccepted if !known => refused(409, reason::NOT_ACCEPTED),
            Decision::WrongClock if !known => refused(400, reason::CLOCK_SKEW),
            _ => {
                if !known {
                    self.stored.push((copy, name));
                }
                Ok(SendAck { server_seq: 1, ..SendAck::default() })
            }
        };
        on.is_stopped = answer.is_err() || (on.is_stopped && mode != SendMode::Resume);
        on.answers.push_back(answer);
    }

    fn settle(&mut self) {
        self.fresh.extend(self.window.take_fresh());
        for (id, submitted, settlement) in self.window.take_settled().unwrap_or_default().settled {
            let row = self.rows.get_mut(&id.number()).unwrap();
            let submitted = submitted.unwrap();
            let is_still = row.state == State::Sealed(submitted);
            match settlement {
                Settlement::Accepted { .. } if row.state != State::Failed => {
                    row.state = State::Accepted(submitted)
                }
                _ if !is_still => {}
                Settlement::Accepted { .. } => {}
                Settlement::Requeue { .. } => row.state = State::ToSeal,
                Settlement::Outdated { .. } => {
                    row.state = State::ToSeal;
                    row.attempts += 1;
                }
                Settlement::Later { .. } | Settlement::Unwelcome { .. } => row.attempts += 1,
                Settlement::Failed(_) => row.state = State::Failed,
            }
        }
    }

    /// Replaces a window that has ended, and has nothing in flight, by another one on the same connection.
    fn begin_next(&mut self) {
        let has_ended = self.window.has_stopped() || !matches!(self.end, End::Open);
        if has_ended && self.window.in_flight.is_empty() && self.window.waiting.is_empty() {
            self.settle();
            match std::mem::take(&mut self.end) {
                End::LookUp(unknown) if !self.window.has_stopped() => {
                    self.begin(Window::lookup(unknown), End::LookedUp);
                }
                _ => self.begin(Window::default(), End::Open),
            }
            // Everything that was in flight on this connection has been answered.
            assert!(self.connection.sends.is_empty() && self.connection.answers.is_empty());
        }
    }

    /// Delivers everything without further failures.
    fn come_to_rest(&mut self) {
        while self.waiting().next().is_some() {
            let decision = Decision::Stores;
            for event in [Event::Seal(9), Event::Submit, Event::Read { old: false, decision }, Event::Answer]
            {
                self.happens(event);
            }
            self.happens(Event::Settle);
            if self.window.in_flight.is_empty() && self.window.waiting.is_empty() {
                self.begin(Window::default(), End::Open);
            }
        }
        while !self.old.is_empty() {
            self.read(true, Decision::Stores);
            self.old.retain(|connection| !connection.sends.is_empty());
        }
    }
}

fn sealed_entry(number: i64, row: &Row, name: ClientMsgId, may_be_stored: bool) -> Sealed {
    let bytes = [row.content.to_be_bytes(), row.sealed.to_be_bytes()].concat();
    let parcel = Parcel { client_msg_id: name, bytes: bytes.into() };
    let id = OutgoingId::numbered(number);
    Sealed { id, attempts: row.attempts, may_be_stored, is_awaited: true, parcel: Durable::assumed(parcel) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn contents_are_stored_once_and_in_order_after_any_events(
        events in prop::collection::vec(event(), 10..150)
    ) {
        let mut world = World::default();
        for event in events {
            world.happens(event);
        }
        world.come_to_rest();
        let mut stored = BTreeSet::new();
        for ((content, _), _) in &world.stored {
            prop_assert!(stored.insert(*content) || world.retried.contains(content), "{} is stored twice", content);
        }
        let accepted = |row: &&Row| matches!(row.state, State::Accepted(_));
        let expected: Vec<_> = world.rows.values().filter(accepted).map(|row| row.content).collect();
        let was_accepted: BTreeSet<_> = expected.iter().copied().collect();
        // Receivers show a content once, at the position where it arrived first.
        let mut seen = BTreeSet::new();
        let in_order = world.stored.iter().map(|((content, _), _)| *content);
        let in_order: Vec<_> = in_order.filter(|content| was_accepted.contains(content) && seen.insert(*content)).collect();
        let never_retried = |contents: Vec<i64>| {
            contents.into_iter().filter(|content| !world.retried.contains(content)).collect::<Vec<_>>()
        };
        prop_assert_eq!(in_order.iter().copied().collect::<BTreeSet<_>>(), was_accepted);
        prop_assert_eq!(never_retried(in_order), never_retried(expected));
        let sealed: Vec<_> = world.stored.iter().map(|((_, sealed), _)| *sealed).collect();
        prop_assert!(sealed.is_sorted(), "{:?}", sealed);
    }
}

fn sealed(number: i64, may_be_stored: bool) -> Sealed {
    let name = ClientMsgId::new(NOW_MS, &[u8::try_from(number).unwrap(); 10]);
    let parcel = Parcel { client_msg_id: name, bytes: Vec::new().into() };
    let id = OutgoingId::numbered(number);
    Sealed { id, attempts: 0, may_be_stored, is_awaited: true, parcel: Durable::assumed(parcel) }
}

fn verdict(answer: Result<(), (u32, &str)>) -> Verdict {
    let at = Moment { local_ms: NOW_MS, server_ms: NOW_MS, backoff_ms: 1_000 };
    let answer = answer.map(|()| SendAck::default()).map_err(|(code, reason)| {
        transport::Error::Refused(Box::new(Refusal { code, reason: reason.into(), ..Refusal::default() }))
    });
    judge(&at, &sealed(1, false), answer)
}

#[test]
fn only_the_first_send_of_a_window_resumes_the_lane_and_a_refusal_stops_it() {
    let mut window = Window::default();
    window.add((1..=4).map(|number| sealed(number, false)).collect());
    let resumes: Vec<_> = (0..3).map(|_| window.next().unwrap().1).collect();
    assert_eq!(resumes, [SendMode::Resume, SendMode::Follow, SendMode::Follow]);
    window.answered(verdict(Ok(())));
    window.answered(verdict(Err((404, reason::NOT_FOUND))));
    assert!(window.next().is_none() && !window.wants_more());
    window.answered(verdict(Err((409, reason::LANE_STOPPED))));
    let settled: Vec<_> = window.take_settled().unwrap().settled;
    let [(_, _, first), (_, _, second)] = settled[..] else { panic!("{settled:?}") };
    assert!(matches!(first, Settlement::Accepted { .. }));
    assert!(matches!(second, Settlement::Failed(FailReason::NotAMember)));
    // The relay may know the thread again soon.
    assert_eq!(window.into_stopped().unwrap().flow, Flow::Stop);
}

#[test]
fn entries_behind_one_that_is_sealed_again_are_sealed_again_if_they_are_not_stored() {
    let mut window = Window::default();
    window.add(vec![sealed(1, false), sealed(2, true), sealed(3, false), sealed(4, true), sealed(5, false)]);
    for _ in 0..3 {
        assert!(window.next().is_some());
    }
    window.answered(verdict(Err((409, reason::MISMATCHED_DEVICES))));
    // It is unknown whether the relay has stored the fourth entry, so it is neither sent nor sealed again.
    assert!(window.next().is_none());
    window.answered(verdict(Err((409, reason::LANE_STOPPED))));
    window.answered(verdict(Err((409, reason::LANE_STOPPED))));
    let settled: BTreeMap<_, _> =
        window.take_settled().unwrap().settled.into_iter().map(|(id, _, how)| (id.number(), how)).collect();
    assert!(matches!(settled[&1], Settlement::Requeue { refused: true }));
    assert!([2, 3, 5].iter().all(|id| matches!(settled[id], Settlement::Requeue { refused: false })));
    assert!(!settled.contains_key(&4) && window.take_fresh().is_empty());
    // An entry whose sealing finishes later is sealed again as well.
    window.add(vec![sealed(6, false)]);
    assert_eq!(window.take_settled().unwrap().settled.len(), 1);
}

#[test]
fn a_lookup_seals_unstored_entries_again_and_stops_without_an_answer() {
    let mut window = Window::lookup((1..=4).map(|number| sealed(number, true)).collect());
    for _ in 0..3 {
        assert_eq!(window.next().unwrap().1, SendMode::Lookup);
    }
    window.answered(verdict(Err((409, reason::LANE_STOPPED))));
    window.answered(verdict(Ok(())));
    window.answered(verdict(Err((429, reason::RATE_LIMITED))));
    let settled: Vec<_> = window.take_settled().unwrap().settled.into_iter().map(|(_, _, how)| how).collect();
    assert!(matches!(settled[0], Settlement::Requeue { refused: false }));
    assert!(matches!(settled[1], Settlement::Accepted { .. }));
    // Nothing is known about the last entry.
    assert!(window.next().is_none() && window.take_fresh().is_empty());
    assert!(window.has_stopped() && settled.len() == 3);
}

#[test]
fn a_lane_sends_more_at_a_time_when_many_lanes_take_turns() {
    for (busy_lanes, sends) in [(1, 32), (FEW_LANES, 32), (FEW_LANES + 1, 64), (64, 64)] {
        let mut window = Window::default();
        window.add((0..200).map(|n| sealed(n, false)).collect());
        assert_eq!(window.next_run(busy_lanes).len(), sends, "{busy_lanes}");
    }
}

#[test]
fn only_the_answers_to_accepted_entries_that_nothing_waits_for_may_be_stored_later() {
    let accepted = || verdict(Ok(()));
    let refused = || verdict(Err((404, reason::NOT_FOUND)));
    for (is_awaited, answer, expected) in
        [(false, accepted(), false), (true, accepted(), true), (false, refused(), true)]
    {
        let mut window = Window::default();
        window.add(vec![
            Sealed { is_awaited: false, ..sealed(1, false) },
            Sealed { is_awaited, ..sealed(2, false) },
        ]);
        window.next();
        window.next();
        window.answered(accepted());
        window.answered(answer);
        let to_settle = window.take_settled().unwrap();
        assert_eq!((to_settle.settled.len(), to_settle.is_awaited), (2, expected));
        assert!(window.take_settled().is_none());
    }
}
