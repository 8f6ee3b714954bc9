mod confirm;
mod ended;
mod lost;
mod priority;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::{Confirm, Pull, Snapshot, View};
use crate::Result;

/// A view that counts: it returns one number for each permit.
struct Numbers {
    last: u32,
    confirmed: Arc<AtomicU32>,
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

impl Confirm for Numbers {
    async fn confirm(&mut self) -> Result<()> {
        self.confirmed.store(self.last, Ordering::SeqCst);
        Ok(())
    }
}

/// A view of numbers, what permits the next one, and the numbers that were taken.
fn numbers() -> (Pull<Numbers>, Arc<Notify>, mpsc::UnboundedReceiver<u32>) {
    let (given, was_given) = mpsc::unbounded_channel();
    let go_on = Arc::new(Notify::new());
    let numbers = Numbers { last: 0, confirmed: Arc::default(), go_on: Arc::clone(&go_on), given };
    (Pull::new(numbers, Arc::default()), go_on, was_given)
}

/// Waits for something that must happen. Nothing here takes a minute.
async fn soon<T>(waiting: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), waiting).await.expect("it did not arrive in time")
}
