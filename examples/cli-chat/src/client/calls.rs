//! Calls: their signals. A terminal has neither a microphone nor a loudspeaker, so the keys of the media are not used.

use sealpost_core::{CallEnd, CallEvent, CallId, CallSignal, Contact, Error, Thread, ThreadId};

use super::Worker;
use super::problem::Problem;
use crate::news::{Call, CallStage, CallStep, News};
use crate::text::Shown;

/// What the app of the other side is told about the media.
const NO_MEDIA: &[u8] = b"no media";

/// A call that somebody takes part in here.
pub(super) type OurCall = (ThreadId, CallId);

impl Worker {
    /// Waits for what was begun, and ends the calls: nobody waits for somebody whose program has ended. The screen knows only
    /// of those that were reported to it in time.
    pub(super) async fn finish(&mut self) {
        while let Some(done) = self.tasks.join_next().await {
            self.ours.extend(done.ok().flatten());
        }
        for (thread, id) in std::mem::take(&mut self.ours) {
            if let Ok(handle) = self.client.thread(thread).await {
                // It is not found if it has ended already.
                let _ = handle.hang_up(id).await;
            }
        }
    }

    /// The screen waits for one of the two.
    pub(super) async fn call_or_tell(&mut self, thread: ThreadId) {
        if let Err(problem) = self.call(thread).await {
            self.tell(News::NotCalled { thread, why: problem.to_string() });
        }
    }

    async fn call(&mut self, thread: ThreadId) -> Result<(), Problem> {
        if self.peer(thread).await?.is_blocked().await? {
            return Err(Problem::Blocked);
        }
        let handle = self.client.thread(thread).await?;
        let (with, news) = (self.name_in(&handle).await?, self.news.clone());
        self.tasks.spawn(async move {
            let (told, ours) = match handle.call(NO_MEDIA, false).await {
                Ok(id) => {
                    (News::Call(Call { id, thread, with, stage: CallStage::Calling }), Some((thread, id)))
                }
                Err(error) => (News::NotCalled { thread, why: error.to_string() }, None),
            };
            let _ = news.send(told);
            ours
        });
        Ok(())
    }

    pub(super) async fn step_in_call(
        &mut self,
        thread: ThreadId,
        id: CallId,
        step: CallStep,
    ) -> Result<(), Error> {
        let handle = self.client.thread(thread).await?;
        let (with, news) = (self.name_in(&handle).await?, self.news.clone());
        self.tasks.spawn(async move {
            let taken = match step {
                CallStep::Answer => handle.answer_call(id, NO_MEDIA).await.map(|_keys| ()),
                CallStep::Decline | CallStep::HangUp => handle.hang_up(id).await,
                CallStep::SayBusy => handle.refuse_call_as_busy(id).await,
            };
            let ours = (step == CallStep::Answer && taken.is_ok()).then_some((thread, id));
            let ended = |stage| News::Call(Call { id, thread, with: with.clone(), stage });
            let (told, problem) = match (step, taken) {
                (CallStep::Answer, Ok(())) => (Some(ended(CallStage::Answered)), None),
                // Why it has ended was reported when it did.
                (_, Err(Error::NotFound)) => (Some(ended(CallStage::Ended(CallEnd::HungUp))), None),
                (CallStep::Answer, Err(error)) => (None, Some(format!("not answered: {error}; /answer"))),
                // It has ended here in any case.
                (step, Ok(())) => (Some(ended(CallStage::EndedByUs(step))), None),
                (step, Err(error)) => {
                    let problem = format!("{with} could not be told that the call has ended: {error}");
                    (Some(ended(CallStage::EndedByUs(step))), Some(problem))
                }
            };
            for told in told.into_iter().chain(problem.map(News::Note)) {
                let _ = news.send(told);
            }
            ours
        });
        Ok(())
    }

    /// Something has happened in a call.
    pub(super) async fn call_happened(&mut self, event: CallEvent) -> Result<(), Error> {
        let CallEvent { thread, user, call: id, signal, .. } = event;
        let stage = match signal {
            CallSignal::Offer { is_video, .. } => CallStage::Ringing { is_video },
            CallSignal::Answer { .. } => CallStage::Answered,
            CallSignal::Ended(end) => CallStage::Ended(end),
            // Where their media can be reached, of which there are none.
            _ => return Ok(()),
        };
        if matches!(stage, CallStage::Ended(_)) {
            self.ours.retain(|(_, ours)| *ours != id);
        }
        let crossed = self.crossed.take();
        if stage == CallStage::Ended(CallEnd::Crossed) {
            self.crossed = Some(thread);
        }
        let with = self.name(Some(user));
        self.tell(News::Call(Call { id, thread, with, stage }));
        // Both have called, so both want to talk.
        if matches!(stage, CallStage::Ringing { .. }) && crossed == Some(thread) {
            self.step_in_call(thread, id, CallStep::Answer).await?;
        }
        Ok(())
    }

    pub(super) async fn name_in(&mut self, thread: &Thread) -> Result<Shown, Error> {
        let others = thread.others().await?;
        Ok(self.name(others.first().map(Contact::user_id)))
    }
}
