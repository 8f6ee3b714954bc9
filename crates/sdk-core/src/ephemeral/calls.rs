//! Calls: who calls whom, and the keys of their media. All of it is in memory only.
//!
//! The state of a session cannot give both sides the same secret at a time that both know, because each has its own chains. Both
//! therefore contribute 32 random bytes, in the encrypted offer and answer, and the keys are derived from the two.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hkdf::Hkdf;
use sha2::Sha256;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::call::{CallKeys, CallSignal, SrtpKey};
use crate::content::{Call, CallId, CallStep, Contribution};
use crate::event::{Event, EventBus};
use crate::id::{ThreadId, UserId};

/// The label of the keys of a call.
const LABEL: &[u8] = b"Sealpost SRTP v1";
/// How long a call can be answered after its offer.
const RINGS: Duration = Duration::from_secs(60);
/// How long a call is known that was answered.
const LASTS: Duration = Duration::from_secs(12 * 3600);
/// The maximum number of calls that ring at the same time. Further ones ring nothing.
const MAX_RINGING: usize = 8;
/// The maximum number of calls that are known.
const MAX_CALLS: usize = 32;

/// A call that is known here.
struct Known {
    thread: ThreadId,
    peer: UserId,
    is_ours: bool,
    /// What the caller contributes.
    offered: Contribution,
    is_answered: bool,
    until: Instant,
}

/// The calls of this process.
pub(crate) struct Calls {
    events: EventBus,
    known: Mutex<HashMap<CallId, Known>>,
}

