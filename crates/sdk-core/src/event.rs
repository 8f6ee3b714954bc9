//! What the app is told, after it is durable.
//!
//! Events are hints: the database is the truth. A listener that is too slow loses some events and is told so
//! ([`Lagged`]); what was lost is in the database.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::sync::{broadcast, watch};

use crate::health::{FailedPart, Part};
use crate::id::{MessageId, ThreadId, UserId};
use crate::message::{Message, Position};
use crate::stream::{Source, Streamed};

/// How many events wait for a slow listener before it lags.
const CAPACITY: usize = 1024;

/// Something changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A thread is new here.
    ThreadAdded(ThreadId),
    /// A message is new here, ours or theirs.
    MessageAdded(Message),
    /// A message changed: its state, or its place.
    MessageChanged {
        /// How it is now, and where.
        message: Message,
        /// Where it was before.
        was: Position,
    },
    /// A message is gone: its sending was cancelled.
    MessageRemoved {
        /// The thread that it was in.
        thread: ThreadId,
        /// Which it was.
        id: MessageId,
        /// Where it was.
        position: Position,
    },
    /// The safety number with this user changed, or a device joined theirs that nobody vouches for. Sends to a
    /// verified contact stop until the person accepts.
    IdentityChanged(UserId),
    /// Messages of this thread are missing: the relay no longer has them.
    MessagesMissing {
        /// The thread.
        thread: ThreadId,
        /// The first missing place.
        first: u64,
        /// The last missing place.
        last: u64,
    },
    /// The relay was restored from a backup. What it may have lost is submitted again; what it has lost of others' messages
    /// comes again from them, or is told by [`MessagesMissing`](Self::MessagesMissing).
    RelayRestored,
    /// This database was restored from a backup, or is a copy: the relay has talked with a later state of it. New sessions
    /// begin by themselves. What was received in that later state is not here.
    DatabaseRestored,
    /// The relay says a time that cannot be right, in milliseconds since the Unix epoch. It is not believed.
    RelayClockWrong {
        /// What it says.
        relay_ms: u64,
    },
    /// The connection changed.
    Connection(ConnectionState),
    /// A part of the client cannot do its work, or for another reason than before. It goes on trying.
    PartFailed(FailedPart),
    /// A part that could not do its work does it again.
    PartRecovered(Part),
}

/// The connection to the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// No connection; trying again by itself.
    Offline,
    /// Connecting.
    Connecting,
    /// Connected; what arrived in the meantime is coming in.
    CatchingUp,
    /// Connected, nothing waits.
    Live,
    /// The relay does not accept this device, not even by its login key. It is asked again when the app says so
    /// ([`Client::reconnect`](crate::Client::reconnect)), and every hour or two. Everything in the database can be read. Calls that
    /// need the relay say why: [`Unauthorized`](crate::Error::Unauthorized), or
    /// [`UnknownDevice`](crate::Error::UnknownDevice).
    SignedOut,
    /// [`Client::suspend`](crate::Client::suspend) was called.
    Suspended,
}

/// The listener was too slow: this many events are lost. Or another process has written, whose events nobody counts: then
/// it is 0. What they told is in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} events were lost")]
pub struct Lagged(pub u64);

/// What a listener receives.
#[derive(Debug, Clone)]
enum Notification {
    Event(Event),
    /// Another process has written.
    Elsewhere,
}

/// The way from commits to listeners.
#[derive(Debug, Clone)]
pub(crate) struct EventBus(Arc<Bus>);

#[derive(Debug)]
struct Bus {
    notifications: broadcast::Sender<Notification>,
    elsewhere: watch::Sender<()>,
    /// See [`EventBus::newest`].
    newest: AtomicI64,
}

impl EventBus {
    pub(crate) fn new() -> Self {
        let (notifications, elsewhere) = (broadcast::Sender::new(CAPACITY), watch::Sender::new(()));
        Self(Arc::new(Bus { notifications, elsewhere, newest: AtomicI64::default() }))
    }

    /// Tells everyone who listens; nobody may.
    pub(crate) fn publish(&self, event: Event) {
        if let Event::MessageAdded(message) = &event {
            self.begin_after(message.id);
        }
        let _ = self.0.notifications.send(Notification::Event(event));
    }

    /// Another process has written, up to this message: what one knows is old.
    pub(crate) fn publish_elsewhere(&self, newest: MessageId) {
        self.begin_after(newest);
        let _ = self.0.notifications.send(Notification::Elsewhere);
        self.0.elsewhere.send_replace(());
    }

    /// This message is here: nobody who begins to listen is to be told of it.
    pub(crate) fn begin_after(&self, newest: MessageId) {
        self.0.newest.fetch_max(newest.0, Ordering::SeqCst);
    }

    /// The newest message, in whatever thread, that is not to be told to who begins to listen now. Those to come have
    /// higher ids.
    pub(crate) fn newest(&self) -> MessageId {
        MessageId(self.0.newest.load(Ordering::SeqCst))
    }

    pub(crate) fn subscribe(&self) -> EventReceiver {
        EventReceiver(self.0.notifications.subscribe())
    }

    /// Changes whenever another process has written, for tasks that need no events.
    pub(crate) fn elsewhere(&self) -> watch::Receiver<()> {
        self.0.elsewhere.subscribe()
    }
}

/// What happens, for a listener. It is bounded: a listener that is too slow lags. It is a [`Stream`] too.
#[derive(Debug)]
pub struct Events(Streamed<EventReceiver>);

impl Events {
    pub(crate) fn new(receiver: EventReceiver) -> Self {
        Self(Streamed::new(receiver))
    }

    /// The next event; `None` when the client is gone. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Lagged`] once, when events were lost; the next call goes on.
    pub async fn next(&mut self) -> Option<Result<Event, Lagged>> {
        self.0.next().await
    }
}

impl Stream for Events {
    type Item = Result<Event, Lagged>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().0.poll_next(cx)
    }
}

/// A listener's end of the channel.
#[derive(Debug)]
pub(crate) struct EventReceiver(broadcast::Receiver<Notification>);

impl EventReceiver {
    /// Listens anew, from now on.
    pub(crate) fn restart(&mut self) {
        self.0 = self.0.resubscribe();
    }

    /// An event that waits already; `None` when there is none.
    pub(crate) fn try_next(&mut self) -> Option<Result<Event, Lagged>> {
        match self.0.try_recv() {
            Ok(told) => Some(told.into_event()),
            Err(broadcast::error::TryRecvError::Lagged(lost)) => Some(Err(Lagged(lost))),
            Err(_) => None,
        }
    }

    /// The next event; `None` when the client is gone. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Lagged`] once, when events were lost; the next call goes on.
    pub(crate) async fn next(&mut self) -> Option<Result<Event, Lagged>> {
        match self.0.recv().await {
            Ok(told) => Some(told.into_event()),
            Err(broadcast::error::RecvError::Lagged(lost)) => Some(Err(Lagged(lost))),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Source for EventReceiver {
    type Item = Result<Event, Lagged>;

    async fn next(&mut self) -> Option<Self::Item> {
        Self::next(self).await
    }
}

impl Notification {
    fn into_event(self) -> Result<Event, Lagged> {
        match self {
            Self::Event(event) => Ok(event),
            Self::Elsewhere => Err(Lagged(0)),
        }
    }
}
