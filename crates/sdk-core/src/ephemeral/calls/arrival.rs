//! What a signal that arrives does to the calls that are known.

use super::keys::derive;
use super::{Inner, Known, LASTS, MAX_CALLS, MAX_ENDED, MAX_RINGING, State, after};
use crate::call::{CallEnd, CallEvent, CallKeys, CallSignal};
use crate::content::{Call, CallId, CallStep};
use crate::id::{DeviceId, ThreadId, UserId};

/// If there is more time between two calls that cross, the earlier one has not arrived, in milliseconds.
pub(super) const CROSSES_MS: u64 = 5_000;

impl Inner {
    /// They call. Ends the call whose place it takes.
    pub(super) fn offered(
        &mut self,
        id: CallId,
        new: Known,
        new_ms: u64,
        offer: CallSignal,
    ) -> Vec<CallEvent> {
        if self.known.contains_key(&id) || !self.offers.admits(new.peer) {
            return Vec::new();
        }
        let (thread, peer) = (new.thread, new.peer);
        let mut replaced = Vec::new();
        let (mut ringing, mut live) = (0_usize, 0_usize);
        for (other, call) in &mut self.known {
            let end = match &mut call.state {
                State::Ended { .. } => continue,
                State::Calling { offer, sent_ms, is_repeated }
                    if (call.thread, call.peer) == (thread, peer) =>
                {
                    if remains((*other, *sent_ms), (id, new_ms)) {
                        // They may not have got ours, as they were not connected. A second copy has no effect.
                        if !std::mem::replace(is_repeated, true) {
                            let again = Call { id: *other, step: offer.clone().step() };
                            self.again.push((thread, again, Some(*sent_ms)));
                        }
                        return Vec::new();
                    }
                    Some(CallEnd::Crossed)
                }
                State::Ringing { sent_ms, .. } if (call.thread, call.peer) == (thread, peer) => {
                    if *sent_ms > new_ms {
                        // It was delayed, and they have called again.
                        return Vec::new();
                    }
                    Some(CallEnd::Replaced)
                }
                _ => None,
            };
            if let Some(end) = end {
                replaced.push((*other, end));
                continue;
            }
            live = live.saturating_add(1);
            ringing = ringing.saturating_add(usize::from(call.is_ringing()));
        }
        if ringing >= MAX_RINGING || live >= MAX_CALLS {
            tracing::debug!("too many calls at once");
            return Vec::new();
        }
        let mut signals = Vec::new();
        for (other, end) in replaced {
            if let Some(call) = self.known.get_mut(&other) {
                call.end(true);
                signals.push(call.event(other, CallSignal::Ended(end)));
            }
        }
        signals.push(new.event(id, offer));
        self.known.insert(id, new);
        self.forget_oldest();
        signals
    }

    /// The other side of a call goes on with it.
    pub(super) fn go_on(
        &mut self,
        id: CallId,
        (thread, peer, device): (ThreadId, UserId, DeviceId),
        us: UserId,
        step: CallStep,
    ) -> Option<CallEvent> {
        let call = self.known.get_mut(&id).filter(|call| call.is_with(thread, peer))?;
        // The call goes on with the device that has answered. Another one may not have learned that.
        if matches!(call.state, State::Answered { by: Some(answering) } if answering != device) {
            return None;
        }
        let signal = match (step, &mut call.state) {
            (CallStep::HangUp | CallStep::Busy, State::Ended { .. }) => {
                self.known.remove(&id);
                return None;
            }
            (CallStep::HangUp, _) => CallSignal::Ended(CallEnd::HungUp),
            (CallStep::Busy, _) => CallSignal::Ended(CallEnd::Busy),
            (CallStep::Answer { .. } | CallStep::Candidates(_), State::Ended { is_repeated, .. }) => {
                // Once for each call, so that they cannot make this device send much.
                if !std::mem::replace(is_repeated, true) {
                    self.again.push((thread, Call { id, step: CallStep::HangUp }, None));
                }
                return None;
            }
            (CallStep::Answer { description, ours }, State::Calling { offer, .. }) => {
                let (caller, callee) = derive(id, thread, (us, peer), &offer.ours, &ours);
                call.state = State::Answered { by: Some(device) };
                call.until = after(LASTS);
                let keys = Box::new(CallKeys { sending: caller, receiving: callee });
                CallSignal::Answer { description, keys }
            }
            (CallStep::Candidates(data), _) => {
                if !self.candidates_of_call.admits(id) || !self.candidates.admits(peer) {
                    tracing::debug!("too many candidates");
                    return None;
                }
                CallSignal::Candidates(data)
            }
            // An answer to their own call, or a second one, or what is handled elsewhere.
            (CallStep::Answer { .. } | CallStep::Offer { .. } | CallStep::Elsewhere { .. }, _) => {
                return None;
            }
        };
        let event = call.event(id, signal);
        if matches!(event.signal, CallSignal::Ended(_)) {
            self.known.remove(&id);
        }
        Some(event)
    }

    /// Forgets the calls that have ended first, if there are too many.
    pub(super) fn forget_oldest(&mut self) {
        let ended = |(id, call): (&CallId, &Known)| call.has_ended().then_some((call.until, *id));
        let mut all: Vec<_> = self.known.iter().filter_map(ended).collect();
        all.sort_unstable_by_key(|(until, _)| *until);
        for (_, id) in all.iter().take(all.len().saturating_sub(MAX_ENDED)) {
            self.known.remove(id);
        }
    }
}

/// Whether the first of two calls that cross remains. Both sides decide alike.
pub(super) fn remains((one, one_ms): (CallId, u64), (other, other_ms): (CallId, u64)) -> bool {
    match one_ms.abs_diff(other_ms) {
        0..=CROSSES_MS => one.0 < other.0,
        _ => one_ms > other_ms,
    }
}
