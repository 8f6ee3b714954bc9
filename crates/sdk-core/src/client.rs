//! The façade: handles that delegate.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::{ConnectionState, Events};
use crate::feed::Feed;
use crate::id::{DeviceId, MessageId, ThreadId, UserId};
use crate::message::Message;
use crate::store::{Cursor, Registered, TrustState};
use crate::sync::{State, Tasks};
use crate::thread::arrivals::Arrivals;
use crate::thread::timeline::Timeline;
use crate::{contact, thread};

/// Messages in a page, unless asked otherwise.
pub const PAGE: u32 = 50;
/// Most messages in a page.
const MAX_PAGE: u32 = 500;

/// A registered device: its threads, its contacts, its connection. Clones share it, and so do the handles that come
/// from it; the last one to be dropped ends the connection, lets every transaction finish and closes the database.
/// That blocks for as long as the disk takes, and for some seconds if another process is stuck at work on the file: where
/// a thread must not wait, [`suspend`](Self::suspend) first.
///
/// Drop or suspend every client before the process ends (by `exit`, or by a return from `main`). SQLCipher frees its
/// memory in an exit handler, and a client that is at work at that moment crashes. Nothing on disk is harmed by it.
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
    pub(crate) fn start(ctx: Context, registered: Registered) -> Self {
        let state = State::new(ctx.events.clone());
        let tasks = Tasks::start(&ctx, &state);
        let runtime = tokio::runtime::Handle::current();
        Self { inner: Arc::new(Inner { ctx, registered, state, tasks: Mutex::new(Some(tasks)), runtime }) }
    }

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
    /// [`Error::NotFound`] when there is no such user, [`Error::Offline`] when the relay is needed and cannot be
    /// used, [`Error::Misuse`] for a thread with oneself.
    pub async fn direct_thread(&self, user: UserId) -> Result<Thread> {
        let found = self.finish(move |ctx| async move { thread::direct(&ctx, user).await }).await?;
        Ok(Thread { client: self.clone(), id: found.id, peer: found.peer })
    }

    /// Every thread, the one with the newest message first.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn threads(&self) -> Result<Vec<Thread>> {
        let threads = self.inner.ctx.store.read(|rows| rows.threads()).await?;
        let handle =
            |thread: crate::store::Thread| Thread { client: self.clone(), id: thread.id, peer: thread.peer };
        Ok(threads.into_iter().map(handle).collect())
    }

    /// A thread that is known here.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub async fn thread(&self, id: ThreadId) -> Result<Thread> {
        let thread = self.inner.ctx.store.read(move |rows| rows.thread(id)).await?.ok_or(Error::NotFound)?;
        Ok(Thread { client: self.clone(), id: thread.id, peer: thread.peer })
    }

    /// Another user.
    pub fn contact(&self, user: UserId) -> Contact {
        Contact { client: self.clone(), user }
    }

    /// Messages with words that begin with the given ones, newest first. What arrived a moment ago may be missing:
    /// the index is fed in the background.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn search(&self, words: &str, limit: u32) -> Result<Vec<Message>> {
        let words = words.to_owned();
        self.inner.ctx.store.read(move |rows| rows.search(&words, limit.min(MAX_PAGE))).await
    }

    /// Everything that happens from now on. Listen before you look, and nothing falls in between.
    pub fn events(&self) -> Events {
        self.inner.ctx.events.subscribe()
    }

    /// A live view of everything: what there is, then what happens.
    pub fn subscribe(&self) -> Feed {
        Feed::new(&self.inner.ctx, &self.inner.state)
    }

    /// The connection, as it is now.
    pub fn connection_state(&self) -> ConnectionState {
        self.inner.state.get()
    }

    /// The app knows that it is worth trying to connect now: there is a network again, or a person waits. Nothing
    /// when there is a connection.
    pub fn reconnect(&self) {
        if matches!(self.connection_state(), ConnectionState::Offline) {
            self.inner.ctx.reconnect.notify_one();
        }
    }

    /// Ends the connection, lets every transaction finish, and closes the database. For an app that
    /// goes to the background: the system may freeze or kill it from here on.
    ///
    /// # Errors
    /// None today.
    pub async fn suspend(&self) -> Result<()> {
        self.finish_here(|inner| async move {
            let mut tasks = inner.tasks.lock().await;
            // A token that is being exchanged is stored first.
            let exchanged = inner.ctx.refreshing.lock().await;
            if let Some(tasks) = tasks.take() {
                tasks.stop().await;
            }
            drop(exchanged);
            inner.ctx.transport.go_offline();
            inner.ctx.store.close().await;
            inner.state.set(ConnectionState::Suspended);
            Ok(())
        })
        .await
    }

    /// Opens the database again and connects. Nothing when it is open.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn resume(&self) -> Result<()> {
        self.finish_here(|inner| async move {
            let mut tasks = inner.tasks.lock().await;
            if tasks.is_none() {
                let store = inner.ctx.store.clone();
                let opened = tokio::task::spawn_blocking(move || store.reopen()).await;
                opened.map_err(|_| Error::Bug("a panic while opening the database"))??;
                *tasks = Some(Tasks::start(&inner.ctx, &inner.state));
            }
            Ok(())
        })
        .await
    }

    /// Runs work to its end, whether or not its caller waits for it.
    async fn finish<T, F>(&self, work: impl FnOnce(Context) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let running = self.inner.runtime.spawn(work(self.inner.ctx.clone()));
        running.await.map_err(|_| Error::Bug("a panic in a call"))?
    }

    async fn finish_here<T, F>(&self, work: impl FnOnce(Arc<Inner>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let running = self.inner.runtime.spawn(work(Arc::clone(&self.inner)));
        running.await.map_err(|_| Error::Bug("a panic in a call"))?
    }
}

