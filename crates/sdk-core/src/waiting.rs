//! Why a message of ours has not been sent yet.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::id::{MessageId, ThreadId};

/// What a [`Queued`](crate::Delivery::Queued) message is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Why it has not been sent.
    pub reason: WaitReason,
    /// How many attempts to send it have failed so far.
    pub attempts: u32,
    /// When the next attempt is made, in milliseconds since the Unix epoch by this device's clock. `None` if it is
    /// made as soon as the reason no longer applies.
    pub next_ms: Option<u64>,
}

/// The oldest queued message of a thread, and what it is waiting for. The other queued messages of the thread are behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadWaiting {
    /// The oldest queued message.
    pub message: MessageId,
    /// What it is waiting for.
    pub waiting: Waiting,
}

impl ThreadWaiting {
    pub(crate) const fn new(message: MessageId, waiting: Waiting) -> Self {
        Self { message, waiting }
    }

    /// What a queued message of the thread is waiting for.
    pub fn of(&self, message: MessageId) -> Waiting {
        match self.waiting {
            first if message == self.message => first,
            Waiting { reason: WaitReason::NotConnected, next_ms, .. } => {
                Waiting { reason: WaitReason::NotConnected, attempts: 0, next_ms }
            }
            Waiting { next_ms, .. } => Waiting { reason: WaitReason::Behind, attempts: 0, next_ms },
        }
    }
}

/// Why a message has not been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitReason {
    /// There is no connection to the relay.
    NotConnected,
    /// It is being sent now.
    Sending,
    /// An earlier message of the thread is waiting: messages are sent in order.
    Behind,
    /// The relay is overloaded, or is not accepting more messages from us or for the recipient at present.
    RelayBusy,
    /// The recipient has not accepted the thread, and until then the relay accepts only the first few messages.
    NotAccepted,
    /// The clock of this device or of the relay is wrong.
    Clock,
    /// The last attempt received no answer, so it is not known whether the message has arrived.
    NoAnswer,
    /// The recipient's keys could not be fetched, or the relay does not accept what is sealed for the devices that it names.
    NoKeys,
    /// The person has blocked the recipient.
    Blocked,
    /// The list of the recipient's devices that the relay shows was refused, or different ones were shown
    /// ([`DeviceListRefused`](crate::Event::DeviceListRefused)). The message is sent when there is one that the account has signed.
    DeviceListRefused,
    /// The roster of the group is not known yet, two of them were shown ([`RosterContradicted`](crate::Event::RosterContradicted)), or it contains
    /// something that this version does not understand. Nobody knows then who may read, so nothing is sent.
    RosterUnclear,
}

/// Why the oldest message of each thread is waiting, as far as it was tried since the client started.
#[derive(Debug, Default)]
pub(crate) struct WaitReasons {
    known: Mutex<HashMap<ThreadId, WaitReason>>,
    changes: watch::Sender<()>,
}

impl WaitReasons {
    /// An attempt was put off, for the reason that is already known if none is given. The change of the message was
    /// reported when it was written, perhaps before the reason was known here; this is reported too.
    pub(crate) fn put_off(&self, thread: ThreadId, reason: Option<WaitReason>) {
        if let Some(reason) = reason {
            self.lock().insert(thread, reason);
        }
        self.changes.send_replace(());
    }

    pub(crate) fn forget(&self, thread: ThreadId) {
        self.lock().remove(&thread);
    }

    pub(crate) fn of(&self, thread: ThreadId) -> Option<WaitReason> {
        self.lock().get(&thread).copied()
    }

    /// Changes whenever an attempt was put off.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ThreadId, WaitReason>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
