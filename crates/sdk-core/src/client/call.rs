//! Call signalling. The app makes the media connection; this library passes its descriptions on and derives its keys.

use rand::Rng as _;
use zeroize::Zeroizing;

use super::Thread;
use crate::call::CallKeys;
use crate::content::{Body, Call, CallId, CallStep, MAX_CALL_CANDIDATES, MAX_CALL_DESCRIPTION};
use crate::error::{Error, Offline, Result};
#[cfg(doc)]
use crate::event::Event;
use crate::send::ephemeral::{Passing, pass};

/// How long the relay may hold a signal, in seconds.
const TTL_S: u32 = 30;

impl Thread {
    /// Calls the other person in a direct thread. `description` is for their app, such as SDP: 1 to 12,000 bytes. What they
    /// answer arrives as [`Event::Call`], and so does that nobody has answered within 60 seconds. The relay passes signals on to devices
    /// that are connected, and stores none; it cannot wake a device for a call yet.
    ///
    /// # Errors
    /// [`Error::Offline`] without a connection, or if nothing can be sealed for them at present; [`Error::TooLong`],
    /// [`Error::Misuse`] without a description, or with more than 32 calls; [`Error::Storage`].
    pub async fn call(&self, description: &[u8], is_video: bool) -> Result<CallId> {
        let id = self.id();
        let others = self.ctx().store.glance(move |rows| rows.others(id)).await?;
        let [peer] = others[..] else { return Err(Error::Misuse("a call in a group")) };
        let description = checked(description, MAX_CALL_DESCRIPTION)?;
        let (call, ours) = (CallId(self.random()), Zeroizing::new(self.random()));
        if !self.ctx().calls.begin(call, (id, peer), ours.clone()) {
            return Err(Error::Misuse("too many calls"));
        }
        self.ctx().ephemeral.changed.notify_one();
        let sent = self.signal(call, CallStep::Offer { description, is_video, ours }).await;
        if sent.is_err() {
            self.ctx().calls.end(call);
        }
        sent.map(|()| call)
    }

    /// Answers a call that rings, and returns the keys of its media.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such call, or it was answered; else as [`Thread::call`].
    pub async fn answer_call(&self, call: CallId, description: &[u8]) -> Result<CallKeys> {
        let description = checked(description, MAX_CALL_DESCRIPTION)?;
        let ours = Zeroizing::new(self.random());
        let us = self.client.user_id();
        let keys = self.ctx().calls.answer(call, self.id(), us, &ours).ok_or(Error::NotFound)?;
        self.signal(call, CallStep::Answer { description, ours }).await?;
        Ok(keys)
    }

    /// Tells the other side of a call at which addresses this one can be reached: 1 to 4,096 bytes for their app.
    ///
    /// # Errors
    /// As [`Thread::answer_call`].
    pub async fn send_call_candidates(&self, call: CallId, candidates: &[u8]) -> Result<()> {
        let candidates = checked(candidates, MAX_CALL_CANDIDATES)?;
        self.known(call)?;
        self.signal(call, CallStep::Candidates(candidates)).await
    }

    /// Ends a call, or does not take one that rings.
    ///
    /// # Errors
    /// As [`Thread::answer_call`]. The call has ended on this side in any case.
    pub async fn hang_up(&self, call: CallId) -> Result<()> {
        self.known(call)?;
        self.ctx().calls.end(call);
        self.signal(call, CallStep::HangUp).await
    }

    /// Says that the person is in another call.
    ///
    /// # Errors
    /// As [`Thread::hang_up`].
    pub async fn refuse_call_as_busy(&self, call: CallId) -> Result<()> {
        self.known(call)?;
        self.ctx().calls.end(call);
        self.signal(call, CallStep::Busy).await
    }

    fn known(&self, call: CallId) -> Result<()> {
        if self.ctx().calls.is_known(call, self.id()) { Ok(()) } else { Err(Error::NotFound) }
    }

    async fn signal(&self, id: CallId, step: CallStep) -> Result<()> {
        let passing = Passing { body: Body::Call(Call { id, step }), ttl_s: TTL_S, setting: None };
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

fn checked(data: &[u8], max: usize) -> Result<Vec<u8>> {
    match data.len() {
        0 => Err(Error::Misuse("a signal of a call without data")),
        length if length > max => Err(Error::TooLong { max }),
        _ => Ok(data.to_vec()),
    }
}
