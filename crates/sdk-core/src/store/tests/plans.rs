//! Tests of how SQLite runs the statements: each is prepared once, its temporary data stays in memory, and finding what
//! is due takes the same number of steps however much is queued.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use rusqlite::hooks::{AuthContext, Authorization};
use sealpost_wire::KeyCounts;
use tempfile::TempDir;

use super::{PEER, THREAD, Thread, outgoing};
use crate::config::DatabaseKey;
use crate::content::{Body, Counts, Number, Run};
use crate::id::{DeviceId, MessageId, ThreadId, UserId};
use crate::store::vault::Vault;
use crate::store::{Folder, Footprint, MarkKind, MarkOf, OutgoingId, Rows, Tx};

/// A connection with the settings of the writer, to a new database with one thread.
fn connect(dir: &TempDir) -> Connection {
    let vault = Vault::new(&dir.path().join("a.db"), DatabaseKey::new([9; 32])).unwrap();
    let connection = vault.connect(Footprint::Full).unwrap().unguarded();
    let thread = Thread { id: THREAD, peer: Some(PEER), roster_version: 1 };
    Tx::new(&connection).put_thread(thread, 1).unwrap();
    connection
}

#[test]
fn a_statement_is_prepared_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut connection = connect(&dir);
    Tx::new(&connection)
        .insert_account(&sealpost_protocol::IdentityKeyPair::generate(&mut rand::rng()), 7)
        .unwrap();
    let prepared = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&prepared);
    let hook = move |_: AuthContext<'_>| {
        count.fetch_add(1, Ordering::SeqCst);
        Authorization::Allow
    };
    connection.authorizer(Some(hook)).unwrap();
    for round in 0..10 {
        let before = prepared.load(Ordering::SeqCst);
        let (mut tx, rows) = (Tx::new(&connection), Rows { connection: &connection });
        tx.enqueue(outgoing(Body::text(format!("word {round}")))).unwrap();
        tx.feed_index(1 + round).unwrap();
        tx.note_given_out(KeyCounts { ec: round, kem: round, ..KeyCounts::default() }, 1).unwrap();
        tx.forget_old_pre_keys(u64::from(round)).unwrap();
        let newest = rows.page(THREAD, None, 1 + round).unwrap().messages;
        rows.page_around(THREAD, newest[0].id, 1 + round).unwrap();
        rows.thread_page(Folder::Chats, None, 1 + round).unwrap();
        rows.arrived_after(THREAD, MessageId(0), 1 + round).unwrap();
        rows.entries(THREAD, None, (1 + round, 1 << 20)).unwrap();
        rows.due_lanes(u64::from(round), 1 + round as usize).unwrap();
        assert_eq!(rows.search("word", 1 + round).unwrap().len(), 1 + round as usize);
        let fresh = prepared.load(Ordering::SeqCst) - before;
        assert_eq!(fresh > 0, round == 0, "{fresh} in round {round}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_is_written_outside_the_database() {
    let dir = tempfile::tempdir().unwrap();
    let connection = connect(&dir);
    for n in 0..200 {
        Tx::new(&connection).enqueue(outgoing(Body::text(format!("{n} {}", "x".repeat(20_000))))).unwrap();
    }
    // Rolling this back needs many saved pages, and SQLite holds all returned rows until the statement is finished.
    connection.execute_batch("BEGIN; SAVEPOINT wide").unwrap();
    let mut update = connection.prepare("UPDATE message SET body = zeroblob(20000) RETURNING body").unwrap();
    let mut rows = update.query([]).unwrap();
    assert!(rows.next().unwrap().is_some());
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let files: Vec<_> = open.filter_map(|file| std::fs::read_link(file.path()).ok()).collect();
    assert!(files.iter().any(|file| file.ends_with("a.db-wal")), "{files:?}");
    // SQLite creates its temporary files in these folders and unlinks them. A file to which the output of the test is
    // redirected still has its name.
    let places = [std::env::temp_dir(), "/var/tmp".into(), "/usr/tmp".into(), "/tmp".into()];
    let is_temporary = |file: &&std::path::PathBuf| {
        places.iter().any(|place| file.parent() == Some(place))
            && file.to_string_lossy().ends_with(" (deleted)")
    };
    assert_eq!(files.iter().find(is_temporary), None);
}

/// A connection to a database with this many contents waiting in this many lanes, ten of them in the lane of
/// `THREAD`.
fn queued(dir: &TempDir, contents: u32, lanes: u32) -> Connection {
    let connection = connect(dir);
    for n in 0..10 {
        Tx::new(&connection).enqueue(outgoing(Body::text(format!("{n}")))).unwrap();
    }
    let made = connection.execute_batch(&format!(
        "BEGIN;
         WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {contents})
         INSERT INTO outgoing (lane, content_id, sent, class, body, state)
            SELECT CAST(unhex(printf('%032x', n % {lanes})) AS BLOB), CAST(unhex(printf('%032x', n)) AS BLOB), 1, 1, x'5200', 1
            FROM n;
         INSERT INTO lane SELECT DISTINCT lane, 1000 + id % 10 FROM outgoing WHERE true ON CONFLICT DO NOTHING;
         COMMIT;"
    ));
    made.unwrap();
    connection
}

