//! Call signalling. The app makes the media connection; this library passes its descriptions on and derives its keys.

use rand::Rng as _;
use zeroize::Zeroizing;

use super::{Client, Thread};
use crate::call::CallKeys;
#[cfg(doc)]
use crate::call::CallSignal;
use crate::content::{Call, CallId, CallStep, MAX_CALL_CANDIDATES, MAX_CALL_DESCRIPTION};
use crate::context::Context;
use crate::ephemeral::Offer;
use crate::error::{Error, Offline, Result};
use crate::id::UserId;
use crate::send::ephemeral::{Passing, pass, pass_to_own};
use crate::view::calls::Calls;

impl Client {
    /// What happens in calls from now on, beginning with the offers of those that ring. Nobody calls who was not accepted, or is
    /// blocked.
    pub fn calls(&self) -> Calls {
        Calls::new(&self.inner.ctx.calls)
    }
}

impl Thread {
    /// Calls the other person in a direct thread. `description` is for their app, such as SDP: 1 to 12,000 bytes. What they
    /// answer arrives at [`Client::calls`], and so does that nobody has answered within 60 seconds. The relay passes signals on to devices
    /// that are connected, and stores none; it cannot wake a device for a call yet. [`CallSignal`] describes the states of a call.
    ///
    /// # Errors
    /// [`Error::WrongState`] if their call rings here, or ours there; [`Error::Offline`] without a connection, or if nothing can be sealed
    /// for them at present; [`Error::TooLong`], [`Error::Misuse`] without a description, or with more than 32 calls;
    /// [`Error::Storage`]. There is no call then.
    pub async fn call(&self, description: &[u8], is_video: bool) -> Result<CallId> {
        let id = self.id();
        let thread = self.ctx().store.glance(move |rows| rows.thread(id)).await?;
        let us = self.client.user_id();
        let Some(peer) = thread.and_then(|thread| thread.peer).filter(|peer| *peer != us) else {
            return Err(Error::Misuse("a call outside of a direct thread"));
        };
        let description = checked(description, MAX_CALL_DESCRIPTION)?;
        let (call, ours) = (CallId(self.random()), Zeroizing::new(self.random()));
        let sent_ms = self.ctx().server_now_ms();
        let offer = Offer { description, is_video, ours };
        self.ctx().calls.begin(call, (id, peer), offer.clone(), sent_ms)?;
        let mut begun = Begun { thread: self, call, is_sent: false };
        self.ctx().ephemeral.changed.notify_one();
        self.send_signal(Passing::call(Call { id: call, step: offer.step() }, sent_ms)).await?;
        begun.is_sent = true;
        Ok(call)
    }

    /// Answers a call that rings, and returns the keys of its media. The call rings until the answer was sent: after [`Error::Offline`],
    /// call this again with the same description, because it may have arrived.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such call, it was answered, or it has ended; else as [`Thread::call`].
    pub async fn answer_call(&self, call: CallId, description: &[u8]) -> Result<CallKeys> {
        let description = checked(description, MAX_CALL_DESCRIPTION)?;
        let (people, fresh) = ((self.id(), self.client.user_id()), Zeroizing::new(self.random()));
        let (keys, ours) = self.ctx().calls.answer(call, people, fresh).ok_or(Error::NotFound)?;
        self.signal(call, CallStep::Answer { description, ours }).await?;
        self.tell_own(call, true).await;
        if self.ctx().calls.answered(call) { Ok(keys) } else { Err(Error::NotFound) }
    }

    /// Tells the other side of a call at which addresses this one can be reached: 1 to 4,096 bytes for their app.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such call, or it has ended; else as [`Thread::call`].
    pub async fn send_call_candidates(&self, call: CallId, candidates: &[u8]) -> Result<()> {
        let candidates = checked(candidates, MAX_CALL_CANDIDATES)?;
        if !self.ctx().calls.is_live(call, self.id()) {
            return Err(Error::NotFound);
        }
        self.signal(call, CallStep::Candidates(candidates)).await
    }

    /// Ends a call, or does not take one that rings.
    ///
    /// # Errors
    /// As [`Thread::send_call_candidates`]. The call has ended on this side in any case. After [`Error::Offline`], this can be called
    /// again for two minutes, to tell the other side.
    pub async fn hang_up(&self, call: CallId) -> Result<()> {
        self.end_call(call, CallStep::HangUp).await
    }

    /// Says that the person is in another call.
    ///
    /// # Errors
    /// As [`Thread::hang_up`].
    pub async fn refuse_call_as_busy(&self, call: CallId) -> Result<()> {
        self.end_call(call, CallStep::Busy).await
    }

    async fn end_call(&self, call: CallId, step: CallStep) -> Result<()> {
        let rang = self.ctx().calls.rings(call, self.id());
        if !self.ctx().calls.end(call, self.id()) {
            return Err(Error::NotFound);
        }
        if rang {
            self.tell_own(call, false).await;
        }
        self.signal(call, step).await?;
        self.ctx().calls.told(call);
        Ok(())
    }

    /// Our other devices stop ringing. If this is lost, they ring a little longer.
    async fn tell_own(&self, id: CallId, is_answered: bool) {
        let call = Call { id, step: CallStep::Elsewhere { is_answered } };
        let passing = Passing::call(call, self.ctx().server_now_ms());
        if let Err(error) = pass_to_own(self.ctx(), self.id(), passing).await {
            tracing::debug!(%error, "our other devices are not told that a call was taken here");
        }
    }

    async fn signal(&self, id: CallId, step: CallStep) -> Result<()> {
        self.send_signal(Passing::call(Call { id, step }, self.ctx().server_now_ms())).await
    }

    async fn send_signal(&self, passing: Passing) -> Result<()> {
        let answer = pass(self.ctx(), vec![self.id()], passing).await?.pop();
        answer.ok_or(Error::Offline(Offline::Unreachable))?.await?;
        Ok(())
    }

    fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.ctx().env.rng().fill_bytes(&mut bytes);
        bytes
    }
}

/// Ends the calls with somebody who is about to be blocked. Nothing can be sent to them afterwards.
pub(super) async fn end_calls_with(ctx: &Context, user: UserId) {
    for (thread, id) in ctx.calls.end_with(user) {
        let signal = Passing::call(Call { id, step: CallStep::HangUp }, ctx.server_now_ms());
        if let Err(error) = pass(ctx, vec![thread], signal).await {
            tracing::debug!(%error, "the other side of a call is not told that it has ended");
        }
    }
}

/// Our call until its offer was sent. It ends if that fails, or if the future is dropped.
struct Begun<'a> {
    thread: &'a Thread,
    call: CallId,
    is_sent: bool,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if !self.is_sent {
            // The offer may have arrived. If they answer it, they are told that the call has ended.
            self.thread.ctx().calls.end(self.call, self.thread.id());
        }
    }
}

fn checked(data: &[u8], max: usize) -> Result<Vec<u8>> {
    match data.len() {
        0 => Err(Error::Misuse("a signal of a call without data")),
        length if length > max => Err(Error::TooLong { max }),
        _ => Ok(data.to_vec()),
    }
}
