//! A few threads with read-only connections. A read sees one snapshot and never waits for the writer.
//!
//! A read is queued when it is called, and runs whether or not its future is polled, so a caller that is blocked on a
//! socket that nobody reads delays no other. Each user has a separate queue, and the users are served in turns, so
//! that a user with many reads delays another by one read only.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use sealpost_wire::id::UserId;
use tokio::sync::oneshot;

use super::operation::store_error;
use crate::store::{Answer, StoreError};

/// The number of threads, and thus of concurrent reads.
const READERS: usize = 4;
/// Maximum number of waiting reads. More are refused immediately, because their callers would time out anyway.
const MAX_QUEUE: usize = 16_384;
/// Maximum number of waiting reads of one user.
const MAX_QUEUE_OF_USER: usize = 512;

/// Passes reads to the threads.
#[derive(Debug)]
pub(super) struct Readers {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Starts the threads. Each opens its connection with its first read.
    pub(super) fn start(path: &Path) -> std::io::Result<Self> {
        Self::start_threads(path, READERS)
    }

    fn start_threads(path: &Path, threads: usize) -> std::io::Result<Self> {
        let mut readers = Self { queue: Arc::default(), threads: Vec::with_capacity(threads) };
        for _ in 0..threads {
            let (queue, reader) = (Arc::clone(&readers.queue), Reader { path: path.to_owned(), db: None });
            let thread = std::thread::Builder::new().name("store-reader".into());
            readers.threads.push(thread.spawn(move || reader.run(&queue))?);
        }
        Ok(readers)
    }

    /// Queues `work` for this user, to run on a snapshot.
    pub(super) fn read<T: Send + 'static>(
        &self,
        user: UserId,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        let queued = self.queue.push(
            user,
            Box::new(move |reader| {
                // The caller may no longer wait for the result.
                if !reply.is_closed() {
                    let _ = reply.send(reader.read(work));
                }
            }),
        );
        Box::pin(async move {
            if !queued {
                return Err(StoreError::Unavailable);
            }
            answer.await.unwrap_or(Err(StoreError::Unavailable))
        })
    }
}

impl Drop for Readers {
    /// Discards waiting reads, and lets running ones finish.
    fn drop(&mut self) {
        self.queue.close();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a store reader panicked");
            }
        }
    }
}

type Job = Box<dyn FnOnce(&mut Reader) + Send>;

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    /// Notified when something was queued, and when the queue was closed.
    changed: Condvar,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queue(..)")
    }
}

#[derive(Default)]
struct Waiting {
    /// For each user in `turns`, at least one job.
    jobs: HashMap<UserId, VecDeque<Job>>,
    turns: VecDeque<UserId>,
    count: usize,
    closed: bool,
}

impl Queue {
    /// Returns `false` if too many are waiting.
    fn push(&self, user: UserId, job: Job) -> bool {
        let mut waiting = self.lock();
        if waiting.closed || waiting.count >= MAX_QUEUE {
            return false;
        }
        let of_user = waiting.jobs.entry(user).or_default();
        if of_user.len() >= MAX_QUEUE_OF_USER {
            return false;
        }
        of_user.push_back(job);
        if of_user.len() == 1 {
            waiting.turns.push_back(user);
        }
        waiting.count = waiting.count.saturating_add(1);
        drop(waiting);
        self.changed.notify_one();
        true
    }

    /// Waits for the next job; `None` once the queue is closed.
    fn pop(&self) -> Option<Job> {
        let idle = |waiting: &mut Waiting| !waiting.closed && waiting.count == 0;
        let mut waiting = self.changed.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        waiting.take()
    }

    fn close(&self) {
        let forgotten = {
            let mut waiting = self.lock();
            waiting.closed = true;
            std::mem::take(&mut waiting.jobs)
        };
        self.changed.notify_all();
        drop(forgotten);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// The first job of the user whose turn it is; the user moves to the end of the queue.
    fn take(&mut self) -> Option<Job> {
        if self.closed {
            return None;
        }
        let user = self.turns.pop_front()?;
        let of_user = self.jobs.get_mut(&user)?;
        let job = of_user.pop_front()?;
        if of_user.is_empty() {
            self.jobs.remove(&user);
        } else {
            self.turns.push_back(user);
        }
        self.count = self.count.saturating_sub(1);
        Some(job)
    }
}

/// One thread's connection.
struct Reader {
    path: PathBuf,
    /// `None` before the first read, and after one that failed.
    db: Option<Connection>,
}

impl Reader {
    fn run(mut self, queue: &Queue) {
        while let Some(job) = queue.pop() {
            // The caller gets an error; the connection was dropped together with the job.
            if catch_unwind(AssertUnwindSafe(|| job(&mut self))).is_err() {
                tracing::error!("a read of the store panicked");
            }
        }
    }

    fn read<T>(&mut self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        self.on_connection(work).map_err(store_error)
    }

    fn on_connection<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let db = self.db.take().map_or_else(|| self.open(), Ok)?;
        // All statements of one piece of work see the same snapshot.
        let tx = db.unchecked_transaction()?;
        let result = work(&tx)?;
        drop(tx);
        self.db = Some(db);
        Ok(result)
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&self.path, flags)?;
        db.busy_timeout(Duration::from_secs(5))?;
        super::open::set_up(&db)?;
        Ok(db)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt as _;
    use tokio::time::timeout;

