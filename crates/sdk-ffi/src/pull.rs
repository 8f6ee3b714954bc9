//! Pulling what changes: in batches, by one consumer, and nothing is lost when it stops waiting.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Mutex;

use crate::{CancelToken, Result, SealpostError, runtime};

/// Most updates in one batch: a few milliseconds of work for the foreign side.
const BATCH: usize = 100;

/// What can be pulled: a snapshot, then updates, one of which may be a fresh snapshot.
pub(crate) trait View: Send + 'static {
    type Update: PartialEq + Send + 'static;
    type Snapshot: Send + 'static;

    /// At least one update; `None` when the client is gone. Dropping the future loses nothing.
    fn next_batch(&mut self, max: usize) -> impl Future<Output = Option<Result<Vec<Self::Update>>>> + Send;
    /// The next update will be a snapshot.
    fn refresh(&mut self);
    /// The snapshot, of an update that is one.
    fn snapshot(update: Self::Update) -> Option<Self::Snapshot>;
}

/// A view between two threads.
pub(crate) struct Pull<V> {
    view: Arc<Mutex<V>>,
    /// A batch was taken from the view, and its caller has not got it yet.
    on_its_way: Arc<AtomicBool>,
    /// Cancelled when the client was shut down.
    ended: Arc<CancelToken>,
}

impl<V: View> Pull<V> {
    pub(crate) fn new(view: V, ended: Arc<CancelToken>) -> Self {
        Self { view: Arc::new(Mutex::new(view)), on_its_way: Arc::default(), ended }
    }

    pub(crate) async fn next(&self, cancel: Option<Arc<CancelToken>>) -> Result<Option<Vec<V::Update>>> {
        tokio::select! {
            biased;
            () = self.ended.cancelled() => Ok(None),
            batch = self.next_batch(cancel) => batch,
        }
    }

    async fn next_batch(&self, cancel: Option<Arc<CancelToken>>) -> Result<Option<Vec<V::Update>>> {
        let (view, on_its_way) = (Arc::clone(&self.view), Arc::clone(&self.on_its_way));
        let next = runtime::run_while_wanted(cancel, async move {
            let mut view = view.lock().await;
            if on_its_way.load(Ordering::SeqCst) {
                // Whoever waited for it went away: a fresh look makes good for it.
                view.refresh();
            }
            let batch = view.next_batch(BATCH).await.transpose();
            on_its_way.store(true, Ordering::SeqCst);
            batch
        });
        let batch = next.await;
        if batch != Err(SealpostError::Cancelled) {
            self.on_its_way.store(false, Ordering::SeqCst);
        }
        batch
    }

    pub(crate) async fn snapshot(&self) -> Result<V::Snapshot> {
        let view = Arc::clone(&self.view);
        let snapshot = runtime::run(async move {
            let mut view = view.lock().await;
            view.refresh();
            let first = match view.next_batch(1).await {
                Some(batch) => batch?.pop(),
                None => return Err(SealpostError::misuse("the client is gone")),
            };
            let snapshot = first.and_then(V::snapshot);
            snapshot.ok_or_else(|| SealpostError::bug("a fresh view does not begin with a snapshot"))
        });
        snapshot.await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::{Notify, mpsc};
    use tokio::time::timeout;

    use super::*;

    /// Counts, one number for each time it is let.
    struct Numbers {
        last: u32,
        go_on: Arc<Notify>,
        given: mpsc::UnboundedSender<u32>,
    }

    impl View for Numbers {
        type Update = u32;
        type Snapshot = u32;

        async fn next_batch(&mut self, _: usize) -> Option<Result<Vec<u32>>> {
            self.go_on.notified().await;
            self.last = self.last.saturating_add(1);
            self.given.send(self.last).unwrap();
            Some(Ok(vec![self.last]))
        }

        fn refresh(&mut self) {
            self.last = self.last.saturating_add(100);
        }

        fn snapshot(number: u32) -> Option<u32> {
            Some(number)
        }
    }

    #[tokio::test]
    async fn what_was_on_its_way_to_nobody_is_made_good_for() {
        let (given, mut was_given) = mpsc::unbounded_channel();
        let go_on = Arc::new(Notify::new());
        let pull = Pull::new(Numbers { last: 0, go_on: Arc::clone(&go_on), given }, CancelToken::new());
        go_on.notify_one();
        assert_eq!(pull.next(None).await, Ok(Some(vec![1])));
        assert_eq!(was_given.recv().await, Some(1));

        // Nothing is lost when nothing came yet.
        assert!(timeout(Duration::ZERO, pull.next(None)).await.is_err());
        go_on.notify_one();
        assert_eq!(pull.next(None).await, Ok(Some(vec![2])));
        assert_eq!(was_given.recv().await, Some(2));

        // The answer is there, but nobody asks for it any more.
        {
            let mut next = std::pin::pin!(pull.next(None));
            assert!(timeout(Duration::ZERO, &mut next).await.is_err());
            go_on.notify_one();
            assert_eq!(was_given.recv().await, Some(3));
        }
        go_on.notify_one();
        assert_eq!(pull.next(None).await, Ok(Some(vec![104])));
    }

    /// Nothing ever happens here.
    struct Silent;

    impl View for Silent {
        type Update = ();
        type Snapshot = ();

        async fn next_batch(&mut self, _: usize) -> Option<Result<Vec<()>>> {
            std::future::pending().await
        }

        fn refresh(&mut self) {}

        fn snapshot((): ()) -> Option<()> {
            Some(())
        }
    }

    #[tokio::test]
    async fn a_view_ends_when_its_client_is_shut_down() {
        let ended = CancelToken::new();
        let pull = Arc::new(Pull::new(Silent, Arc::clone(&ended)));
        let waiting = tokio::spawn({
            let pull = Arc::clone(&pull);
            async move { pull.next(None).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        ended.cancel().unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(None));
        assert_eq!(pull.next(None).await, Ok(None));
    }
}
