//! A registered device.

mod chats;
mod connection;
mod contact;
mod devices;
mod leaving;
mod life;
mod profile;

use std::sync::Arc;

use sealpost_core as core;

pub use connection::ConnectionState;
pub use contact::{Report, TrustState};
pub use devices::{OwnDevice, PendingLink, SharedHistory};
pub use leaving::{Departure, History};
pub use profile::Profile;

use crate::{
    CancelToken, FailedPart, Feed, Hits, Message, MessageId, Result, Search, Thread, ThreadId, UserId,
    runtime,
};

/// A registered device: its threads, its contacts, its connection. Its threads keep it alive; `shutdown` ends it.
#[derive(Debug, uniffi::Object)]
pub struct Client {
    pub(crate) core: core::Client,
    /// Cancelled when the client was shut down: it cannot be resumed, and its views end.
    ended: Arc<CancelToken>,
}

impl Client {
    pub(crate) fn new(core: core::Client) -> Arc<Self> {
        Arc::new(Self { core, ended: Arc::default() })
    }

    /// Cancelled when the client was shut down.
    pub(crate) fn ended(&self) -> Arc<CancelToken> {
        Arc::clone(&self.ended)
    }
}

#[uniffi::export]
impl Client {
    /// The user id of this account.
    pub fn user_id(&self) -> Result<UserId> {
        Ok(self.core.user_id())
    }

    /// The direct thread with a user, created at the relay if there is none.
    ///
    /// Throws `NotFound` if there is no such user, `RecipientDeleted` if the user has deleted their account,
    /// `Offline` if the relay is needed and cannot be reached, and `Misuse` for a thread with oneself.
    #[uniffi::method(default(cancel = None))]
    pub async fn direct_thread(&self, user: UserId, cancel: Option<Arc<CancelToken>>) -> Result<Arc<Thread>> {
        let (core, ended) = (self.core.clone(), Arc::clone(&self.ended));
        let thread = async move { Ok(Thread::new(core.direct_thread(user).await?, ended)) };
        runtime::run_until(cancel, thread).await
    }

    /// The thread in which the person writes for themselves: one for each account, added when it is first asked for. It needs no
    /// connection. What is written in it is sent at once, its timers run from the time of writing, and it can be edited and deleted at
    /// any time. Nobody gets any of it, and nothing in it is ever unread.
    ///
    /// Throws `Unauthorized` if there is none yet and the account was left, and `Storage`.
    pub async fn note_to_self(&self) -> Result<Arc<Thread>> {
        let (core, ended) = (self.core.clone(), Arc::clone(&self.ended));
        runtime::run(async move { Ok(Thread::new(core.note_to_self().await?, ended)) }).await
    }

    /// A thread that exists on this device.
    ///
    /// Throws `NotFound`, `Storage`.
    pub async fn thread(&self, id: ThreadId) -> Result<Arc<Thread>> {
        let (core, ended) = (self.core.clone(), Arc::clone(&self.ended));
        runtime::run(async move { Ok(Thread::new(core.thread(id).await?, ended)) }).await
    }

    /// A message that exists on this device, in any thread.
    ///
    /// Throws `NotFound`, `Storage`.
    pub async fn message(&self, id: MessageId) -> Result<Message> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.message(id).await?.into()) }).await
    }

    /// The messages that contain all of the given words, at most 500; those that arrived on this device last come
    /// first. A word matches the beginning of words. In scripts without spaces, such as Chinese or Thai, it matches
    /// any part of a text, and emoji can be found too. Case, accents, vowel points and width are ignored. Only the
    /// first 16 words count, and there is no query syntax. Messages of the last second may be missing, because the
    /// index is updated in the background.
    ///
    /// Throws `Storage`.
    #[uniffi::method(default(limit = 50))]
    pub async fn search(&self, words: String, limit: u32) -> Result<Vec<Message>> {
        let core = self.core.clone();
        let found = async move { Ok(core.search(&words, limit).await?) };
        Ok(runtime::run(found).await?.into_iter().map(Message::from).collect())
    }

    /// Like `search`, also in one thread, of one sender, or in a time, in another order, and with the places of the words in the
    /// texts; at most 500.
    ///
    /// Throws `Storage`.
    #[uniffi::method(default(limit = 50))]
    pub async fn find(&self, search: Search, limit: u32) -> Result<Hits> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.find(search.into(), limit).await?.into()) }).await
    }

    /// A live view: a snapshot, followed by events.
    pub fn subscribe(&self) -> Result<Arc<Feed>> {
        runtime::enter(|| Feed::new(self.core.subscribe(), Arc::clone(&self.ended)))
    }

    /// The state of the connection.
    pub fn connection_state(&self) -> Result<ConnectionState> {
        Ok(self.core.connection_state().into())
    }

    /// The parts of the client that cannot do their work now, with the reasons; normally none. They are retried
    /// automatically, and changes are reported as events.
    pub fn failing(&self) -> Result<Vec<FailedPart>> {
        Ok(self.core.failing().into_iter().map(FailedPart::from).collect())
    }

    /// Tells the client that connecting is worthwhile now: the network is back or has changed, or a person is
    /// waiting. An attempt that hangs is restarted, and a connection that turns out to be dead is replaced within
    /// seconds. Call it whenever the system reports a change of the network. It does nothing while the client is
    /// suspended.
    pub fn reconnect(&self) -> Result<()> {
        self.core.reconnect();
        Ok(())
    }

    /// Whether a person is using the app; true by default. In the background, the client tries to reach an
    /// unreachable relay less and less often. Coming to the foreground also does what `reconnect` does.
    pub fn set_foreground(&self, foreground: bool) -> Result<()> {
        self.core.set_foreground(foreground);
        Ok(())
    }
}
