//! Calls, as far as a terminal can have them: their signals are sent and received, but there is no sound.

use sealpost_core::{CallEnd, ThreadId};

use super::State;
use crate::clock::Clock;
use crate::news::{Call, CallStage, CallStep, Request};
use crate::text::Shown;

/// How long it is shown that a call has ended, once somebody has been at the keys since.
const ENDED_IS_SHOWN_MS: u64 = 15_000;
/// The most calls that have ended and are shown.
const MOST_ENDED: usize = 2;

/// The calls, the newest last.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    known: Vec<Known>,
    beginning: Option<Beginning>,
}

/// A call of ours that has no id yet: the relay has not said that it has it.
#[derive(Debug)]
struct Beginning {
    thread: ThreadId,
    with: Shown,
    /// It ends as soon as it can.
    is_to_end: bool,
}

#[derive(Debug)]
struct Known {
    call: Call,
    /// Its state before, if it had one.
    before: Option<CallStage>,
    /// When it came to its present state.
    since_ms: u64,
    /// When the person has first touched a key since it ended.
    seen_ms: Option<u64>,
}

/// What is shown of a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CallLine {
    pub(crate) stage: CallStage,
    pub(crate) text: String,
}

impl Calls {
    fn set(&mut self, call: Call, now_ms: u64) {
        let new = Known { call, before: None, since_ms: now_ms, seen_ms: None };
        match self.known.iter_mut().find(|known| known.call.id == new.call.id) {
            // They can answer before it was reported here that they are called.
            Some(_) if new.call.stage == CallStage::Calling => {}
            // It ends once.
            Some(known) if known.call.has_ended() => {}
            Some(known) => *known = Known { before: Some(known.call.stage), ..new },
            None => self.known.push(new),
        }
        let ended = self.known.iter().filter(|known| known.call.has_ended()).count();
        let mut surplus = ended.saturating_sub(MOST_ENDED);
        self.known.retain(|known| {
            let is_surplus = surplus > 0 && known.call.has_ended();
            surplus = surplus.saturating_sub(usize::from(is_surplus));
            !is_surplus
        });
    }

    /// Somebody is at the keys.
    pub(super) fn has_been_seen(&mut self, now_ms: u64) {
        for known in self.known.iter_mut().filter(|known| known.call.has_ended()) {
            known.seen_ms.get_or_insert(now_ms);
        }
    }

    pub(super) fn forget_seen(&mut self, now_ms: u64) {
        self.known.retain(|known| {
            known.seen_ms.is_none_or(|seen_ms| now_ms < seen_ms.saturating_add(ENDED_IS_SHOWN_MS))
        });
    }

    /// The newest of these calls; before all, the one with the person in this chat.
    fn newest(&self, chat: Option<ThreadId>, of: impl Fn(&Call) -> bool) -> Option<&Call> {
        let calls = self.known.iter().rev().map(|known| &known.call).filter(|call| of(call));
        let mut calls = calls.peekable();
        let newest = calls.peek().copied();
        calls.find(|call| Some(call.thread) == chat).or(newest)
    }

    /// Ends a call that has no id yet as soon as it has one. Returns false if there is none.
    fn end_beginning(&mut self) -> bool {
        self.beginning.iter_mut().for_each(|beginning| beginning.is_to_end = true);
        self.beginning.is_some()
    }

    fn lines(&self, clock: &Clock) -> Vec<CallLine> {
        let line = |known: &Known| {
            let Call { with, stage, .. } = &known.call;
            CallLine {
                stage: *stage,
                text: text(with.as_str(), *stage, known.before, &clock.time(known.since_ms)),
            }
        };
        let mut shown: Vec<_> = self.known.iter().collect();
        shown.sort_by_key(|known| known.call.urgency());
        let beginning = self.beginning.iter().map(|beginning| {
            let (what, how) = match beginning.is_to_end {
                true => ("ending the call with", ""),
                false => ("calling", " /hangup ends that"),
            };
            CallLine { stage: CallStage::Calling, text: format!("{what} {} …{how}", beginning.with) }
        });
        let mut lines: Vec<_> = shown.into_iter().map(line).collect();
        let ringing = lines.iter().filter(|line| matches!(line.stage, CallStage::Ringing { .. })).count();
        let place = lines.len().saturating_sub(ringing);
        lines.splice(place..place, beginning);
        lines
    }
}

impl Call {
    fn has_ended(&self) -> bool {
        matches!(self.stage, CallStage::Ended(_) | CallStage::EndedByUs(_))
    }

