//! The public API: handles that delegate.

mod call;
mod chats;
mod contact;
mod devices;
mod ephemeral;
mod group;
mod leaving;
mod life;
mod linking;
pub(crate) mod open;
mod pages;
mod profile;
mod push;
mod sending;
mod thread;

use std::fmt;
use std::sync::Arc;

use tokio::sync::Mutex;

pub use contact::Contact;
pub use devices::{OwnDevice, PendingLink, SharedHistory};
pub use ephemeral::Presence;
pub use group::{Group, GroupMember, GroupPermissions, GroupStanding};
pub use leaving::{Departure, History};
pub use linking::Linking;
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
use crate::message::{Hits, Message, Search};
use crate::store::Registered;
use crate::sync::{State, Tasks};
use crate::view::feed::Feed;

/// The maximum number of messages, or threads, in a page.
const MAX_PAGE: u32 = 500;

/// A registered device: its threads, its contacts, its connection. Clones share it, and so do the handles that are
/// created from it. When the last of them is dropped, the connection is closed, running transactions are finished, and
/// the database is closed. The drop blocks while the disk is written, and for some seconds if another process holds
/// the lock of the database; call [`suspend`](Self::suspend) first on a thread that must not block.
///
/// A process may end at any time, by `exit` or by returning from `main`, even while clients are working. Running
/// transactions are finished first, for at most five seconds, and later calls fail
/// ([`process_is_exiting`](crate::process_is_exiting)).
///
/// Every method can be cancelled by dropping its future. Work that it has started is finished or rolled back as a
/// whole.
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
    /// The runtime that the client was opened on, on which calls run to completion.
    runtime: tokio::runtime::Handle,
}

impl Client {
    /// The user id of this account.
    pub fn user_id(&self) -> UserId {
        self.inner.registered.user
    }

    /// The id of this device among the devices of the account.
    pub fn device_id(&self) -> DeviceId {
        self.inner.registered.device
    }

    /// The direct thread with a user, created at the relay if there is none.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such user, [`Error::RecipientDeleted`] if the user has deleted their account,
    /// [`Error::Offline`] if the relay is needed and cannot be used, [`Error::Misuse`] for a thread
    /// with oneself; see [`note_to_self`](Self::note_to_self).
    pub async fn direct_thread(&self, user: UserId) -> Result<Thread> {
        let found = self.finish(move |ctx| async move { crate::thread::direct(&ctx, user).await }).await?;
        Ok(Thread::new(self.clone(), found.id))
    }

    /// The thread in which the person writes for themselves: one for each account, added when it is first asked for. It needs no
    /// connection. What is written in it is [`Sent`](crate::Delivery::Sent) at once, its timers run from the time of writing, and it can
    /// be edited and deleted at any time. Nobody gets any of it, and nothing in it is ever unread.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] if there is none yet and the account was left, [`Error::Storage`].
    pub async fn note_to_self(&self) -> Result<Thread> {
        let us = self.user_id();
        let id = self.finish(move |ctx| async move { crate::thread::note_to_self(&ctx, us).await }).await?;
        Ok(Thread::new(self.clone(), id))
    }

    /// A thread that exists on this device.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub async fn thread(&self, id: ThreadId) -> Result<Thread> {
        let thread =
            self.inner.ctx.store.glance(move |rows| rows.thread(id)).await?.ok_or(Error::NotFound)?;
        Ok(Thread::new(self.clone(), thread.id))
    }

    /// A message that exists on this device, in any thread.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub async fn message(&self, id: MessageId) -> Result<Message> {
        self.inner.ctx.store.glance(move |rows| rows.message(id)).await?.ok_or(Error::NotFound)
    }

    /// Another user.
    pub fn contact(&self, user: UserId) -> Contact {
        Contact::new(self.clone(), user)
    }

    /// The messages that contain all of the given words, at most `limit` (at most 500); those that arrived on this
    /// device last come first. A word matches the beginning of words. In scripts without spaces, such as Chinese or
    /// Thai, it matches any part of a text, and emoji can be found too. Case, accents, vowel points and width are
    /// ignored. Only the first 16 words count, and there is no query syntax.
    ///
    /// Messages of the last second may be missing, because the index is updated in the background; for a while after
    /// an update of this library that rebuilds the index, so may older ones.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn search(&self, words: &str, limit: u32) -> Result<Vec<Message>> {
        let (words, limit) = (words.to_owned(), limit.min(MAX_PAGE));
        self.inner.ctx.store.read(move |rows| rows.search_messages(&words, limit)).await
    }

    /// Like [`search`](Self::search), also in one thread, of one sender, or in a time, in another order, and with the places of the
    /// words in the texts.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn find(&self, search: Search, limit: u32) -> Result<Hits> {
        let limit = limit.min(MAX_PAGE);
        self.inner.ctx.store.read(move |rows| rows.find_messages(&search, limit)).await
    }

    /// All events from now on. Call this before reading the database, so that nothing is missed in between.
    pub fn events(&self) -> Events {
        Events::new(self.inner.ctx.events.subscribe())
    }

    /// A live view: a snapshot, followed by events.
    pub fn subscribe(&self) -> Feed {
        Feed::new(&self.inner.ctx, &self.inner.state)
    }

    /// The state of the connection.
    pub fn connection_state(&self) -> ConnectionState {
        self.inner.state.get()
    }

    /// The parts of the client that cannot do their work now, with the reasons; normally none. They are retried
    /// automatically, and changes are reported as [events](Event::PartFailed).
    pub fn failing(&self) -> Vec<FailedPart> {
        self.inner.ctx.health.failures().list()
    }

    /// Tells the client that connecting is worthwhile now: the network is back or has changed, or a person is waiting.
    /// An attempt that hangs is restarted, and a connection that turns out to be dead is replaced within seconds. Call
    /// it whenever the system reports a change of the network. It does nothing while the client is suspended.
    pub fn reconnect(&self) {
        self.inner.ctx.transport.hint();
    }

    /// Whether a person is using the app; true by default. In the foreground, the client tries to reach an unreachable
    /// relay every few seconds; in the background, less and less often, down to once every five minutes. Coming to the
    /// foreground also does what [`reconnect`](Self::reconnect) does.
    pub fn set_foreground(&self, foreground: bool) {
        self.inner.ctx.transport.set_foreground(foreground);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("user", &self.user_id()).field("device", &self.device_id()).finish()
    }
}
