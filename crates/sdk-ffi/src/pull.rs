//! Pulling what changes: in batches, by one consumer, and nothing is lost when it stops waiting.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Mutex, watch};

use crate::{CancelToken, Result, SealpostError, runtime};

/// Most updates in one batch: a few milliseconds of work for the foreign side.
const BATCH: usize = 100;

/// What can be pulled.
pub(crate) trait View: Send + 'static {
    type Update: PartialEq + Send + 'static;

    /// At least one update; `None` when the client is gone. Dropping the future loses nothing.
    fn next_batch(&mut self, max: usize) -> impl Future<Output = Option<Result<Vec<Self::Update>>>> + Send;
    /// The last batch went to nobody: the next one makes good for it.
    fn refresh(&mut self);
}

/// A view that can be looked at, too.
pub(crate) trait Snapshot: View {
    type Snapshot: Send + 'static;

    /// Everything, at once.
    fn snapshot(&mut self) -> impl Future<Output = Result<Self::Snapshot>> + Send;
}

/// A view between two threads.
pub(crate) struct Pull<V> {
    view: Arc<Mutex<V>>,
    /// A batch was taken from the view, and its caller has not got it yet.
    on_its_way: Arc<AtomicBool>,
    /// How many wait for a snapshot: whoever waits for a batch lets them go first.
    in_a_hurry: watch::Sender<usize>,
    /// Cancelled when the client was shut down.
    ended: Arc<CancelToken>,
}

impl<V: View> Pull<V> {
    pub(crate) fn new(view: V, ended: Arc<CancelToken>) -> Self {
        let in_a_hurry = watch::Sender::new(0);
        Self { view: Arc::new(Mutex::new(view)), on_its_way: Arc::default(), in_a_hurry, ended }
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
        let in_a_hurry = self.in_a_hurry.clone();
        let next = runtime::run_while_wanted(cancel, async move {
            let mut count = in_a_hurry.subscribe();
            loop {
                // Its sender is here: it does not fail.
                let _ = count.wait_for(|count| *count == 0).await;
                let mut view = view.lock().await;
                if on_its_way.load(Ordering::SeqCst) {
                    // Whoever waited for it went away: a fresh look makes good for it.
                    view.refresh();
                }
                tokio::select! {
                    biased;
                    batch = view.next_batch(BATCH) => {
                        on_its_way.store(true, Ordering::SeqCst);
                        return batch.transpose();
                    }
                    _ = count.wait_for(|count| *count > 0) => {}
                }
            }
        });
        let batch = next.await;
        if batch != Err(SealpostError::Cancelled) {
            self.on_its_way.store(false, Ordering::SeqCst);
        }
        batch
    }
}

impl<V: Snapshot> Pull<V> {
    /// Answers at once, also when somebody waits for a batch, which then goes on after the snapshot.
    pub(crate) async fn snapshot(&self) -> Result<V::Snapshot> {
        let view = Arc::clone(&self.view);
        let hurry = Hurry::new(&self.in_a_hurry);
        runtime::run(async move {
            let snapshot = view.lock().await.snapshot().await;
            drop(hurry);
            snapshot
        })
        .await
    }
}

/// Somebody who waits for a snapshot.
struct Hurry(watch::Sender<usize>);

impl Hurry {
    fn new(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count = count.saturating_add(1));
        Self(count.clone())
    }
}

impl Drop for Hurry {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
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

        async fn next_batch(&mut self, _: usize) -> Option<Result<Vec<u32>>> {
            self.go_on.notified().await;
            self.last = self.last.saturating_add(1);
            self.given.send(self.last).unwrap();
            Some(Ok(vec![self.last]))
        }

        fn refresh(&mut self) {
            self.last = self.last.saturating_add(100);
        }
    }

    impl Snapshot for Numbers {
        type Snapshot = u32;

        async fn snapshot(&mut self) -> Result<u32> {
            Ok(self.last)
        }
    }

    #[tokio::test]
    async fn what_was_on_its_way_to_nobody_is_made_good_for() {
        let (given, mut was_given) = mpsc::unbounded_channel();
        let go_on = Arc::new(Notify::new());
        let pull = Pull::new(Numbers { last: 0, go_on: Arc::clone(&go_on), given }, Arc::default());
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

        async fn next_batch(&mut self, _: usize) -> Option<Result<Vec<()>>> {
            std::future::pending().await
        }

        fn refresh(&mut self) {}
    }

    #[tokio::test]
    async fn a_view_ends_when_its_client_is_shut_down() {
        let ended = Arc::<CancelToken>::default();
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

    #[tokio::test]
    async fn a_snapshot_does_not_wait_for_a_batch() {
        let (given, _was_given) = mpsc::unbounded_channel();
        let go_on = Arc::new(Notify::new());
        let numbers = Numbers { last: 0, go_on: Arc::clone(&go_on), given };
        let pull = Arc::new(Pull::new(numbers, Arc::default()));
        let mut next = std::pin::pin!(pull.next(None));
        for _ in 0..100 {
            assert!(timeout(Duration::ZERO, &mut next).await.is_err());
            assert_eq!(pull.snapshot().await, Ok(0));
        }
        go_on.notify_one();
        assert_eq!(next.await, Ok(Some(vec![1])), "the batch comes after the snapshots");
        assert_eq!(pull.snapshot().await, Ok(1));
    }
}
