//! A live view of the whole client.

use std::sync::Arc;

use sealpost_core as core;

use crate::pull::{Pull, Snapshot, View};
use crate::{CancelToken, Message, MessageId, Result, ThreadId, UserId};

/// The connection to the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum ConnectionState {
    /// No connection; trying again by itself.
    Offline,
    /// Connecting.
    Connecting,
    /// Connected; what arrived in the meantime is coming in.
    CatchingUp,
    /// Connected, nothing waits.
    Live,
    /// The relay no longer accepts this device. Nothing is tried any more.
    SignedOut,
    /// The client was suspended.
    Suspended,
}

/// A thread in a list.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct ThreadSummary {
    /// What names it.
    pub id: ThreadId,
    /// The other member.
    pub peer: UserId,
}

/// What a list of threads shows.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Overview {
    /// The connection.
    pub connection: ConnectionState,
    /// Every thread, the one with the newest message first.
    pub threads: Vec<ThreadSummary>,
}

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum Event {
    /// Everything as it is: at the start, whenever the app was too slow for the events, and after the client was
    /// suspended.
    Snapshot {
        /// It replaces what was shown.
        overview: Overview,
    },
    /// A thread is new here.
    ThreadAdded {
        /// Which.
        thread: ThreadId,
    },
    /// A message is new here, ours or theirs.
    MessageAdded {
        /// It.
        message: Message,
    },
    /// A message changed: its state, or its place.
    MessageChanged {
        /// How it is now.
        message: Message,
    },
    /// A message is gone: its sending was cancelled.
    MessageRemoved {
        /// Where it stood.
        thread: ThreadId,
        /// Which it was.
        id: MessageId,
    },
    /// The safety number with this user changed, or a device joined theirs that nobody vouches for. Sends to a verified
    /// user stop until the person accepts.
    IdentityChanged {
        /// Whose.
        user: UserId,
    },
    /// Messages of this thread are missing: the relay no longer has them.
    MessagesMissing {
        /// Which.
        thread: ThreadId,
    },
    /// The connection changed.
    ConnectionChanged {
        /// How it is now.
        state: ConnectionState,
    },
}

/// A live view of the whole client, to be pulled by one consumer. Bounded: who is too slow gets a fresh snapshot instead of
/// what was missed.
#[derive(uniffi::Object)]
pub struct ClientSubscription {
    pull: Pull<core::Feed>,
}

impl ClientSubscription {
    pub(crate) fn new(feed: core::Feed, ended: Arc<CancelToken>) -> Arc<Self> {
        Arc::new(Self { pull: Pull::new(feed, ended) })
    }
}

#[uniffi::export]
impl ClientSubscription {
    /// Everything as it is. What follows from `next` happened after that.
    ///
    /// Answers at once, also while `next` waits. Throws `Storage`; `Misuse` while the client is suspended, or after it.
    pub async fn snapshot(&self) -> Result<Overview> {
        self.pull.snapshot().await
    }

    /// The next events: waits for one, and takes those that wait behind it. Without a snapshot before it, it begins with
    /// one. While the client is suspended it waits. None when the client was shut down or is gone.
    ///
    /// Throws `Cancelled`, which loses nothing, and `Storage`, after which the next call tries again.
    #[uniffi::method(default(cancel = None))]
    pub async fn next(&self, cancel: Option<Arc<CancelToken>>) -> Result<Option<Vec<Event>>> {
        self.pull.next(cancel).await
    }
}

impl View for core::Feed {
    type Update = Event;

    async fn next_batch(&mut self, max: usize) -> Option<Result<Vec<Event>>> {
        let batch = Self::next_batch(self, max).await?;
        Some(batch.map(|updates| updates.into_iter().filter_map(known).collect()).map_err(Into::into))
    }

    fn refresh(&mut self) {
        Self::refresh(self);
    }
}

impl Snapshot for core::Feed {
    type Snapshot = Overview;

    async fn snapshot(&mut self) -> Result<Overview> {
        Ok(Self::snapshot(self).await?.into())
    }
}

/// An event of a kind that the binding does not know is none.
fn known(update: core::Update) -> Option<Event> {
    let event = match update {
        core::Update::Snapshot(overview) => return Some(Event::Snapshot { overview: overview.into() }),
        core::Update::Event(event) => event,
    };
    Some(match event {
        core::Event::ThreadAdded(thread) => Event::ThreadAdded { thread },
        core::Event::MessageAdded(message) => Event::MessageAdded { message: message.into() },
        core::Event::MessageChanged(message) => Event::MessageChanged { message: message.into() },
        core::Event::MessageRemoved { thread, id } => Event::MessageRemoved { thread, id },
        core::Event::IdentityChanged(user) => Event::IdentityChanged { user },
        core::Event::MessagesMissing { thread, .. } => Event::MessagesMissing { thread },
        core::Event::Connection(state) => Event::ConnectionChanged { state: state.into() },
        _ => return None,
    })
}

impl From<core::Overview> for Overview {
    fn from(overview: core::Overview) -> Self {
        let threads = overview.threads.into_iter().map(ThreadSummary::from).collect();
        Self { connection: overview.connection.into(), threads }
    }
}

impl From<core::ThreadSummary> for ThreadSummary {
    fn from(thread: core::ThreadSummary) -> Self {
        Self { id: thread.id, peer: thread.peer }
    }
}

impl From<&core::Thread> for ThreadSummary {
    fn from(thread: &core::Thread) -> Self {
        Self { id: thread.id(), peer: thread.peer().user_id() }
    }
}

impl From<core::ConnectionState> for ConnectionState {
    fn from(state: core::ConnectionState) -> Self {
        match state {
            core::ConnectionState::Connecting => Self::Connecting,
            core::ConnectionState::CatchingUp => Self::CatchingUp,
            core::ConnectionState::Live => Self::Live,
            core::ConnectionState::SignedOut => Self::SignedOut,
            core::ConnectionState::Suspended => Self::Suspended,
            _ => Self::Offline,
        }
    }
}

impl std::fmt::Debug for ClientSubscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientSubscription")
    }
}