    /// Where there is room for some calls only, the last ones in this order are shown.
    const fn urgency(&self) -> u8 {
        match self.stage {
            CallStage::Ended(_) | CallStage::EndedByUs(_) => 0,
            CallStage::Calling | CallStage::Answered => 1,
            CallStage::Ringing { .. } => 2,
        }
    }

    fn is_ringing(&self) -> bool {
        matches!(self.stage, CallStage::Ringing { .. })
    }

    /// Whether the person takes part in it.
    fn is_ours(&self) -> bool {
        matches!(self.stage, CallStage::Calling | CallStage::Answered)
    }

    fn step(&self, step: CallStep) -> Request {
        Request::InCall(self.thread, self.id, step)
    }
}

impl State {
    pub(crate) fn call_lines(&self) -> Vec<CallLine> {
        self.calls.lines(&self.clock)
    }

    pub(super) fn call_changed(&mut self, call: Call) -> Option<Request> {
        let begun = self
            .calls
            .beginning
            .take_if(|beginning| beginning.thread == call.thread && call.stage == CallStage::Calling);
        let end = begun.filter(|begun| begun.is_to_end).map(|_| call.step(CallStep::HangUp));
        self.calls.set(call, self.clock.now_ms());
        end
    }

    pub(super) fn not_called(&mut self, thread: ThreadId, why: &str) {
        let begun = self.calls.beginning.take_if(|beginning| beginning.thread == thread);
        let with = begun.map(|begun| begun.with.to_string());
        self.say(&format!("{} was not called: {why}", with.as_deref().unwrap_or("the person")));
    }

    /// Calls the person in the open chat.
    pub(super) fn call(&mut self) -> Result<Request, &'static str> {
        let chat = self.chat()?;
        if self.calls.beginning.is_some() || self.calls.newest(None, Call::is_ours).is_some() {
            return Err("you are in a call: /hangup ends it");
        }
        match self.calls.newest(None, |call| call.is_ringing() && call.thread == chat) {
            Some(_) => Err("they are already calling you: /answer"),
            None => {
                let with = self.conversation.as_ref().map(|open| open.name().clone()).unwrap_or_default();
                self.calls.beginning = Some(Beginning { thread: chat, with, is_to_end: false });
                Ok(Request::Call(chat))
            }
        }
    }

    /// Answers a call that rings. A call that the person is in ends.
    pub(super) fn answer(&mut self) -> Result<Vec<Request>, &'static str> {
        let ringing = self.calls.newest(self.open_thread(), Call::is_ringing).ok_or("nobody is calling")?;
        let present = self.calls.newest(None, Call::is_ours).map(|call| call.step(CallStep::HangUp));
        let steps = present.into_iter().chain([ringing.step(CallStep::Answer)]).collect();
        self.calls.end_beginning();
        Ok(steps)
    }

    /// Does not take a call that rings. Who is in another call is busy.
    pub(super) fn decline(&self) -> Result<Request, &'static str> {
        let ringing = self.calls.newest(self.open_thread(), Call::is_ringing).ok_or("nobody is calling")?;
        let is_busy = self.calls.beginning.is_some() || self.calls.newest(None, Call::is_ours).is_some();
        Ok(ringing.step(if is_busy { CallStep::SayBusy } else { CallStep::Decline }))
    }

    /// Nothing can be asked for yet if the call has no id.
    pub(super) fn hang_up(&mut self) -> Result<Option<Request>, &'static str> {
        let present = self.calls.newest(self.open_thread(), Call::is_ours);
        match present.map(|call| call.step(CallStep::HangUp)) {
            Some(step) => Ok(Some(step)),
            None if self.calls.end_beginning() => Ok(None),
            None => Err("there is no call to end"),
        }
    }

    /// The program ends, and the calls with it.
    pub(crate) fn end_calls(&self) -> Vec<Request> {
        let step = |call: &Call| match call.stage {
            CallStage::Calling | CallStage::Answered => Some(call.step(CallStep::HangUp)),
            // It may ring in another terminal.
            _ => None,
        };
        self.calls.known.iter().filter_map(|known| step(&known.call)).collect()
    }
}

