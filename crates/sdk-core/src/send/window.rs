//! The order of a lane's sends on one connection, of which many are in flight. This module does no I/O: it is given
//! sealed entries and verdicts, and says what to send next and what to record.
//!
//! The relay keeps the order: after it has refused a send, it refuses those behind it (`lane_stopped`) until one says
//! `resume`. The first send of a window says so. That send is the oldest entry of its lane without an answer, so no
//! earlier entry can still be refused.
//!
//! The window of a lookup stores nothing. It learns which entries the relay has stored, so that the others can be
//! sealed anew.

use std::collections::VecDeque;

use sealpost_wire::SendMode;

use super::answer::{Correction, Flow, ToSettle, Verdict};
use super::prepare::Sealed;
use crate::id::ClientMsgId;
use crate::store::{Durable, OutgoingId, Parcel, Settlement};
use crate::waiting::WaitReason;

/// If fewer entries than this wait to be sent, more are sealed.
const FEW: usize = 64;
/// Sends are grouped into runs of this many bytes, where each send counts as at least [`LEAST_BYTES`]. A lane thus
/// sends a few dozen at a time, which the relay stores together and the recipient decrypts together.
const RUN_BYTES: usize = 16 << 10;
/// The size of a run if so many lanes are busy that they wait for each other. Each recipient then gets more sends at a time, and
/// needs fewer transactions for them, but a lane waits longer for its turn.
const LONG_RUN_BYTES: usize = 32 << 10;
/// The number of short runs that can be in flight on a connection.
const FEW_LANES: usize = 4;
const LEAST_BYTES: usize = 512;

/// The size of a run, in bytes, while this many lanes are busy.
const fn run_bytes(busy_lanes: usize) -> usize {
    if busy_lanes > FEW_LANES { LONG_RUN_BYTES } else { RUN_BYTES }
}

/// The entries of a lane that are sealed and not settled.
#[derive(Default)]
pub(super) struct Window {
    /// In order; the first is sent next.
    waiting: VecDeque<Sealed>,
    /// In order; the first is answered next.
    in_flight: VecDeque<Sealed>,
    to_settle: ToSettle,
    fresh: Vec<ClientMsgId>,
    has_begun: bool,
    is_lookup: bool,
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
    /// The window that asks whether these entries are stored.
    pub(super) fn lookup(unknown: Vec<Sealed>) -> Self {
        Self { waiting: unknown.into(), is_lookup: true, ..Self::default() }
    }

    /// Adds entries that have been sealed. They come after all others.
    pub(super) fn add(&mut self, sealed: Vec<Sealed>) {
        self.waiting.extend(sealed);
        self.empty_if_stopped();
    }

    pub(super) fn wants_more(&self) -> bool {
        !self.has_stopped() && self.waiting.len() < FEW
    }

    pub(super) const fn has_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// The sends of the next run, while this many lanes are busy. Empty if there is nothing to send.
    pub(super) fn next_run(&mut self, busy_lanes: usize) -> Vec<(Durable<Parcel>, SendMode)> {
        let (mut run, mut bytes) = (Vec::new(), 0_usize);
        let most = run_bytes(busy_lanes);
        while bytes < most
            && let Some((parcel, mode)) = self.next()
        {
            bytes = bytes.saturating_add(parcel.get().bytes.len().max(LEAST_BYTES));
            run.push((parcel, mode));
        }
        run
    }

    fn next(&mut self) -> Option<(Durable<Parcel>, SendMode)> {
        let next = self.waiting.pop_front()?;
        let parcel = next.parcel.clone();
        self.in_flight.push_back(next);
        let mode = match (self.is_lookup, std::mem::replace(&mut self.has_begun, true)) {
            (true, _) => SendMode::Lookup,
            (false, false) => SendMode::Resume,
            (false, true) => SendMode::Follow,
        };
        Some((parcel, mode))
    }

    /// The entry that is answered next.
    pub(super) fn oldest(&self) -> Option<&Sealed> {
        self.in_flight.front()
    }

    /// Handles the answer to the oldest entry.
    pub(super) fn answered(&mut self, verdict: Verdict) {
        let Some(entry) = self.in_flight.pop_front() else { return };
        let Verdict { settlement, correction, flow, lane_stopped, reason } = verdict;
        if self.is_lookup && lane_stopped {
            self.settle(&entry, Settlement::Requeue { refused: false });
            return;
        }
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
            self.settle(&entry, settlement);
        }
        if self.stopped.is_none() && flow != Flow::GoOn {
            let reseal = unsealed;
            let correction = correction.map(|correction| (entry.id, entry.attempts, correction));
            self.stopped = Some(Stopped { flow, correction, reseal, reason });
            self.empty_if_stopped();
        }
    }

    /// Once the window has stopped, the waiting entries are not sent any more. Those that may be stored are submitted or
    /// looked up by another window.
    fn empty_if_stopped(&mut self) {
        if self.has_stopped() {
            for entry in std::mem::take(&mut self.waiting) {
                if !entry.may_be_stored {
                    self.leave(entry);
                }
            }
        }
    }

    /// Removes an entry that is certainly not stored. If an earlier entry is sealed anew, this one must be too, because
    /// entries are sealed in the order in which they are stored.
    fn leave(&mut self, entry: Sealed) {
        if self.stopped.as_ref().is_some_and(|stopped| stopped.reseal) {
            self.settle(&entry, Settlement::Requeue { refused: false });
        } else {
            self.fresh.push(entry.parcel.get().client_msg_id);
        }
    }

    /// Removes the oldest entry without a verdict, because the correct time is unknown, and stops the window.
    pub(super) fn put_aside(&mut self) {
        self.in_flight.pop_front();
        let reason = Some(WaitReason::Clock);
        self.stopped.get_or_insert(Stopped { flow: Flow::Stop, correction: None, reseal: false, reason });
        self.empty_if_stopped();
    }

    /// The parcels that are certainly not stored by the relay.
    pub(super) fn take_fresh(&mut self) -> Vec<ClientMsgId> {
        std::mem::take(&mut self.fresh)
    }

    fn settle(&mut self, entry: &Sealed, settlement: Settlement) {
        let is_accepted = matches!(settlement, Settlement::Accepted { .. });
        self.to_settle.is_awaited |= entry.is_awaited || !is_accepted;
        self.to_settle.settled.push((entry.id, Some(entry.parcel.get().client_msg_id), settlement));
    }

    /// The settlements to record.
    pub(super) fn take_settled(&mut self) -> Option<ToSettle> {
        (!self.to_settle.settled.is_empty()).then(|| std::mem::take(&mut self.to_settle))
    }

    /// Why the window has stopped, if it has.
    pub(super) fn into_stopped(self) -> Option<Stopped> {
        self.stopped
    }
}

#[cfg(test)]
mod tests;
