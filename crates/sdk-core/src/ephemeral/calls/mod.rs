//! Calls: who calls whom. All of it is in memory only. The states are described at [`CallSignal`].

mod arrival;
mod keys;
mod limit;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;

use self::keys::derive;
use self::limit::{MAX_CANDIDATES, MAX_CANDIDATES_OF_CALL, MAX_OFFERS, PerMinute};
use crate::call::{CallEnd, CallEvent, CallKeys, CallSignal};
use crate::content::{Call, CallId, CallStep, Contribution};
use crate::error::{Error, Result};
use crate::id::{DeviceId, ThreadId, UserId};

/// How long a call can be answered after its offer was sent.
const RINGS: Duration = Duration::from_secs(60);
/// How long a call is known that was answered.
const LASTS: Duration = Duration::from_secs(12 * 3600);
/// How long it is remembered that a call has ended here: until no answer to it can arrive any more.
const REMEMBERED: Duration = Duration::from_secs(120);
/// The number of events that are kept for a slow listener before it loses some.
const CAPACITY: usize = 512;
/// The maximum number of calls that ring at the same time. Further ones ring nothing.
const MAX_RINGING: usize = 8;
/// The maximum number of calls that have not ended.
const MAX_CALLS: usize = 32;
/// The maximum number of ended calls that are remembered.
const MAX_ENDED: usize = 64;

/// What the offer of our call contains.
#[derive(Clone)]
pub(crate) struct Offer {
    pub(crate) description: Vec<u8>,
    pub(crate) is_video: bool,
    pub(crate) ours: Contribution,
}

impl Offer {
    pub(crate) fn step(self) -> CallStep {
        let Self { description, is_video, ours } = self;
        CallStep::Offer { description, is_video, ours }
    }
}

/// What is to be sent again: the thread, the signal, and when it was sent first, by server time, if that matters.
type Again = (ThreadId, Call, Option<u64>);

/// A call that is known here.
struct Known {
    thread: ThreadId,
    peer: UserId,
    state: State,
    until: Instant,
}

enum State {
    /// Our call waits for an answer. By server time, it was offered at `sent_ms`.
    Calling { offer: Offer, sent_ms: u64, is_repeated: bool },
    /// Their call waits for our answer. `ours` is what we contribute once an answer was tried: it may have arrived although nothing
    /// was heard of it, so that a second one must lead to the same keys. `offer`: what the app is told.
    Ringing { offered: Contribution, sent_ms: u64, ours: Option<Contribution>, offer: CallSignal },
    /// Both sides have the keys. `by`: the device of theirs that has answered our call.
    Answered { by: Option<DeviceId> },
    /// The call has ended on this side. `is_told`: they were told, if that was to be done. `is_repeated`: they were told again,
    /// because they went on.
    Ended { is_told: bool, is_repeated: bool },
}

impl Known {
    const fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended { .. })
    }

    const fn is_calling(&self) -> bool {
        matches!(self.state, State::Calling { .. })
    }

    const fn is_ringing(&self) -> bool {
        matches!(self.state, State::Ringing { .. })
    }

    fn event(&self, call: CallId, signal: CallSignal) -> CallEvent {
        CallEvent { thread: self.thread, user: self.peer, call, signal }
    }

    fn end(&mut self, is_told: bool) {
        self.state = State::Ended { is_told, is_repeated: false };
        self.until = after(REMEMBERED);
    }

    /// Ends a call that another device of ours may have answered: the other side goes on with that one, and is told nothing.
    fn end_here(&mut self) {
        self.state = State::Ended { is_told: true, is_repeated: true };
        self.until = after(REMEMBERED);
    }
}

/// The calls of this process.
pub(crate) struct Calls {
    /// It has room for [`CAPACITY`] of them from the start, so an event is kept elsewhere.
    events: broadcast::Sender<Arc<CallEvent>>,
    inner: Mutex<Inner>,
    /// Notified when there is something to [send again](Self::take_again).
    pub(crate) again: Notify,
}

struct Inner {
    known: HashMap<CallId, Known>,
    offers: PerMinute<UserId>,
    candidates: PerMinute<UserId>,
    candidates_of_call: PerMinute<CallId>,
    /// The ends of calls whose other side went on, and offers that may not have arrived.
    again: Vec<Again>,
}

