//! Typing, presence, and what others are told.

use super::{Client, Contact, Thread};
use crate::content::Body;
use crate::context::Context;
use crate::error::{Error, Result};
#[cfg(doc)]
use crate::event::Event;
use crate::id::{ThreadId, UserId};
use crate::send::ephemeral::{Passing, pass};
use crate::store::PrivacySetting;

/// How long the relay may hold that somebody is writing, in seconds.
const TYPING_TTL_S: u32 = 5;
/// How long the relay may hold that somebody has gone, in seconds.
const PRESENCE_TTL_S: u32 = 60;

/// Whether a contact is there, as far as they share it with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Presence {
    /// They said within the last 60 seconds that they are there.
    pub is_present: bool,
    /// When they last said so, in milliseconds since the Unix epoch by the relay's clock.
    pub last_seen_ms: Option<u64>,
}

impl Thread {
    /// Tells the others that the person is writing, or has stopped. Call it with `true` on every key: it is sent at most every three
    /// seconds, and the others see it for five. A message that is sent ends it. It is sent only over a present connection, is
    /// never stored or repeated, and is dropped first when the network is slow. Nothing is sent in a message request, to somebody who
    /// is blocked, or if [`PrivacySetting::Typing`] is off.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn set_typing(&self, is_typing: bool) -> Result<()> {
        let id = self.id();
        if !self.ctx().ephemeral.is_to_be_told(id, is_typing) {
            return Ok(());
        }
        let (body, sent_ms) = (Body::Typing { is_typing }, self.ctx().server_now_ms());
        let passing = Passing { body, ttl_s: TYPING_TTL_S, sent_ms };
        send(self.ctx(), id, passing).await
    }

    /// Who is writing at present. Each change is an [`Event::TypingChanged`].
    pub fn typing(&self) -> Vec<UserId> {
        self.ctx().ephemeral.typing(self.id())
    }

    /// What is set for this thread. What is off for all threads ([`Client::privacy`]) is off in this one, too.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn privacy(&self, setting: PrivacySetting) -> Result<bool> {
        let id = self.id();
        self.ctx().store.glance(move |rows| rows.privacy(Some(id), setting)).await
    }

    /// Sets what the others in this thread are told.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn set_privacy(&self, setting: PrivacySetting, is_on: bool) -> Result<()> {
        set_privacy(self.ctx(), Some(self.id()), setting, is_on).await
    }
}

impl Client {
    /// What is set for all threads.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn privacy(&self, setting: PrivacySetting) -> Result<bool> {
        self.inner.ctx.store.glance(move |rows| rows.privacy(None, setting)).await
    }

    /// Sets what others are told in all threads. What is off here is off everywhere; what is on depends on each thread. Receipts that wait
    /// to be sent are dropped when their kind is switched off.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn set_privacy(&self, setting: PrivacySetting, is_on: bool) -> Result<()> {
        set_privacy(&self.inner.ctx, None, setting, is_on).await
    }
}

impl Contact {
    /// Whether they are there, and when they were last seen. Each change is an [`Event::PresenceChanged`].
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn presence(&self) -> Result<Presence> {
        let (ctx, user) = (self.ctx(), self.user_id());
        // In this order: whoever is there by now was stored as last seen before.
        let is_present = ctx.ephemeral.is_present(user);
        let last_seen_ms = ctx.store.glance(move |rows| rows.last_seen(user)).await?;
        Ok(Presence { is_present, last_seen_ms })
    }

    /// Sets whether they are told when the person is there: while the app is in the foreground
    /// ([`Client::set_foreground`]) and connected. It is off at first. At most 256 contacts are told.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no direct thread with them, [`Error::Storage`].
    pub async fn share_presence(&self, is_on: bool) -> Result<()> {
        let (ctx, user) = (self.ctx(), self.user_id());
        let thread = ctx.store.glance(move |rows| rows.thread_with(user)).await?.ok_or(Error::NotFound)?;
        set_privacy(ctx, Some(thread.id), PrivacySetting::Presence, is_on).await
    }
}

async fn set_privacy(
    ctx: &Context,
    thread: Option<ThreadId>,
    setting: PrivacySetting,
    is_on: bool,
) -> Result<()> {
    if setting == PrivacySetting::Presence && !is_on {
        let threads = match thread {
            Some(thread) => vec![thread],
            None => ctx.store.glance(|rows| rows.shares_presence()).await?,
        };
        for thread in threads {
            let (body, sent_ms) = (Body::Presence { is_here: false }, ctx.server_now_ms());
            let passing = Passing { body, ttl_s: PRESENCE_TTL_S, sent_ms };
            send(ctx, thread, passing).await?;
        }
    }
    ctx.store.write(move |tx| tx.set_privacy(thread, setting, is_on)).await?;
    if setting == PrivacySetting::Presence {
        ctx.upkeep.presence.notify_one();
    }
    Ok(())
}

/// Sends it, if there is a connection. Nobody waits for the answer.
async fn send(ctx: &Context, thread: ThreadId, passing: Passing) -> Result<()> {
    match pass(ctx, vec![thread], passing).await {
        Ok(_) | Err(Error::Offline(_)) => Ok(()),
        Err(error) => Err(error),
    }
}
