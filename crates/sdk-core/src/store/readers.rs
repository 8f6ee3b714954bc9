//! A few connections beside the writer: a person scrolling never waits for a backlog.
//!
//! A read that was handed over runs whether or not its answer is polled: a caller that is stopped half-way, as an app may
//! do with any of its calls, holds up no other.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::TransactionBehavior;
use tokio::sync::oneshot;

use super::exit::Guarded;
use super::vault::Vault;
use super::{Open, Rows, SUSPENDED};
use crate::error::{Error, Result};
use crate::runtime;

/// Most connections that read.
const MAX_READERS: usize = 3;
/// How long the reads that are running are waited for: many times as long as any takes.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Readers {
    pool: Mutex<Pool>,
    /// Told whenever somebody has done reading, and when reads may begin again.
    done: Condvar,
}

/// Answers by itself, also that it comes too late.
type Job = Box<dyn FnOnce(&Open) + Send>;

#[derive(Default)]
struct Pool {
    /// Not empty only while there is a worker.
    waiting: VecDeque<Job>,
    workers: usize,
    idle: Vec<Guarded>,
    reading: usize,
    /// No new read begins, for now.
    paused: bool,
    closed: bool,
}

/// Hands a read over: it begins when a connection is free, on a thread where it may block.
///
/// # Errors
/// What the read returns.
pub(super) async fn read<T: Send + 'static>(
    open: &Arc<Open>,
    read: impl FnOnce(&Open) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (answer, answered) = oneshot::channel();
    let job: Job = Box::new(move |open| {
        // Whoever asked may have stopped waiting.
        if !answer.is_closed() {
            let _ = answer.send(read(open));
        }
    });
    if open.readers.hand_over(job) {
        let open = Arc::clone(open);
        runtime::spawn_blocking(move || open.readers.work(&open))?;
    }
    answered.await.map_err(|_| Error::Bug("a panic in a read"))?
}

impl Readers {
    /// Whether another worker is needed.
    fn hand_over(&self, job: Job) -> bool {
        let mut pool = self.pool();
        pool.waiting.push_back(job);
        let more = pool.workers < MAX_READERS;
        pool.workers = pool.workers.saturating_add(usize::from(more));
        more
    }

    /// Does what waits until nothing does.
    fn work(&self, open: &Open) {
        while let Some(job) = self.next_job() {
            // Its caller hears that nobody will answer, and its connection is gone with it.
            if catch_unwind(AssertUnwindSafe(|| job(open))).is_err() {
                tracing::error!("a read panicked");
            }
        }
    }

    fn next_job(&self) -> Option<Job> {
        let mut pool = self.pool();
        let job = pool.waiting.pop_front();
        if job.is_none() {
            pool.workers = pool.workers.saturating_sub(1);
        }
        job
    }

    /// Runs `work` on one snapshot. Blocking.
    pub(super) fn run<T>(&self, vault: &Vault, work: impl FnOnce(&Rows<'_>) -> Result<T>) -> Result<T> {
        let mut reading = self.begin()?;
        let connection = match &mut reading.connection {
            Some(connection) => connection,
            none => none.insert(vault.connect_reader()?),
        };
        connection.with(|connection| {
            let snapshot = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
            work(&Rows { connection: &snapshot })
        })
    }

    /// Lets no new read begin (those that wait end with an error), waits for the running ones, then closes every connection. Blocking.
    pub(super) fn close(&self) {
        let mut pool = self.pool();
        pool.closed = true;
        let reading = self.done.wait_while(pool, |pool| pool.reading > 0);
        reading.unwrap_or_else(PoisonError::into_inner).idle.clear();
    }

    /// Lets no new read begin until the answer is dropped, and waits for the running ones, but not for longer than
    /// [`PATIENCE`]. Blocking.
    pub(super) fn pause(&self) -> Paused<'_> {
        let mut pool = self.pool();
        pool.paused = true;
        drop(self.done.wait_timeout_while(pool, PATIENCE, |pool| pool.reading > 0));
        Paused(self)
    }

    fn begin(&self) -> Result<Reading<'_>> {
        let pool = self.done.wait_while(self.pool(), |pool| pool.paused && !pool.closed);
        let mut pool = pool.unwrap_or_else(PoisonError::into_inner);
        if pool.closed {
            return Err(SUSPENDED);
        }
        pool.reading = pool.reading.saturating_add(1);
        Ok(Reading { connection: pool.idle.pop(), readers: self })
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No new read begins until this is dropped.
#[must_use]
pub(super) struct Paused<'r>(&'r Readers);

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.0.pool().paused = false;
        self.0.done.notify_all();
    }
}

/// Somebody who reads; counted until dropped.
struct Reading<'r> {
    readers: &'r Readers,
    connection: Option<Guarded>,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut pool = self.readers.pool();
        pool.idle.extend(self.connection.take());
        pool.reading = pool.reading.saturating_sub(1);
        self.readers.done.notify_all();
    }
}
