//! Who waits for a snapshot goes before who waits for a batch.

use tokio::sync::watch;

/// How many wait for a snapshot.
#[derive(Clone)]
pub(super) struct InAHurry(watch::Sender<usize>);

impl InAHurry {
    pub(super) fn nobody() -> Self {
        Self(watch::Sender::new(0))
    }

    /// One more, until the value is dropped.
    pub(super) fn join(&self) -> Hurry {
        self.0.send_modify(|count| *count = count.saturating_add(1));
        Hurry(self.0.clone())
    }

    /// Resolves while nobody is.
    pub(super) async fn none(&self) {
        // The sender is here: it does not fail.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Resolves while somebody is.
    pub(super) async fn any(&self) {
        let _ = self.0.subscribe().wait_for(|count| *count > 0).await;
    }
}

/// Somebody who waits for a snapshot.
pub(super) struct Hurry(watch::Sender<usize>);

impl Drop for Hurry {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}
