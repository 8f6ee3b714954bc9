//! Events: what has changed, reported once it is durable.
//!
//! Events are hints; the database is authoritative. A listener that is too slow loses some events, which is reported
//! ([`Lagged`]); what the lost events were about is in the database.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::sync::{Notify, broadcast, watch};

use crate::health::{FailedPart, Part};
use crate::id::{DeviceId, MessageId, ThreadId, UserId};
use crate::message::{FailReason, Message, Position, Report};
use crate::stream::{Source, Streamed};

/// The number of events that are kept for a slow listener before it loses some.
const CAPACITY: usize = 1024;

/// Something has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A thread was added to this device.
    ThreadAdded(ThreadId),
    /// The list, the place in the list, or the settings of a thread have changed: whether it is pinned, muted, marked as unread or
    /// accepted, its draft, or whether somebody in it is blocked.
    ThreadChanged(ThreadId),
    /// The person has reported a user ([`Contact::report`](crate::Contact::report)).
    Reported(Box<Report>),
    /// A message was added, incoming or outgoing, or was restored after it was deleted on this device.
    MessageAdded(Message),
    /// The state, the position or the contents of a message have changed: it was, for example, edited, deleted for everyone, or
    /// reacted to.
    MessageChanged {
        /// The message in its present state and position.
        message: Message,
        /// Its previous position.
        was: Position,
    },
    /// A message was removed: its sending was cancelled, or it was deleted on this device.
    MessageRemoved {
        /// The thread it was in.
        thread: ThreadId,
        /// Its id.
        id: MessageId,
        /// Its previous position.
        position: Position,
    },
    /// This user, or we ourselves, have another profile ([`Contact::profile`](crate::Contact::profile),
    /// [`Client::profile`](crate::Client::profile)).
    ProfileChanged(UserId),
    /// Messages of this thread were pinned or unpinned. [`Thread::pinned`](crate::Thread::pinned) returns those that are pinned.
    PinsChanged(ThreadId),
    /// A change of a message was refused for good, and nobody else will see it. It was taken back on this device: the reaction, text,
    /// vote or pin from before is shown again, and a message that was to be deleted for everyone has returned.
    ChangeFailed {
        /// The thread.
        thread: ThreadId,
        /// The message that it was about; `None` if that is not here any more.
        message: Option<MessageId>,
        /// What it was.
        change: ChangeKind,
        /// Why it was refused.
        reason: FailReason,
    },
    /// Old messages of all threads are being deleted on this device ([`Client::delete_older`](crate::Client::delete_older)). It is done when
    /// no thread is left. After a restart, it is continued, and counted from there.
    CleaningUp {
        /// The number of messages that were deleted so far.
        deleted: u64,
        /// The number of threads in which messages are still to be examined.
        threads_left: u64,
    },
    /// Somebody began or stopped writing in a thread. They are shown as writing for five seconds, or until their message arrives.
    /// [`Thread::typing`](crate::Thread::typing) returns everybody who is.
    TypingChanged {
        /// The thread.
        thread: ThreadId,
        /// Who.
        user: UserId,
        /// Whether they are writing now.
        is_typing: bool,
    },
    /// A contact who shares it said that they are there, or have gone, or said nothing for 60 seconds. See
    /// [`Contact::presence`](crate::Contact::presence).
    PresenceChanged {
        /// Who.
        user: UserId,
        /// Whether they are there now.
        is_present: bool,
    },
    /// The safety number with this user has changed: they have registered anew, and their account has another key, or, if it signs no list of its devices, one of
    /// them has another key or was added. Sends to a verified contact stop until the person accepts the change.
    IdentityChanged(UserId),
    /// The account of this user was moved to another of its devices, which has an account key of its own; the key before has signed that. The
    /// safety number has changed. Sends to a verified contact stop until the person accepts the change. If the user is we ourselves, the
    /// account is held by another of our devices now.
    AccountMoved(UserId),
    /// The account of this user has signed a list with other devices: one was added or removed. The safety number is the same.
    DevicesChanged(UserId),
    /// A list of this user's devices was refused: their account has not signed it, or has signed another one with the same version, or
    /// has another key since; or somebody has another one with the same version. The relay, or somebody with a key of theirs, is not
    /// honest. Nothing is sealed for its devices. If the user is we ourselves, other people were shown another list of our devices with the
    /// same version, and the next version is signed.
    DeviceListRefused(UserId),
    /// Somebody has named a later list of this user's devices, and the relay has not shown it for some minutes: it hides a device that was
    /// added, or, worse, that one was removed. It is asked again, and the list is used once it shows it. If the user is we ourselves, a contact
    /// may have named a list that does not exist. What is known remains in use.
    DeviceListHidden(UserId),
    /// A device was linked to our account. If the person did not do it, remove it ([`Client::remove_device`](crate::Client::remove_device)).
    DeviceLinked {
        /// Its number.
        device: DeviceId,
        /// Its name, on the devices that know it.
        name: Option<String>,
    },
    /// A device of our account has another name ([`Client::rename_device`](crate::Client::rename_device)).
    DeviceRenamed {
        /// Its number.
        device: DeviceId,
        /// Its name.
        name: String,
    },
    /// A device of our account was removed, has left, or was not connected for 45 days.
    DeviceUnlinked(DeviceId),
    /// More of what a new companion gets from the primary device has come to it: contacts, settings, threads and messages. Reported on
    /// both devices.
    LinkProgress(LinkProgress),
    /// This user, or a device of ours, has sent messages from before, although this device has not asked them for any; or part of what the
    /// primary device has sent cannot be true. It was refused.
    BootstrapRefused(UserId),
    /// Messages of this thread are missing, because the relay no longer has them, or because this database is damaged and could
    /// neither store nor keep them ([`StorageDamaged`](crate::Undecryptable::StorageDamaged)).
    MessagesMissing {
        /// The thread. If the database is damaged, it may not be on this device.
        thread: ThreadId,
        /// The first missing sequence number.
        first: u64,
        /// The last missing sequence number.
        last: u64,
    },
    /// The order of this thread, or the numbers of somebody's messages in it, contradict what their authors have stated: the relay or
    /// an author is not honest, or a database was restored from a copy and nobody could notice. Messages are shown in an order
    /// that does not contradict their authors.
    OrderContradicted(ThreadId),
    /// A member of this group has signed a change that they may not make, or the relay has made one up. It has no effect.
    EntryRefused {
        /// The group.
        thread: ThreadId,
        /// Who is named as its author.
        user: UserId,
    },
    /// A change of this group that was made on this device has no effect: somebody has changed the group before, and it is not allowed any more or was
    /// overtaken twice.
    GroupChangeFailed(ThreadId),
    /// The relay has shown two rosters of this group, to this device or to another member: the relay is not honest. What was shown first remains, and
    /// nothing is sent in the group.
    RosterContradicted(ThreadId),
    /// The relay was restored from a backup. Messages of ours that it may have lost are submitted again. Messages of
    /// others that it has lost are submitted again by their clients, or reported as
    /// [`MessagesMissing`](Self::MessagesMissing).
    RelayRestored,
    /// This database was restored from a backup, or is a copy: the relay has seen a later state of it. Messages that
    /// were received in that later state are missing. New sessions are created automatically.
    DatabaseRestored,
    /// The relay reports a time that cannot be correct, and which is therefore ignored.
    RelayClockWrong {
        /// The time, in milliseconds since the Unix epoch.
        relay_ms: u64,
    },
    /// The state of the connection has changed.
    Connection(ConnectionState),
    /// A part of the client cannot do its work, or cannot do it for a new reason. It is retried automatically.
    PartFailed(FailedPart),
    /// A part of the client that could not do its work does it again.
    PartRecovered(Part),
}

