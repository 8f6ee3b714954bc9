//! Tests which commits wait for the disk, which transactions have savepoints, and the functions that are called after a commit.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::fs;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use super::*;
use crate::error::{Error, Result};
use crate::message::Direction;
use crate::store::{Entry, Parcel, Rows, Settlement, Tx};
use crate::{Delivery, MessageId};

const NORMAL: i64 = 1;
const FULL: i64 = 2;

/// Whether the commit of the current transaction waits for the disk (`PRAGMA synchronous`).
fn synchronous(rows: &Rows<'_>) -> Result<i64> {
    Ok(rows.connection.pragma_query_value(None, "synchronous", |row| row.get(0))?)
}

#[tokio::test]
async fn a_commit_waits_for_the_disk_unless_all_of_it_can_be_repeated() {
    let fixture = Fixture::new().await;
    for _ in 0..2 {
        assert_eq!(fixture.store.write(|tx| synchronous(tx)).await, Ok(FULL));
        assert_eq!(fixture.store.write_unflushed(|tx| synchronous(tx)).await, Ok(NORMAL));
        assert_eq!(fixture.store.write_unflushed(|tx| synchronous(tx)).await, Ok(NORMAL));
    }
    // The first one holds the writer until the others wait behind it, so that these share the next commit.
    let (release, held) = channel::<()>();
    let begun = Arc::new(tokio::sync::Notify::new());
    let began = Arc::clone(&begun);
    let work = move |_: &mut Tx<'_>| {
        began.notify_one();
        held.recv().map_err(|_| Error::Bug("the test is gone"))
    };
    let first = fixture.store.write_unflushed(work);
    let (_, (repeatable, other, ())) = tokio::join!(biased; first, async {
        // It does not belong to the commit of the others.
        begun.notified().await;
        tokio::join!(
            biased;
            fixture.store.write_unflushed(|tx| synchronous(tx)),
            fixture.store.write(|tx| synchronous(tx)),
            async { release.send(()).unwrap() },
        )
    });
    assert_eq!((repeatable, other), (Ok(FULL), Ok(FULL)));
}

/// A store as it is after a power failure that has undone everything after this size of the log.
fn after_power_failure(fixture: &Fixture, log_bytes: u64) -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(fixture.dir.path().join("a.db"), dir.path().join("a.db")).unwrap();
    let log = fs::read(fixture.dir.path().join("a.db-wal")).unwrap();
    fs::write(dir.path().join("a.db-wal"), &log[..usize::try_from(log_bytes).unwrap()]).unwrap();
    let store = open(&dir, EventBus::new()).unwrap();
    (dir, store)
}

async fn delivery(store: &Store, message: MessageId) -> Delivery {
    match store.read(move |rows| rows.message(message)).await.unwrap().unwrap().direction {
        Direction::Outgoing(delivery) => delivery,
        Direction::Incoming { .. } => panic!("not ours"),
    }
}

#[tokio::test]
async fn a_settlement_that_a_power_failure_undoes_can_be_repeated_with_the_same_parcel() {
    let fixture = Fixture::new().await;
    let message = fixture.enqueue("hello").await;
    let (entry, name) = (fixture.entry(message).await, fresh_id());
    let parcel = Parcel { client_msg_id: name, bytes: "sealed".into() };
    fixture.store.write(move |tx| tx.set_sealed(entry, parcel, None, 1000).map(drop)).await.unwrap();
    let log = fixture.dir.path().join("a.db-wal");
    let flushed = fs::metadata(&log).unwrap().len();

    let accepted = Settlement::Accepted { epoch: 1, server_seq: 5, server_ms: 2000 };
    let settle = move |tx: &mut Tx<'_>| tx.settle_all(&[(entry, Some(name), accepted)]);
    fixture.store.write_unflushed(settle).await.unwrap();
    assert_eq!(delivery(&fixture.store, message).await, Delivery::Sent);
    // The end of the process undoes nothing.
    let written = fs::metadata(&log).unwrap().len();
    assert!(written > flushed);
    let (_dir, killed) = after_power_failure(&fixture, written);
    assert_eq!(delivery(&killed, message).await, Delivery::Sent);

    let (_dir, store) = after_power_failure(&fixture, flushed);
    assert_eq!(delivery(&store, message).await, Delivery::Queued);
    let entries = store.read(|rows| rows.entries(THREAD, None, (10, 1 << 20))).await.unwrap();
    let [Entry::Sealed { id, parcel, .. }] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!((*id, parcel.get().client_msg_id, &parcel.get().bytes[..]), (entry, name, &b"sealed"[..]));
    store.write_unflushed(settle).await.unwrap();
    assert_eq!(delivery(&store, message).await, Delivery::Sent);
}

