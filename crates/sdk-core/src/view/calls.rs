//! A live view of calls.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context as TaskContext, Poll};

use futures_util::Stream;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::call::CallEvent;
use crate::ephemeral;
use crate::stream::{Source, Streamed};

/// What happens in calls: the offers of those that ring, followed by everything that the other sides say, and the ends of calls
/// ([`CallSignal`](crate::CallSignal)). Nothing of it is in the database. Memory use is bounded: a listener that is more than 512 events behind
/// gets the offers of the calls that still ring again, and loses the rest. It is also a [`Stream`].
#[derive(Debug)]
pub struct Calls(Streamed<Following>);

/// The source of the events.
struct Following {
    /// The client may end while somebody listens.
    calls: Weak<ephemeral::Calls>,
    events: broadcast::Receiver<Arc<CallEvent>>,
    /// What is returned before the next event.
    pending: VecDeque<CallEvent>,
    /// The last batch, until the next one is requested.
    told: Vec<CallEvent>,
}

impl Calls {
    pub(crate) fn new(calls: &Arc<ephemeral::Calls>) -> Self {
        let (ringing, events) = calls.subscribe();
        let calls = Arc::downgrade(calls);
        Self(Streamed::new(Following { calls, events, pending: ringing.into(), told: Vec::new() }))
    }

    /// The next event; `None` if the client is gone. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<CallEvent> {
        self.0.next().await
    }

    /// The next events: waits for at least one, and returns it with those that are queued behind it, at most `max` in all; `None` if
    /// the client is gone. Dropping the future loses nothing.
    pub async fn next_batch(&mut self, max: usize) -> Option<Vec<CallEvent>> {
        let mut source = self.0.source().await;
        source.told.clear();
        let mut batch = vec![source.next().await?];
        while batch.len() < max
            && let Some(event) = source.try_next()
        {
            batch.push(event);
        }
        source.told.clone_from(&batch);
        Some(batch)
    }

    /// Makes the next call return the last batch again, because it did not reach its consumer.
    pub fn repeat(&mut self) {
        self.0.with(|source| {
            for event in source.told.drain(..).rev() {
                source.pending.push_front(event);
            }
        });
    }
}

impl Stream for Calls {
    type Item = CallEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().0.poll_next(cx)
    }
}

impl Source for Following {
    type Item = CallEvent;

    async fn next(&mut self) -> Option<CallEvent> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            match self.events.recv().await {
                Ok(event) => return Some(Arc::unwrap_or_clone(event)),
                Err(RecvError::Closed) => return None,
                Err(RecvError::Lagged(_)) => self.begin_again()?,
            }
        }
    }
}

impl Following {
    /// An event that is already queued.
    fn try_next(&mut self) -> Option<CallEvent> {
        if self.pending.is_empty() {
            match self.events.try_recv() {
                Ok(event) => return Some(Arc::unwrap_or_clone(event)),
                Err(TryRecvError::Lagged(_)) => self.begin_again()?,
                Err(TryRecvError::Empty | TryRecvError::Closed) => {}
            }
        }
        self.pending.pop_front()
    }

    /// Events were lost. `None` if the client is gone.
    fn begin_again(&mut self) -> Option<()> {
        tracing::warn!("signals of calls were lost: their listener is too slow");
        let (ringing, events) = self.calls.upgrade()?.subscribe();
        self.pending = ringing.into();
        self.events = events;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{CallEnd, CallSignal};
    use crate::content::{Call, CallId, CallStep, Contribution};
    use crate::id::{DeviceId, ThreadId, UserId};

    /// A signal of somebody with their call.
    fn arrives(calls: &ephemeral::Calls, n: u8, step: CallStep) {
        let from = (ThreadId::from_bytes([n; 16]), UserId::from_bytes([n; 16]), DeviceId::PRIMARY);
        calls.arrived(from, UserId::from_bytes([99; 16]), Call { id: CallId([n; 16]), step }, (1, 1));
    }

    fn rings(calls: &ephemeral::Calls, n: u8) {
        let ours = Contribution::new([n; 32]);
        arrives(calls, n, CallStep::Offer { description: vec![n], is_video: false, ours });
    }

    fn offer(n: u8) -> (u8, CallSignal) {
        (n, CallSignal::Offer { description: vec![n], is_video: false })
    }

    async fn batch(view: &mut Calls, max: usize) -> Vec<(u8, CallSignal)> {
        let batch = view.next_batch(max).await.unwrap();
        batch.into_iter().map(|event| (event.call.0[0], event.signal)).collect()
    }

    #[tokio::test]
    async fn who_begins_to_listen_while_it_rings_gets_the_offer_and_a_lost_batch_comes_again() {
        let calls = Arc::new(ephemeral::Calls::new());
        rings(&calls, 1);
        rings(&calls, 2);
        arrives(&calls, 1, CallStep::HangUp);
        let mut view = Calls::new(&calls);
        arrives(&calls, 2, CallStep::Candidates(vec![7]));
        arrives(&calls, 2, CallStep::HangUp);
        let all = [offer(2), (2, CallSignal::Candidates(vec![7])), (2, CallSignal::Ended(CallEnd::HungUp))];
        assert_eq!(batch(&mut view, 2).await, all[..2]);
        view.repeat();
        assert_eq!(batch(&mut view, 10).await, all);
        view.repeat();
        assert_eq!(batch(&mut view, 1).await, all[..1]);
        drop(calls);
        assert_eq!(batch(&mut view, 10).await, all[1..]);
        assert_eq!(view.next().await, None);
    }

    #[tokio::test]
    async fn a_slow_listener_gets_the_offers_of_calls_that_ring_again() {
        let calls = Arc::new(ephemeral::Calls::new());
        let mut view = Calls::new(&calls);
        for n in 1..=8 {
            rings(&calls, n);
        }
        assert_eq!(batch(&mut view, 1).await, [offer(1)]);
        for n in 1..=8 {
            for _ in 0..100 {
                arrives(&calls, n, CallStep::Candidates(vec![7]));
            }
        }
        for n in (1..=8).filter(|n| *n != 2) {
            arrives(&calls, n, CallStep::HangUp);
        }
        assert_eq!(batch(&mut view, 5_000).await, [offer(2)]);
        // It is noticed within a batch, too.
        rings(&calls, 9);
        assert_eq!(view.next().await.unwrap().call, CallId([9; 16]));
    }
}
