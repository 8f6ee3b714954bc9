//! Tracks whether the last batch has reached its caller.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number that no call has.
const NOBODY: u64 = 0;

/// The calls for a batch, each with its own number.
pub(super) struct Calls {
    next: AtomicU64,
    /// The call for which the last batch was taken from the view, until that call has received it.
    on_its_way: Arc<AtomicU64>,
}

/// A call for a batch.
#[derive(Clone)]
pub(super) struct Call {
    number: u64,
    on_its_way: Arc<AtomicU64>,
}

impl Calls {
    pub(super) fn none() -> Self {
        Self { next: AtomicU64::new(1), on_its_way: Arc::new(AtomicU64::new(NOBODY)) }
    }

    pub(super) fn begin(&self) -> Call {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        Call { number, on_its_way: Arc::clone(&self.on_its_way) }
    }
}

impl Call {
    /// Whether the last batch was taken and has not reached its caller, and perhaps never will.
    pub(super) fn follows_a_lost_one(&self) -> bool {
        self.on_its_way.load(Ordering::SeqCst) != NOBODY
    }

    /// A batch was taken from the view for this call.
    pub(super) fn taken(&self) {
        self.on_its_way.store(self.number, Ordering::SeqCst);
    }

    /// The caller has received its batch. A batch that was taken for another call since then is still in transit.
    pub(super) fn arrived(&self) {
        let _ = self.on_its_way.compare_exchange(self.number, NOBODY, Ordering::SeqCst, Ordering::SeqCst);
    }
}