/// How much of what a new companion gets has come to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkProgress {
    /// The companion.
    pub device: DeviceId,
    /// How many messages have come. Contacts, settings and threads come before them.
    pub sent: u64,
    /// How many there are.
    pub total: u64,
    /// Whether everything has come.
    pub is_done: bool,
}

/// A change of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangeKind {
    /// [`Thread::react`](crate::Thread::react) or [`Thread::remove_reaction`](crate::Thread::remove_reaction).
    Reaction,
    /// [`Thread::edit`](crate::Thread::edit).
    Edit,
    /// [`Thread::delete_for_everyone`](crate::Thread::delete_for_everyone).
    Deletion,
    /// [`Thread::vote`](crate::Thread::vote).
    Vote,
    /// [`Thread::pin`](crate::Thread::pin) or [`Thread::unpin`](crate::Thread::unpin).
    Pin,
}

/// The connection to the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// There is no connection. The client keeps trying to connect.
    Offline,
    /// Connecting.
    Connecting,
    /// Connected. Messages that arrived in the meantime are being received.
    CatchingUp,
    /// Connected, and nothing is waiting.
    Live,
    /// The relay does not accept this device, nor its login key. The client asks again when the app calls
    /// [`Client::reconnect`](crate::Client::reconnect), and every one to two hours. The database can still be read.
    /// Calls that need the relay give the reason: [`Unauthorized`](crate::Error::Unauthorized) or
    /// [`UnknownDevice`](crate::Error::UnknownDevice).
    SignedOut,
    /// [`Client::suspend`](crate::Client::suspend) was called.
    Suspended,
}

/// The listener was too slow, and this many events were lost. The number is 0 if changes were not reported one by one: those of
/// another process, or thousands of messages that were marked as read at once. All changes are in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} events were lost")]
pub struct Lagged(pub u64);

