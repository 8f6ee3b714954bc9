//! The one writer: a thread that owns the connection and commits in groups.
//!
//! It takes what is queued, up to 1,024 operations, and runs them in one transaction. One fsync makes them all durable;
//! only then are they answered. While it waits for the disk the next group gathers, so the groups grow with the load and
//! the time for an answer hardly does. Whose operations are next, the [`FairQueue`] says: those of one payer run in the
//! order of the calls, those of others may overtake them.
//!
//! A refusal is an answer like any other and has written nothing, so an operation fails only when SQLite does. That is
//! rare, and a savepoint for each operation costs a copy of every page that it changes; so there are none until one
//! fails. Then the group is undone, and each of its operations runs once more in a savepoint of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, oneshot};

use super::fair::{FairQueue, Payer, Turn};
use super::room::{Need, Room, Terms};
use super::transaction::Transaction;
use crate::clock::Clock;
use crate::limits::Limiter;
use crate::metrics::Metrics;
use crate::store::{Answer, Health, StoreError};

/// Most operations in one commit.
const MAX_GROUP: usize = 1_024;
/// A group that has run for this long is committed.
const LONG: Duration = Duration::from_millis(10);
/// Most operations that wait. More are refused at once: their callers would time out anyway.
const MAX_QUEUE: usize = 16_384;

/// Hands operations to the writing thread.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<mpsc::Sender<(Payer, Box<dyn Operation>)>>,
    thread: Option<JoinHandle<()>>,
    health: Arc<AtomicU8>,
    tidy: Arc<AtomicBool>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(
        db: Connection,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        limiter: Arc<Limiter>,
        room: Room,
    ) -> std::io::Result<Self> {
        let (queue, waiting) = mpsc::channel(MAX_QUEUE);
        let (health, tidy) = (Arc::new(AtomicU8::new(GOOD)), Arc::new(AtomicBool::new(false)));
        let committer = Committer {
            db,
            clock,
            metrics,
            limiter,
            room,
            waiting,
            health: Arc::clone(&health),
            tidy: Arc::clone(&tidy),
        };
        let thread =
            std::thread::Builder::new().name("store-writer".into()).spawn(move || committer.run())?;
        Ok(Self { queue: Some(queue), thread: Some(thread), health, tidy })
    }

    /// Queues `work` now; it runs in a transaction, and its result is answered once it is durable. What it did is undone
    /// when it fails, or when another operation of its group does; then it runs again. What it takes of the writer's time
    /// is the payer's. When the disk is full, only what frees room is done.
    pub(super) fn write<T: Send + 'static>(
        &self,
        payer: Payer,
        need: Need,
        work: impl Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<T> {
        self.write_and_then(payer, need, work, |done| done)
    }

    /// As [`Self::write`]. Once it is durable, `then` makes the answer of what was done, whether or not anybody waits
    /// for that.
    pub(super) fn write_and_then<D: Send + 'static, T: Send + 'static>(
        &self,
        payer: Payer,
        need: Need,
        work: impl Fn(&Connection) -> rusqlite::Result<D> + Send + 'static,
        then: impl FnOnce(D) -> T + Send + 'static,
    ) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        let operation: Box<dyn Operation> = Box::new(Pending { need, work, done: None, then, reply });
        let queued = self.queue.as_ref().is_some_and(|queue| queue.try_send((payer, operation)).is_ok());
        Box::pin(async move {
            if !queued {
                return Err(StoreError::Unavailable);
            }
            answer.await.unwrap_or(Err(StoreError::Unavailable))
        })
    }

    /// After the next group, empties the write-ahead log: it still holds the pages of deleted rows.
    pub(super) fn tidy(&self) {
        self.tidy.store(true, Ordering::Relaxed);
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
    /// Lets the queued operations finish, then closes the database.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store writer panicked");
        }
    }
}

const GOOD: u8 = 0;
const FULL: u8 = 1;
const FAILING: u8 = 2;

