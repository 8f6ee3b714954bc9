//! Pulling what changes: in batches, by one consumer, and nothing is lost when it stops waiting.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, watch};

use crate::{CancelToken, Result, SealpostError, runtime};

/// Most updates in one batch: a few milliseconds of work for the foreign side.
const BATCH: usize = 100;
/// The number of no call.
const NOBODY: u64 = 0;

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
    /// The number of the next call.
    number: AtomicU64,
    /// The number of the call for which the last batch was taken from the view, until its caller has got it.
    on_its_way: Arc<AtomicU64>,
    /// How many wait for a snapshot: whoever waits for a batch lets them go first.
    in_a_hurry: watch::Sender<usize>,
    /// Cancelled when the client was shut down.
    ended: Arc<CancelToken>,
}

impl<V: View> Pull<V> {
    pub(crate) fn new(view: V, ended: Arc<CancelToken>) -> Self {
        Self {
            view: Arc::new(Mutex::new(view)),
            number: AtomicU64::new(1),
            on_its_way: Arc::new(AtomicU64::new(NOBODY)),
            in_a_hurry: watch::Sender::new(0),
            ended,
        }
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
        let number = self.number.fetch_add(1, Ordering::SeqCst);
        let next = runtime::run_while_wanted(cancel, async move {
            let mut count = in_a_hurry.subscribe();
            loop {
                // Its sender is here: it does not fail.
                let _ = count.wait_for(|count| *count == 0).await;
                let mut view = view.lock().await;
                if on_its_way.load(Ordering::SeqCst) != NOBODY {
                    // Whoever waited for it went away: a fresh look makes good for it.
                    view.refresh();
                }
                tokio::select! {
                    biased;
                    batch = view.next_batch(BATCH) => {
                        on_its_way.store(number, Ordering::SeqCst);
                        return batch.transpose();
                    }
                    _ = count.wait_for(|count| *count > 0) => {}
                }
            }
        });
        let batch = next.await;
        if batch != Err(SealpostError::Cancelled) {
            // What was taken for another call since then is still on its way.
            let _ = self.on_its_way.compare_exchange(number, NOBODY, Ordering::SeqCst, Ordering::SeqCst);
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

    #[tokio::test]
    async fn who_gets_a_batch_says_nothing_about_that_of_another() {
        let (given, mut was_given) = mpsc::unbounded_channel();
        let go_on = Arc::new(Notify::new());
        let pull = Pull::new(Numbers { last: 0, go_on: Arc::clone(&go_on), given }, Arc::default());
        let mut first = std::pin::pin!(pull.next(None));
        assert!(timeout(Duration::ZERO, &mut first).await.is_err());
        go_on.notify_one();
        assert_eq!(was_given.recv().await, Some(1));
        {
            let mut second = std::pin::pin!(pull.next(None));
            assert!(timeout(Duration::ZERO, &mut second).await.is_err());
            go_on.notify_one();
            assert_eq!(was_given.recv().await, Some(102));
            // The second batch was taken, and waits for its caller, when the first one arrives.
            drop(pull.view.lock().await);
            assert_eq!(first.await, Ok(Some(vec![1])));
        }
        go_on.notify_one();
        assert_eq!(pull.next(None).await, Ok(Some(vec![203])));
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
