//! Implements `Stream` for the live views, so that any executor and any combinator can use them.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, MutexGuard};

/// A source of items. Dropping the future loses nothing.
pub(crate) trait Source: Send + 'static {
    type Item: Send + 'static;

    /// `None` at the end.
    fn next(&mut self) -> impl Future<Output = Option<Self::Item>> + Send;
}

/// A source that can be used both as a stream and with `next`.
pub(crate) struct Streamed<S: Source> {
    /// Shared with `waiting` only.
    source: Arc<Mutex<S>>,
    waiting: Option<BoxFuture<'static, Option<S::Item>>>,
}

impl<S: Source> Streamed<S> {
    pub(crate) fn new(source: S) -> Self {
        Self { source: Arc::new(Mutex::new(source)), waiting: None }
    }

    /// The next item; `None` at the end. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Option<S::Item> {
        self.source().await.next().await
    }

    /// Like [`next`](Self::next), for a stream.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let source = &self.source;
        let waiting = self.waiting.get_or_insert_with(|| {
            let source = Arc::clone(source);
            async move { source.lock().await.next().await }.boxed()
        });
        let item = ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        Poll::Ready(item)
    }

    /// The source itself. A pending wait of the stream is restarted.
    pub(crate) async fn source(&mut self) -> MutexGuard<'_, S> {
        self.waiting = None;
        self.source.lock().await
    }

    /// Like [`source`](Self::source), without waiting.
    pub(crate) fn with(&mut self, act: impl FnOnce(&mut S)) {
        self.waiting = None;
        // Nothing else can hold the lock now.
        if let Ok(mut source) = self.source.try_lock() {
            act(&mut source);
        }
    }
}

impl<S: Source> fmt::Debug for Streamed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Streamed")
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::sync::mpsc;

    use super::*;

    impl Source for mpsc::Receiver<u8> {
        type Item = u8;

        async fn next(&mut self) -> Option<u8> {
            self.recv().await
        }
    }

    #[tokio::test]
    async fn no_item_is_lost_when_both_ways_of_waiting_are_used() {
        let (send, receive) = mpsc::channel(8);
        let mut streamed = Streamed::new(receive);
        let polled = async |streamed: &mut Streamed<_>| poll_fn(|cx| streamed.poll_next(cx)).await;
        for round in 0..4 {
            assert!(poll_fn(|cx| Poll::Ready(streamed.poll_next(cx))).await.is_pending());
            send.send(round).await.unwrap();
            if round % 2 == 0 {
                assert_eq!(streamed.next().await, Some(round));
            } else {
                assert_eq!(polled(&mut streamed).await, Some(round));
            }
        }
        assert!(poll_fn(|cx| Poll::Ready(streamed.poll_next(cx))).await.is_pending());
        streamed.with(|receive| receive.close());
        assert_eq!(polled(&mut streamed).await, None);
    }

    #[tokio::test]
    async fn waiting_tasks_are_woken() {
        let (send, receive) = mpsc::channel(1);
        let mut streamed = Streamed::new(receive);
        let waiting = tokio::spawn(async move { poll_fn(|cx| streamed.poll_next(cx)).await });
        tokio::task::yield_now().await;
        send.send(7).await.unwrap();
        assert_eq!(waiting.await.unwrap(), Some(7));
    }
}