#[tokio::test]
async fn a_part_of_the_search_index_that_a_power_failure_undoes_is_indexed_again() {
    let fixture = Fixture::new().await;
    fixture.enqueue("findable").await;
    let flushed = fs::metadata(fixture.dir.path().join("a.db-wal")).unwrap().len();
    fixture.store.write_unflushed(|tx| tx.feed_index(100)).await.unwrap();

    let (_dir, store) = after_power_failure(&fixture, flushed);
    let found = async || store.read(|rows| rows.search("findable", 10)).await.unwrap().len();
    assert_eq!((found().await, store.read(|rows| rows.index_is_behind()).await), (0, Ok(true)));
    store.write_unflushed(|tx| tx.feed_index(100)).await.unwrap();
    assert_eq!((found().await, store.read(|rows| rows.index_is_behind()).await), (1, Ok(false)));
}

#[tokio::test]
async fn functions_are_called_in_order_after_a_commit_and_not_after_a_rollback() {
    let fixture = Fixture::new().await;
    let called = Arc::new(Mutex::new(Vec::new()));
    for n in 0..20 {
        let called = Arc::clone(&called);
        let mut writing = Box::pin(fixture.store.write(move |tx| {
            let note = move |what: &'static str| {
                let called = Arc::clone(&called);
                move || called.lock().unwrap().push((n, what))
            };
            tx.after_commit(note("kept"));
            let part = tx.begin_part()?;
            tx.after_commit(note("undone"));
            tx.undo_part(part)?;
            if n % 3 == 0 { Err(Error::NotFound) } else { Ok(()) }
        }));
        // It is polled once and then dropped.
        let _ = futures_util::FutureExt::now_or_never(&mut writing);
    }
    fixture.store.write(|_| Ok(())).await.unwrap();
    let kept: Vec<_> = (0..20).filter(|n| n % 3 != 0).map(|n| (n, "kept")).collect();
    assert_eq!(*called.lock().unwrap(), kept);
}

/// The outcome of a transaction.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    Succeeds,
    Fails,
    Panics,
}

/// Runs transactions that share a commit, each of which queues its number and says whether it has a savepoint. Returns their results.
async fn together(fixture: &Fixture, outcomes: [Outcome; 3]) -> [Result<bool>; 3] {
    let (release, held) = channel::<()>();
    let (entered, enter) = tokio::sync::oneshot::channel();
    let store = fixture.store.clone();
    let first = tokio::spawn(async move {
        let work = move |_: &mut Tx<'_>| {
            let _ = entered.send(());
            held.recv().map_err(|_| Error::Bug("the test is gone"))
        };
        store.write(work).await
    });
    enter.await.unwrap();
    let mut numbers = 0..;
    let writes = outcomes.map(|outcome| {
        let new = outgoing(Body::text(format!("{}", numbers.next().unwrap())));
        fixture.store.write(move |tx| {
            let has_savepoint = tx.connection.execute_batch("ROLLBACK TO job").is_ok();
            tx.enqueue(new)?;
            match outcome {
                Outcome::Succeeds => Ok(has_savepoint),
                Outcome::Fails => Err(Error::NotFound),
                Outcome::Panics => panic!("on purpose"),
            }
        })
    });
    let [a, b, c] = writes;
    let (a, b, c, ()) = tokio::join!(biased; a, b, c, async { release.send(()).unwrap() });
    first.await.unwrap().unwrap();
    [a, b, c]
}