fn text(with: &str, stage: CallStage, before: Option<CallStage>, since: &str) -> String {
    match stage {
        CallStage::Calling => format!("calling {with} … /hangup ends that"),
        CallStage::Ringing { is_video: false } => format!("{with} is calling: /answer or /decline"),
        CallStage::Ringing { is_video: true } => {
            format!("{with} is calling with video: /answer or /decline")
        }
        CallStage::Answered => {
            format!("in a call with {with} since {since}, without sound: /hangup ends it")
        }
        CallStage::Ended(end) => format!("the call with {with} ended at {since}: {}", why(end, before)),
        CallStage::EndedByUs(step) => {
            let what = match step {
                CallStep::Decline => "you have declined it",
                CallStep::SayBusy => "they were told that you are busy",
                CallStep::Answer | CallStep::HangUp => "you have ended it",
            };
            format!("the call with {with} ended at {since}: {what}")
        }
    }
}

const fn why(end: CallEnd, before: Option<CallStage>) -> &'static str {
    match (end, before) {
        (CallEnd::HungUp, Some(CallStage::Calling)) => "they declined",
        (CallEnd::HungUp, Some(CallStage::Ringing { .. })) => "they hung up",
        (CallEnd::HungUp, _) => "they hung up",
        (CallEnd::Unanswered, Some(CallStage::Ringing { .. })) => "you have not answered",
        (CallEnd::Unanswered, _) => "they have not answered",
        (end, _) => why_otherwise(end),
    }
}

const fn why_otherwise(end: CallEnd) -> &'static str {
    match end {
        CallEnd::Busy => "they are in another call",
        CallEnd::Replaced => "they have called again",
        CallEnd::Crossed => "they have called you at the same time, and that call goes on",
        CallEnd::Expired => "it lasted 12 hours",
        _ => "for a reason that this version does not know",
    }
}

#[cfg(test)]
mod tests {
    use sealpost_core::CallId;

    use super::*;
    use crate::news::News;
    use crate::state::tests::{NOW, enter, many, open, refuses, thread, with_ben};

    fn happens(state: &mut State, number: u8, with: &str, stage: CallStage) {
        let (id, with) = (CallId([number; 16]), Shown::line(with));
        let requests = state.news(News::Call(Call { id, thread: thread(number), with, stage }));
        assert_eq!(requests, []);
    }

    /// A step in the call in the chat of this number.
    fn step(number: u8, step: CallStep) -> Request {
        Request::InCall(thread(number), CallId([number; 16]), step)
    }

    fn shown(state: &State) -> Vec<String> {
        state.call_lines().into_iter().map(|line| line.text).collect()
    }

    const RINGS: CallStage = CallStage::Ringing { is_video: false };

    #[test]
    fn a_call_is_made_answered_and_ended() {
        let mut state = with_ben(vec![]);
        for typed in ["/answer", "/decline", "/hangup"] {
            refuses(&mut state, typed);
        }
        assert_eq!(enter(&mut state, "/call"), [Request::Call(thread(1))]);
        happens(&mut state, 1, "ben", CallStage::Calling);
        assert_eq!(shown(&state), ["calling ben … /hangup ends that"]);
        refuses(&mut state, "/call");
        happens(&mut state, 1, "ben", CallStage::Answered);
        // It is reported late that he was called.
        happens(&mut state, 1, "ben", CallStage::Calling);
        assert_eq!(shown(&state), ["in a call with ben since 16:00, without sound: /hangup ends it"]);
        assert_eq!(enter(&mut state, "/hangup"), [step(1, CallStep::HangUp)]);
        assert_eq!(state.end_calls(), [step(1, CallStep::HangUp)]);
        happens(&mut state, 1, "ben", CallStage::EndedByUs(CallStep::HangUp));
        assert_eq!(shown(&state), ["the call with ben ended at 16:00: you have ended it"]);
        // It ends once.
        happens(&mut state, 1, "ben", CallStage::Ended(CallEnd::HungUp));
        assert_eq!(shown(&state), ["the call with ben ended at 16:00: you have ended it"]);
        assert_eq!(state.end_calls(), []);
        refuses(&mut state, "/hangup");
    }