/// How many steps of SQLite's virtual machine a statement takes.
fn steps(connection: &mut Connection, work: impl Fn(&Rows<'_>)) -> u64 {
    // The first call prepares the statement.
    work(&Rows { connection });
    let steps = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&steps);
    let step = move || {
        count.fetch_add(1, Ordering::SeqCst);
        false
    };
    connection.progress_handler(1, Some(step)).unwrap();
    work(&Rows { connection });
    connection.progress_handler(0, None::<fn() -> bool>).unwrap();
    steps.load(Ordering::SeqCst)
}

#[test]
fn finding_due_entries_costs_the_same_however_much_is_queued() {
    let (few, many) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut few, mut many) = (queued(&few, 10, 5), queued(&many, 100_000, 2_000));
    type Look = fn(&Rows<'_>);
    const LONG_LANE: ThreadId = ThreadId::from_bytes([0; 16]);
    let looks: [(&str, Look); 9] = [
        ("lanes that are due", |rows| assert_eq!(rows.due_lanes(5_000, 2).unwrap().len(), 2)),
        ("when none is", |rows| assert_eq!(rows.due_lanes(0, 2).unwrap(), [THREAD])),
        ("the next one", |rows| assert!(rows.next_due(1_001).unwrap().is_some())),
        ("the entries of a lane", |rows| {
            assert_eq!(rows.entries(THREAD, None, (256, 1 << 20)).unwrap().len(), 10);
        }),
        ("the oldest queued message", |rows| assert!(rows.first_waiting(THREAD).unwrap().is_some())),
        ("whether a lane is busy", |rows| assert!(rows.is_lane_busy(THREAD).unwrap())),
        ("whether something is unanswered", |rows| assert!(!rows.has_unanswered(LONG_LANE).unwrap())),
        ("what is sealed behind an entry", |rows| {
            assert!(rows.sealed_behind(LONG_LANE, OutgoingId(1), (256, 1 << 20)).unwrap().is_empty());
        }),
        ("what a message waits for", |rows| assert!(rows.waiting(THREAD, MessageId(10)).unwrap().is_some())),
    ];
    for (what, look) in looks {
        let (of_few, of_many) = (steps(&mut few, look), steps(&mut many, look));
        assert!(of_few > 0 && of_few == of_many, "{what}: {of_few} and {of_many} steps");
    }
}

/// A connection to a database with this many chats, each with an unread message; every tenth is muted.
fn listed(dir: &TempDir, threads: u32) -> Connection {
    let connection = connect(dir);
    let made = connection.execute_batch(&format!(
        "BEGIN;
         CREATE TEMP TABLE n AS WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {threads})
            SELECT n, CAST(unhex(printf('%032x', n)) AS BLOB) AS name FROM n;
         INSERT INTO contact (user_id, trust) SELECT name, 0 FROM n;
         INSERT INTO thread (thread_id, roster_version, created, activity, accepted, unread, folder)
            SELECT name, 1, n, n, 1, n > {threads} - 60, iif(n % 100 = 0, 1, 0) FROM n;
         INSERT INTO member (thread_id, user_id) SELECT name, name FROM n;
         INSERT INTO message (thread_id, content_id, author, device, kind, body, sent, server_seq, position, state)
            SELECT name, name, name, 1, 1, x'520568656c6c6f', n, 1, n, 10 FROM n;
         COMMIT;"
    ));
    made.unwrap();
    connection
}