#[tokio::test]
async fn a_transaction_that_fails_undoes_nothing_else_and_only_those_behind_a_success_have_savepoints() {
    const OUTCOMES: [Outcome; 3] = [Outcome::Succeeds, Outcome::Fails, Outcome::Panics];
    for case in 0..27 {
        let outcomes = [OUTCOMES[case / 9], OUTCOMES[case / 3 % 3], OUTCOMES[case % 3]];
        let fixture = Fixture::new().await;
        let results = together(&fixture, outcomes).await;
        let (mut has_savepoint, mut kept) = (false, Vec::new());
        for (number, (outcome, result)) in outcomes.into_iter().zip(results).enumerate() {
            let expected = match outcome {
                Outcome::Succeeds => Ok(has_savepoint),
                Outcome::Fails => Err(Error::NotFound),
                Outcome::Panics => Err(Error::Bug("a panic in a transaction")),
            };
            assert_eq!(result, expected, "{number} of {outcomes:?}");
            if outcome == Outcome::Succeeds {
                has_savepoint = true;
                kept.insert(0, format!("{number}"));
            }
        }
        assert_eq!(fixture.texts().await, kept, "{outcomes:?}");
    }
}

/// The outcome of a part of a transaction.
const PARTS: [Outcome; 3] = [Outcome::Succeeds, Outcome::Fails, Outcome::Panics];

/// What a transaction with parts has done.
#[derive(Default)]
struct Log {
    runs: usize,
    savepoints: usize,
}

fn count(number: &mut usize, happened: bool) {
    *number = number.saturating_add(usize::from(happened));
}

/// A transaction that queues a text for each of its parts, and one more.
fn in_parts(
    log: Arc<Mutex<Log>>,
    name: char,
    outcomes: [Outcome; 3],
) -> impl FnMut(&mut Tx<'_>) -> Result<()> + Send {
    move |tx| {
        count(&mut log.lock().unwrap().runs, true);
        for (number, outcome) in outcomes.into_iter().enumerate() {
            let part = tx.begin_part()?;
            let has_savepoint = tx.connection.execute_batch("ROLLBACK TO part").is_ok();
            count(&mut log.lock().unwrap().savepoints, has_savepoint);
            let queued = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                tx.enqueue(outgoing(Body::text(format!("{name}{number}"))))?;
                match outcome {
                    Outcome::Succeeds => Ok(()),
                    Outcome::Fails => Err(Error::NotFound),
                    Outcome::Panics => panic!("on purpose"),
                }
            }));
            match queued {
                Ok(Ok(())) => tx.keep_part(part)?,
                _ => tx.undo_part(part)?,
            }
        }
        tx.enqueue(outgoing(Body::text(format!("{name}"))))?;
        Ok(())
    }
}

#[tokio::test]
async fn a_part_that_fails_is_undone_alone_and_only_then_do_parts_have_savepoints() {
    for case in 0..27 {
        let outcomes = [PARTS[case / 9], PARTS[case / 3 % 3], PARTS[case % 3]];
        let fixture = Fixture::new().await;
        let (log, mut events) = (Arc::<Mutex<Log>>::default(), fixture.events.subscribe());
        fixture.store.write_repeatable(in_parts(Arc::clone(&log), 'a', outcomes)).await.unwrap();
        let good = |(number, outcome): (usize, &Outcome)| {
            (*outcome == Outcome::Succeeds).then(|| format!("a{number}"))
        };
        let mut kept: Vec<_> = outcomes.iter().enumerate().filter_map(good).collect();
        kept.push("a".to_owned());
        kept.reverse();
        assert_eq!(fixture.texts().await, kept, "{outcomes:?}");
        // No event of a run that was undone is reported.
        assert_eq!(drain(&mut events).len(), kept.len(), "{outcomes:?}");
        let all_succeed = outcomes == [Outcome::Succeeds; 3];
        let Log { runs, savepoints } = *log.lock().unwrap();
        assert_eq!((runs, savepoints), if all_succeed { (1, 0) } else { (2, 3) }, "{outcomes:?}");
    }
}

