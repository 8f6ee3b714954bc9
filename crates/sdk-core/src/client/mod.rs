//! The façade: handles that delegate.

mod contact;
mod leaving;
mod life;
pub(crate) mod open;
mod push;
mod thread;

use std::fmt;
use std::sync::Arc;

use tokio::sync::Mutex;

pub use contact::Contact;
pub use leaving::{Departure, History};
pub use open::{Opened, Unregistered};
pub use push::{Fetched, fetch_for_push};
pub use thread::Thread;

use crate::context::Context;
use crate::error::{Error, Result};
#[cfg(doc)]
use crate::event::Event;
use crate::event::{ConnectionState, Events};
use crate::health::FailedPart;
use crate::id::{DeviceId, MessageId, ThreadId, UserId};
use crate::message::Message;
use crate::store::{Registered, ThreadCursor};
use crate::sync::{State, Tasks};
use crate::view::PAGE;
use crate::view::feed::{Feed, ThreadPage};

/// Most messages in a page.
const MAX_PAGE: u32 = 500;

/// A registered device: its threads, its contacts, its connection. Clones share it, and so do the handles that come
/// from it; the last one to be dropped ends the connection, lets every transaction finish and closes the database.
/// That blocks for as long as the disk takes, and for some seconds if another process is stuck at work on the file: where
/// a thread must not wait, [`suspend`](Self::suspend) first.
///
/// A process may end at any time, by `exit` or by a return from `main`, also with clients that are at work. What they have
/// begun on the disk is finished first, for up to five seconds; after that their calls fail.
///
/// Every method may be cancelled by dropping its future: what was begun is finished or undone as a whole.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    ctx: Context,
    registered: Registered,
    state: State,
    /// None while suspended. Held while suspending and resuming, so that they do not overlap.
    tasks: Mutex<Option<Tasks>>,
    /// The one that the client was opened on; calls finish there.
    runtime: tokio::runtime::Handle,
}

impl Client {
    /// Who we are.
    pub fn user_id(&self) -> UserId {
        self.inner.registered.user
    }

    /// Which of our devices this is.
    pub fn device_id(&self) -> DeviceId {
        self.inner.registered.device
    }

    /// The direct thread with a user, made at the relay when there is none.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such user, [`Error::RecipientDeleted`] when there is none any more, [`Error::Offline`] when the relay is needed and cannot be
    /// used, [`Error::Misuse`] for a thread with oneself.
    pub async fn direct_thread(&self, user: UserId) -> Result<Thread> {
        let found = self.finish(move |ctx| async move { crate::thread::direct(&ctx, user).await }).await?;
        Ok(Thread::new(self.clone(), found.id))
    }

    /// The first [`PAGE`] threads, the one with the newest message first.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn threads(&self) -> Result<Vec<Thread>> {
        let read = self.inner.ctx.store.glance(|rows| rows.thread_page(None, PAGE)).await;
        let (threads, _) = read?;
        Ok(threads.into_iter().map(|listed| Thread::new(self.clone(), listed.id)).collect())
    }

    /// A page of the list of threads, with what a list shows of each: up to `limit` (at most 500), from the first on or behind
    /// another page. A thread that moves up meanwhile may be on neither.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn thread_page(&self, after: Option<ThreadCursor>, limit: u32) -> Result<ThreadPage> {
        let limit = limit.clamp(1, MAX_PAGE);
        self.inner.ctx.store.glance(move |rows| ThreadPage::read(rows, after, limit)).await
    }

    /// A thread that is known here.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub async fn thread(&self, id: ThreadId) -> Result<Thread> {
        let thread = self.inner.ctx.store.read(move |rows| rows.thread(id)).await?.ok_or(Error::NotFound)?;
        Ok(Thread::new(self.clone(), thread.id))
    }

    /// A message that is here, in whatever thread.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub async fn message(&self, id: MessageId) -> Result<Message> {
        self.inner.ctx.store.read(move |rows| rows.message(id)).await?.ok_or(Error::NotFound)
    }

    /// Another user.
    pub fn contact(&self, user: UserId) -> Contact {
        Contact::new(self.clone(), user)
    }

    /// Messages that have all of the given words, those that came to this device last first. A word is found by its beginning;
    /// in scripts without spaces, such as Chinese or Thai, any part of a text is found, and so are emoji. Case, accents,
    /// vowel points and width make no difference. The first 16 words count, and none of them is syntax. `limit` is at most 500.
    ///
    /// What arrived within the last second may be missing, as the index is fed in the background. So may older messages for a while
    /// after an update that indexes them anew.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn search(&self, words: &str, limit: u32) -> Result<Vec<Message>> {
        let words = words.to_owned();
        self.inner.ctx.store.read(move |rows| rows.search(&words, limit.min(MAX_PAGE))).await
    }

    /// Everything that happens from now on. Listen before you look, and nothing falls in between.
    pub fn events(&self) -> Events {
        Events::new(self.inner.ctx.events.subscribe())
    }

    /// A live view of everything: what there is, then what happens.
    pub fn subscribe(&self) -> Feed {
        Feed::new(&self.inner.ctx, &self.inner.state)
    }

    /// The connection, as it is now.
    pub fn connection_state(&self) -> ConnectionState {
        self.inner.state.get()
    }

    /// The parts of the client that cannot do their work now, and why; normally none. They are tried again by themselves.
    /// Changes are [events](Event::PartFailed).
    pub fn failing(&self) -> Vec<FailedPart> {
        self.inner.ctx.health.failures().list()
    }

    /// The app knows that it is worth trying to connect now: there is a network again, or another one, or a person waits.
    /// An attempt that hangs is made anew, and what seems to be connected is put to the test: if it is dead, it is replaced
    /// within seconds. Call it as often as the system says that the network changed; it does nothing while suspended.
    pub fn reconnect(&self) {
        self.inner.ctx.transport.hint();
    }

    /// Whether a person is looking at the app. In the foreground (the default) a relay that cannot be reached is tried every
    /// few seconds; in the background ever less often, up to every five minutes. Coming to the foreground also does
    /// what [`reconnect`](Self::reconnect) does.
    pub fn set_foreground(&self, foreground: bool) {
        self.inner.ctx.transport.set_foreground(foreground);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("user", &self.user_id()).field("device", &self.device_id()).finish()
    }
}
