//! The write-ahead log stays small, and a file that loses it is never taken for a new one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use rusqlite::Connection;

use super::*;
use crate::error::{Error, Storage};
use crate::store::log::MAX_BYTES;

/// The minimum number of bytes that one write of these tests adds to the log.
const WRITTEN_BYTES: u64 = 40 * 4096;
/// How far a single transaction may exceed the limit, including everything that SQLite adds to it.
const SLACK_BYTES: u64 = 4 << 20;

impl Fixture {
    fn database(&self) -> PathBuf {
        self.dir.path().join("a.db")
    }

    fn log_bytes(&self) -> u64 {
        fs::metadata(self.dir.path().join("a.db-wal")).map_or(0, |log| log.len())
    }

    async fn write_much(&self) {
        for _ in 0..4 {
            self.enqueue(&"x".repeat(40_000)).await;
        }
    }

    /// Writes twice as much as the log may hold, and returns how large it was at most.
    async fn write_more_than_fits(&self) -> u64 {
        let mut most = 0;
        for _ in 0..2 * MAX_BYTES / WRITTEN_BYTES {
            self.write_much().await;
            most = most.max(self.log_bytes());
        }
        most
    }
}

/// Opens a copy of the database file as a killed process would leave it, but without its log.
async fn opened_without_log(fixture: &Fixture) -> crate::Result<Store> {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(fixture.database(), dir.path().join("a.db")).unwrap();
    let store = open(&dir, EventBus::new());
    // The folder is deleted when this returns. The store has read what the tests need by then.
    if let Ok(store) = &store {
        store.read(|rows| rows.account()).await.unwrap();
    }
    store
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_stays_small_while_reads_overlap() {
    let fixture = Fixture::new().await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for _ in 0..3 {
        let (store, stop) = (fixture.store.clone(), Arc::clone(&stop));
        readers.push(tokio::spawn(async move {
            let mut reads = 0_u64;
            while !stop.load(Ordering::SeqCst) {
                // At almost every moment, at least one of the three reads is open.
                let read = store.read(|rows| {
                    rows.page(THREAD, None, 1)?;
                    std::thread::sleep(Duration::from_millis(5));
                    Ok(())
                });
                read.await.unwrap();
                reads += 1;
            }
            reads
        }));
    }
    let most = fixture.write_more_than_fits().await;
    stop.store(true, Ordering::SeqCst);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    assert!(most <= MAX_BYTES + SLACK_BYTES, "{most}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_stays_small_while_one_read_stays_open_and_shrinks_after_it() {
    let fixture = Fixture::new().await;
    let (begun, has_begun) = channel();
    let (end, ended) = channel::<()>();
    let store = fixture.store.clone();
    let reader = tokio::spawn(async move {
        store
            .read(move |rows| {
                rows.page(THREAD, None, 1)?;
                begun.send(()).unwrap();
                // The snapshot is held open until the sender is dropped or sends.
                let _ = ended.recv();
                rows.page(THREAD, None, 1)
            })
            .await
    });
    has_begun.recv().unwrap();
    // The write that makes the log too large waits for the reader, and so do all writes behind it.
    let mut writing = Box::pin(async {
        while fixture.log_bytes() <= 2 * MAX_BYTES {
            fixture.write_much().await;
        }
    });
    let is_full = async {
        while fixture.log_bytes() <= MAX_BYTES {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = &mut writing => panic!("no write waited"),
        () = is_full => {}
    }
    let went_on = tokio::time::timeout(Duration::from_millis(200), writing).await.is_ok();
    let full = fixture.log_bytes();
    assert!(!went_on && full <= MAX_BYTES + SLACK_BYTES, "{full}");
    end.send(()).unwrap();
    reader.await.unwrap().unwrap();
    fixture.write_much().await;
    assert!(fixture.log_bytes() <= SLACK_BYTES, "{}", fixture.log_bytes());
}

#[tokio::test]
async fn an_account_is_in_the_file_itself_as_soon_as_it_is_registered() {
    let fixture = Fixture::new().await;
    // Later transactions are only in the log.
    fixture.enqueue("later").await;
    assert!(fixture.log_bytes() > 0);
    let store = opened_without_log(&fixture).await.unwrap();
    let account = store.read(|rows| rows.account()).await.unwrap().unwrap();
    assert_eq!(account.registered.unwrap().user, US);
    assert!(store.read(|rows| rows.page(THREAD, None, 1)).await.unwrap().messages.is_empty());
}

/// Creates a database as earlier releases did, with all of its contents in the log.
fn made_by_an_earlier_release(path: &Path) -> Connection {
    let connection = sealpost_testkit::open_database(path, &[9; 32]);
    connection.execute_batch("PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0").unwrap();
    let mut connection = connection;
    crate::store::schema::migrate(&mut connection).unwrap();
    connection
}

#[tokio::test]
async fn a_file_whose_contents_were_all_in_the_log_is_corrupt_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let earlier = made_by_an_earlier_release(&dir.path().join("earlier.db"));
    let whole = tempfile::tempdir().unwrap();
    fs::copy(dir.path().join("earlier.db"), whole.path().join("a.db")).unwrap();
    assert_eq!(open(&whole, EventBus::new()).map(drop), Err(Error::Storage(Storage::Corrupt)));
    // With its log, it can be opened.
    fs::copy(dir.path().join("earlier.db-wal"), whole.path().join("a.db-wal")).unwrap();
    let store = open(&whole, EventBus::new()).unwrap();
    let account = store.write(|tx| {
        tx.insert_account(&IdentityKeyPair::generate(&mut rand::rng()), 7)?;
        tx.account()
    });
    assert!(account.await.unwrap().is_some());
    drop(earlier);
}

#[tokio::test]
async fn the_log_of_a_killed_process_is_moved_to_the_file_when_the_writer_is_idle() {
    let fixture = Fixture::new().await;
    fixture.enqueue("only in the log").await;
    let killed = tempfile::tempdir().unwrap();
    for name in ["a.db", "a.db-wal"] {
        fs::copy(fixture.dir.path().join(name), killed.path().join(name)).unwrap();
    }
    let again = open(&killed, EventBus::new()).unwrap();
    let emptied = async || {
        let log = fs::metadata(killed.path().join("a.db-wal")).unwrap();
        (log.len() == 0).then_some(())
    };
    sealpost_testkit::eventually("the log is in the file", emptied).await;
    let copied = tempfile::tempdir().unwrap();
    fs::copy(killed.path().join("a.db"), copied.path().join("a.db")).unwrap();
    let without_log = open(&copied, EventBus::new()).unwrap();
    let page = without_log.read(|rows| rows.page(THREAD, None, 1)).await.unwrap();
    assert_eq!(page.messages.len(), 1);
    drop(again);
}

#[tokio::test]
async fn a_file_whose_creation_was_interrupted_is_created_again() {
    let dir = tempfile::tempdir().unwrap();
    // The file was created and is still empty.
    fs::write(dir.path().join("a.db"), "").unwrap();
    open(&dir, EventBus::new()).unwrap().end();
    // The first transaction was interrupted: SQLite has written pages to the file, and a journal to roll them back.
    let dir = tempfile::tempdir().unwrap();
    let making = dir.path().join("making.db");
    let connection = sealpost_testkit::open_database(&making, &[9; 32]);
    connection
        .execute_batch(
            "PRAGMA cache_size = 2; PRAGMA cache_spill = 1; BEGIN; CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(200000));",
        )
        .unwrap();
    assert!(fs::metadata(&making).unwrap().len() > 0);
    for (from, to) in [("making.db", "a.db"), ("making.db-journal", "a.db-journal")] {
        fs::copy(dir.path().join(from), dir.path().join(to)).unwrap();
    }
    let store = open(&dir, EventBus::new()).unwrap();
    assert!(store.read(|rows| rows.account()).await.unwrap().is_none());
    drop(connection);
}

#[tokio::test]
async fn a_closed_file_contains_everything_and_is_the_only_one() {
    let fixture = Fixture::new().await;
    fixture.enqueue("all of it").await;
    fixture.store.close().await;
    for name in ["a.db-wal", "a.db-shm"] {
        assert!(!fixture.dir.path().join(name).exists(), "{name}");
    }
    fixture.store.reopen().unwrap();
    assert_eq!(fixture.texts().await, ["all of it"]);
}
