//! Pulling what changes: in batches, by one consumer, and nothing is lost when it stops waiting.

mod call;
mod hurry;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;

use tokio::sync::Mutex;

pub(crate) use view::{Snapshot, View};

use crate::{CancelToken, Result, SealpostError, runtime};
use call::Calls;
use hurry::InAHurry;

/// Most updates in one batch: a few milliseconds of work for the foreign side.
const BATCH: usize = 100;

/// A view between two threads.
pub(crate) struct Pull<V> {
    view: Arc<Mutex<V>>,
    calls: Calls,
    /// Who waits for a snapshot: whoever waits for a batch lets them go first.
    in_a_hurry: InAHurry,
    /// Cancelled when the client was shut down.
    ended: Arc<CancelToken>,
}

impl<V: View> Pull<V> {
    pub(crate) fn new(view: V, ended: Arc<CancelToken>) -> Self {
        let (calls, in_a_hurry) = (Calls::none(), InAHurry::nobody());
        Self { view: Arc::new(Mutex::new(view)), calls, in_a_hurry, ended }
    }

    pub(crate) async fn next(&self, cancel: Option<Arc<CancelToken>>) -> Result<Option<Vec<V::Update>>> {
        tokio::select! {
            biased;
            () = self.ended.cancelled() => Ok(None),
            batch = self.next_batch(cancel) => batch,
        }
    }

    async fn next_batch(&self, cancel: Option<Arc<CancelToken>>) -> Result<Option<Vec<V::Update>>> {
        let (view, in_a_hurry) = (Arc::clone(&self.view), self.in_a_hurry.clone());
        let call = self.calls.begin();
        let next = runtime::run_while_wanted(cancel, {
            let call = call.clone();
            async move {
                loop {
                    in_a_hurry.none().await;
                    let mut view = view.lock().await;
                    if call.follows_a_lost_one() {
                        // Whoever waited for it went away: a fresh look makes good for it.
                        view.refresh();
                    }
                    tokio::select! {
                        biased;
                        batch = view.next_batch(BATCH) => {
                            call.taken();
                            return batch.transpose();
                        }
                        () = in_a_hurry.any() => {}
                    }
                }
            }
        });
        let batch = next.await;
        if batch != Err(SealpostError::Cancelled) {
            call.arrived();
        }
        batch
    }
}

impl<V: Snapshot> Pull<V> {
    /// Answers at once, also when somebody waits for a batch, which then goes on after the snapshot.
    pub(crate) async fn snapshot(&self) -> Result<V::Snapshot> {
        let view = Arc::clone(&self.view);
        let hurry = self.in_a_hurry.join();
        runtime::run(async move {
            let snapshot = view.lock().await.snapshot().await;
            drop(hurry);
            snapshot
        })
        .await
    }
}
