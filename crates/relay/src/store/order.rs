//! The order of a connection's sends. After a send is refused, the later sends of its lane are refused too, until one
//! of them resumes the lane. A client may therefore have many sends in flight without one overtaking another of the
//! same thread.
//!
//! Sends are passed to the store as they are read. The outcome of a send is known only when the writer has run it, so
//! the writer asks here, in the order of the sends. The writer may run a send twice, if its group is rolled back.
//! This module therefore keeps the outcome of each unanswered send, and derives from these whether a lane is stopped.
//!
//! What a client has learnt about a message on one connection must stay true. All lanes of a connection are therefore
//! stopped for good once its device has begun to send on a newer one: a copy that was still on its way is not stored.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sealpost_wire::id::ThreadId;
use sealpost_wire::limits::MAX_STOPPED_LANES;

/// The sends of one connection.
#[derive(Debug, Default)]
pub struct Order(Arc<Mutex<Lanes>>);

#[derive(Debug, Default)]
struct Lanes {
    /// Lanes that have an unanswered send or are stopped.
    lanes: HashMap<ThreadId, Lane>,
    stopped: usize,
    /// Set once the device has begun to send on a newer connection.
    superseded: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct Lane {
    /// Whether the lane is stopped after every send that has been answered.
    stopped: bool,
    /// The number of the oldest unanswered send.
    first: u64,
    unanswered: VecDeque<Outcome>,
}

/// The outcome of a send, as far as it is known.
#[derive(Debug, Clone, Copy)]
struct Outcome {
    resumes: bool,
    lookup: bool,
    refused: bool,
}

impl Outcome {
    /// Whether the lane is stopped after this send.
    const fn stops(self, stopped: bool) -> bool {
        self.refused || (stopped && !self.resumes)
    }
}

/// A connection has more stopped lanes than any client needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyStopped;

impl Order {
    /// The order of a connection whose sends are refused from the moment at which the flag is set.
    pub fn until(superseded: Arc<AtomicBool>) -> Self {
        Self(Arc::new(Mutex::new(Lanes { superseded, ..Lanes::default() })))
    }

    /// Registers the next send of this lane. If the returned turn is dropped without [`over`](Turn::over), the send
    /// counts as refused and the lane stops.
    pub fn turn(&self, lane: ThreadId, resumes: bool) -> Turn {
        self.register(lane, Outcome { resumes, lookup: false, refused: false })
    }

    /// Like [`Order::turn`], for a send that is never stored. It is answered as on a stopped lane.
    pub fn lookup(&self, lane: ThreadId) -> Turn {
        self.register(lane, Outcome { resumes: false, lookup: true, refused: false })
    }

    fn register(&self, lane: ThreadId, outcome: Outcome) -> Turn {
        let mut lanes = lock(&self.0);
        let of_lane = lanes.lanes.entry(lane).or_default();
        let number = of_lane.next();
        of_lane.unanswered.push_back(outcome);
        drop(lanes);
        Turn { place: Place { lanes: Arc::clone(&self.0), lane, number }, durable: false }
    }

    /// Records that the oldest send of this lane has been answered.
    ///
    /// # Errors
    /// Returns [`TooManyStopped`] if the connection has more stopped lanes than the relay remembers.
    pub fn answered(&self, lane: ThreadId) -> Result<(), TooManyStopped> {
        let lanes = &mut *lock(&self.0);
        let Some(of_lane) = lanes.lanes.get_mut(&lane) else { return Ok(()) };
        let Some(outcome) = of_lane.unanswered.pop_front() else { return Ok(()) };
        of_lane.first = of_lane.first.saturating_add(1);
        let before = of_lane.stopped;
        of_lane.stopped = outcome.stops(before);
        match (before, of_lane.stopped) {
            (false, true) => lanes.stopped = lanes.stopped.saturating_add(1),
            (true, false) => lanes.stopped = lanes.stopped.saturating_sub(1),
            _ => {}
        }
        if !of_lane.stopped && of_lane.unanswered.is_empty() {
            lanes.lanes.remove(&lane);
            if lanes.lanes.is_empty() {
                lanes.lanes.shrink_to_fit();
            }
        }
        if lanes.stopped > MAX_STOPPED_LANES { Err(TooManyStopped) } else { Ok(()) }
    }
}

impl Lane {
    fn next(&self) -> u64 {
        self.first.saturating_add(u64::try_from(self.unanswered.len()).unwrap_or(u64::MAX))
    }

    fn outcome(&mut self, number: u64) -> Option<&mut Outcome> {
        self.unanswered.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }
}

/// A send's place in the order, held until its outcome is final.
#[derive(Debug)]
pub struct Turn {
    place: Place,
    durable: bool,
}

impl Turn {
    /// The place to pass to the writer.
    pub fn place(&self) -> Place {
        self.place.clone()
    }

    /// The answer is final: the send is durable, or it was refused.
    pub fn over(mut self) {
        self.durable = true;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.durable {
            self.place.ran(true);
        }
    }
}

/// A send's position among those of its connection.
#[derive(Debug, Clone)]
pub struct Place {
    lanes: Arc<Mutex<Lanes>>,
    lane: ThreadId,
    number: u64,
}

impl Place {
    /// Whether this send must not be stored. Either the lane is stopped (an earlier send was refused, and none since,
    /// including this one, resumes the lane), or it is only looked up, or its connection is superseded.
    pub fn is_stopped(&self) -> bool {
        let lanes = lock(&self.lanes);
        if lanes.superseded.load(Ordering::SeqCst) {
            return true;
        }
        let Some(lane) = lanes.lanes.get(&self.lane) else { return false };
        let before = usize::try_from(self.number.saturating_sub(lane.first)).unwrap_or(usize::MAX);
        let stopped =
            lane.unanswered.iter().take(before).fold(lane.stopped, |stopped, one| one.stops(stopped));
        let (resumes, lookup) =
            lane.unanswered.get(before).map_or((false, false), |this| (this.resumes, this.lookup));
        lookup || (stopped && !resumes)
    }