#[tokio::test]
async fn repeatable_transactions_share_a_commit_without_savepoints_until_one_of_them_fails() {
    const FAIL: [[Outcome; 3]; 2] =
        [[Outcome::Succeeds; 3], [Outcome::Succeeds, Outcome::Fails, Outcome::Succeeds]];
    for case in 0..8 {
        let outcomes = [FAIL[case & 1], FAIL[case >> 1 & 1]];
        let other_fails = case >> 2 == 1;
        let fixture = Fixture::new().await;
        let logs = [Arc::<Mutex<Log>>::default(), Arc::default()];
        let (release, held) = channel::<()>();
        let hold = fixture.store.write(move |_| held.recv().map_err(|_| Error::Bug("the test is gone")));
        let other = fixture.store.write(move |tx| {
            tx.enqueue(outgoing(Body::text("other".to_owned())))?;
            if other_fails { Err(Error::NotFound) } else { Ok(()) }
        });
        let (held, a, other, b, ()) = tokio::join!(
            biased;
            hold,
            fixture.store.write_repeatable(in_parts(Arc::clone(&logs[0]), 'a', outcomes[0])),
            other,
            fixture.store.write_repeatable(in_parts(Arc::clone(&logs[1]), 'b', outcomes[1])),
            async { release.send(()).unwrap() },
        );
        assert_eq!((held, a, b), (Ok(()), Ok(()), Ok(())), "{case}");
        assert_eq!(other, if other_fails { Err(Error::NotFound) } else { Ok(()) }, "{case}");
        let mut kept = Vec::new();
        for (name, outcomes) in ['a', 'b'].into_iter().zip(outcomes) {
            for (number, outcome) in outcomes.into_iter().enumerate() {
                if outcome == Outcome::Succeeds {
                    kept.insert(0, format!("{name}{number}"));
                }
            }
            kept.insert(0, name.to_string());
            if name == 'a' && !other_fails {
                kept.insert(0, "other".to_owned());
            }
        }
        assert_eq!(fixture.texts().await, kept, "{case}");
        if case == 0 {
            for log in logs {
                let Log { runs, savepoints } = *log.lock().unwrap();
                assert_eq!((runs, savepoints), (1, 0));
            }
        }
    }
}

#[tokio::test]
async fn a_transaction_that_nobody_waits_for_shares_the_next_commit_and_precedes_it() {
    let fixture = Fixture::new().await;
    let (release, held) = channel::<()>();
    let work = move |_: &mut Tx<'_>| held.recv().map_err(|_| Error::Bug("the test is gone"));
    let later = |text: &'static str| {
        fixture.store.write_later(move |tx| {
            tx.enqueue(outgoing(Body::text(text.to_owned())))?;
            synchronous(tx)
        })
    };
    let next = fixture.store.write(|tx| {
        tx.enqueue(outgoing(Body::text("next".to_owned())))?;
        synchronous(tx)
    });
    let first = fixture.store.write(work);
    let (_, a, next, b, ()) =
        tokio::join!(biased; first, later("a"), next, later("b"), async { release.send(()).unwrap() });
    assert_eq!((a, next, b), (Ok(FULL), Ok(FULL), Ok(FULL)));
    assert_eq!(fixture.texts().await, ["next", "b", "a"]);
    // Without another transaction, it has a commit of its own, which is not flushed.
    assert_eq!(later("alone").await, Ok(NORMAL));
    assert_eq!(fixture.texts().await, ["alone", "next", "b", "a"]);
}

#[tokio::test]
async fn a_transaction_that_nobody_waits_for_is_committed_before_the_file_is_closed() {
    let fixture = Fixture::new().await;
    let mut later = Box::pin(fixture.store.write_later(|tx| {
        tx.enqueue(outgoing(Body::text("kept".to_owned())))?;
        Ok(())
    }));
    assert!(futures_util::FutureExt::now_or_never(&mut later).is_none());
    fixture.store.close().await;
    assert_eq!(later.await, Ok(()));
    fixture.store.reopen().unwrap();
    assert_eq!(fixture.texts().await, ["kept"]);
}
