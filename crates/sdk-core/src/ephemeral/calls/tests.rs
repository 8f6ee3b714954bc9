use tokio::time::advance;

use super::arrival::CROSSES_MS;
use super::*;

const THREAD: ThreadId = ThreadId::from_bytes([1; 16]);
const US: UserId = UserId::from_bytes([2; 16]);
const PEER: UserId = UserId::from_bytes([3; 16]);
/// Server time.
const NOW: u64 = 1_000_000;

/// One side of a call.
struct Side {
    calls: Calls,
    events: broadcast::Receiver<Arc<CallEvent>>,
    us: UserId,
    peer: UserId,
}

impl Side {
    fn new(us: UserId, peer: UserId) -> Self {
        let calls = Calls::new();
        let (_, events) = calls.subscribe();
        Self { calls, events, us, peer }
    }

    /// A signal of the other side arrives, sent and received at these times.
    fn hears_at(&self, n: u8, step: CallStep, sent_ms: u64, now_ms: u64) {
        let from = (THREAD, self.peer, DeviceId::PRIMARY);
        self.calls.arrived(from, self.us, Call { id: id(n), step }, (sent_ms, now_ms));
    }

    /// A signal of another device of the other side arrives.
    fn hears_of(&self, device: u32, n: u8, step: CallStep) {
        let from = (THREAD, self.peer, DeviceId::new(device).unwrap());
        self.calls.arrived(from, self.us, Call { id: id(n), step }, (NOW, NOW));
    }

    fn hears(&self, n: u8, step: CallStep) {
        self.hears_at(n, step, NOW, NOW);
    }

    fn calls(&self, n: u8, sent_ms: u64) -> Result<()> {
        self.calls.begin(id(n), (THREAD, self.peer), our_offer(n), sent_ms)
    }

    fn answers(&self, n: u8, fresh: u8) -> Option<(CallKeys, Contribution)> {
        self.calls.answer(id(n), (THREAD, self.us), Contribution::new([fresh; 32]))
    }

    /// What the app has been told since the last time.
    fn told(&mut self) -> Vec<(u8, CallSignal)> {
        let mut all = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            let CallEvent { call, signal, .. } = Arc::unwrap_or_clone(event);
            all.push((call.0[0], signal));
        }
        all
    }

    /// The calls that ring here.
    fn ringing(&self) -> Vec<u8> {
        let inner = self.calls.lock();
        inner.known.iter().filter(|(_, call)| call.is_ringing()).map(|(id, _)| id.0[0]).collect()
    }
}

fn pair() -> (Side, Side) {
    (Side::new(US, PEER), Side::new(PEER, US))
}

fn id(n: u8) -> CallId {
    CallId([n; 16])
}

fn offer(n: u8) -> CallStep {
    CallStep::Offer { description: vec![n], is_video: false, ours: Contribution::new([n; 32]) }
}

fn our_offer(n: u8) -> Offer {
    Offer { description: vec![n], is_video: false, ours: Contribution::new([n; 32]) }
}

/// That this call has ended is told again.
fn hang_up(n: u8) -> [Again; 1] {
    [(THREAD, Call { id: id(n), step: CallStep::HangUp }, None)]
}

fn rings(n: u8) -> (u8, CallSignal) {
    (n, CallSignal::Offer { description: vec![n], is_video: false })
}

fn ended(n: u8, end: CallEnd) -> (u8, CallSignal) {
    (n, CallSignal::Ended(end))
}

fn answer(ours: &Contribution) -> CallStep {
    CallStep::Answer { description: vec![2], ours: ours.clone() }
}

