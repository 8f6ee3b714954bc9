//! The writer: the only thread that writes, which owns its connection.
//!
//! Transactions that wait at the same time share one commit, and therefore one flush to disk. A failure of one does not undo the
//! others ([`group`]). None is answered before the commit. A commit is not flushed if none of its transactions asks for that.
//!
//! Other processes have writers of their own. Each transaction runs under the lock between processes, and changes
//! that another process has made are noticed, so that observers read again.

mod group;
mod held;
mod work;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

pub(super) use self::group::Flush;
use self::group::{Job, begin, run_all};
use self::held::Held;
pub(super) use self::work::{Once, Repeatable};
use self::work::{Transaction, Work};
use super::exit::Guarded;
use super::lock::{Claim, Lock};
use super::log::{self, Log};
use super::readers::Readers;
use super::{Rows, SUSPENDED, schema};
use crate::error::{Error, Result};
use crate::event::EventBus;

/// How many transactions share one commit at most.
const MAX_GROUP: usize = 64;
/// How many reads may wait at the same time: a write that is submitted then waits for them all. All tasks of a client together submit
/// fewer than this at once while the app shows a page, so that opening needs one connection.
pub(super) const MAX_READS: usize = 8;
/// How often to check whether another process has written while there is nothing to write.
const LOOK: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    /// `None` once closing.
    jobs: Mutex<Option<Sender<Order>>>,
    waiting: Arc<Waiting>,
    /// `None` once someone is waiting for the thread to end.
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What has been submitted.
#[derive(Default)]
struct Waiting {
    /// Writes that are not committed.
    writes: AtomicUsize,
    /// Reads that have not begun.
    reads: AtomicUsize,
}

impl Writer {
    /// Starts the thread, which opens the file and then serves what is submitted.
    pub(super) fn start<T>(
        open: impl FnOnce() -> Result<(WriterState, T)> + Send + 'static,
        opened: impl FnOnce(Result<T>) + Send + 'static,
    ) -> Result<Self> {
        let (jobs, queue) = channel();
        let waiting = Arc::<Waiting>::default();
        let done = Arc::clone(&waiting);
        let work = move || match open() {
            Ok((state, found)) => {
                opened(Ok(found));
                state.serve(&queue, &done);
            }
            Err(error) => opened(Err(error)),
        };
        let thread = thread::Builder::new()
            .name("sealpost-writer".to_owned())
            .spawn(work)
            .map_err(|_| Error::Bug("no thread for the writer"))?;
        Ok(Self { jobs: Mutex::new(Some(jobs)), waiting, thread: Mutex::new(Some(thread)) })
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        flush: Flush,
        work: impl Transaction<T> + 'static,
        events: EventBus,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let job = Work::new(work, flush, answer, events);
        self.submit(Order::Write(Box::new(job)))?;
        answered.await.map_err(|_| Error::Bug("the writer is gone"))?
    }

    /// Whether a read would begin at once, or only after a few other short reads.
    pub(super) fn has_time_to_read(&self) -> bool {
        self.waiting.writes.load(Ordering::Relaxed) == 0
            && self.waiting.reads.load(Ordering::Relaxed) < MAX_READS
    }

    /// Reads on the writer's connection. Every write that is submitted later waits for it.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Rows<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let read = move |connection: &Connection| {
            // The caller may have stopped waiting.
            if !answer.is_closed() {
                let _ = answer.send(work(&Rows { connection }));
            }
        };
        self.submit(Order::Read(Box::new(read)))?;
        answered.await.map_err(|_| Error::Bug("a panic in a read, or the writer is gone"))?
    }

    /// Waits until every submitted job is done, the connection is closed and the thread has ended. Blocks, but never
    /// for long: a job waits only for the disk, and a few seconds for other processes.
    pub(super) fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A job may have held the last handle to the store. This is then the writer's thread, which cannot wait for
        // itself.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id()) {
            let _ = thread.join();
        }
    }

    fn submit(&self, order: Order) -> Result<()> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let jobs = jobs.as_ref().ok_or(SUSPENDED)?;
        self.waiting.of(&order).fetch_add(1, Ordering::Relaxed);
        jobs.send(order).map_err(|_| Error::Bug("the writer is gone"))
    }
}

impl Waiting {
    const fn of(&self, order: &Order) -> &AtomicUsize {
        match order {
            Order::Write(_) => &self.writes,
            Order::Read(_) => &self.reads,
        }
    }
}

/// What is submitted to the writer.
enum Order {
    Write(Box<dyn Job>),
    Read(Box<dyn FnOnce(&Connection) + Send>),
}

/// The state of the writer's thread. The fields are dropped in this order.
pub(super) struct WriterState {
    connection: Guarded,
    lock: Lock,
    _claim: Claim,
    log: Log,
    readers: Arc<Readers>,
    others: OtherProcesses,
    /// Whether commits are flushed at present.
    flush: Flush,
    held: Held,
}

impl WriterState {
    pub(super) fn new(
        mut connection: Guarded,
        lock: Lock,
        claim: Claim,
        log: Log,
        readers: Arc<Readers>,
        events: EventBus,
    ) -> Result<Self> {
        let (data_version, last_message) = connection
            .with(|connection| Ok((data_version(connection)?, Rows { connection }.last_message()?)))?;
        events.begin_after(last_message);
        let others = OtherProcesses { data_version, events };
        Ok(Self {
            connection,
            lock,
            _claim: claim,
            log,
            readers,
            others,
            flush: Flush::Yes,
            held: Held::default(),
        })
    }