impl Drop for Inner {
    /// What the tasks were about to do is left to the next client: only what they have handed over is finished. A task
    /// ends when its runtime gets round to it, perhaps on this very thread, so nobody waits for that.
    fn drop(&mut self) {
        drop(self.tasks.get_mut().take());
        self.ctx.transport.go_offline();
        self.ctx.store.end();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("user", &self.user_id()).field("device", &self.device_id()).finish()
    }
}

/// A thread: what people talk in.
#[derive(Debug, Clone)]
pub struct Thread {
    client: Client,
    id: ThreadId,
    peer: UserId,
}

impl Thread {
    /// What names it.
    pub fn id(&self) -> ThreadId {
        self.id
    }

    /// The other member.
    pub fn peer(&self) -> Contact {
        self.client.contact(self.peer)
    }

    /// Writes a text. When this returns it is on disk, stands in the thread and will be sent, whatever happens
    /// to this process.
    ///
    /// # Errors
    /// [`Error::TooLong`] above [`MAX_TEXT`](crate::MAX_TEXT) bytes, [`Error::Storage`].
    pub async fn send_text(&self, text: &str) -> Result<Message> {
        thread::send_text(self.ctx(), self.id, text).await
    }

    /// The newest [`PAGE`] messages, or those before a page, newest first.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn history(&self, before: Option<Cursor>) -> Result<Page> {
        self.history_of(before, PAGE).await
    }

    /// As [`Thread::history`], with up to `limit` messages (at most 500).
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn history_of(&self, before: Option<Cursor>, limit: u32) -> Result<Page> {
        let (messages, next) = thread::page(self.ctx(), self.id, before, limit.clamp(1, MAX_PAGE)).await?;
        Ok(Page { messages, next })
    }

    /// A live view: a snapshot of the newest [`PAGE`] messages, then what changes.
    pub fn subscribe(&self) -> Timeline {
        Timeline::new(self.ctx(), self.id, PAGE)
    }

    /// The messages that are new from now on, ours and theirs, each once.
    pub fn arrivals(&self) -> Arrivals {
        Arrivals::new(self.ctx(), self.id)
    }

    /// The person has read up to and including this message; the other side is told.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn mark_read(&self, up_to: MessageId) -> Result<()> {
        thread::mark_read(self.ctx(), self.id, up_to).await
    }

    /// Sends a failed message again.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is not there or has not failed, [`Error::Storage`].
    pub async fn retry(&self, message: MessageId) -> Result<()> {
        thread::retry(self.ctx(), message).await
    }

    /// Takes a message back that has not left this device, or that failed. False when it may have left.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub async fn cancel(&self, message: MessageId) -> Result<bool> {
        thread::cancel(self.ctx(), message).await
    }

    fn ctx(&self) -> &Context {
        &self.client.inner.ctx
    }
}

/// A part of a thread's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Newest first.
    pub messages: Vec<Message>,
    /// Where the page before this one in time begins; none when there is none.
    pub next: Option<Cursor>,
}

/// Another user.
#[derive(Debug, Clone)]
pub struct Contact {
    client: Client,
    user: UserId,
}

impl Contact {
    /// What names it.
    pub fn user_id(&self) -> UserId {
        self.user
    }

    /// What two people compare: 60 digits, the same on both sides.
    ///
    /// # Errors
    /// [`Error::NotFound`] before the first message in either direction, [`Error::Storage`].
    pub async fn safety_number(&self) -> Result<String> {
        contact::safety_number(&self.client.inner.ctx, self.user).await
    }

    /// How far the person trusts this contact.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub async fn trust(&self) -> Result<TrustState> {
        contact::trust(&self.client.inner.ctx, self.user).await
    }

    /// The person has compared this safety number, and it was the same on both sides. False when it is not the
    /// number any more: compare again. From here on, a change stops what is sent to this contact.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub async fn verify(&self, compared: &str) -> Result<bool> {
        contact::verify(&self.client.inner.ctx, self.user, compared.to_owned()).await
    }

    /// The person goes on with a changed safety number without comparing it. Failed messages can be sent again.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub async fn accept(&self) -> Result<()> {
        contact::accept(&self.client.inner.ctx, self.user).await
    }
}
