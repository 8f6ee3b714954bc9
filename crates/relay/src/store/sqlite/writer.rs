//! The callers' side of the writer: operations are queued, and answered once they are durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::committer::{Committer, FULL, GOOD, MAX_QUEUE};
use super::deferred::Deferred;
use super::fair::Payer;
use super::history::History;
use super::operation::{Operation, Pending};
use super::room::{Need, Room};
use crate::clock::Clock;
use crate::limits::Limiter;
use crate::metrics::Metrics;
use crate::store::{Answer, Health, StoreError};

/// Passes operations to the writer thread.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<mpsc::Sender<(Payer, Box<dyn Operation>)>>,
    thread: Option<JoinHandle<()>>,
    health: Arc<AtomicU8>,
    empty_log_requested: Arc<AtomicBool>,
}

impl Writer {
    /// Starts the thread. Its transactions are counted in the history, if there is one.
    pub(super) fn start(
        db: Connection,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        limiter: Arc<Limiter>,
        room: Room,
        history: Option<Arc<History>>,
    ) -> std::io::Result<Self> {
        let (queue, waiting) = mpsc::channel(MAX_QUEUE);
        let (health, empty_log_requested) = (Arc::new(AtomicU8::new(GOOD)), Arc::new(AtomicBool::new(false)));
        let committer = Committer {
            db,
            clock,
            metrics,
            limiter,
            room,
            history,
            waiting,
            health: Arc::clone(&health),
            empty_log_requested: Arc::clone(&empty_log_requested),
        };
        let thread =
            std::thread::Builder::new().name("store-writer".into()).spawn(move || committer.run())?;
        Ok(Self { queue: Some(queue), thread: Some(thread), health, empty_log_requested })
    }

    /// Queues `work`, which runs in a transaction; its result is returned once it is durable. It is rolled back if it
    /// fails, or if another operation of its group does, and then runs again. Its time is charged to the payer. If the
    /// disk is full, only operations that free space are run.
    pub(super) fn write<T: Send + 'static>(
        &self,
        payer: Payer,
        need: Need,
        work: impl Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<T> {
        self.write_and_then(payer, need, work, |done| done)
    }

    /// Like [`Self::write`]. Once the result is durable, `then` converts it to the answer, whether or not anybody
    /// waits for it.
    pub(super) fn write_and_then<D: Send + 'static, T: Send + 'static>(
        &self,
        payer: Payer,
        need: Need,
        work: impl Fn(&Connection) -> rusqlite::Result<D> + Send + 'static,
        then: impl FnOnce(D) -> T + Send + 'static,
    ) -> Answer<T> {
        self.queue(payer, need, false, move |tx, _| work(tx), then)
    }

    /// Like [`Self::write_and_then`], for work that uses the deferred changes of its group, and may add to them. It
    /// neither reads nor writes rows that may have deferred changes.
    pub(super) fn write_deferring<D: Send + 'static, T: Send + 'static>(
        &self,
        payer: Payer,
        need: Need,
        work: impl Fn(&Connection, &mut Deferred) -> rusqlite::Result<D> + Send + 'static,
        then: impl FnOnce(D) -> T + Send + 'static,
    ) -> Answer<T> {
        self.queue(payer, need, true, work, then)
    }

    fn queue<D: Send + 'static, T: Send + 'static>(
        &self,
        payer: Payer,
        need: Need,
        defers: bool,
        work: impl Fn(&Connection, &mut Deferred) -> rusqlite::Result<D> + Send + 'static,
        then: impl FnOnce(D) -> T + Send + 'static,
    ) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        let operation: Box<dyn Operation> = Box::new(Pending { need, defers, work, done: None, then, reply });
        let queued = self.queue.as_ref().is_some_and(|queue| queue.try_send((payer, operation)).is_ok());
        Box::pin(async move {
            if !queued {
                return Err(StoreError::Unavailable);
            }
            answer.await.unwrap_or(Err(StoreError::Unavailable))
        })
    }

    /// Makes the writer empty the write-ahead log after the next group, because the log still contains the pages of
    /// deleted rows.
    pub(super) fn request_empty_log(&self) {
        self.empty_log_requested.store(true, Ordering::Relaxed);
    }

    pub(super) fn health(&self) -> Health {
        match self.health.load(Ordering::Relaxed) {
            GOOD => Health::Good,
            FULL => Health::Full,
            _ => Health::Failing,
        }
    }
}