    use super::*;

    const ONE: UserId = UserId::from_bytes([1; 16]);
    const OTHER: UserId = UserId::from_bytes([2; 16]);
    /// A test that waits this long has failed.
    const TIMEOUT: Duration = Duration::from_secs(60);

    fn readers(threads: usize) -> (tempfile::TempDir, Readers) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        let readers = Readers::start_threads(&path, threads).unwrap();
        (dir, readers)
    }

    /// A read that occupies its thread until it is released.
    fn busy(readers: &Readers, user: UserId) -> (Answer<()>, mpsc::Sender<()>) {
        let (go_on, may_go_on) = mpsc::channel();
        let read = move |_: &Connection| {
            let _ = may_go_on.recv();
            Ok(())
        };
        (readers.read(user, read), go_on)
    }

    #[tokio::test]
    async fn unpolled_answers_do_not_block_other_reads() {
        let (_dir, readers) = readers(READERS);
        let mut unpolled: Vec<_> = (0..100).map(|_| readers.read(ONE, |_| Ok(()))).collect();
        // Polled once, as by a connection that then waits for its socket.
        for answer in &mut unpolled {
            let _ = answer.now_or_never();
        }
        for user in [ONE, OTHER] {
            assert_eq!(timeout(TIMEOUT, readers.read(user, |_| Ok(7))).await.unwrap(), Ok(7));
        }
    }

    #[tokio::test]
    async fn a_user_with_many_reads_delays_another_by_one() {
        let (_dir, readers) = readers(1);
        let order = Arc::new(Mutex::new(Vec::new()));
        let note = |user| {
            let order = Arc::clone(&order);
            readers.read(user, move |_| {
                order.lock().unwrap().push(user);
                Ok(())
            })
        };
        let (first, go_on) = busy(&readers, ONE);
        let many: Vec<_> = (0..100).map(|_| note(ONE)).collect();
        let other = note(OTHER);
        go_on.send(()).unwrap();
        timeout(TIMEOUT, other).await.unwrap().unwrap();
        let all = futures_util::future::join_all(many);
        assert!(timeout(TIMEOUT, all).await.unwrap().iter().all(Result::is_ok));
        first.await.unwrap();
        let place = order.lock().unwrap().iter().position(|user| *user == OTHER);
        assert!(place.is_some_and(|place| place <= 1), "{place:?}");
    }

    #[tokio::test]
    async fn the_number_of_waiting_reads_of_a_user_is_limited() {
        let (_dir, readers) = readers(1);
        let (first, go_on) = busy(&readers, OTHER);
        let many: Vec<_> = (0..MAX_QUEUE_OF_USER).map(|_| readers.read(ONE, |_| Ok(()))).collect();
        assert_eq!(readers.read(ONE, |_| Ok(())).await, Err(StoreError::Unavailable));
        let other = readers.read(OTHER, |_| Ok(()));
        go_on.send(()).unwrap();
        for answer in many.into_iter().chain([first, other]) {
            assert_eq!(timeout(TIMEOUT, answer).await.unwrap(), Ok(()));
        }
    }

    #[tokio::test]
    async fn a_read_without_a_caller_is_not_run() {
        let (_dir, readers) = readers(1);
        let (first, go_on) = busy(&readers, ONE);
        let (ran, has_run) = mpsc::channel();
        drop(readers.read(ONE, move |_| Ok(ran.send(()))));
        go_on.send(()).unwrap();
        timeout(TIMEOUT, first).await.unwrap().unwrap();
        assert_eq!(timeout(TIMEOUT, readers.read(ONE, |_| Ok(()))).await.unwrap(), Ok(()));
        assert!(has_run.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_panicking_read_does_not_end_its_thread() {
        let (_dir, readers) = readers(1);
        let panics = readers.read::<()>(ONE, |_| panic!("a bug"));
        assert_eq!(timeout(TIMEOUT, panics).await.unwrap(), Err(StoreError::Unavailable));
        assert_eq!(timeout(TIMEOUT, readers.read(ONE, |_| Ok(7))).await.unwrap(), Ok(7));
    }

    #[tokio::test]
    async fn closing_the_pool_discards_waiting_reads_and_finishes_running_ones() {
        let (_dir, readers) = readers(1);
        let (begun, has_begun) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let running = readers.read(ONE, move |_| {
            begun.send(()).unwrap();
            may_go_on.recv().unwrap();
            Ok(7)
        });
        has_begun.recv_timeout(TIMEOUT).unwrap();
        let waiting = readers.read(OTHER, |_| Ok(8));
        let dropped = std::thread::spawn(move || drop(readers));
        assert_eq!(timeout(TIMEOUT, waiting).await.unwrap(), Err(StoreError::Unavailable));
        go_on.send(()).unwrap();
        assert_eq!(timeout(TIMEOUT, running).await.unwrap(), Ok(7));
        dropped.join().unwrap();
    }
}
