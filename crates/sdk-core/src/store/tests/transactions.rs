//! Tests of transactions: they happen completely or not at all, and events are emitted only after the commit.

use sealpost_testkit::eventually;

use super::*;
use crate::error::{Error, Storage};
use crate::store::lock::Lock;
use crate::store::writer::MAX_READS;
use crate::store::{Rows, Tx};

#[tokio::test]
async fn a_write_that_fails_changes_nothing_and_emits_no_event() {
    let fixture = Fixture::new().await;
    let mut events = fixture.events.subscribe();
    let new = outgoing(Body::text("never"));
    let failed: Result<(), Error> = fixture
        .store
        .write(move |tx| {
            tx.enqueue(new)?;
            Err(Error::NotFound)
        })
        .await;
    assert_eq!(failed, Err(Error::NotFound));
    assert!(fixture.texts().await.is_empty());
    assert_eq!(drain(&mut events), []);
}

/// A call that an app stopped polling half-way, unless the answer was available at once.
enum Stopped<F: Future> {
    Waits(std::pin::Pin<Box<F>>),
    Answered(F::Output),
}

fn stopped<F: Future>(call: F) -> Stopped<F> {
    let mut call = Box::pin(call);
    // It is polled until it first waits for something.
    match futures_util::FutureExt::now_or_never(&mut call) {
        Some(answer) => Stopped::Answered(answer),
        None => Stopped::Waits(call),
    }
}

impl<F: Future> Stopped<F> {
    async fn answer(self) -> F::Output {
        match self {
            Self::Waits(call) => call.await,
            Self::Answered(answer) => answer,
        }
    }
}