impl Drop for Writer {
    /// Finishes the queued operations, and then closes the database.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store writer panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn writer() -> (tempfile::TempDir, Writer) {
        let (folder, db) = (tempfile::tempdir().unwrap(), Connection::open_in_memory().unwrap());
        db.execute_batch("CREATE TABLE t (n INTEGER NOT NULL UNIQUE) STRICT").unwrap();
        let room = Room::open(folder.path());
        let (clock, metrics) = (Arc::new(SystemClock::new()), Arc::default());
        (folder, Writer::start(db, clock, metrics, Arc::default(), room, None).unwrap())
    }

    fn insert(writer: &Writer, n: u64) -> Answer<usize> {
        writer.write(Payer::Relay, Need::Grows, move |tx| tx.execute("INSERT INTO t (n) VALUES (?1)", [n]))
    }

    #[tokio::test]
    async fn a_failed_operation_leaves_the_rest_of_its_group() {
        let (_folder, writer) = writer();
        let answers = [insert(&writer, 1), insert(&writer, 1), insert(&writer, 2)];
        let answers = futures_util::future::join_all(answers).await;
        assert_eq!(answers, [Ok(1), Err(StoreError::Unavailable), Ok(1)]);
        let rows = writer.write(Payer::Relay, Need::Grows, |tx| {
            tx.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, u64>(0))
        });
        assert_eq!(rows.await, Ok(2));
    }

    #[tokio::test]
    async fn operations_run_in_the_order_of_the_calls() {
        let (_folder, writer) = writer();
        let answers: Vec<_> = (0..1_000).map(|n| insert(&writer, n)).collect();
        for answer in futures_util::future::join_all(answers).await {
            assert_eq!(answer, Ok(1));
        }
        let ordered = writer.write(Payer::Relay, Need::Grows, |tx| {
            tx.query_row("SELECT count(*) FROM t WHERE n = rowid - 1", [], |row| row.get::<_, u64>(0))
        });
        assert_eq!(ordered.await, Ok(1_000));
    }

    #[tokio::test]
    async fn a_full_disk_is_a_distinct_error_and_work_resumes_when_there_is_space() {
        let (_folder, writer) = writer();
        let set_pages = |pages: u32| {
            writer.write(Payer::Relay, Need::Frees, move |tx| tx.pragma_update(None, "max_page_count", pages))
        };
        set_pages(1).await.unwrap();
        let fill = |bytes: i64| {
            writer.write(Payer::Relay, Need::Grows, move |tx| {
                tx.execute("CREATE TABLE IF NOT EXISTS big (b BLOB) STRICT", [])?;
                tx.execute("INSERT INTO big (b) VALUES (zeroblob(?1))", [bytes])
            })
        };
        assert_eq!(fill(1 << 20).await, Err(StoreError::Full));
        assert_eq!(writer.health(), Health::Full);
        set_pages(10_000).await.unwrap();
        assert_eq!(fill(1 << 20).await, Ok(1));
        assert_eq!(writer.health(), Health::Good);
    }

    /// Needs disk space, and reads the health of the store when it is answered.
    struct HealthProbe {
        health: Arc<AtomicU8>,
        seen: std::sync::mpsc::Sender<(Result<(), StoreError>, u8)>,
    }

    impl Operation for HealthProbe {
        fn need(&self) -> Need {
            Need::Grows
        }

        fn defers(&self) -> bool {
            false
        }

        fn run(&mut self, _: &Connection, _: &mut Deferred) -> rusqlite::Result<()> {
            Ok(())
        }

        fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
            self.seen.send((outcome, self.health.load(Ordering::Relaxed))).unwrap();
        }
    }

    #[test]
    fn health_reports_a_full_store_before_an_operation_is_refused() {
        let (folder, db) = (tempfile::tempdir().unwrap(), Connection::open_in_memory().unwrap());
        let room = Room::without_reserve(folder.path());
        let clock = Arc::new(SystemClock::new());
        let writer = Writer::start(db, clock, Arc::default(), Arc::default(), room, None).unwrap();
        let (seen, answers) = std::sync::mpsc::channel();
        let look = HealthProbe { health: Arc::clone(&writer.health), seen };
        assert!(writer.queue.as_ref().unwrap().try_send((Payer::Relay, Box::new(look))).is_ok());
        assert_eq!(answers.recv().unwrap(), (Err(StoreError::Full), FULL));
    }

    /// No operation can use more pages than there are, but one that frees space is retried in a transaction of its own.
    #[tokio::test]
    async fn a_full_disk_does_not_refuse_operations_that_free_space() {
        let (_folder, writer) = writer();
        let run = |need, sql: &'static str| writer.write(Payer::Relay, need, move |tx| tx.execute(sql, []));
        run(Need::Grows, "CREATE TABLE big (b BLOB) STRICT").await.unwrap();
        run(Need::Grows, "INSERT INTO big VALUES (zeroblob(1000000))").await.unwrap();
        let pages = writer.write(Payer::Relay, Need::Frees, |tx| {
            let pages: u32 = tx.pragma_query_value(None, "page_count", |row| row.get(0))?;
            tx.pragma_update(None, "max_page_count", pages)
        });
        pages.await.unwrap();
        let grow = "INSERT INTO big VALUES (zeroblob(1000000))";
        let answers = [run(Need::Grows, grow), run(Need::Frees, "DELETE FROM big"), run(Need::Grows, grow)];
        let answers = futures_util::future::join_all(answers).await;
        assert_eq!(answers[..2], [Err(StoreError::Full), Ok(1)]);
        assert!(run(Need::Frees, "DELETE FROM big").await.is_ok());
        assert_eq!(run(Need::Grows, grow).await, Ok(1), "it uses the freed pages");
        assert_eq!(writer.health(), Health::Good);
    }
}