#[tokio::test(start_paused = true)]
async fn both_sides_derive_the_same_keys_and_each_call_has_others() {
    let (mut caller, callee) = pair();
    caller.calls(1, NOW).unwrap();
    callee.hears(1, offer(1));
    let (at_callee, ours) = callee.answers(1, 9).unwrap();
    assert!(callee.calls.answered(id(1)));
    assert!(callee.answers(1, 9).is_none(), "once");
    caller.hears(1, answer(&ours));
    caller.hears(1, answer(&ours));
    let answers = caller.told();
    let [(1, CallSignal::Answer { keys: at_caller, .. })] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!((&at_caller.sending, &at_caller.receiving), (&at_callee.receiving, &at_callee.sending));
    assert_ne!(at_caller.sending, at_caller.receiving);
    let other = derive(id(2), THREAD, (US, PEER), &Contribution::new([1; 32]), &ours);
    assert_ne!(other.0, at_caller.sending);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_may_not_have_left_is_repeated_with_the_same_keys_while_the_call_rings() {
    let (_, mut callee) = pair();
    callee.hears(1, offer(1));
    let first = callee.answers(1, 8).unwrap();
    advance(RINGS / 2).await;
    assert_eq!(callee.answers(1, 9).unwrap(), first, "the first answer may have arrived");
    advance(RINGS / 2).await;
    callee.calls.expire();
    assert!(callee.answers(1, 9).is_none());
    assert!(!callee.calls.answered(id(1)), "an answer that is sent only now is too late");
    assert_eq!(callee.told(), [rings(1), ended(1, CallEnd::Unanswered)]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_could_not_be_ended_at_the_other_side_can_be_ended_again() {
    let (_, callee) = pair();
    callee.hears(1, offer(1));
    assert!(callee.calls.end(id(1), THREAD), "rings");
    assert!(!callee.calls.is_live(id(1), THREAD) && callee.answers(1, 9).is_none());
    assert!(callee.calls.end(id(1), THREAD), "they were not told");
    callee.calls.told(id(1));
    assert!(!callee.calls.end(id(1), THREAD));
    // Neither is told who ended it themselves.
    callee.hears(2, offer(2));
    callee.calls.end(id(2), THREAD);
    callee.hears(2, CallStep::HangUp);
    assert!(!callee.calls.end(id(2), THREAD));
    callee.hears(3, offer(3));
    callee.calls.end(id(3), THREAD);
    advance(REMEMBERED).await;
    callee.calls.expire();
    assert!(!callee.calls.end(id(3), THREAD), "forgotten");
    assert!(callee.calls.lock().known.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_earlier_call_of_a_person_who_calls_again_ends_with_a_reason() {
    let (_, mut callee) = pair();
    callee.hears_at(1, offer(1), NOW, NOW);
    callee.hears_at(2, offer(2), NOW + 10, NOW + 10);
    assert_eq!(callee.told(), [rings(1), ended(1, CallEnd::Replaced), rings(2)]);
    assert!(callee.answers(1, 9).is_none());
    // An offer that was delayed, and one that arrives twice.
    callee.hears_at(3, offer(3), NOW + 5, NOW + 20);
    callee.hears_at(2, offer(2), NOW + 10, NOW + 20);
    callee.hears_at(1, offer(1), NOW, NOW + 20);
    assert_eq!((callee.told(), callee.ringing()), (vec![], vec![2]));
    // A call that was answered goes on: the app decides.
    callee.answers(2, 9).unwrap();
    callee.calls.answered(id(2));
    callee.hears_at(4, offer(4), NOW + 30, NOW + 30);
    assert_eq!(callee.told(), [rings(4)]);
    assert!(callee.calls.is_live(id(2), THREAD));
}

#[tokio::test(start_paused = true)]
async fn of_two_calls_that_cross_the_same_one_remains_on_both_sides() {
    for (first, second, passed_ms, remaining) in [
        (1, 2, 0, 1),
        (2, 1, 0, 1),
        (1, 2, CROSSES_MS, 1),
        (2, 1, CROSSES_MS, 1),
        // The earlier offer has not arrived, or its author would not have been called.
        (1, 2, CROSSES_MS + 1, 2),
        (2, 1, CROSSES_MS + 1, 1),
    ] {
        let (mut one, mut other) = pair();
        let second_ms = NOW + passed_ms;
        one.calls(first, NOW).unwrap();
        other.calls(second, second_ms).unwrap();
        one.hears_at(second, offer(second), second_ms, second_ms);
        other.hears_at(first, offer(first), NOW, second_ms);
        let (winner, loser, lost) =
            if remaining == first { (&mut one, &mut other, second) } else { (&mut other, &mut one, first) };
        assert_eq!(winner.told(), [], "{first} {second} {passed_ms}");
        assert_eq!(loser.told(), [ended(lost, CallEnd::Crossed), rings(remaining)]);
        let (keys, ours) = loser.answers(remaining, 9).unwrap();
        winner.hears(remaining, answer(&ours));
        let told = winner.told();
        assert!(
            matches!(&told[..], [(_, CallSignal::Answer { keys: theirs, .. })] if theirs.sending == keys.receiving)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_calls_a_person_whose_call_rings() {
    let (caller, callee) = pair();
    caller.calls(1, NOW).unwrap();
    assert_eq!(caller.calls(2, NOW), Err(Error::WrongState));
    callee.hears(1, offer(1));
    assert_eq!(callee.calls(3, NOW), Err(Error::WrongState));
    callee.calls.end(id(1), THREAD);
    callee.calls(3, NOW).unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_goes_on_with_a_call_that_has_ended_here_is_told_once() {
    let (caller, callee) = pair();
    caller.calls(1, NOW).unwrap();
    callee.hears(1, offer(1));
    caller.calls.end(id(1), THREAD);
    caller.calls.told(id(1));
    // It was lost, and they answer.
    let (_, ours) = callee.answers(1, 9).unwrap();
    for step in [answer(&ours), CallStep::Candidates(vec![1]), answer(&ours)] {
        caller.hears(1, step);
    }
    assert_eq!(caller.calls.take_again(), hang_up(1));
    assert_eq!(caller.calls.take_again(), []);
    // A call that was never made is none that has ended.
    caller.hears(7, answer(&ours));
    assert_eq!(caller.calls.take_again(), []);
    // The same for a call that nobody has answered in time.
    caller.calls(2, NOW).unwrap();
    advance(RINGS).await;
    caller.calls.expire();
    caller.hears(2, answer(&ours));
    assert_eq!(caller.calls.take_again(), hang_up(2));
}

#[tokio::test(start_paused = true)]
async fn a_call_rings_until_a_minute_after_it_was_sent_and_an_answered_one_ends_after_hours() {
    let (mut caller, mut callee) = pair();
    caller.calls(1, NOW).unwrap();
    advance(RINGS / 2).await;
    callee.hears_at(1, offer(1), NOW, NOW + 30_000);
    advance(RINGS / 2).await;
    caller.calls.expire();
    callee.calls.expire();
    assert_eq!(caller.told(), [ended(1, CallEnd::Unanswered)]);
    assert_eq!(callee.told(), [rings(1), ended(1, CallEnd::Unanswered)]);
    callee.hears(2, offer(2));
    callee.answers(2, 9).unwrap();
    callee.calls.answered(id(2));
    advance(LASTS).await;
    callee.calls.expire();
    assert_eq!(callee.told(), [rings(2), ended(2, CallEnd::Expired)]);
}

#[tokio::test(start_paused = true)]
async fn calls_at_once_from_everybody_ring_a_few_times_and_the_memory_is_bounded() {
    let (_, mut callee) = pair();
    let people = (0..200).map(|n| (ThreadId::from_bytes([n; 16]), UserId::from_bytes([n; 16])));
    let offered = |n: u8| Call { id: id(n), step: offer(n) };
    for (n, person) in (0..).zip(people.clone()) {
        callee.calls.arrived((person.0, person.1, DeviceId::PRIMARY), US, offered(n), (NOW, NOW));
    }
    assert_eq!((callee.told().len(), callee.calls.lock().known.len()), (MAX_RINGING, MAX_RINGING));
    // Everybody calls again and again, and the person ends each call.
    for _ in 0..10 {
        for (n, (thread, user)) in (0..).zip(people.clone()) {
            callee.calls.arrived((thread, user, DeviceId::PRIMARY), US, offered(n), (NOW, NOW));
            callee.calls.end(id(n), thread);
        }
    }
    let inner = callee.calls.lock();
    assert!(inner.known.len() <= MAX_ENDED && inner.again.is_empty(), "{}", inner.known.len());
}

#[tokio::test(start_paused = true)]
async fn a_person_who_calls_again_and_again_rings_a_few_times_in_a_minute() {
    let (_, mut callee) = pair();
    for n in 0..200 {
        callee.hears(n, offer(n));
    }
    let told = callee.told();
    let offers = told.iter().filter(|(_, signal)| matches!(signal, CallSignal::Offer { .. })).count();
    assert_eq!((offers, told.len(), callee.ringing()), (5, 9, vec![4]));
    // Another person is not disturbed.
    let thread = ThreadId::from_bytes([8; 16]);
    let call = Call { id: id(201), step: offer(201) };
    callee.calls.arrived((thread, UserId::from_bytes([8; 16]), DeviceId::PRIMARY), PEER, call, (NOW, NOW));
    assert_eq!(callee.told(), [rings(201)]);
}

#[tokio::test(start_paused = true)]
async fn only_the_other_side_of_a_call_changes_it() {
    let (_, mut callee) = pair();
    callee.hears(1, offer(1));
    let stranger = UserId::from_bytes([8; 16]);
    for step in [CallStep::HangUp, CallStep::Busy, CallStep::Candidates(vec![1])] {
        callee.calls.arrived((THREAD, stranger, DeviceId::PRIMARY), US, Call { id: id(1), step }, (NOW, NOW));
    }
    // An answer to their own call.
    callee.hears(1, answer(&Contribution::new([9; 32])));
    assert_eq!(callee.told(), [rings(1)]);
    callee.hears(1, CallStep::Busy);
    callee.hears(1, CallStep::HangUp);
    assert_eq!(callee.told(), [ended(1, CallEnd::Busy)]);
}

#[tokio::test(start_paused = true)]
async fn the_offer_of_a_call_that_remains_is_sent_once_more_because_it_may_not_have_arrived() {
    let (mut ada, mut ben) = pair();
    ada.calls(1, NOW).unwrap();
    // Ben was not connected, and calls a moment later.
    ben.calls(2, NOW + 3_000).unwrap();
    ada.hears_at(2, offer(2), NOW + 3_000, NOW + 3_000);
    ada.hears_at(2, offer(2), NOW + 3_000, NOW + 3_000);
    assert_eq!(ada.calls.take_again(), [(THREAD, Call { id: id(1), step: offer(1) }, Some(NOW))]);
    assert_eq!(ada.told(), []);
    ben.hears_at(1, offer(1), NOW, NOW + 3_000);
    assert_eq!(ben.told(), [ended(2, CallEnd::Crossed), rings(1)]);
    let (_, ours) = ben.answers(1, 9).unwrap();
    ada.hears(1, answer(&ours));
    assert_eq!(ada.told().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_block_ends_the_calls_with_this_person() {
    let (mut ada, _) = pair();
    ada.hears(1, offer(1));
    assert_eq!(ada.told(), [rings(1)]);
    assert_eq!(ada.calls.end_with(US), []);
    assert_eq!(ada.calls.end_with(PEER), [(THREAD, id(1))]);
    assert_eq!(ada.told(), [ended(1, CallEnd::HungUp)]);
    assert_eq!(ada.calls.end_with(PEER), []);
    assert!(ada.answers(1, 9).is_none());
}

#[tokio::test(start_paused = true)]
async fn candidates_are_bounded_for_each_call_and_person_and_hide_nothing_else() {
    let mut us = pair().0;
    let candidates = || CallStep::Candidates(vec![1]);
    let admitted = |told: &[(u8, CallSignal)], n| {
        told.iter().filter(|told| **told == (n, CallSignal::Candidates(vec![1]))).count()
    };
    let (of_call, of_person) = (MAX_CANDIDATES_OF_CALL as usize, MAX_CANDIDATES as usize);
    us.calls(1, NOW).unwrap();
    us.hears(1, answer(&Contribution::new([9; 32])));
    for minute in 0..2 {
        us.told();
        (0..1_000).for_each(|_| us.hears(1, candidates()));
        assert_eq!(admitted(&us.told(), 1), of_call, "{minute}");
        advance(Duration::from_secs(60)).await;
    }
    // All calls of this person together.
    for n in 2..=4 {
        us.hears(n, offer(n));
        assert!(us.answers(n, n).is_some() && us.calls.answered(id(n)));
    }
    us.told();
    let counts: Vec<_> = (1..=4)
        .map(|n| {
            (0..1_000).for_each(|_| us.hears(n, candidates()));
            admitted(&us.told(), n)
        })
        .collect();
    assert_eq!(counts, [of_call, of_person - of_call, 0, 0]);
    // Another person is not concerned, nor are other signals.
    let other = UserId::from_bytes([9; 16]);
    let call = |step| Call { id: id(5), step };
    us.calls.arrived((THREAD, other, DeviceId::PRIMARY), US, call(offer(5)), (NOW, NOW));
    us.calls.arrived((THREAD, other, DeviceId::PRIMARY), US, call(candidates()), (NOW, NOW));
    us.hears(1, CallStep::HangUp);
    let told = us.told();
    assert_eq!(admitted(&told, 5), 1);
    assert!(told.contains(&(1, CallSignal::Ended(CallEnd::HungUp))));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_taken_on_another_device_of_ours_stops_ringing() {
    for (is_answered, end) in [(true, CallEnd::AnsweredElsewhere), (false, CallEnd::DeclinedElsewhere)] {
        let (_, mut callee) = pair();
        callee.hears(1, offer(1));
        callee.calls.elsewhere(id(1), (THREAD, callee.peer), is_answered);
        callee.calls.elsewhere(id(1), (THREAD, callee.peer), !is_answered);
        assert_eq!(callee.told(), [rings(1), ended(1, end)]);
        assert_eq!((callee.ringing(), callee.answers(1, 9)), (vec![], None));
        // The caller goes on with the other device, and is not told that the call has ended.
        callee.hears(1, CallStep::Candidates(vec![7]));
        callee.hears(1, CallStep::HangUp);
        assert_eq!((callee.calls.take_again(), callee.told()), (vec![], vec![]));
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_device_says_of_a_call_has_no_other_effect() {
    let (_, mut callee) = pair();
    // It comes before the offer.
    callee.calls.elsewhere(id(1), (THREAD, callee.peer), true);
    callee.hears(1, offer(1));
    assert_eq!(callee.told(), []);
    // Of a call in another thread, one that was answered here, and one of ours.
    callee.hears(2, offer(2));
    callee.calls.elsewhere(id(2), (ThreadId::from_bytes([9; 16]), callee.peer), true);
    assert_eq!(callee.ringing(), [2]);
    callee.answers(2, 9).unwrap();
    assert!(callee.calls.answered(id(2)));
    callee.calls.elsewhere(id(2), (THREAD, callee.peer), true);
    assert!(callee.calls.is_live(id(2), THREAD));
    callee.calls(3, NOW).unwrap();
    callee.calls.elsewhere(id(3), (THREAD, callee.peer), true);
    assert!(callee.calls.is_live(id(3), THREAD));
    assert_eq!(callee.told(), [rings(2)]);
    // The other side cannot say it.
    assert!(callee.calls.end(id(3), THREAD));
    callee.hears(4, offer(4));
    callee.told();
    callee.hears(4, CallStep::Elsewhere { is_answered: true });
    assert_eq!((callee.ringing(), callee.told()), (vec![4], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_rang_in_vain_here_does_not_end_it_where_it_was_answered() {
    let (_, mut callee) = pair();
    callee.hears(1, offer(1));
    advance(RINGS).await;
    callee.calls.expire();
    assert_eq!(callee.told(), [rings(1), ended(1, CallEnd::Unanswered)]);
    callee.hears(1, CallStep::Candidates(vec![7]));
    assert_eq!(callee.calls.take_again(), []);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_has_not_answered_does_not_end_the_call_that_another_one_has() {
    let (mut caller, _) = pair();
    let ours = Contribution::new([9; 32]);
    caller.calls(1, NOW).unwrap();
    caller.hears_of(2, 1, answer(&ours));
    assert!(matches!(&caller.told()[..], [(1, CallSignal::Answer { .. })]));
    // It has not learned that the tablet has answered, and goes on ringing.
    for step in [CallStep::HangUp, CallStep::Busy, CallStep::Candidates(vec![1]), answer(&ours)] {
        caller.hears_of(1, 1, step);
    }
    assert_eq!((caller.told(), caller.calls.take_again()), (vec![], vec![]));
    assert!(caller.calls.is_live(id(1), THREAD));
    caller.hears_of(2, 1, CallStep::Candidates(vec![7]));
    caller.hears_of(2, 1, CallStep::HangUp);
    let signals = [(1, CallSignal::Candidates(vec![7])), ended(1, CallEnd::HungUp)];
    assert_eq!(caller.told(), signals);
    // Before anybody has answered, each device of theirs can decline.
    caller.calls(2, NOW).unwrap();
    caller.hears_of(3, 2, CallStep::Busy);
    assert_eq!(caller.told(), [ended(2, CallEnd::Busy)]);
}