impl Calls {
    pub(crate) fn new() -> Self {
        let inner = Inner {
            known: HashMap::new(),
            offers: PerMinute::at_most(MAX_OFFERS),
            candidates: PerMinute::at_most(MAX_CANDIDATES),
            candidates_of_call: PerMinute::at_most(MAX_CANDIDATES_OF_CALL),
            again: Vec::new(),
        };
        Self { events: broadcast::Sender::new(CAPACITY), inner: Mutex::new(inner), again: Notify::new() }
    }

    /// The offers of the calls that ring, and what happens from now on.
    pub(crate) fn subscribe(&self) -> (Vec<CallEvent>, broadcast::Receiver<Arc<CallEvent>>) {
        // Events are published under this lock.
        let inner = self.lock();
        let ringing = inner.known.iter().filter_map(|(id, call)| match &call.state {
            State::Ringing { offer, .. } => Some(call.event(*id, offer.clone())),
            _ => None,
        });
        (ringing.collect(), self.events.subscribe())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins our own call. `sent_ms` is when its offer is sent, by server time.
    ///
    /// # Errors
    /// [`Error::WrongState`] if one of the two calls the other already, [`Error::Misuse`] if there are too many calls.
    pub(crate) fn begin(
        &self,
        id: CallId,
        (thread, peer): (ThreadId, UserId),
        offer: Offer,
        sent_ms: u64,
    ) -> Result<()> {
        let mut inner = self.lock();
        let mut live = inner.known.values().filter(|call| !call.has_ended());
        if live.clone().any(|call| call.thread == thread && (call.is_calling() || call.is_ringing())) {
            return Err(Error::WrongState);
        }
        if live.nth(MAX_CALLS.saturating_sub(1)).is_some() {
            return Err(Error::Misuse("too many calls"));
        }
        let state = State::Calling { offer, sent_ms, is_repeated: false };
        inner.known.insert(id, Known { thread, peer, state, until: after(RINGS) });
        Ok(())
    }

    /// Whether this call has not ended.
    pub(crate) fn is_live(&self, id: CallId, thread: ThreadId) -> bool {
        self.lock().known.get(&id).is_some_and(|call| call.thread == thread && !call.has_ended())
    }

    /// The keys of a call that rings, and what our answer contributes: `fresh`, unless an answer was tried before. The call rings until
    /// the answer [was sent](Self::answered). `None` if there is no such call.
    pub(crate) fn answer(
        &self,
        id: CallId,
        (thread, us): (ThreadId, UserId),
        fresh: Contribution,
    ) -> Option<(CallKeys, Contribution)> {
        let mut inner = self.lock();
        let call = inner.known.get_mut(&id).filter(|call| call.thread == thread)?;
        let State::Ringing { offered, ours, .. } = &mut call.state else { return None };
        let ours = ours.get_or_insert(fresh);
        let (caller, callee) = derive(id, thread, (call.peer, us), offered, ours);
        Some((CallKeys { sending: callee, receiving: caller }, ours.clone()))
    }

    /// Our answer was sent. Returns false if the call has ended in the meantime.
    pub(crate) fn answered(&self, id: CallId) -> bool {
        let mut inner = self.lock();
        let Some(call) = inner.known.get_mut(&id).filter(|call| !call.has_ended()) else { return false };
        call.state = State::Answered { by: None };
        call.until = after(LASTS);
        true
    }

    /// Whether their call waits for our answer.
    pub(crate) fn rings(&self, id: CallId, thread: ThreadId) -> bool {
        self.lock().known.get(&id).is_some_and(|call| call.thread == thread && call.is_ringing())
    }

    /// Another device of ours says that the person has answered this call there, or does not take it. It may say so before the call rings here.
    pub(crate) fn elsewhere(&self, id: CallId, (thread, peer): (ThreadId, UserId), is_answered: bool) {
        let mut inner = self.lock();
        let mut events = Vec::new();
        match inner.known.get_mut(&id) {
            Some(call) if call.is_with(thread, peer) && call.is_ringing() => {
                call.end_here();
                let end = if is_answered { CallEnd::AnsweredElsewhere } else { CallEnd::DeclinedElsewhere };
                events.push(call.event(id, CallSignal::Ended(end)));
            }
            Some(_) => {}
            None => {
                let state = State::Ended { is_told: true, is_repeated: true };
                inner.known.insert(id, Known { thread, peer, state, until: after(REMEMBERED) });
            }
        }
        inner.forget_oldest();
        self.publish(events);
    }

    /// Ends a call on this side. Returns whether the other side is to be told: also if it has ended here already, and they could not be
    /// told.
    pub(crate) fn end(&self, id: CallId, thread: ThreadId) -> bool {
        let mut inner = self.lock();
        let Some(call) = inner.known.get_mut(&id).filter(|call| call.thread == thread) else { return false };
        if let State::Ended { is_told, .. } = call.state {
            return !is_told;
        }
        call.end(false);
        inner.forget_oldest();
        true
    }

    /// The other side was told that the call has ended.
    pub(crate) fn told(&self, id: CallId) {
        if let Some(State::Ended { is_told, .. }) = self.lock().known.get_mut(&id).map(|call| &mut call.state)
        {
            *is_told = true;
        }
    }

    /// The signals that are to be sent again.
    pub(crate) fn take_again(&self) -> Vec<Again> {
        std::mem::take(&mut self.lock().again)
    }

    /// Ends all calls with somebody on this side, because they were blocked. Returns them.
    pub(crate) fn end_with(&self, user: UserId) -> Vec<(ThreadId, CallId)> {
        let mut inner = self.lock();
        let live = inner.known.iter_mut().filter(|(_, call)| call.peer == user && !call.has_ended());
        let ended: Vec<_> = live
            .map(|(id, call)| {
                call.end(true);
                call.event(*id, CallSignal::Ended(CallEnd::HungUp))
            })
            .collect();
        inner.forget_oldest();
        let calls = ended.iter().map(|event| (event.thread, event.call)).collect();
        self.publish(ended);
        calls
    }

    /// Handles a signal of a device of somebody who may be answered, which was sent at `sent_ms`. Both times are server time.
    pub(crate) fn arrived(
        &self,
        (thread, peer, device): (ThreadId, UserId, DeviceId),
        us: UserId,
        Call { id, step }: Call,
        (sent_ms, now_ms): (u64, u64),
    ) {
        let mut inner = self.lock();
        let signals = match step {
            CallStep::Offer { description, is_video, ours } => {
                let age = Duration::from_millis(now_ms.saturating_sub(sent_ms));
                let until = after(RINGS.saturating_sub(age));
                let offer = CallSignal::Offer { description, is_video };
                let state = State::Ringing { offered: ours, sent_ms, ours: None, offer: offer.clone() };
                inner.offered(id, Known { thread, peer, state, until }, sent_ms, offer)
            }
            step => inner.go_on(id, (thread, peer, device), us, step).into_iter().collect(),
        };
        if !inner.again.is_empty() {
            self.again.notify_one();
        }
        self.publish(signals);
    }

    /// Ends calls that nobody has answered, and those that have lasted too long. Returns when the next one ends.
    pub(crate) fn expire(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.known.retain(|_, call| !call.has_ended() || call.until > now);
        let mut signals = Vec::new();
        for (id, call) in inner.known.iter_mut().filter(|(_, call)| call.until <= now) {
            let is_answered = matches!(call.state, State::Answered { .. });
            let end = if is_answered { CallEnd::Expired } else { CallEnd::Unanswered };
            match call.is_ringing() {
                true => call.end_here(),
                false => call.end(true),
            }
            signals.push(call.event(*id, CallSignal::Ended(end)));
        }
        inner.forget_oldest();
        self.publish(signals);
        inner.known.values().map(|call| call.until).min()
    }

    fn publish(&self, events: Vec<CallEvent>) {
        for event in events {
            // It fails if nobody listens.
            let _ = self.events.send(Arc::new(event));
        }
    }
}

impl Known {
    fn is_with(&self, thread: ThreadId, peer: UserId) -> bool {
        self.thread == thread && self.peer == peer
    }
}

fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
}
