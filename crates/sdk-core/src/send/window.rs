//! The order of a lane's sends on one connection, of which many are in flight. Pure: sealed entries and verdicts go in; what leaves next, and
//! what is to be written down, comes out.
//!
//! The relay keeps the order: after it has refused one, it refuses those behind it (`lane_stopped`) up to one that says `resume`. That is the first of
//! a window. It is the oldest entry of its lane without an answer, so nothing that stands before it can still be refused.

use std::collections::VecDeque;

use super::answer::{Correction, Flow, Verdict};
use super::prepare::Sealed;
use crate::store::{Durable, OutgoingId, Parcel, Settled, Settlement};
use crate::waiting::WaitReason;

/// With fewer that wait to leave, more are sealed.
const FEW: usize = 64;
/// Sends leave together until they have so many bytes, of which each counts some at least. So a lane has its turn with a few dozen
/// of them, which the relay stores, and the other side opens, together.
const RUN_BYTES: usize = 16 << 10;
const LEAST_BYTES: usize = 512;

/// What a lane has sealed and not settled.
#[derive(Default)]
pub(super) struct Window {
    /// In order; the next to leave is the first.
    waiting: VecDeque<Sealed>,
    /// In order; the next answer is that of the first.
    in_flight: VecDeque<Sealed>,
    settled: Vec<Settled>,
    fresh: Vec<OutgoingId>,
    has_begun: bool,
    stopped: Option<Stopped>,
}

/// Why nothing more leaves in a window.
pub(super) struct Stopped {
    pub(super) flow: Flow,
    /// What was refused, how often it had been put off, and what is to be learnt from it first.
    pub(super) correction: Option<(OutgoingId, u32, Correction)>,
    /// Why the entry was put off, if it was.
    pub(super) reason: Option<WaitReason>,
    /// The entry is sealed anew, and those behind it are as well.
    reseal: bool,
}

impl Window {
    /// These were sealed, and stand behind all others.
    pub(super) fn add(&mut self, sealed: Vec<Sealed>) {
        self.waiting.extend(sealed);
        self.empty_if_stopped();
    }

    pub(super) fn wants_more(&self) -> bool {
        self.stopped.is_none() && self.waiting.len() < FEW
    }

    /// What leaves now, together: each parcel, and whether it resumes the lane. Empty when nothing does.
    pub(super) fn next_run(&mut self) -> Vec<(Durable<Parcel>, bool)> {
        let (mut run, mut bytes) = (Vec::new(), 0_usize);
        while bytes < RUN_BYTES
            && let Some((parcel, resumes)) = self.next()
        {
            bytes = bytes.saturating_add(parcel.get().bytes.len().max(LEAST_BYTES));
            run.push((parcel, resumes));
        }
        run
    }

    fn next(&mut self) -> Option<(Durable<Parcel>, bool)> {
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
        let Verdict { settlement, correction, flow, lane_stopped, reason } = verdict;
        let accepted = matches!(settlement, Settlement::Accepted { .. });
        let settlement = match &self.stopped {
            None => Some(settlement),
            Some(_) if accepted => Some(settlement),
            Some(_) if lane_stopped => {
                self.leave(entry);
                return;
            }
            // It is the oldest that decides how the lane goes on. This one is submitted again.
            Some(_) => None,
        };
        let unsealed = matches!(settlement, Some(Settlement::Requeue { .. } | Settlement::Outdated { .. }));
        if let Some(settlement) = settlement {
            self.settled.push((entry.id, Some(entry.parcel.get().client_msg_id), settlement));
        }
        if self.stopped.is_none() && flow != Flow::GoOn {
            let reseal = unsealed;
            let correction = correction.map(|correction| (entry.id, entry.attempts, correction));
            self.stopped = Some(Stopped { flow, correction, reseal, reason });
            self.empty_if_stopped();
        }
    }

    /// What has not left does not leave any more.
    fn empty_if_stopped(&mut self) {
        if self.stopped.is_some() {
            for entry in std::mem::take(&mut self.waiting) {
                self.leave(entry);
            }
        }
    }

    /// The relay has not looked at this entry, in this window. When one before it is sealed anew, it is too: the other side would
    /// otherwise get older steps of the ratchet after newer ones, and keeps the keys of few. But what may have been stored keeps its bytes.
    fn leave(&mut self, entry: Sealed) {
        if entry.may_be_stored {
            return;
        }
        if self.stopped.as_ref().is_some_and(|stopped| stopped.reseal) {
            let name = entry.parcel.get().client_msg_id;
            self.settled.push((entry.id, Some(name), Settlement::Requeue { refused: false }));
        } else {
            self.fresh.push(entry.id);
        }
    }

    /// The oldest is not judged now, as nobody says what time it is, and nothing more leaves.
    pub(super) fn put_aside(&mut self) {
        self.in_flight.pop_front();
        let reason = Some(WaitReason::Clock);
        self.stopped.get_or_insert(Stopped { flow: Flow::Stop, correction: None, reseal: false, reason });
        self.empty_if_stopped();
    }

    /// What is sealed, and certainly not stored.
    pub(super) fn take_fresh(&mut self) -> Vec<OutgoingId> {
        std::mem::take(&mut self.fresh)
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
