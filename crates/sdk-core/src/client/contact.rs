//! The handle of a contact.

use super::Client;
use super::call::end_calls_with;
use crate::contact;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::id::UserId;
use crate::message::Report;
use crate::store::TrustState;

/// How many messages a report contains.
const MAX_REPORTED: u32 = 10;

/// Another user.
#[derive(Debug, Clone)]
pub struct Contact {
    client: Client,
    user: UserId,
}

impl Contact {
    pub(super) fn new(client: Client, user: UserId) -> Self {
        Self { client, user }
    }

    pub(super) fn ctx(&self) -> &Context {
        &self.client.inner.ctx
    }

    /// The user's id.
    pub fn user_id(&self) -> UserId {
        self.user
    }

    /// The safety number that two people compare: 60 digits, the same on both sides.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) before the first message in either direction,
    /// [`Error::Misuse`](crate::Error::Misuse) for oneself, [`Error::Storage`](crate::Error::Storage).
    pub async fn safety_number(&self) -> Result<String> {
        contact::safety_number(&self.client.inner.ctx, self.user).await
    }

    /// How far the person trusts this contact.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound), [`Error::Storage`](crate::Error::Storage).
    pub async fn trust(&self) -> Result<TrustState> {
        contact::trust(&self.client.inner.ctx, self.user).await
    }

    /// Records that the person has compared this safety number and that it was the same on both sides. The digits may
    /// be of any script, and spaces, line breaks and dashes between them are ignored. Returns false if it is not the
    /// current number any more; it must then be compared again. From now on, a change stops sends to this contact.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound), [`Error::Storage`](crate::Error::Storage).
    pub async fn verify(&self, compared: &str) -> Result<bool> {
        contact::verify(&self.client.inner.ctx, self.user, compared.to_owned()).await
    }

    /// Records that the person accepts a changed safety number without comparing it. Failed messages can then be
    /// retried. This does nothing if the number has not changed.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound), [`Error::Storage`](crate::Error::Storage).
    pub async fn accept(&self) -> Result<()> {
        contact::accept(&self.client.inner.ctx, self.user).await
    }

    /// Blocks this user: nothing that they send in the direct thread arrives any more, neither on this device nor at the relay, and
    /// they are told nothing: their messages stay queued, as if the thread had not been accepted. Nothing can be sent to them, and
    /// receipts and a profile that wait to be sent to them are dropped; a profile is sent once they are unblocked. Messages that
    /// were written before and have not been sent wait until then ([`WaitReason::Blocked`](crate::WaitReason::Blocked)). Calls
    /// with them end. A request of theirs leaves the list. The relay is told as soon as it can be reached. What they send
    /// meanwhile is lost, even
    /// if they are unblocked later.
    ///
    /// # Errors
    /// [`Error::Misuse`](crate::Error::Misuse) for oneself, [`Error::Storage`](crate::Error::Storage).
    pub async fn block(&self) -> Result<()> {
        let ctx = &self.client.inner.ctx;
        end_calls_with(ctx, self.user).await;
        contact::set_blocked(ctx, self.user, true).await
    }

    /// Ends a block. A request that was not accepted is a request again.
    ///
    /// # Errors
    /// Those of [`block`](Self::block).
    pub async fn unblock(&self) -> Result<()> {
        contact::set_blocked(&self.client.inner.ctx, self.user, false).await
    }

    /// Whether this user is blocked.
    ///
    /// # Errors
    /// [`Error::Storage`](crate::Error::Storage).
    pub async fn is_blocked(&self) -> Result<bool> {
        let user = self.user;
        self.client.inner.ctx.store.glance(move |rows| rows.is_blocked(user)).await
    }

    /// What a person may want to show to those who run the service: the newest messages of this user in the direct thread, at most 10.
    /// Nothing is sent, and nobody is told; the app decides what to do with it after it has asked the person. It
    /// is usually followed by [`block`](Self::block). The contents are those that this device has; nothing proves them to others.
    ///
    /// # Errors
    /// [`Error::Misuse`](crate::Error::Misuse) for oneself, [`Error::Storage`](crate::Error::Storage).
    pub async fn report(&self) -> Result<Report> {
        let (ctx, user) = (&self.client.inner.ctx, self.user);
        if user == self.client.user_id() {
            return Err(Error::Misuse("reporting oneself"));
        }
        let made_ms = ctx.server_now_ms();
        let work = ctx.store.write(move |tx| {
            let thread = tx.thread_with(user)?.map(|thread| thread.id);
            let messages =
                thread.map_or(Ok(Vec::new()), |thread| tx.newest_of(thread, user, MAX_REPORTED))?;
            let report = Report { user, thread, made_ms, messages };
            tx.emit(Event::Reported(Box::new(report.clone())));
            Ok(report)
        });
        work.await
    }
}