    #[test]
    fn a_call_that_has_no_id_yet_is_a_call() {
        let mut state = with_ben(vec![]);
        assert_eq!(enter(&mut state, "/call"), [Request::Call(thread(1))]);
        assert_eq!(shown(&state), ["calling ben … /hangup ends that"]);
        open(&mut state, 2, "cleo", vec![]);
        refuses(&mut state, "/call");
        // Somebody who rings comes last, and is told that we are busy.
        happens(&mut state, 3, "dora", RINGS);
        assert!(shown(&state)[1].starts_with("dora "));
        assert_eq!(enter(&mut state, "/decline"), [step(3, CallStep::SayBusy)]);
        assert_eq!(enter(&mut state, "/hangup"), []);
        assert_eq!(shown(&state)[0], "ending the call with ben …");
        let (id, with) = (CallId([1; 16]), Shown::line("ben"));
        let begun = News::Call(Call { id, thread: thread(1), with, stage: CallStage::Calling });
        assert_eq!(state.news(begun), [step(1, CallStep::HangUp)]);

        let mut state = with_ben(vec![]);
        enter(&mut state, "/call");
        happens(&mut state, 3, "dora", RINGS);
        assert_eq!(enter(&mut state, "/answer"), [step(3, CallStep::Answer)]);
        assert_eq!(shown(&state)[0], "ending the call with ben …");
        let why = "the connection was lost".to_owned();
        state.news(News::NotCalled { thread: thread(1), why });
        assert_eq!(state.status().text, "ben was not called: the connection was lost");
        assert_eq!(shown(&state).len(), 1);
    }

    #[test]
    fn a_call_that_rings_is_taken_or_not() {
        let mut state = with_ben(vec![]);
        happens(&mut state, 1, "ben", RINGS);
        assert_eq!(shown(&state), ["ben is calling: /answer or /decline"]);
        refuses(&mut state, "/call");
        assert_eq!(enter(&mut state, "/decline"), [step(1, CallStep::Decline)]);
        assert_eq!(enter(&mut state, "/answer"), [step(1, CallStep::Answer)]);
        // Another terminal may answer it when this one ends.
        assert_eq!(state.end_calls(), []);

        // In a call, one is busy for others, or goes over to them.
        happens(&mut state, 1, "ben", CallStage::Answered);
        happens(&mut state, 2, "cleo", CallStage::Ringing { is_video: true });
        assert_eq!(shown(&state)[1], "cleo is calling with video: /answer or /decline");
        assert_eq!(enter(&mut state, "/decline"), [step(2, CallStep::SayBusy)]);
        assert_eq!(enter(&mut state, "/answer"), [step(1, CallStep::HangUp), step(2, CallStep::Answer)]);
    }

    #[test]
    fn of_two_calls_the_one_in_the_open_chat_is_meant() {
        let mut state = with_ben(vec![]);
        happens(&mut state, 1, "ben", RINGS);
        happens(&mut state, 2, "cleo", RINGS);
        assert_eq!(enter(&mut state, "/answer"), [step(1, CallStep::Answer)]);
        open(&mut state, 3, "dora", vec![]);
        assert_eq!(enter(&mut state, "/answer"), [step(2, CallStep::Answer)]);
    }

    #[test]
    fn an_end_is_named_after_what_was_before() {
        let mut state = with_ben(vec![]);
        let cases = [
            (CallStage::Calling, CallEnd::HungUp, "they declined"),
            (CallStage::Answered, CallEnd::HungUp, "they hung up"),
            (RINGS, CallEnd::HungUp, "they hung up"),
            (RINGS, CallEnd::Unanswered, "you have not answered"),
            (CallStage::Calling, CallEnd::Unanswered, "they have not answered"),
        ];
        for (number, (before, end, why)) in (1..).zip(cases) {
            happens(&mut state, number, "ben", before);
            happens(&mut state, number, "ben", CallStage::Ended(end));
            let shown = shown(&state);
            assert!(shown.last().unwrap().ends_with(&format!("16:00: {why}")), "{why}: {shown:?}");
        }
    }

    #[test]
    fn the_reason_of_an_end_is_shown_until_it_was_seen() {
        let ends = [
            (CallEnd::Busy, "they are in another call"),
            (CallEnd::Unanswered, "they have not answered"),
            (CallEnd::Crossed, "they have called you at the same time, and that call goes on"),
        ];
        let mut state = with_ben(many(1));
        for (number, (end, why)) in (1..).zip(ends) {
            happens(&mut state, number, "ben", CallStage::Ended(end));
            assert!(shown(&state).last().unwrap().ends_with(why), "{why}");
        }
        // The last ones, however long nobody is there.
        assert_eq!(shown(&state).len(), 2);
        let later = NOW + 3_600_000;
        state.tick(later);
        assert_eq!(shown(&state).len(), 2);
        enter(&mut state, "/quit");
        state.tick(later + ENDED_IS_SHOWN_MS - 1);
        assert_eq!(shown(&state).len(), 2);
        state.tick(later + ENDED_IS_SHOWN_MS);
        assert_eq!(shown(&state).len(), 0);
    }
}