    fn serve(mut self, queue: &Receiver<Order>, waiting: &Waiting) {
        loop {
            match queue.recv_timeout(self.held.remaining(LOOK)) {
                Ok(first) => {
                    let (mut group, mut reads) = (Vec::new(), Vec::new());
                    let others = queue.try_iter().take(MAX_GROUP.saturating_sub(1));
                    for order in std::iter::once(first).chain(others) {
                        match order {
                            Order::Write(job) if job.flush() == Flush::Later => self.hold(job, waiting),
                            Order::Write(job) => group.push(job),
                            Order::Read(read) => reads.push(read),
                        }
                    }
                    if !group.is_empty() || self.held.is_due() {
                        self.write(group, waiting);
                    }
                    for read in reads {
                        waiting.reads.fetch_sub(1, Ordering::Relaxed);
                        self.read(read);
                    }
                }
                Err(RecvTimeoutError::Timeout) if self.held.is_due() => self.write(Vec::new(), waiting),
                // A change that cannot be seen now is noticed in the next transaction.
                Err(RecvTimeoutError::Timeout) => {
                    drop(self.connection.with(|connection| self.others.notice(connection)));
                    self.log.idle();
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.write(Vec::new(), waiting);
                    return self.close();
                }
            }
            self.keep_log_small();
        }
    }

    /// Holds a transaction back. Meanwhile, it does not count as waiting, because reads need not wait for it.
    fn hold(&mut self, job: Box<dyn Job>, waiting: &Waiting) {
        waiting.writes.fetch_sub(1, Ordering::Relaxed);
        self.held.add(job);
    }

    /// Commits the transactions that are held back, and then these.
    fn write(&mut self, group: Vec<Box<dyn Job>>, waiting: &Waiting) {
        let held = self.held.take();
        waiting.writes.fetch_add(held.len(), Ordering::Relaxed);
        let group: Vec<_> = held.into_iter().chain(group).collect();
        if !group.is_empty() {
            self.write_together(group, waiting);
        }
    }

    fn write_together(&mut self, mut group: Vec<Box<dyn Job>>, waiting: &Waiting) {
        let begun = Instant::now();
        let committed = self.commit_together(&mut group);
        let took_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::trace!(transactions = group.len(), took_us, "committed");
        if committed.is_ok() && group.iter().any(|job| job.needed_in_file()) {
            self.log.need_in_file();
            self.keep_log_small();
        }
        // Whoever is answered may read on this connection.
        waiting.writes.fetch_sub(group.len(), Ordering::Relaxed);
        for job in group {
            job.finish(&committed);
        }
    }

    fn read(&mut self, read: Box<dyn FnOnce(&Connection) + Send>) {
        // If it panics, the caller gets an error because the sender of the answer is dropped.
        let _ = self.connection.with(|connection| {
            let snapshot = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
            if catch_unwind(AssertUnwindSafe(|| read(&snapshot))).is_err() {
                tracing::error!("a read panicked");
            }
            Ok(())
        });
    }

    fn keep_log_small(&mut self) {
        self.log.keep_small(&mut self.connection, &self.lock, &self.readers);
    }

    fn commit_together(&mut self, group: &mut [Box<dyn Job>]) -> Result<()> {
        let may_be_lost = group.iter().all(|job| job.flush() != Flush::Yes);
        self.set_flush(if may_be_lost { Flush::No } else { Flush::Yes })?;
        let _held = self.lock.take()?;
        self.connection.with(|connection| {
            begin(connection)?;
            let noticed = self.others.notice(connection);
            let done = noticed.and_then(|()| run_all(connection, group));
            let done = done.and_then(|()| Ok(connection.prepare_cached("COMMIT")?.execute([]).map(drop)?));
            if done.is_err() && !connection.is_autocommit() {
                let _ = connection.execute_batch("ROLLBACK");
            }
            done
        })
    }

    /// Sets whether commits are flushed. This cannot be changed inside a transaction. Without flushing, SQLite still orders its
    /// writes so that a power failure only undoes the newest commits, each completely (`PRAGMA synchronous`).
    fn set_flush(&mut self, flush: Flush) -> Result<()> {
        if self.flush != flush {
            let level = match flush {
                Flush::Yes => "full",
                Flush::No | Flush::Later => "normal",
            };
            self.connection.with(|connection| Ok(connection.pragma_update(None, "synchronous", level)?))?;
            self.flush = flush;
        }
        Ok(())
    }

    /// Moves the log to the database file, so that a suspended app leaves a single file behind. If other processes
    /// are using the file, the last of them does this.
    fn close(mut self) {
        let held = self.lock.take();
        let _ = self.connection.with(|connection| {
            connection.busy_timeout(Duration::ZERO)?;
            log::checkpoint(connection)
        });
        drop(self.connection);
        drop(held);
    }
}

/// What this process knows about the others.
struct OtherProcesses {
    /// Changes with every commit of another connection (SQLite, PRAGMA data_version).
    data_version: i64,
    events: EventBus,
}

impl OtherProcesses {
    /// Notifies observers if another process has written since the last call.
    ///
    /// # Errors
    /// Returns [`Storage::Newer`](crate::error::Storage::Newer) if it has migrated the file to a schema that this version does not know.
    fn notice(&mut self, connection: &Connection) -> Result<()> {
        let data_version = data_version(connection)?;
        if data_version != self.data_version {
            schema::check(connection)?;
            self.data_version = data_version;
            self.events.publish_elsewhere(Rows { connection }.last_message()?);
        }
        Ok(())
    }
}

fn data_version(connection: &Connection) -> Result<i64> {
    Ok(connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?)
}
