//! Passes messages to the dispatcher that were sealed in the transaction that queued them. They are also in the outbox, but the
//! dispatcher submits them without reading it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;

use crate::event::EventBus;
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
    as_of: Blocks,
}

/// Changes when somebody may have been blocked, by this process or by another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Blocks {
    here: u64,
    elsewhere: u64,
}

impl HandedOver {
    /// `as_of`: when it was asked whether the recipient is blocked.
    pub(crate) fn new(
        entry: OutgoingId,
        parcel: Durable<Parcel>,
        connection: &Arc<Socket>,
        as_of: Blocks,
    ) -> Self {
        Self { entry, is_awaited: true, parcel, connection: Arc::downgrade(connection), as_of }
    }

    /// One whose connection has ended.
    #[cfg(test)]
    pub(crate) const fn unconnected(entry: OutgoingId, parcel: Durable<Parcel>) -> Self {
        Self {
            entry,
            is_awaited: true,
            parcel,
            connection: Weak::new(),
            as_of: Blocks { here: 0, elsewhere: 0 },
        }
    }

    /// The id under which it is submitted.
    pub(crate) fn name(&self) -> ClientMsgId {
        self.parcel.get().client_msg_id
    }

    /// Whether this is still the current connection. Otherwise, the entry may have been sealed again.
    pub(crate) fn is_for(&self, connection: &Arc<Socket>) -> bool {
        self.connection.upgrade().is_some_and(|ours| Arc::ptr_eq(&ours, connection))
    }

    /// Whether nobody can have been blocked since it was sealed. Otherwise, the database must be asked again.
    pub(crate) fn is_as_of(&self, now: Blocks) -> bool {
        self.as_of == now
    }
}

/// Contains at most one entry of each lane.
#[derive(Default)]
pub(crate) struct Handover {
    entries: Mutex<HashMap<ThreadId, HandedOver>>,
    filled: Notify,
    /// The number of dispatchers that run.
    served: AtomicUsize,
    blocks: AtomicU64,
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

    /// Somebody was blocked in this process.
    pub(crate) fn note_block(&self) {
        self.blocks.fetch_add(1, Ordering::SeqCst);
    }

    /// What changes when somebody may have been blocked.
    pub(crate) fn blocks(&self, events: &EventBus) -> Blocks {
        Blocks { here: self.blocks.load(Ordering::SeqCst), elsewhere: events.writes_elsewhere() }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::MessageId;

    #[test]
    fn what_was_sealed_before_a_block_is_not_as_of_now() {
        let (handover, events) = (Handover::default(), EventBus::new());
        let sealed = || {
            let parcel = Parcel { client_msg_id: ClientMsgId::from_bytes([1; 16]), bytes: "sealed".into() };
            let as_of = handover.blocks(&events);
            HandedOver { as_of, ..HandedOver::unconnected(OutgoingId::numbered(1), Durable::assumed(parcel)) }
        };
        let block_elsewhere = || events.publish_elsewhere(MessageId(1));
        let block_here = || handover.note_block();
        let blocks: [&dyn Fn(); 2] = [&block_here, &block_elsewhere];
        for block in blocks {
            let before = sealed();
            assert!(before.is_as_of(handover.blocks(&events)));
            block();
            assert!(!before.is_as_of(handover.blocks(&events)));
            assert!(sealed().is_as_of(handover.blocks(&events)));
        }
    }
}