    /// Records the outcome of a run. The send may be run again.
    pub fn ran(&self, refused: bool) {
        let mut lanes = lock(&self.lanes);
        let outcome = lanes.lanes.get_mut(&self.lane).and_then(|lane| lane.outcome(self.number));
        if let Some(outcome) = outcome {
            outcome.refused = refused;
        }
    }
}

fn lock(lanes: &Mutex<Lanes>) -> MutexGuard<'_, Lanes> {
    lanes.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LANE: ThreadId = ThreadId::from_bytes([1; 16]);

    /// Runs a send that would fail or succeed by itself. Returns whether it was stored.
    fn run(place: &Place, fails: bool) -> bool {
        let refused = place.is_stopped() || fails;
        place.ran(refused);
        !refused
    }

    fn send(order: &Order, lane: ThreadId, resumes: bool, fails: bool) -> bool {
        let turn = order.turn(lane, resumes);
        let stored = run(&turn.place(), fails);
        turn.over();
        order.answered(lane).unwrap();
        stored
    }

    #[test]
    fn a_refused_send_stops_its_lane_until_one_resumes_it() {
        let order = Order::default();
        let other = ThreadId::from_bytes([2; 16]);
        assert!(send(&order, LANE, false, false));
        assert!(!send(&order, LANE, false, true));
        assert!(!send(&order, LANE, false, false), "stopped");
        assert!(send(&order, other, false, false), "another lane");
        assert!(!send(&order, LANE, true, true), "it resumes the lane, and is refused itself");
        assert!(!send(&order, LANE, false, false), "stopped again");
        assert!(send(&order, LANE, true, false));
        assert!(send(&order, LANE, false, false));
        assert_eq!(lock(&order.0).lanes.len(), 0, "lanes that are not stopped are not remembered");
    }

    #[test]
    fn a_send_without_an_outcome_stops_its_lane() {
        let order = Order::default();
        let (lost, next) = (order.turn(LANE, false), order.turn(LANE, false));
        assert!(run(&lost.place(), false), "it is run but never committed");
        drop(lost);
        assert!(!run(&next.place(), false));
    }

    #[test]
    fn a_lookup_is_never_stored_and_stops_its_lane() {
        let order = Order::default();
        let lookup = order.lookup(LANE);
        assert!(!run(&lookup.place(), false));
        lookup.over();
        order.answered(LANE).unwrap();
        assert!(!send(&order, LANE, false, false));
        assert!(send(&order, LANE, true, false));
    }

    #[test]
    fn nothing_is_stored_once_a_connection_is_superseded() {
        let superseded = Arc::default();
        let order = Order::until(Arc::clone(&superseded));
        assert!(send(&order, LANE, true, false));
        // A send that has run, and is run again because its group was rolled back.
        let turn = order.turn(LANE, true);
        assert!(run(&turn.place(), false));
        superseded.store(true, Ordering::SeqCst);
        assert!(!run(&turn.place(), false));
        assert!(!send(&order, ThreadId::from_bytes([2; 16]), true, false));
    }

    #[test]
    fn the_number_of_stopped_lanes_is_limited() {
        let order = Order::default();
        let lane = |n: usize| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&n.to_be_bytes());
            ThreadId::from_bytes(id)
        };
        for n in 0..=MAX_STOPPED_LANES {
            let turn = order.turn(lane(n), false);
            drop(turn);
            let expected = if n < MAX_STOPPED_LANES { Ok(()) } else { Err(TooManyStopped) };
            assert_eq!(order.answered(lane(n)), expected);
        }
    }

    /// A send: which of two lanes it is on, whether it resumes the lane, and whether it fails in the first and in the
    /// second run of its group.
    type Event = (bool, bool, bool, bool);

    proptest! {
        /// Sends run in groups, each of which may be rolled back and run again, and answers are sent later. Every
        /// lane must end in the state that it would have if each send had run once and had been answered before the
        /// next.
        #[test]
        fn operations_that_run_again_have_the_same_outcome(
            groups in prop::collection::vec(
                (prop::collection::vec(any::<Event>(), 1..6), any::<bool>(), 0..8_usize), 1..12)
        ) {
            let (order, plain) = (Order::default(), Order::default());
            let mut unanswered = VecDeque::new();
            for (sends, undone, answers) in groups {
                let lane = |other: bool| ThreadId::from_bytes([u8::from(other); 16]);
                let turns: Vec<_> = sends.iter().map(|(other, resumes, ..)| order.turn(lane(*other), *resumes)).collect();
                if undone {
                    for (turn, (.., fails, _)) in turns.iter().zip(&sends) {
                        run(&turn.place(), *fails);
                    }
                }
                for (turn, (other, resumes, _, fails)) in turns.into_iter().zip(sends) {
                    let stored = run(&turn.place(), fails);
                    turn.over();
                    prop_assert_eq!(stored, send(&plain, lane(other), resumes, fails));
                    unanswered.push_back(lane(other));
                }
                for lane in unanswered.drain(..answers.min(unanswered.len())) {
                    order.answered(lane).unwrap();
                }
            }
        }
    }
}
