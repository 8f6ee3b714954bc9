//! The one writer: a thread that owns the connection.
//!
//! Transactions that wait at the same time share one commit, so that they share its flush to disk; each runs in
//! a savepoint of its own, so that one that fails takes nothing with it. Nobody is answered before the commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::vault::Lock;
use super::{SUSPENDED, Tx};
use crate::error::{Error, Result, Storage};
use crate::event::{Event, EventBus};

/// Most transactions that share one commit.
const MAX_GROUP: usize = 64;

pub(super) struct Writer {
    /// None once closing.
    jobs: Mutex<Option<Sender<Box<dyn Job>>>>,
    /// None once somebody waits for its end.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// `lock` is held until the connection is closed.
    pub(super) fn start(connection: Connection, lock: Lock) -> Result<Self> {
        let (jobs, queue) = channel();
        let thread = thread::Builder::new()
            .name("sealpost-writer".to_owned())
            .spawn(move || {
                serve(&connection, &queue);
                // What the log holds goes into the file, so that a suspended app leaves one file behind.
                let _ = connection.pragma_update(None, "wal_checkpoint", "truncate");
                drop(connection);
                drop(lock);
            })
            .map_err(|_| Error::Bug("no thread for the writer"))?;
        Ok(Self { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)) })
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
        events: EventBus,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let job = Work { work: Some(work), done: None, answer, events };
        self.submit(Box::new(job))?;
        answered.await.map_err(|_| Error::Bug("the writer is gone"))?
    }

    /// Waits until every job that was handed over is done, the connection is closed and the thread has ended.
    /// Blocking, but never for long: a job waits for nothing but the disk.
    pub(super) fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A job may have held the last handle to the store: then this is that thread, which cannot wait for itself.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id()) {
            let _ = thread.join();
        }
    }

    fn submit(&self, job: Box<dyn Job>) -> Result<()> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let jobs = jobs.as_ref().ok_or(SUSPENDED)?;
        jobs.send(job).map_err(|_| Error::Bug("the writer is gone"))
    }
}

/// One transaction, its type forgotten.
trait Job: Send {
    /// Runs inside a savepoint; whether to keep what it did.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Answers, once it is known whether the commit happened.
    fn finish(self: Box<Self>, committed: &Result<()>);
}

struct Work<F, T> {
    work: Option<F>,
    done: Option<Result<(T, Vec<Event>)>>,
    answer: oneshot::Sender<Result<T>>,
    events: EventBus,
}

impl<F, T> Job for Work<F, T>
where
    F: FnOnce(&mut Tx<'_>) -> Result<T> + Send,
    T: Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        let Some(work) = self.work.take() else { return false };
        // The savepoint undoes whatever a panic left half done.
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut tx = Tx::new(connection);
            work(&mut tx).map(|value| (value, tx.events))
        }));
        let result = result.unwrap_or(Err(Error::Bug("a panic in a transaction")));
        self.done.insert(result).is_ok()
    }

    fn finish(self: Box<Self>, committed: &Result<()>) {
        let result = match (self.done, committed) {
            (Some(Ok((value, events))), Ok(())) => {
                for event in events {
                    self.events.publish(event);
                }
                Ok(value)
            }
            (Some(Err(error)), _) => Err(error),
            (_, Err(error)) => Err(error.clone()),
            (None, Ok(())) => Err(Error::Bug("a transaction was not run")),
        };
        // Whoever asked may have stopped waiting.
        let _ = self.answer.send(result);
    }
}

fn serve(connection: &Connection, queue: &Receiver<Box<dyn Job>>) {
    while let Ok(first) = queue.recv() {
        let mut group = vec![first];
        group.extend(queue.try_iter().take(MAX_GROUP.saturating_sub(1)));
        let committed = commit_together(connection, &mut group);
        for job in group {
            job.finish(&committed);
        }
    }
}

fn commit_together(connection: &Connection, group: &mut [Box<dyn Job>]) -> Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    for job in group {
        let outcome = in_savepoint(connection, job.as_mut());
        // A full or failing disk can end the whole transaction: what ran before is undone too.
        if connection.is_autocommit() {
            return Err(outcome.err().unwrap_or(Error::Storage(Storage::Full)));
        }
        if let Err(error) = outcome {
            let _ = connection.execute_batch("ROLLBACK");
            return Err(error);
        }
    }
    connection.execute_batch("COMMIT").map_err(|error| {
        let _ = connection.execute_batch("ROLLBACK");
        error.into()
    })
}

fn in_savepoint(connection: &Connection, job: &mut dyn Job) -> Result<()> {
    connection.prepare_cached("SAVEPOINT job")?.execute([])?;
    if !job.run(connection) && !connection.is_autocommit() {
        connection.prepare_cached("ROLLBACK TO job")?.execute([])?;
    }
    if !connection.is_autocommit() {
        connection.prepare_cached("RELEASE job")?.execute([])?;
    }
    Ok(())
}