#[tokio::test]
async fn a_call_that_is_no_longer_polled_does_not_delay_others() {
    let fixture = Fixture::new().await;
    let mut reads = Vec::new();
    let mut writes = Vec::new();
    for _ in 0..20 {
        reads.push(stopped(fixture.store.read(|rows| rows.threads_with_others())));
        writes.push(stopped(fixture.store.write(|tx| tx.hurry_lanes())));
    }
    let other = async {
        fixture.store.write(|tx| tx.hurry_lanes()).await.unwrap();
        fixture.store.read(|rows| rows.threads_with_others()).await.unwrap()
    };
    let threads = tokio::time::timeout(std::time::Duration::from_secs(60), other).await;
    assert_eq!(threads.expect("a call that is no longer polled delays no others").len(), 1);
    for read in reads {
        assert_eq!(read.answer().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn writes_that_share_a_commit_do_not_share_a_failure() {
    let fixture = Fixture::new().await;
    // The first one holds the writer until the others wait behind it, so that these share the next commit.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let store = fixture.store.clone();
    let first = tokio::spawn(async move {
        store.write(move |_| held.recv().map_err(|_| Error::Bug("the test is gone"))).await
    });
    tokio::task::yield_now().await;
    let others: Vec<_> = (0..9)
        .map(|n| {
            let (store, new) = (fixture.store.clone(), outgoing(Body::text(format!("{n}"))));
            tokio::spawn(async move {
                store
                    .write(move |tx| {
                        tx.enqueue(new)?;
                        match n % 3 {
                            0 => Ok(n),
                            1 => Err(Error::NotFound),
                            _ => panic!("on purpose"),
                        }
                    })
                    .await
            })
        })
        .collect();
    tokio::task::yield_now().await;
    release.send(()).unwrap();
    first.await.unwrap().unwrap();
    for (n, other) in others.into_iter().enumerate() {
        let expected = match n % 3 {
            0 => Ok(n),
            1 => Err(Error::NotFound),
            _ => Err(Error::Bug("a panic in a transaction")),
        };
        assert_eq!(other.await.unwrap(), expected);
    }
    assert_eq!(fixture.texts().await, ["6", "3", "0"]);
}

#[tokio::test]
async fn a_write_is_executed_even_if_its_future_is_dropped() {
    let fixture = Fixture::new().await;
    for n in 0..20 {
        let new = outgoing(Body::text(format!("{n}")));
        let mut writing = Box::pin(fixture.store.write(move |tx| tx.enqueue(new)));
        // It is polled once and then dropped.
        let _ = futures_util::FutureExt::now_or_never(&mut writing);
    }
    fixture.store.write(|_| Ok(())).await.unwrap();
    assert_eq!(fixture.texts().await.len(), 20);
}

#[tokio::test]
async fn closing_finishes_submitted_writes_and_releases_the_file() {
    let fixture = Fixture::new().await;
    let again = open(&fixture.dir, EventBus::new());
    assert_eq!(again.unwrap_err(), Error::Storage(Storage::InUse));
    let new = outgoing(Body::text("handed over"));
    let writing = stopped(fixture.store.write(move |tx| tx.enqueue(new)));
    fixture.store.close().await;
    writing.answer().await.unwrap();
    let misuse = fixture.store.read(|rows| rows.threads_with_others()).await.unwrap_err();
    assert_eq!(misuse, Error::Misuse("the client is suspended"));
    let other = open(&fixture.dir, EventBus::new()).unwrap();
    other.close().await;
    fixture.store.reopen().unwrap();
    fixture.store.reopen().unwrap();
    assert_eq!(fixture.texts().await, ["handed over"]);
}

/// An `open` that has begun and waits because another process is using the file. It is only observed: a second
/// attempt to lock the file would make it fail.
async fn opening_that_waits(fixture: &Fixture) -> tokio::task::JoinHandle<Result<(), Error>> {
    let store = fixture.store.clone();
    let opening = tokio::task::spawn_blocking(move || store.reopen());
    while fixture.store.shared.opening.try_lock().is_ok() {
        assert!(!opening.is_finished(), "it did not wait: {:?}", opening.await);
        tokio::task::yield_now().await;
    }
    opening
}

#[tokio::test]
async fn other_calls_fail_immediately_while_the_file_is_being_opened() {
    let fixture = Fixture::new().await;
    fixture.store.close().await;
    let elsewhere = Lock::open(&fixture.dir.path().join("a.db")).unwrap();
    let held = elsewhere.take().unwrap();
    let opening = opening_that_waits(&fixture).await;
    let misuse = Error::Misuse("the client is suspended");
    assert_eq!(fixture.store.read(|_| Ok(())).await.unwrap_err(), misuse);
    assert_eq!(fixture.store.write(|_| Ok(())).await.unwrap_err(), misuse);
    assert!(!opening.is_finished());
    drop(held);
    opening.await.unwrap().unwrap();
    fixture.store.write(|_| Ok(())).await.unwrap();
}

#[tokio::test]
async fn a_store_that_ends_while_it_is_being_opened_stays_closed() {
    let fixture = Fixture::new().await;
    fixture.store.close().await;
    let elsewhere = Lock::open(&fixture.dir.path().join("a.db")).unwrap();
    let held = elsewhere.take().unwrap();
    let opening = opening_that_waits(&fixture).await;
    fixture.store.end();
    drop(held);
    assert_eq!(opening.await.unwrap(), Err(Error::Misuse("the client is gone")));
    open(&fixture.dir, EventBus::new()).unwrap();
}

#[tokio::test]
async fn ending_waits_for_running_reads_and_is_final() {
    let fixture = Fixture::new().await;
    let view = fixture.store.downgrade();
    let (began, begin) = std::sync::mpsc::channel::<()>();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (reader, ender) = (fixture.store.clone(), fixture.store.clone());
    let read = async move {
        let work = move |_: &Rows<'_>| {
            began.send(()).unwrap();
            held.recv().map_err(|_| Error::Bug("the test is gone"))
        };
        reader.read(work).await
    };
    let reading = tokio::spawn(read);
    tokio::task::spawn_blocking(move || begin.recv()).await.unwrap().unwrap();
    let ending = std::thread::spawn(move || ender.end());
    // From now on, no read begins. Running reads continue, and the file stays open.
    while fixture.store.read(|_| Ok(())).await.is_ok() {
        assert!(!ending.is_finished(), "it ended while somebody reads");
    }
    assert!(!ending.is_finished());
    assert_eq!(open(&fixture.dir, EventBus::new()).unwrap_err(), Error::Storage(Storage::InUse));
    release.send(()).unwrap();
    ending.join().unwrap();
    reading.await.unwrap().unwrap();
    let gone = Err(Error::Misuse("the client is gone"));
    assert_eq!(fixture.store.reopen(), gone);
    fixture.store.close().await;
    assert_eq!(fixture.store.reopen(), gone);
    assert!(view.upgrade().is_none());
    open(&fixture.dir, EventBus::new()).unwrap();
}

#[tokio::test]
async fn the_last_handle_may_be_dropped_by_a_job() {
    let Fixture { dir, store, .. } = Fixture::new().await;
    let (release, held) = std::sync::mpsc::channel::<()>();
    let in_job = store.clone();
    let work = move |_: &mut Tx<'_>| {
        held.recv().map_err(|_| Error::Bug("the test is gone"))?;
        drop(in_job);
        Ok(())
    };
    let mut writing = Box::pin(store.write(work));
    let _ = futures_util::FutureExt::now_or_never(&mut writing);
    drop(writing);
    // The job's handle keeps the file open. When the job drops it, the writer ends by itself.
    drop(store);
    release.send(()).unwrap();
    eventually("the writer lets go of the file", async || match open(&dir, EventBus::new()) {
        Ok(store) => Some(store),
        Err(error) => {
            assert_eq!(error, Error::Storage(Storage::InUse));
            None
        }
    })
    .await;
}

/// The name of the thread that reads, and whether it finds a row that was written before.
async fn glance(store: &Store) -> (Option<String>, usize) {
    let read = store.glance(|rows| {
        let name = std::thread::current().name().map(str::to_owned);
        Ok((name, rows.page(THREAD, None, 500)?.messages.len()))
    });
    read.await.unwrap()
}

#[tokio::test]
async fn a_page_is_read_by_the_writer_unless_it_is_busy() {
    let fixture = Fixture::new().await;
    fixture.enqueue("one").await;
    eventually("the writer is idle", async || {
        let (name, found) = glance(&fixture.store).await;
        assert_eq!(found, 1);
        (name.as_deref() == Some("sealpost-writer")).then_some(())
    })
    .await;
    // While the writer is busy, a reader does the read without waiting.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let store = fixture.store.clone();
    let busy = tokio::spawn(async move {
        store.write(move |_| held.recv().map_err(|_| Error::Bug("the test is gone"))).await
    });
    tokio::task::yield_now().await;
    let (name, found) = glance(&fixture.store).await;
    assert_ne!(name.as_deref(), Some("sealpost-writer"));
    assert_eq!(found, 1);
    release.send(()).unwrap();
    busy.await.unwrap().unwrap();
    // A read that panics affects nothing else.
    let panics = fixture.store.glance::<()>(|_| panic!("on purpose")).await;
    assert!(matches!(panics, Err(Error::Bug(_))));
    fixture.enqueue("two").await;
    assert_eq!(glance(&fixture.store).await.1, 2);
}

#[tokio::test]
async fn a_few_short_reads_share_the_connection_of_the_writer_and_more_get_another() {
    let fixture = Fixture::new().await;
    eventually("the writer is idle", async || {
        let (name, _) = glance(&fixture.store).await;
        (name.as_deref() == Some("sealpost-writer")).then_some(())
    })
    .await;
    // The first read holds the writer until all have been submitted.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (begin, begun) = std::sync::mpsc::channel::<()>();
    let first = stopped(fixture.store.glance(move |_| {
        let _ = begin.send(());
        held.recv().map_err(|_| Error::Bug("the test is gone"))
    }));
    begun.recv().unwrap();
    let others: Vec<_> = (0..MAX_READS).map(|_| stopped(glance(&fixture.store))).collect();
    let (name, _) = glance(&fixture.store).await;
    assert_ne!(name.as_deref(), Some("sealpost-writer"), "there is no room for another one");
    release.send(()).unwrap();
    first.answer().await.unwrap();
    for other in others {
        assert_eq!(other.answer().await.0.as_deref(), Some("sealpost-writer"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_can_be_opened_again_as_soon_as_its_last_handle_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let key = DatabaseKey::new([7; 32]);
        Store::open(dir.path().join("account.db"), key, EventBus::new(), Footprint::Full)
    };
    for round in 0..60 {
        let store = open().unwrap_or_else(|error| panic!("round {round}: {error}"));
        // The thread that served the read may not have ended yet.
        store.read(|rows| rows.threads_with_others()).await.unwrap();
    }
}
