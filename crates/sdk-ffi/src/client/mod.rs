//! A registered device.

mod connection;
mod contact;
mod life;

use std::sync::Arc;

use sealpost_core as core;

pub use connection::ConnectionState;
pub use contact::TrustState;

use crate::{
    CancelToken, ClientSubscription, FailedPart, Message, MessageId, Result, Thread, ThreadCursor, ThreadId,
    ThreadPage, ThreadSummary, UserId, runtime,
};

/// A registered device: its threads, its contacts, its connection. Threads that come from it keep it alive; end it with
/// `shutdown`.
#[derive(Debug, uniffi::Object)]
pub struct Client {
    core: core::Client,
    /// Cancelled when it was shut down: it is not to be resumed, and the views of it end.
    ended: Arc<CancelToken>,
}

impl Client {
    pub(crate) fn new(core: core::Client) -> Arc<Self> {
        Arc::new(Self { core, ended: Arc::default() })
    }
}

#[uniffi::export]
impl Client {
    /// Who we are.
    pub fn user_id(&self) -> Result<UserId> {
        Ok(self.core.user_id())
    }

    /// The direct thread with a user, made at the relay when there is none.
    ///
    /// Throws `NotFound` when there is no such user, `RecipientDeleted` when there is none any more, `Offline` when the relay is needed and cannot be used, `Misuse` for a
    /// thread with oneself.
    #[uniffi::method(default(cancel = None))]
    pub async fn direct_thread(&self, user: UserId, cancel: Option<Arc<CancelToken>>) -> Result<Arc<Thread>> {
        let (core, ended) = (self.core.clone(), Arc::clone(&self.ended));
        let thread = async move { Ok(Thread::new(core.direct_thread(user).await?, ended)) };
        runtime::run_until(cancel, thread).await
    }

    /// A thread that is known here.
    ///
    /// Throws `NotFound`, `Storage`.
    pub async fn thread(&self, id: ThreadId) -> Result<Arc<Thread>> {
        let (core, ended) = (self.core.clone(), Arc::clone(&self.ended));
        runtime::run(async move { Ok(Thread::new(core.thread(id).await?, ended)) }).await
    }

    /// A message that is here, in whatever thread.
    ///
    /// Throws `NotFound`, `Storage`.
    pub async fn message(&self, id: MessageId) -> Result<Message> {
        let core = self.core.clone();
        runtime::run(async move { Ok(core.message(id).await?.into()) }).await
    }

    /// The first 50 threads, the one with the newest message first, with what a list shows of each.
    ///
    /// Throws `Storage`.
    pub async fn threads(&self) -> Result<Vec<ThreadSummary>> {
        let core = self.core.clone();
        let page = runtime::run(async move { Ok(core.thread_page(None, core::PAGE).await?) }).await?;
        Ok(ThreadPage::from(page).threads)
    }

    /// A page of the list of threads: up to `limit` (500 at most), from the first on or after another page. A thread that moves
    /// up meanwhile may be on neither.
    ///
    /// Throws `Storage`.
    #[uniffi::method(default(after = None, limit = 50))]
    pub async fn thread_page(&self, after: Option<ThreadCursor>, limit: u32) -> Result<ThreadPage> {
        let core = self.core.clone();
        let page = runtime::run(async move { Ok(core.thread_page(after, limit).await?) }).await?;
        Ok(page.into())
    }

    /// Messages that have all of the given words, those that came to this device last first, 500 at most. A word is found by its
    /// beginning; in scripts without spaces, such as Chinese or Thai, any part of a text is found, and so are emoji. Case,
    /// accents, vowel points and width make no difference. The first 16 words count, and none of them is syntax. What
    /// arrived within the last second may be missing, as the index is fed in the background.
    ///
    /// Throws `Storage`.
    #[uniffi::method(default(limit = 50))]
    pub async fn search(&self, words: String, limit: u32) -> Result<Vec<Message>> {
        let core = self.core.clone();
        let found = async move { Ok(core.search(&words, limit).await?) };
        Ok(runtime::run(found).await?.into_iter().map(Message::from).collect())
    }

    /// A live view: what there is, then what happens.
    pub fn subscribe(&self) -> Result<Arc<ClientSubscription>> {
        runtime::enter(|| ClientSubscription::new(self.core.subscribe(), Arc::clone(&self.ended)))
    }

    /// The connection, as it is now.
    pub fn connection_state(&self) -> Result<ConnectionState> {
        Ok(self.core.connection_state().into())
    }

    /// The parts of the client that cannot do their work now, and why; normally none. They are tried again by themselves, and
    /// changes are events.
    pub fn failing(&self) -> Result<Vec<FailedPart>> {
        Ok(self.core.failing().into_iter().map(FailedPart::from).collect())
    }

    /// The app knows that it is worth trying to connect now: there is a network again, or another one, or a person waits.
    /// An attempt that hangs is made anew, and a connection that turns out to be dead is replaced within seconds. Call it as
    /// often as the system says that the network changed; it does nothing while suspended.
    pub fn reconnect(&self) -> Result<()> {
        self.core.reconnect();
        Ok(())
    }

    /// Whether a person is looking at the app: true until told otherwise. In the background a relay that cannot be reached
    /// is tried ever less often. Coming to the foreground also does what `reconnect` does.
    pub fn set_foreground(&self, foreground: bool) -> Result<()> {
        self.core.set_foreground(foreground);
        Ok(())
    }
}