impl Calls {
    pub(crate) fn new(events: EventBus) -> Self {
        Self { events, known: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CallId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records our own call. Returns false if there are too many.
    pub(crate) fn begin(
        &self,
        id: CallId,
        (thread, peer): (ThreadId, UserId),
        offered: Contribution,
    ) -> bool {
        let mut known = self.lock();
        let has_room = known.len() < MAX_CALLS;
        if has_room {
            let until = after(RINGS);
            known.insert(id, Known { thread, peer, is_ours: true, offered, is_answered: false, until });
        }
        has_room
    }

    /// The other side of a call in this thread.
    pub(crate) fn is_known(&self, id: CallId, thread: ThreadId) -> bool {
        self.lock().get(&id).is_some_and(|call| call.thread == thread)
    }

    /// Answers a call that rings. Returns its keys, or `None` if there is no such call.
    pub(crate) fn answer(
        &self,
        id: CallId,
        thread: ThreadId,
        us: UserId,
        ours: &Contribution,
    ) -> Option<CallKeys> {
        let mut known = self.lock();
        let call =
            known.get_mut(&id).filter(|call| call.thread == thread && !call.is_ours && !call.is_answered)?;
        call.is_answered = true;
        call.until = after(LASTS);
        let (caller, callee) = derive(id, thread, (call.peer, us), &call.offered, ours);
        Some(CallKeys { sending: callee, receiving: caller })
    }

    pub(crate) fn end(&self, id: CallId) {
        self.lock().remove(&id);
    }

    /// Handles a signal of somebody who may be answered.
    pub(crate) fn arrived(&self, (thread, peer): (ThreadId, UserId), us: UserId, call: Call) {
        let Call { id, step } = call;
        let mut known = self.lock();
        let is_theirs = |call: &Known| call.thread == thread && call.peer == peer;
        let signal = match step {
            CallStep::Offer { description, is_video, ours } => {
                if known.contains_key(&id) {
                    return;
                }
                // A person rings once.
                known.retain(|_, call| call.is_ours || call.is_answered || !is_theirs(call));
                let ringing = known.values().filter(|call| !call.is_ours && !call.is_answered).count();
                if ringing >= MAX_RINGING || known.len() >= MAX_CALLS {
                    tracing::debug!("too many calls at once");
                    return;
                }
                let until = after(RINGS);
                let call = Known { thread, peer, is_ours: false, offered: ours, is_answered: false, until };
                known.insert(id, call);
                CallSignal::Offer { description, is_video }
            }
            CallStep::Answer { description, ours } => {
                let call =
                    known.get_mut(&id).filter(|call| is_theirs(call) && call.is_ours && !call.is_answered);
                let Some(call) = call else { return };
                call.is_answered = true;
                call.until = after(LASTS);
                let (caller, callee) = derive(id, thread, (us, peer), &call.offered, &ours);
                CallSignal::Answer {
                    description,
                    keys: Box::new(CallKeys { sending: caller, receiving: callee }),
                }
            }
            _ if !known.get(&id).is_some_and(is_theirs) => return,
            CallStep::Candidates(data) => CallSignal::Candidates(data),
            CallStep::HangUp | CallStep::Busy => {
                known.remove(&id);
                if step == CallStep::Busy { CallSignal::Busy } else { CallSignal::HungUp }
            }
        };
        drop(known);
        self.publish(thread, peer, id, signal);
    }

    /// Ends calls that nobody has answered, and those that have lasted too long.
    pub(crate) fn expire(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut known = self.lock();
        let ended: Vec<_> = known.extract_if(|_, call| call.until <= now).collect();
        let next = known.values().map(|call| call.until).min();
        drop(known);
        for (id, call) in ended {
            if !call.is_answered {
                self.publish(call.thread, call.peer, id, CallSignal::Unanswered);
            }
        }
        next
    }

    fn publish(&self, thread: ThreadId, user: UserId, call: CallId, signal: CallSignal) {
        self.events.publish(Event::Call { thread, user, call, signal: Box::new(signal) });
    }
}

/// The keys of what the caller and of what the callee sends: HKDF-SHA256 (RFC 5869) over both contributions, about the call, its thread and
/// both people.
fn derive(
    id: CallId,
    thread: ThreadId,
    (caller, callee): (UserId, UserId),
    offered: &Contribution,
    answered: &Contribution,
) -> (SrtpKey, SrtpKey) {
    let mut input = Zeroizing::new([0; 64]);
    for (to, from) in input.iter_mut().zip(offered.iter().chain(answered.iter())) {
        *to = *from;
    }
    let info: [&[u8]; 5] = [LABEL, &id.0, thread.as_bytes(), caller.as_bytes(), callee.as_bytes()];
    let mut output = Zeroizing::new([0; 92]);
    let derived = Hkdf::<Sha256>::new(None, input.as_slice()).expand_multi_info(&info, output.as_mut_slice());
    // It fails only for more than 8,160 bytes of output.
    debug_assert!(derived.is_ok());
    let (caller, callee) = output.split_at(46);
    (key_of(caller), key_of(callee))
}

/// A key and a salt, one after the other.
fn key_of(bytes: &[u8]) -> SrtpKey {
    let at = |place: usize| bytes.get(place).copied().unwrap_or_default();
    SrtpKey {
        key: Zeroizing::new(std::array::from_fn(at)),
        salt: Zeroizing::new(std::array::from_fn(|place| at(place.saturating_add(32)))),
    }
}

fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventReceiver;

    const THREAD: ThreadId = ThreadId::from_bytes([1; 16]);
    const US: UserId = UserId::from_bytes([2; 16]);
    const PEER: UserId = UserId::from_bytes([3; 16]);

    fn new() -> (Calls, EventReceiver) {
        let events = EventBus::new();
        let receiver = events.subscribe();
        (Calls::new(events), receiver)
    }

    fn offer(n: u8) -> Call {
        let ours = Contribution::new([n; 32]);
        Call { id: CallId([n; 16]), step: CallStep::Offer { description: vec![n], is_video: false, ours } }
    }

    fn signals(events: &mut EventReceiver) -> Vec<CallSignal> {
        let mut all = Vec::new();
        while let Some(Ok(Event::Call { signal, .. })) = events.try_next() {
            all.push(*signal);
        }
        all
    }

    #[tokio::test(start_paused = true)]
    async fn both_sides_derive_the_same_keys_and_each_call_has_others() {
        let ((ours, mut events), (theirs, _)) = (new(), new());
        let contribution = Contribution::new([1; 32]);
        assert!(ours.begin(CallId([1; 16]), (THREAD, PEER), contribution));
        theirs.arrived((THREAD, US), PEER, offer(1));
        let answered = Contribution::new([9; 32]);
        let at_callee = theirs.answer(CallId([1; 16]), THREAD, PEER, &answered).unwrap();
        assert!(theirs.answer(CallId([1; 16]), THREAD, PEER, &answered).is_none(), "once");
        let step = CallStep::Answer { description: vec![2], ours: answered.clone() };
        ours.arrived((THREAD, PEER), US, Call { id: CallId([1; 16]), step: step.clone() });
        ours.arrived((THREAD, PEER), US, Call { id: CallId([1; 16]), step });
        let answers = signals(&mut events);
        let [CallSignal::Answer { keys: at_caller, .. }] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!((&at_caller.sending, &at_caller.receiving), (&at_callee.receiving, &at_callee.sending));
        assert_ne!(at_caller.sending, at_caller.receiving);
        let other = derive(CallId([2; 16]), THREAD, (US, PEER), &Contribution::new([1; 32]), &answered);
        assert_ne!(other.0, at_caller.sending);
    }

    #[test]
    fn the_keys_are_those_of_rfc_5869() {
        let one = derive(
            CallId([1; 16]),
            THREAD,
            (US, PEER),
            &Contribution::new([4; 32]),
            &Contribution::new([5; 32]),
        );
        let input = [[4_u8; 32], [5; 32]].concat();
        let info = [LABEL, &[1; 16], &[1; 16], &[2; 16], &[3; 16]].concat();
        let mut expected = [0; 92];
        Hkdf::<Sha256>::new(Some(&[0; 32]), &input).expand(&info, &mut expected).unwrap();
        let keys = [&one.0.key[..], &one.0.salt[..], &one.1.key[..], &one.1.salt[..]].concat();
        assert_eq!(keys, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_at_once_from_everybody_ring_a_few_times_and_each_person_once() {
        let (calls, mut events) = new();
        for n in 0..200 {
            calls.arrived((ThreadId::from_bytes([n; 16]), UserId::from_bytes([n; 16])), US, offer(n));
        }
        assert_eq!(signals(&mut events).len(), MAX_RINGING);
        assert_eq!(calls.lock().len(), MAX_RINGING);
        let (calls, mut events) = new();
        for n in 0..200 {
            calls.arrived((THREAD, PEER), US, offer(n));
        }
        assert_eq!((signals(&mut events).len(), calls.lock().len()), (200, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_other_side_of_a_call_changes_it_and_nobody_answers_for_ever() {
        let (calls, mut events) = new();
        calls.arrived((THREAD, PEER), US, offer(1));
        let stranger = UserId::from_bytes([8; 16]);
        for step in [CallStep::HangUp, CallStep::Busy, CallStep::Candidates(vec![1])] {
            calls.arrived((THREAD, stranger), US, Call { id: CallId([1; 16]), step });
        }
        // An answer to their own call.
        let step = CallStep::Answer { description: vec![2], ours: Contribution::new([9; 32]) };
        calls.arrived((THREAD, PEER), US, Call { id: CallId([1; 16]), step });
        assert_eq!(signals(&mut events).len(), 1);
        tokio::time::advance(RINGS).await;
        assert_eq!(calls.expire(), None);
        assert_eq!(signals(&mut events), [CallSignal::Unanswered]);
        calls.arrived((THREAD, PEER), US, Call { id: CallId([1; 16]), step: CallStep::HangUp });
        assert_eq!(signals(&mut events), []);
    }

    #[test]
    fn debug_shows_neither_keys_nor_descriptions() {
        let keys = derive(
            CallId([1; 16]),
            THREAD,
            (US, PEER),
            &Contribution::new([4; 32]),
            &Contribution::new([5; 32]),
        );
        let keys = Box::new(CallKeys { sending: keys.0, receiving: keys.1 });
        let shown = format!(
            "{:?} {keys:?}",
            CallSignal::Answer { description: b"secret".to_vec(), keys: keys.clone() }
        );
        assert_eq!(shown, "Answer(..) CallKeys { sending: SrtpKey(..), receiving: SrtpKey(..) }");
    }
}
