//! Pulling changes in batches, by one consumer, without losing any when it stops waiting.

mod call;
mod priority;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::{CancelToken, Result, SealpostError, runtime};
use call::Calls;
use priority::SnapshotRequests;

/// Maximum number of updates in a batch: a few milliseconds of work for the foreign language.
const BATCH: usize = 100;

/// A view that can be pulled.
pub(crate) trait View: Send + 'static {
    type Update: PartialEq + Send + 'static;

    /// Waits for at least one update; `None` if the client is gone. Dropping the future loses nothing.
    fn next_batch(&mut self, max: usize) -> impl Future<Output = Option<Result<Vec<Self::Update>>>> + Send;
    /// The last batch was lost, so the next one starts with a fresh snapshot.
    fn refresh(&mut self);
}

/// A view that also has snapshots.
pub(crate) trait Snapshot: View {
    type Snapshot: Send + 'static;

    /// The current state.
    fn snapshot(&mut self) -> impl Future<Output = Result<Self::Snapshot>> + Send;
}

/// A view whose batches are due until they are confirmed.
pub(crate) trait Confirm: View {
    /// The last batch was handled.
    fn confirm(&mut self) -> impl Future<Output = Result<()>> + Send;
}

/// A view that is shared between threads.
pub(crate) struct Pull<V> {
    view: Arc<Mutex<V>>,
    calls: Calls,
    /// Snapshots and confirmations take priority over batches.
    snapshots: SnapshotRequests,
    /// Cancelled when the client is shut down.
    ended: Arc<CancelToken>,
}

impl<V: View> Pull<V> {
    pub(crate) fn new(view: V, ended: Arc<CancelToken>) -> Self {
        let (calls, snapshots) = (Calls::none(), SnapshotRequests::none());
        Self { view: Arc::new(Mutex::new(view)), calls, snapshots, ended }
    }

    pub(crate) async fn next(&self, cancel: Option<Arc<CancelToken>>) -> Result<Option<Vec<V::Update>>> {
        tokio::select! {
            biased;
            () = self.ended.cancelled() => Ok(None),
            batch = self.next_batch(cancel) => batch,
        }
    }

    async fn next_batch(&self, cancel: Option<Arc<CancelToken>>) -> Result<Option<Vec<V::Update>>> {
        let (view, snapshots) = (Arc::clone(&self.view), self.snapshots.clone());
        let call = self.calls.begin();
        let next = runtime::run_while_wanted(cancel, {
            let call = call.clone();
            async move {
                loop {
                    snapshots.wait_until_none().await;
                    let mut view = view.lock().await;
                    if call.follows_a_lost_one() {
                        // The call that waited for it was abandoned. A fresh snapshot includes what the lost batch
                        // contained.
                        view.refresh();
                    }
                    tokio::select! {
                        biased;
                        batch = view.next_batch(BATCH) => {
                            call.taken();
                            return batch.transpose();
                        }
                        () = snapshots.wait_for_any() => {}
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

impl<V> fmt::Debug for Pull<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pull")
    }
}

impl<V: Snapshot> Pull<V> {
    /// Returns immediately, even if another call is waiting for a batch; that call then continues after the snapshot.
    pub(crate) async fn snapshot(&self) -> Result<V::Snapshot> {
        let view = Arc::clone(&self.view);
        let request = self.snapshots.request();
        runtime::run(async move {
            let snapshot = view.lock().await.snapshot().await;
            drop(request);
            snapshot
        })
        .await
    }
}

impl<V: Confirm> Pull<V> {
    /// Confirms the last batch. If it has not reached its caller, it remains due.
    pub(crate) async fn confirm(&self) -> Result<()> {
        let (view, call) = (Arc::clone(&self.view), self.calls.begin());
        let request = self.snapshots.request();
        runtime::run(async move {
            let mut view = view.lock().await;
            let confirmed = if call.follows_a_lost_one() { Ok(()) } else { view.confirm().await };
            drop(request);
            confirmed
        })
        .await
    }
}