/// What a listener receives. The channel has room for [`CAPACITY`] of them from the start, so an event is kept elsewhere.
#[derive(Debug, Clone)]
enum Notification {
    Event(Arc<Event>),
    /// More has changed than is reported, for example because another process has written.
    LookAgain,
}

/// Carries events from commits to listeners.
#[derive(Debug, Clone)]
pub(crate) struct EventBus(Arc<Bus>);

#[derive(Debug)]
struct Bus {
    notifications: broadcast::Sender<Notification>,
    elsewhere: watch::Sender<()>,
    /// See [`EventBus::newest`].
    newest: AtomicI64,
    /// See [`EventBus::writes_elsewhere`].
    writes_elsewhere: AtomicU64,
    /// See [`EventBus::state_noted`].
    state_noted: Notify,
    /// See [`EventBus::unlinked`].
    unlinked: Notify,
}

impl EventBus {
    pub(crate) fn new() -> Self {
        let (notifications, elsewhere) = (broadcast::Sender::new(CAPACITY), watch::Sender::new(()));
        let (newest, writes_elsewhere) = (AtomicI64::default(), AtomicU64::default());
        let (state_noted, unlinked) = (Notify::new(), Notify::new());
        Self(Arc::new(Bus { notifications, elsewhere, newest, writes_elsewhere, state_noted, unlinked }))
    }

    /// Reports that our other devices are to be told something.
    pub(crate) fn note_state(&self) {
        self.0.state_noted.notify_one();
    }

    /// Waits until our other devices are to be told something. One task waits for it.
    pub(crate) async fn state_noted(&self) {
        self.0.state_noted.notified().await;
    }

    /// Reports that this device was removed from our account.
    pub(crate) fn note_unlinked(&self) {
        self.0.unlinked.notify_one();
    }

    /// Waits until this device was removed from our account. The connection waits for it.
    pub(crate) async fn unlinked(&self) {
        self.0.unlinked.notified().await;
    }

    /// Reports the event to all listeners, if there are any.
    pub(crate) fn publish(&self, event: Event) {
        if let Event::MessageAdded(message) = &event {
            self.begin_after(message.id);
        }
        let _ = self.0.notifications.send(Notification::Event(Arc::new(event)));
    }

    /// Reports that another process has written messages up to this one, so that listeners read the database again.
    pub(crate) fn publish_elsewhere(&self, newest: MessageId) {
        self.begin_after(newest);
        self.0.writes_elsewhere.fetch_add(1, Ordering::SeqCst);
        let _ = self.0.notifications.send(Notification::LookAgain);
        self.0.elsewhere.send_replace(());
    }

    /// How often it was noticed that another process has written.
    pub(crate) fn writes_elsewhere(&self) -> u64 {
        self.0.writes_elsewhere.load(Ordering::SeqCst)
    }

    /// Reports that more has changed than is reported one by one, so that listeners read the database again.
    pub(crate) fn publish_look_again(&self) {
        let _ = self.0.notifications.send(Notification::LookAgain);
    }

    /// Records that this message exists, so that listeners that subscribe from now on do not receive it as new.
    pub(crate) fn begin_after(&self, newest: MessageId) {
        self.0.newest.fetch_max(newest.0, Ordering::SeqCst);
    }

    /// The newest message, in any thread, that a listener which subscribes now does not receive as new. Later messages
    /// have higher ids.
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

/// The events, for one listener. Memory use is bounded: a listener that is too slow loses events ([`Lagged`]). It is
/// also a [`Stream`].
#[derive(Debug)]
pub struct Events(Streamed<EventReceiver>);

impl Events {
    pub(crate) fn new(receiver: EventReceiver) -> Self {
        Self(Streamed::new(receiver))
    }

    /// The next event; `None` if the client is gone. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Lagged`] once if events were lost; the next call continues.
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
    /// Discards what is queued, and listens from now on.
    pub(crate) fn restart(&mut self) {
        self.0 = self.0.resubscribe();
    }

    /// An event that is already queued; `None` if there is none.
    pub(crate) fn try_next(&mut self) -> Option<Result<Event, Lagged>> {
        match self.0.try_recv() {
            Ok(told) => Some(told.into_event()),
            Err(broadcast::error::TryRecvError::Lagged(lost)) => Some(Err(Lagged(lost))),
            Err(_) => None,
        }
    }

    /// The next event; `None` if the client is gone. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Lagged`] once if events were lost; the next call continues.
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
            Self::Event(event) => Ok(Arc::unwrap_or_clone(event)),
            Self::LookAgain => Err(Lagged(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_for_events_takes_little_memory_before_any_is_there() {
        let room = size_of::<Option<Notification>>().saturating_mul(CAPACITY);
        assert!(room <= 16 << 10, "{room} bytes");
    }
}
