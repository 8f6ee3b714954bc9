//! The order of a lane's sends on one connection, of which many are in flight. This module does no I/O: it is given
//! sealed entries and verdicts, and says what to send next and what to record.
//!
//! The relay keeps the order: after it has refused a send, it refuses those behind it (`lane_stopped`) until one says
//! `resume`. The first send of a window says so. That send is the oldest entry of its lane without an answer, so no
//! earlier entry can still be refused.

use std::collections::VecDeque;

use super::answer::{Correction, Flow, Verdict};
use super::prepare::Sealed;
use crate::store::{Durable, OutgoingId, Parcel, Settled, Settlement};
use crate::waiting::WaitReason;

/// If fewer entries than this wait to be sent, more are sealed.
const FEW: usize = 64;
/// Sends are grouped into runs of this many bytes, where each send counts as at least [`LEAST_BYTES`]. A lane thus
/// sends a few dozen at a time, which the relay stores together and the recipient decrypts together.
const RUN_BYTES: usize = 16 << 10;
const LEAST_BYTES: usize = 512;

/// The entries of a lane that are sealed and not settled.
#[derive(Default)]
pub(super) struct Window {
    /// In order; the first is sent next.
    waiting: VecDeque<Sealed>,
    /// In order; the first is answered next.
    in_flight: VecDeque<Sealed>,
    settled: Vec<Settled>,
    fresh: Vec<OutgoingId>,
    has_begun: bool,
    stopped: Option<Stopped>,
}

/// Why a window sends nothing more.
pub(super) struct Stopped {
    pub(super) flow: Flow,
    /// The entry that was refused, how often it had been postponed, and what must be corrected first.
    pub(super) correction: Option<(OutgoingId, u32, Correction)>,
    /// Why the entry was postponed, if it was.
    pub(super) reason: Option<WaitReason>,
    /// Whether this entry and those behind it must be sealed anew.
    reseal: bool,
}

impl Window {
    /// Adds entries that have been sealed. They come after all others.
    pub(super) fn add(&mut self, sealed: Vec<Sealed>) {
        self.waiting.extend(sealed);
        self.empty_if_stopped();
    }

    pub(super) fn wants_more(&self) -> bool {
        self.stopped.is_none() && self.waiting.len() < FEW
    }

    /// The sends of the next run: each parcel, and whether it resumes the lane. Empty if there is nothing to send.
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
        let next = self.waiting.pop_front()?;
        let parcel = next.parcel.clone();
        self.in_flight.push_back(next);
        Some((parcel, !std::mem::replace(&mut self.has_begun, true)))
    }

    /// The entry that is answered next.
    pub(super) fn oldest(&self) -> Option<&Sealed> {
        self.in_flight.front()
    }

    /// Handles the answer to the oldest entry.
    pub(super) fn answered(&mut self, verdict: Verdict) {
        let Some(entry) = self.in_flight.pop_front() else { return };
        let Verdict { settlement, correction, flow, lane_stopped, reason } = verdict;
        let accepted = matches!(settlement, Settlement::Accepted { .. });
        let settlement = match &self.stopped {
            None => Some(settlement),
            Some(_) if accepted => Some(settlement),
            // The relay says by this that it is not stored.
            Some(_) if lane_stopped => {
                self.leave(entry);
                return;
            }
            // The first refused entry decides how the lane continues. This one will be submitted again.
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

    /// Once the window has stopped, the waiting entries are not sent any more. If they are to be sealed anew, those that
    /// may be stored are sent all the same: the relay does not store them on a stopped lane, and says whether it had.
    fn empty_if_stopped(&mut self) {
        let Some(stopped) = &self.stopped else { return };
        let asks = stopped.reseal;
        for entry in std::mem::take(&mut self.waiting) {
            match (entry.may_be_stored, asks) {
                (true, true) => self.waiting.push_back(entry),
                (true, false) => {}
                (false, _) => self.leave(entry),
            }
        }
    }

    /// Removes an entry that the relay has not processed in this window. If an earlier entry is sealed anew, this one
    /// is too: otherwise the recipient would receive older ratchet steps after newer ones, and it stores only a
    /// limited number of skipped keys. It must be certain that the entry is not stored.
    fn leave(&mut self, entry: Sealed) {
        if self.stopped.as_ref().is_some_and(|stopped| stopped.reseal) {
            let name = entry.parcel.get().client_msg_id;
            self.settled.push((entry.id, Some(name), Settlement::Requeue { refused: false }));
        } else {
            self.fresh.push(entry.id);
        }
    }

    /// Removes the oldest entry without a verdict, because the correct time is unknown, and stops the window.
    pub(super) fn put_aside(&mut self) {
        self.in_flight.pop_front();
        let reason = Some(WaitReason::Clock);
        self.stopped.get_or_insert(Stopped { flow: Flow::Stop, correction: None, reseal: false, reason });
        self.empty_if_stopped();
    }

    /// The entries that are sealed and certainly not stored at the relay.
    pub(super) fn take_fresh(&mut self) -> Vec<OutgoingId> {
        std::mem::take(&mut self.fresh)
    }

    /// The settlements to record.
    pub(super) fn take_settled(&mut self) -> Option<Vec<Settled>> {
        (!self.settled.is_empty()).then(|| std::mem::take(&mut self.settled))
    }

    /// Why the window has stopped, if it has.
    pub(super) fn into_stopped(self) -> Option<Stopped> {
        self.stopped
    }
}

#[cfg(test)]
mod tests;
