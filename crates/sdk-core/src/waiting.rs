//! Why a message of ours waits.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::id::ThreadId;

/// What a message waits for that is [`Queued`](crate::Delivery::Queued).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Why it has not been sent.
    pub reason: WaitReason,
    /// How many attempts to send it have failed so far.
    pub attempts: u32,
    /// When the next attempt is made, in milliseconds since the Unix epoch, by the clock of this device. None: as soon as what it waits
    /// for is over.
    pub next_ms: Option<u64>,
}

/// Why a message has not been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitReason {
    /// There is no connection to the relay.
    NotConnected,
    /// It is being sent.
    Sending,
    /// Another one before it in the thread waits: messages are sent in their order.
    Behind,
    /// The relay has too much to do, or takes no more from us, or for the recipient, for now.
    RelayBusy,
    /// The recipient has not accepted the thread, and the relay holds back all but the first messages until then.
    NotAccepted,
    /// The clock of this device, or of the relay, is wrong.
    Clock,
    /// The last attempt was not answered: whether the message has arrived is unknown.
    NoAnswer,
    /// The recipient's keys could not be fetched.
    NoKeys,
}

/// Why the oldest message of each thread waits, as far as it was tried since the client started.
#[derive(Debug, Default)]
pub(crate) struct Waits(Mutex<HashMap<ThreadId, WaitReason>>);

impl Waits {
    pub(crate) fn set(&self, thread: ThreadId, reason: WaitReason) {
        self.lock().insert(thread, reason);
    }

    pub(crate) fn forget(&self, thread: ThreadId) {
        self.lock().remove(&thread);
    }

    pub(crate) fn of(&self, thread: ThreadId) -> Option<WaitReason> {
        self.lock().get(&thread).copied()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ThreadId, WaitReason>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
