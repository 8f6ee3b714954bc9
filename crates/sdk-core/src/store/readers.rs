//! A few connections besides the writer's, so that someone who scrolls never waits for a backlog to be written.
//!
//! A read that has been submitted runs whether or not its future is polled. A caller that stops polling half-way, as
//! an app may with any call, therefore delays nobody else.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::TransactionBehavior;
use tokio::sync::oneshot;

use super::exit::Guarded;
use super::vault::Vault;
use super::{Rows, SUSPENDED};
use crate::error::{Error, Result};
use crate::runtime;

/// The maximum number of reading connections.
const MAX_READERS: usize = 3;
/// How long to wait for running reads: many times as long as any of them takes.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Readers {
    pool: Mutex<Pool>,
    /// Signalled when a read has finished, and when reads may begin again.
    done: Condvar,
}

/// A read. It sends its own result, or an error if it was submitted too late.
type Job = Box<dyn FnOnce(&Readers) + Send>;

#[derive(Default)]
struct Pool {
    /// It is non-empty only while there is a worker.
    waiting: VecDeque<Job>,
    workers: usize,
    idle: Vec<Guarded>,
    reading: usize,
    /// Whether new reads have to wait.
    paused: bool,
    closed: bool,
}

/// Submits a read. It begins when a connection is free, on a thread that may block. The thread does not keep the database
/// open: when the caller has the answer, it may close the database and open it again.
///
/// # Errors
/// Returns the error of the read.
pub(super) async fn read<T: Send + 'static>(
    readers: &Arc<Readers>,
    read: impl FnOnce(&Readers) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (answer, answered) = oneshot::channel();
    let job: Job = Box::new(move |readers| {
        // The caller may have stopped waiting.
        if !answer.is_closed() {
            let _ = answer.send(read(readers));
        }
    });
    if readers.queue(job) {
        let readers = Arc::clone(readers);
        runtime::spawn_blocking(move || readers.work())?;
    }
    answered.await.map_err(|_| Error::Bug("a panic in a read"))?
}

impl Readers {
    /// Queues a read. Returns whether another worker is needed for it.
    fn queue(&self, job: Job) -> bool {
        let mut pool = self.pool();
        pool.waiting.push_back(job);
        let more = pool.workers < MAX_READERS;
        pool.workers = pool.workers.saturating_add(usize::from(more));
        more
    }

    /// Runs the queued reads until none is left.
    fn work(&self) {
        while let Some(job) = self.next_job() {
            // The caller gets an error because its sender is dropped. The connection has been dropped too.
            if catch_unwind(AssertUnwindSafe(|| job(self))).is_err() {
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

    /// Stops new reads (those that are queued fail), waits for the running ones and closes every connection.
    /// Blocking.
    pub(super) fn close(&self) {
        let mut pool = self.pool();
        pool.closed = true;
        let reading = self.done.wait_while(pool, |pool| pool.reading > 0);
        reading.unwrap_or_else(PoisonError::into_inner).idle.clear();
    }

    /// Stops new reads until the returned guard is dropped, and waits for the running ones, for at most [`READ_TIMEOUT`].
    /// Blocking.
    pub(super) fn pause(&self) -> Paused<'_> {
        let mut pool = self.pool();
        pool.paused = true;
        drop(self.done.wait_timeout_while(pool, READ_TIMEOUT, |pool| pool.reading > 0));
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

/// Stops new reads until dropped.
#[must_use]
pub(super) struct Paused<'r>(&'r Readers);

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.0.pool().paused = false;
        self.0.done.notify_all();
    }
}

/// A running read, which is counted until dropped.
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
