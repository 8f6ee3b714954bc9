//! The single writer: a thread that owns the connection and commits operations in groups.
//!
//! It takes the queued operations, up to 1,024, and runs them in one transaction. One fsync makes all of them
//! durable, and only then are they answered. While it waits for the disk, the next group accumulates, so the groups
//! grow with the load while the latency hardly does. The [`FairQueue`] determines the order: the operations of one
//! payer run in the order of the calls, and those of other payers may overtake them.
//!
//! A refusal is an ordinary result and has written nothing, so an operation fails only when SQLite does. That is
//! rare, and a savepoint for each operation costs a copy of every page that it changes. Therefore there are none
//! until an operation fails; then the group is rolled back, and each of its operations runs once more in a savepoint
//! of its own.
//!
//! Some operations defer the rows that contain counts ([`Deferred`](super::deferred::Deferred)), so that these are
//! written once for the whole group: before an operation that does not defer, and before the commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use sealpost_wire::id::UserId;
use tokio::sync::mpsc;

use super::fair::{FairQueue, Payer, Turn};
use super::history::History;
use super::operation::{Operation, store_error};
use super::room::{Need, Room, Terms};
use super::transaction::Transaction;
use crate::clock::Clock;
use crate::limits::Limiter;
use crate::metrics::Metrics;
use crate::store::StoreError;

/// Maximum number of operations in one commit.
const MAX_GROUP: usize = 1_024;
/// A group that has run for this long is committed.
const MAX_GROUP_TIME: Duration = Duration::from_millis(10);

/// Maximum number of waiting operations. More are refused immediately, because their callers would time out anyway.
pub(super) const MAX_QUEUE: usize = 16_384;

/// The outcome of the last group of operations, as it is reported by `health`.
pub(super) const GOOD: u8 = 0;
pub(super) const FULL: u8 = 1;
pub(super) const FAILING: u8 = 2;

/// The writer thread.
pub(super) struct Committer {
    pub(super) db: Connection,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) limiter: Arc<Limiter>,
    pub(super) room: Room,
    pub(super) history: Option<Arc<History>>,
    pub(super) waiting: mpsc::Receiver<(Payer, Box<dyn Operation>)>,
    pub(super) health: Arc<AtomicU8>,
    pub(super) empty_log_requested: Arc<AtomicBool>,
}

/// Operations by their payers.
type Queue = FairQueue<Box<dyn Operation>>;

impl Committer {
    /// Runs until there are no callers any more and all operations were done.
    pub(super) fn run(mut self) {
        let mut queue = Queue::new();
        loop {
            if queue.len() == 0 {
                let Some((payer, operation)) = self.waiting.blocking_recv() else { return };
                queue_up(&mut queue, payer, operation);
            }
            queue.next_group();
            self.commit(&mut queue);
            if self.empty_log_requested.swap(false, Ordering::Relaxed) {
                self.empty_log();
            }
        }
    }

    fn empty_log(&self) {
        // If a reader blocks it, it does less, and the next checkpoint does the rest.
        let log = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        log.map_err(store_error).ok();
    }

    fn commit(&mut self, queue: &mut Queue) {
        let began = self.clock.monotonic();
        let mut group = Vec::new();
        let terms = self.room.check(&self.db, MAX_GROUP);
        if let Some(refusal) = terms.refusal() {
            // A caller that learns of this and then asks for the health of the store must get the same answer.
            self.note(Some(refusal));
        }
        let outcomes = self.transaction(queue, &mut group, terms, began);
        let outcomes = self.retry_frees(&mut group, outcomes);
        if terms.empty_log {
            self.empty_log();
        }
        self.metrics.store_commit.observe(self.clock.monotonic().saturating_sub(began));
        self.metrics.store_batch.observe(u64::try_from(group.len()).unwrap_or(u64::MAX));
        match outcomes {
            Ok(outcomes) => {
                self.note(outcomes.iter().find_map(|outcome| outcome.err()).or(terms.refusal()));
                let mut answers: Vec<_> = group.into_iter().zip(outcomes).collect();
                // The answers of one payer are given together, so that a connection wakes once and answers in one
                // write.
                answers.sort_by_key(|((payer, _), _)| *payer);
                for ((_, operation), outcome) in answers {
                    operation.answer(outcome);
                }
            }
            Err(error) => {
                self.note(Some(error));
                for (_, operation) in group {
                    operation.answer(Err(error));
                }
            }
        }
    }

