//! What only passes by: typing, presence and calls. Nobody stores it, so the other sides must see it when it happens.

use std::time::{Duration, Instant};

use sealpost_core::{CallEnd, CallId, CallSignal, Calls, Error};
use tokio::time::{sleep, timeout};

use crate::act::Kind;
use crate::run::{Failure, Result, TIMEOUT};
use crate::side::until;
use crate::stage::Stage;

/// In a group, typing is told to at most 16 devices in a second, of which one may be a companion. Of more people than these, only some see it.
const MOST_SEE_TYPING: usize = 15;
/// So in a group, it is tried again after a second.
const IN_GROUP: Duration = Duration::from_millis(1_100);
const BETWEEN_TWO: Duration = Duration::from_millis(250);

impl Stage {
    /// One side is seen typing by the others, and then no longer.
    pub(crate) async fn type_something(&mut self, by: usize) -> Result<()> {
        self.all_are_live().await?;
        let ours = self.thread(by).await?;
        let us = self.side(by)?.client.user_id();
        let mut theirs = Vec::new();
        for side in self.model.members().filter(|side| *side != by).collect::<Vec<_>>() {
            theirs.push(self.thread(side).await?);
        }
        let seen = || theirs.iter().filter(|thread| thread.typing().contains(&us)).count();
        let least = if theirs.len() <= MOST_SEE_TYPING { theirs.len() } else { 1 };
        let patience = if self.model.is_group() { IN_GROUP } else { BETWEEN_TWO };
        let is_group = self.model.is_group();
        let pause = async || {
            if is_group {
                sleep(IN_GROUP).await;
            }
        };
        until("typing", async || {
            // It is never repeated by itself, and gets lost with a connection.
            ours.set_typing(false).await?;
            pause().await;
            ours.set_typing(true).await?;
            Ok(within(patience, async || seen() >= least).await.then_some(()))
        })
        .await?;
        until("the end of typing", async || {
            pause().await;
            ours.set_typing(true).await?;
            pause().await;
            ours.set_typing(false).await?;
            Ok(within(patience, async || seen() == 0).await.then_some(()))
        })
        .await?;
        self.model.count(Kind::Typing);
        Ok(())
    }

    /// One side shares that it is there, and the other sees it.
    pub(crate) async fn appear(&mut self, by: usize) -> Result<()> {
        self.all_are_live().await?;
        let (us, them) = (self.side(by)?.client.user_id(), self.other(by)?.client.user_id());
        self.side(by)?.client.contact(them).share_presence(true).await?;
        let contact = self.other(by)?.client.contact(us);
        until("presence", async || Ok(contact.presence().await?.is_present.then_some(()))).await?;
        self.model.count(Kind::Presence);
        Ok(())
    }

    /// A call with all its signals: offer, answer, candidates, hang-up; and one back, with the signal of somebody who is busy. Both
    /// sides must have the same keys.
    pub(crate) async fn call(&mut self, by: usize) -> Result<()> {
        self.all_are_live().await?;
        let callee = 1_usize.saturating_sub(by);
        let (ours, theirs) = (self.thread(by).await?, self.thread(callee).await?);
        let mut at_caller = self.side(by)?.client.calls();
        let mut at_callee = self.side(callee)?.client.calls();
        let description = format!("v=0 call {}", self.model.done(Kind::Call)).into_bytes();
        let call = until("a connection", async || match ours.call(&description, true).await {
            Err(Error::Offline(_)) => Ok(None),
            called => Ok(Some(called?)),
        })
        .await?;
        let offer = CallSignal::Offer { description, is_video: true };
        expect(&mut at_callee, call, |signal| (signal == offer).then_some(())).await?;
        let of_callee = theirs.answer_call(call, b"v=0 answer").await?;
        let of_caller = expect(&mut at_caller, call, |signal| match signal {
            CallSignal::Answer { keys, .. } => Some(*keys),
            _ => None,
        })
        .await?;
        if (&of_caller.sending, &of_caller.receiving) != (&of_callee.receiving, &of_callee.sending) {
            return Err(Failure::Signal("the keys of a call are not the same"));
        }
        ours.send_call_candidates(call, b"candidate:1").await?;
        let candidates = CallSignal::Candidates(b"candidate:1".to_vec());
        expect(&mut at_callee, call, |signal| (signal == candidates).then_some(())).await?;
        theirs.hang_up(call).await?;
        let ended = CallSignal::Ended(CallEnd::HungUp);
        expect(&mut at_caller, call, |signal| (signal == ended).then_some(())).await?;
        // The other side calls back, and this one is busy.
        let back = theirs.call(b"v=0 back", false).await?;
        let offer = CallSignal::Offer { description: b"v=0 back".to_vec(), is_video: false };
        expect(&mut at_caller, back, |signal| (signal == offer).then_some(())).await?;
        ours.refuse_call_as_busy(back).await?;
        let busy = CallSignal::Ended(CallEnd::Busy);
        expect(&mut at_callee, back, |signal| (signal == busy).then_some(())).await?;
        self.model.count(Kind::Call);
        Ok(())
    }

    async fn all_are_live(&mut self) -> Result<()> {
        for side in self.model.members().collect::<Vec<_>>() {
            self.side(side)?.wait_until_live().await?;
        }
        Ok(())
    }
}

/// Whether it happens before it is time to try again.
async fn within(patience: Duration, happened: impl AsyncFn() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < patience {
        if happened().await {
            return true;
        }
        sleep(Duration::from_millis(5)).await;
    }
    false
}

/// The next signal of this call, which must be this one.
async fn expect<T>(
    calls: &mut Calls,
    wanted: CallId,
    is_it: impl FnOnce(CallSignal) -> Option<T>,
) -> Result<T> {
    let signal = async {
        loop {
            match calls.next().await {
                Some(event) if event.call == wanted => return Ok(event.signal),
                Some(_) => {}
                None => return Err(Failure::TimedOut("a signal of a call")),
            }
        }
    };
    let signal = timeout(TIMEOUT, signal).await.map_err(|_| Failure::TimedOut("a signal of a call"))??;
    is_it(signal).ok_or(Failure::Signal("a signal of a call is another one"))
}
