//! The order of a lane's sends on one connection, of which many are in flight. Pure: sealed entries and verdicts go in; what leaves next, and
//! what is to be written down, comes out.
//!
//! The relay keeps the order: after it has refused one, it refuses those behind it (`lane_stopped`) up to one that says `resume`. That is the first of
//! a window. It is the oldest entry of its lane without an answer, so nothing that stands before it can still be refused.

use std::collections::VecDeque;

use super::answer::{Correction, Flow, Verdict};
use super::prepare::Sealed;
use crate::store::{Durable, OutgoingId, Parcel, Settled, Settlement};

/// With fewer that wait to leave, more are sealed.
const FEW: usize = 64;

/// What a lane has sealed and not settled.
#[derive(Default)]
pub(super) struct Window {
    /// In order; the next to leave is the first.
    waiting: VecDeque<Sealed>,
    /// In order; the next answer is that of the first.
    in_flight: VecDeque<Sealed>,
    settled: Vec<Settled>,
    has_begun: bool,
    stopped: Option<Stopped>,
}

/// Why nothing more leaves in a window.
pub(super) struct Stopped {
    pub(super) flow: Flow,
    /// What was refused, how often it had been put off, and what is to be learnt from it first.
    pub(super) correction: Option<(OutgoingId, u32, Correction)>,
    /// Those behind it were sealed for the wrong devices as well.
    reseal: bool,
}

impl Window {
    /// These were sealed, and stand behind all others.
    pub(super) fn add(&mut self, sealed: Vec<Sealed>) {
        self.waiting.extend(sealed);
    }

    pub(super) fn wants_more(&self) -> bool {
        self.stopped.is_none() && self.waiting.len() < FEW
    }

    /// What leaves now, and whether it resumes the lane.
    pub(super) fn next(&mut self) -> Option<(Durable<Parcel>, bool)> {
        if self.stopped.is_some() {
            return None;
        }
        let next = self.waiting.pop_front()?;
        let parcel = next.parcel.clone();
        self.in_flight.push_back(next);
        Some((parcel, !std::mem::replace(&mut self.has_begun, true)))
    }

    /// Whose answer is the next.
    pub(super) fn oldest(&self) -> Option<&Sealed> {
        self.in_flight.front()
    }

    /// The oldest was answered.
    pub(super) fn answered(&mut self, verdict: Verdict) {
        let Some(entry) = self.in_flight.pop_front() else { return };
        let Verdict { settlement, correction, flow, lane_stopped } = verdict;
        let accepted = matches!(settlement, Settlement::Accepted { .. });
        let settlement = match &self.stopped {
            None => Some(settlement),
            Some(_) if accepted => Some(settlement),
            // The relay has not looked at it; but it may have stored it before.
            Some(Stopped { reseal: true, .. }) if lane_stopped && !entry.may_be_stored => {
                Some(Settlement::Requeue { refused: false })
            }
            // It is the oldest that decides how the lane goes on. This one is submitted again.
            Some(_) => None,
        };
        if let Some(settlement) = settlement {
            self.settled.push((entry.id, Some(entry.parcel.get().client_msg_id), settlement));
        }
        if self.stopped.is_none() && flow != Flow::GoOn {
            let reseal = correction.is_some();
            let correction = correction.map(|correction| (entry.id, entry.attempts, correction));
            self.stopped = Some(Stopped { flow, correction, reseal });
        }
    }

    /// The oldest is not judged now, and nothing more leaves.
    pub(super) fn put_aside(&mut self) {
        self.in_flight.pop_front();
        self.stopped.get_or_insert(Stopped { flow: Flow::Stop, correction: None, reseal: false });
    }

    /// What is to be written down.
    pub(super) fn take_settled(&mut self) -> Option<Vec<Settled>> {
        (!self.settled.is_empty()).then(|| std::mem::take(&mut self.settled))
    }

    /// Why it has stopped, if it has.
    pub(super) fn into_stopped(self) -> Option<Stopped> {
        self.stopped
    }
}

#[cfg(test)]
mod tests;