/// Work in the queue: it runs, perhaps again, and later it is answered.
pub(super) trait Operation: Send {
    fn need(&self) -> Need;
    fn run(&mut self, tx: &Connection) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Pending<D, T, F, N> {
    need: Need,
    work: F,
    done: Option<D>,
    then: N,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<D, T, F, N> Operation for Pending<D, T, F, N>
where
    D: Send,
    T: Send,
    F: Fn(&Connection) -> rusqlite::Result<D> + Send,
    N: FnOnce(D) -> T + Send,
{
    fn need(&self) -> Need {
        self.need
    }

    fn run(&mut self, tx: &Connection) -> rusqlite::Result<()> {
        self.done = Some((self.work)(tx)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { done, then, reply, .. } = *self;
        let answer = outcome.and_then(|()| done.map(then).ok_or(StoreError::Unavailable));
        // Nobody waits any more when the requester hung up; what was stored stays stored.
        let _ = reply.send(answer);
    }
}

struct Committer {
    db: Connection,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    limiter: Arc<Limiter>,
    room: Room,
    waiting: mpsc::Receiver<(Payer, Box<dyn Operation>)>,
    health: Arc<AtomicU8>,
    tidy: Arc<AtomicBool>,
}

/// Operations by their payers.
type Queue = FairQueue<Box<dyn Operation>>;

impl Committer {
    fn run(mut self) {
        let mut queue = Queue::new();
        loop {
            if queue.len() == 0 {
                let Some((payer, operation)) = self.waiting.blocking_recv() else { return };
                queue_up(&mut queue, payer, operation);
            }
            queue.next_group();
            self.commit(&mut queue);
            if self.tidy.swap(false, Ordering::Relaxed) {
                self.empty_log();
            }
        }
    }

    fn empty_log(&self) {
        // A reader in the way makes it do less; the next one does the rest.
        let log = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        log.map_err(store_error).ok();
    }

    fn commit(&mut self, queue: &mut Queue) {
        let began = self.clock.monotonic();
        let mut group = Vec::new();
        let terms = self.room.look(&self.db, MAX_GROUP);
        if let Some(refusal) = terms.refusal() {
            // Whoever hears of it and asks how the store is must hear the same.
            self.note(Some(refusal));
        }
        let outcomes = self.transaction(queue, &mut group, terms, began);
        let outcomes = self.once_more(&mut group, outcomes);
        if terms.empty_log {
            self.empty_log();
        }
        self.metrics.store_commit.observe(self.clock.monotonic().saturating_sub(began));
        self.metrics.store_batch.observe(u64::try_from(group.len()).unwrap_or(u64::MAX));
        match outcomes {
            Ok(outcomes) => {
                self.note(outcomes.iter().find_map(|outcome| outcome.err()).or(terms.refusal()));
                let mut answers: Vec<_> = group.into_iter().zip(outcomes).collect();
                // Those of one payer together, so that a connection wakes once and answers in one write.
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

    /// What frees room, and found none to do so, runs once more with what was held in reserve.
    fn once_more(
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
                *outcome = self.alone(operation.as_mut());
                self.empty_log();
            }
        }
        Ok(outcomes)
    }

    fn alone(&self, operation: &mut dyn Operation) -> Result<(), StoreError> {
        let tx = Transaction::begin(&self.db).map_err(store_error)?;
        operation.run(&self.db).map_err(store_error)?;
        tx.commit().map_err(store_error)
    }

    /// Runs a group in one transaction, and notes in `group` what belongs to it. `Err`: none of it took effect, or (if
    /// [`StoreError::Unavailable`]) nobody knows.
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
        // None as long as everything succeeds.
        let mut outcomes: Option<Vec<_>> = None;
        let mut spent = Vec::new();
        let mut before = self.clock.monotonic();
        while let Some(Turn { payer, mut operation }) = next {
            if operation.need() == Need::Grows && !terms.grow {
                operation.answer(Err(StoreError::Full));
                next = self::next(queue, &mut self.waiting);
                continue;
            }
            let ran = outcomes.is_some() || operation.run(&self.db).is_ok();
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
                    let again = group.iter_mut().map(|(_, operation)| tx.run_alone(operation.as_mut()));
                    outcomes = Some(again.collect::<Result<_, _>>()?);
                }
            }
            let now = self.clock.monotonic();
            let took = now.saturating_sub(before);
            queue.served(payer, took);
            if let Payer::User(user) = payer {
                spent.push((user, took));
            }
            before = now;
            if group.len() >= terms.operations || now.saturating_sub(began) >= LONG {
                break;
            }
            next = self::next(queue, &mut self.waiting);
        }
        self.limiter.writer_took(&spent, before);
        tx.commit().map_err(store_error)?;
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
                None => tracing::info!("the store writes again"),
                Some(error) => tracing::error!(%error, "the store does not write"),
            }
        }
    }
}

/// The next operation of a group, of all that have been called for by now.
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

/// What SQLite's error means to the callers. Its text may hold values, so only the code is logged.
pub(super) fn store_error(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        code => {
            tracing::error!(?code, "an SQLite operation failed");
            StoreError::Unavailable
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
        (folder, Writer::start(db, clock, metrics, Arc::default(), room).unwrap())
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
    async fn a_full_disk_is_told_apart_and_heals() {
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

    /// Needs room, and looks at the health of the store when it is answered.
    struct Look {
        health: Arc<AtomicU8>,
        seen: std::sync::mpsc::Sender<(Result<(), StoreError>, u8)>,
    }

    impl Operation for Look {
        fn need(&self) -> Need {
            Need::Grows
        }

        fn run(&mut self, _: &Connection) -> rusqlite::Result<()> {
            Ok(())
        }

        fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
            self.seen.send((outcome, self.health.load(Ordering::Relaxed))).unwrap();
        }
    }

    #[test]
    fn the_store_says_that_it_is_full_before_anybody_is_refused() {
        let (folder, db) = (tempfile::tempdir().unwrap(), Connection::open_in_memory().unwrap());
        let room = Room::without_reserve(folder.path());
        let clock = Arc::new(SystemClock::new());
        let writer = Writer::start(db, clock, Arc::default(), Arc::default(), room).unwrap();
        let (seen, answers) = std::sync::mpsc::channel();
        let look = Look { health: Arc::clone(&writer.health), seen };
        assert!(writer.queue.as_ref().unwrap().try_send((Payer::Relay, Box::new(look))).is_ok());
        assert_eq!(answers.recv().unwrap(), (Err(StoreError::Full), FULL));
    }

    /// No operation can have more pages than there are, whatever it is for; but what frees runs again, alone.
    #[tokio::test]
    async fn what_frees_room_is_not_refused_with_what_found_none() {
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
        assert_eq!(run(Need::Grows, grow).await, Ok(1), "into the pages that were freed");
        assert_eq!(writer.health(), Health::Good);
    }
}