    /// An operation that frees space, but found no space to do so, runs once more with the reserved space.
    fn retry_frees(
        &mut self,
        group: &mut [(Payer, Box<dyn Operation>)],
        outcomes: Result<Vec<Result<(), StoreError>>, StoreError>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let mut outcomes = match outcomes {
            Ok(outcomes) if !outcomes.contains(&Err(StoreError::Full)) => return Ok(outcomes),
            Ok(outcomes) => outcomes,
            Err(StoreError::Full) => vec![Err(StoreError::Full); group.len()],
            Err(error) => return Err(error),
        };
        self.room.release();
        self.empty_log();
        for ((_, operation), outcome) in group.iter_mut().zip(&mut outcomes) {
            if *outcome == Err(StoreError::Full) && operation.need() == Need::Frees {
                *outcome = self.run_in_own_transaction(operation.as_mut());
                self.empty_log();
            }
        }
        Ok(outcomes)
    }

    fn run_in_own_transaction(&self, operation: &mut dyn Operation) -> Result<(), StoreError> {
        let mut tx = Transaction::begin(&self.db).map_err(store_error)?;
        tx.run(operation).map_err(store_error)?;
        tx.commit(self.history.as_deref()).map_err(store_error)
    }

    /// Runs a group in one transaction, and records in `group` what belongs to it. With `Err`, none of it took
    /// effect, or (with [`StoreError::Unavailable`]) the outcome is unknown.
    fn transaction(
        &mut self,
        queue: &mut Queue,
        group: &mut Vec<(Payer, Box<dyn Operation>)>,
        terms: Terms,
        began: Duration,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let mut next = next(queue, &mut self.waiting);
        let mut tx = match Transaction::begin(&self.db) {
            Ok(tx) => tx,
            Err(error) => {
                group.extend(next.map(|turn| (turn.payer, turn.operation)));
                return Err(store_error(error));
            }
        };
        // `None` while every operation has succeeded.
        let mut outcomes: Option<Vec<_>> = None;
        let mut times = Times::start(&*self.clock);
        while let Some(Turn { payer, mut operation }) = next {
            if operation.need() == Need::Grows && !terms.grow {
                operation.answer(Err(StoreError::Full));
                next = self::next(queue, &mut self.waiting);
                continue;
            }
            let mut ran = true;
            if outcomes.is_none() {
                if !operation.defers() {
                    ran = tx.write_deferred().is_ok();
                    times.lap_for_all();
                }
                ran = ran && tx.run(operation.as_mut()).is_ok();
            }
            group.push((payer, operation));
            match &mut outcomes {
                Some(outcomes) => {
                    let last = group.last_mut().map(|(_, operation)| tx.run_alone(operation.as_mut()));
                    outcomes.extend(last.transpose()?);
                }
                None if ran => {}
                None => {
                    drop(tx);
                    tx = Transaction::begin(&self.db).map_err(store_error)?;
                    outcomes = Some(tx.run_each_alone(group)?);
                }
            }
            queue.served(payer, times.lap_for(payer));
            if group.len() >= terms.operations || times.now.saturating_sub(began) >= MAX_GROUP_TIME {
                break;
            }
            next = self::next(queue, &mut self.waiting);
        }
        if tx.write_deferred().is_err() {
            drop(tx);
            tx = Transaction::begin(&self.db).map_err(store_error)?;
            outcomes = Some(tx.run_each_alone(group)?);
        }
        times.lap_for_all();
        self.limiter.writer_took(&times.divided(), times.now);
        tx.commit(self.history.as_deref()).map_err(store_error)?;
        Ok(outcomes.unwrap_or_else(|| vec![Ok(()); group.len()]))
    }

