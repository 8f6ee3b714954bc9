//! Passes messages to the dispatcher that were sealed in the transaction that queued them. They are also in the outbox, but the
//! dispatcher submits them without reading it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;

use crate::id::{ClientMsgId, ThreadId};
use crate::store::{Durable, OutgoingId, Parcel};
use crate::transport::Socket;

/// The only entry of a lane, which was sealed for this connection.
pub(crate) struct HandedOver {
    pub(crate) entry: OutgoingId,
    /// Whether its answer is to be stored soon, because something may wait for it.
    pub(crate) is_awaited: bool,
    pub(crate) parcel: Durable<Parcel>,
    connection: Weak<Socket>,
}

impl HandedOver {
    pub(crate) fn new(entry: OutgoingId, parcel: Durable<Parcel>, connection: &Arc<Socket>) -> Self {
        Self { entry, is_awaited: true, parcel, connection: Arc::downgrade(connection) }
    }

    /// One whose connection has ended.
    #[cfg(test)]
    pub(crate) const fn unconnected(entry: OutgoingId, parcel: Durable<Parcel>) -> Self {
        Self { entry, is_awaited: true, parcel, connection: Weak::new() }
    }

    /// The id under which it is submitted.
    pub(crate) fn name(&self) -> ClientMsgId {
        self.parcel.get().client_msg_id
    }

    /// Whether this is still the current connection. Otherwise, the entry may have been sealed again.
    pub(crate) fn is_for(&self, connection: &Arc<Socket>) -> bool {
        self.connection.upgrade().is_some_and(|ours| Arc::ptr_eq(&ours, connection))
    }
}

/// Contains at most one entry of each lane.
#[derive(Default)]
pub(crate) struct Handover {
    entries: Mutex<HashMap<ThreadId, HandedOver>>,
    filled: Notify,
    /// The number of dispatchers that run.
    served: AtomicUsize,
}

/// Says that a dispatcher runs, until it is dropped.
pub(crate) struct Serving<'h>(&'h Handover);

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.0.served.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Handover {
    /// Says that a dispatcher runs.
    pub(crate) fn serve(&self) -> Serving<'_> {
        self.served.fetch_add(1, Ordering::Relaxed);
        Serving(self)
    }

    /// Whether a dispatcher runs. In a process that only fetches messages, none does.
    pub(crate) fn is_served(&self) -> bool {
        self.served.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn put(&self, lane: ThreadId, entry: HandedOver) {
        self.lock().insert(lane, entry);
        self.filled.notify_one();
    }

    /// Takes the entries of up to `limit` lanes for which `is_wanted` holds. The others stay here.
    pub(crate) fn take(
        &self,
        limit: usize,
        is_wanted: impl Fn(&ThreadId) -> bool,
    ) -> Vec<(ThreadId, HandedOver)> {
        self.lock().extract_if(|lane, _| is_wanted(lane)).take(limit).collect()
    }

    /// Waits until something was put here since the last call.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ThreadId, HandedOver>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
