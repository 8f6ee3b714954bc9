//! Requests of snapshots and confirmations take priority over those of batches.

use tokio::sync::watch;

/// The number of waiting snapshot requests.
#[derive(Clone)]
pub(super) struct SnapshotRequests(watch::Sender<usize>);

impl SnapshotRequests {
    pub(super) fn none() -> Self {
        Self(watch::Sender::new(0))
    }

    /// Adds a request until the value is dropped.
    pub(super) fn request(&self) -> SnapshotRequest {
        self.0.send_modify(|count| *count = count.saturating_add(1));
        SnapshotRequest(self.0.clone())
    }

    /// Resolves when there are no requests.
    pub(super) async fn wait_until_none(&self) {
        // The sender is a field of `self`, so this cannot fail.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Resolves when there is a request.
    pub(super) async fn wait_for_any(&self) {
        let _ = self.0.subscribe().wait_for(|count| *count > 0).await;
    }
}

/// A waiting snapshot request.
pub(super) struct SnapshotRequest(watch::Sender<usize>);

impl Drop for SnapshotRequest {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}