    fn note(&self, error: Option<StoreError>) {
        let health = match error {
            None => GOOD,
            Some(StoreError::Full) => FULL,
            Some(StoreError::Unavailable) => FAILING,
        };
        if self.health.swap(health, Ordering::Relaxed) != health {
            match error {
                None => tracing::info!("writes succeed again"),
                Some(error) => tracing::error!(%error, "writes fail"),
            }
        }
    }
}

/// How long the operations of a group took, by payer.
struct Times<'c> {
    clock: &'c dyn Clock,
    now: Duration,
    spent: Vec<(UserId, Duration)>,
    for_all: Duration,
}

impl<'c> Times<'c> {
    fn start(clock: &'c dyn Clock) -> Self {
        Self { clock, now: clock.monotonic(), spent: Vec::new(), for_all: Duration::ZERO }
    }

    /// Charges the time since the last lap to this payer.
    fn lap_for(&mut self, payer: Payer) -> Duration {
        let took = self.lap();
        if let Payer::User(user) = payer {
            self.spent.push((user, took));
        }
        took
    }

    /// Charges the time since the last lap to all operations of the group.
    fn lap_for_all(&mut self) {
        let took = self.lap();
        self.for_all = self.for_all.saturating_add(took);
    }

    fn lap(&mut self) -> Duration {
        let before = std::mem::replace(&mut self.now, self.clock.monotonic());
        self.now.saturating_sub(before)
    }

    /// The time to charge to each payer. Time that was spent on the whole group is divided equally among its
    /// operations.
    fn divided(&mut self) -> Vec<(UserId, Duration)> {
        let operations = u32::try_from(self.spent.len()).unwrap_or(u32::MAX);
        let part = std::mem::take(&mut self.for_all).checked_div(operations).unwrap_or_default();
        let mut spent = std::mem::take(&mut self.spent);
        for (_, took) in &mut spent {
            *took = took.saturating_add(part);
        }
        spent
    }
}

/// The next operation of a group, out of all that were queued so far.
fn next(
    queue: &mut Queue,
    waiting: &mut mpsc::Receiver<(Payer, Box<dyn Operation>)>,
) -> Option<Turn<Box<dyn Operation>>> {
    while queue.len() < MAX_QUEUE
        && let Ok((payer, operation)) = waiting.try_recv()
    {
        queue_up(queue, payer, operation);
    }
    queue.pop()
}

fn queue_up(queue: &mut Queue, payer: Payer, operation: Box<dyn Operation>) {
    if let Err(operation) = queue.push(payer, operation) {
        operation.answer(Err(StoreError::Unavailable));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// One second passes with each reading.
    #[derive(Debug, Default)]
    struct AdvancingClock(Mutex<Duration>);

    impl Clock for AdvancingClock {
        fn unix_ms(&self) -> u64 {
            0
        }

        fn monotonic(&self) -> Duration {
            let mut now = self.0.lock().unwrap();
            *now = now.saturating_add(Duration::from_secs(1));
            *now
        }
    }

    #[test]
    fn time_spent_for_a_group_is_charged_to_all_of_it() {
        let (ada, ben) = (UserId::from_bytes([1; 16]), UserId::from_bytes([2; 16]));
        let clock = AdvancingClock::default();
        let mut times = Times::start(&clock);
        for payer in [Payer::User(ada), Payer::Relay, Payer::User(ben)] {
            assert_eq!(times.lap_for(payer), Duration::from_secs(1));
        }
        times.lap_for_all();
        times.lap_for_all();
        let each = Duration::from_secs(2);
        assert_eq!(times.divided(), [(ada, each), (ben, each)]);
        assert_eq!(times.divided(), [], "once");
    }
}