#[test]
fn a_list_costs_the_same_however_many_threads_there_are() {
    let (few, many) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut few, mut many) = (listed(&few, 200), listed(&many, 10_000));
    type Look = fn(&Rows<'_>);
    let looks: [(&str, Look); 4] = [
        ("the first page", |rows| {
            assert_eq!(rows.thread_page(Folder::Chats, None, 50).unwrap().0.len(), 50);
        }),
        ("the second page", |rows| {
            let after = format!("8000000000000000800000000000006e{}", "0".repeat(32)).parse().unwrap();
            assert_eq!(rows.thread_page(Folder::Chats, Some(after), 50).unwrap().0.len(), 50);
        }),
        ("one thread", |rows| assert!(rows.listed_thread(ThreadId::from_bytes([0; 16])).unwrap().is_none())),
        ("the badge", |rows| assert_eq!(rows.unread_totals(1).unwrap().0, 60)),
    ];
    for (what, look) in looks {
        let (of_few, of_many) = (steps(&mut few, look), steps(&mut many, look));
        assert!(of_few > 0 && of_few == of_many, "{what}: {of_few} and {of_many} steps");
    }
}

/// A thread takes 113 steps. A further query for each would show here, before it does in the figures of `docs/performance.md`.
#[test]
fn a_page_of_threads_takes_few_steps_for_each() {
    let dir = tempfile::tempdir().unwrap();
    let page = |rows: &Rows<'_>| {
        assert_eq!(rows.thread_page(Folder::Chats, None, 50).unwrap().0.len(), 50);
    };
    let each = steps(&mut listed(&dir, 200), page) / 50;
    assert!(each <= 120, "{each} steps");
}

#[test]
fn a_receipt_costs_the_same_however_many_messages_there_are() {
    const RUN: Run = Run([7; 8]);
    let (few, many) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sent = |dir: &TempDir, number: u64| {
        let connection = connect(dir);
        let made = connection.execute_batch(&format!(
            "BEGIN;
             WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {number})
             INSERT INTO message
                (thread_id, content_id, author, device, kind, body, sent, server_seq, position, state, outgoing, run, count)
                SELECT t.thread_id, CAST(unhex(printf('%032x', n)) AS BLOB), zeroblob(16), 1, 1, x'520568656c6c6f', n, n, n, 1, 0,
                    x'0707070707070707', n FROM n, thread AS t;
             COMMIT;"
        ));
        made.unwrap();
        Tx::new(&connection).set_own_number(THREAD, Number { run: RUN, count: number }).unwrap();
        connection
    };
    let (mut few, mut many) = (sent(&few, 50), sent(&many, 20_000));
    let confirm = |rows: &Rows<'_>| {
        let kind = MarkKind::Delivered;
        let of = MarkOf { thread: THREAD, user: PEER, device: DeviceId::PRIMARY, kind, run: RUN };
        // The next ten.
        let next = rows.mark(of).unwrap().highest() + 10;
        Tx::new(rows.connection).confirm((of, false), &Counts::up_to(next), (1, 1)).unwrap();
    };
    let (of_few, of_many) = (steps(&mut few, confirm), steps(&mut many, confirm));
    assert!(of_few > 0 && of_few == of_many, "{of_few} and {of_many} steps");
    let delivered: i64 =
        many.query_row("SELECT count(*) FROM message WHERE state = 2", [], |row| row.get(0)).unwrap();
    assert_eq!(delivered, 20);
}

#[test]
fn mail_to_a_user_without_a_session_costs_the_same_however_much_waits_for_others() {
    let (few, many) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let waiting = |dir: &TempDir, others: u32| {
        let connection = connect(dir);
        let made = connection.execute_batch(&format!(
            "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < {others})
             INSERT INTO mail (thread_id, recipient, slot, content_id, sent, body, due)
                SELECT name, name, 11, name, 1, x'52', 1 FROM (SELECT CAST(unhex(printf('%032x', n)) AS BLOB) AS name FROM n);"
        ));
        made.unwrap();
        connection
    };
    let (mut few, mut many) = (waiting(&few, 20), waiting(&many, 20_000));
    type Look = fn(&Rows<'_>);
    const FIRST: UserId = UserId::from_bytes([0; 16]);
    let looks: [(&str, Look); 3] = [
        ("how long it waits", |rows| assert_eq!(rows.unsealed_mail_to(FIRST, 1).unwrap().1, None)),
        ("it is put off", |rows| Tx::new(rows.connection).put_off_mail_to(FIRST, 1).unwrap()),
        ("it is dropped", |rows| Tx::new(rows.connection).drop_unsealed_mail_to(FIRST, false).unwrap()),
    ];
    for (what, look) in looks {
        let (of_few, of_many) = (steps(&mut few, look), steps(&mut many, look));
        assert!(of_few > 0 && of_few == of_many, "{what}: {of_few} and {of_many} steps");
    }
}
