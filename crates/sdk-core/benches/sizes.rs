//! The delays of a screen, by the size of the database: `./dev bench client`.
//!
//! The databases are filled by SQL, because writing so many messages through the client would take too long, and are closed
//! before each opening. There is no relay, because a screen shows only what is stored. Nothing is asserted; the figures are
//! printed.

#![expect(clippy::print_stdout, reason = "it prints figures")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a failure ends the benchmark with a message"
)]

mod figures;

use std::time::{Duration, Instant};

use figures::{Percentiles, percentiles};
use sealpost_core::{Client, Opened};
use sealpost_testkit::{PartyDisk, World, open_database};

const THREADS: [u32; 3] = [10, 1_000, 10_000];
const MESSAGES: [u32; 3] = [10_000, 100_000, 1_000_000];
/// How often each of the shorter operations is measured.
const TIMES: usize = 200;

#[tokio::main]
async fn main() {
    // `cargo test` also runs benchmarks, to check that they work.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    println!("All figures are p50 and p99 in ms, unless stated otherwise.\n");
    println!(
        "| threads | messages | bytes for a message | open | first page of threads | page of 50 threads | page of 50 messages \
         | the same after a write | mark a thread as read |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for threads in THREADS {
        for messages in MESSAGES {
            measure(threads, messages).await;
        }
    }
}

async fn measure(threads: u32, messages: u32) {
    let mut world = World::start().await;
    let mut disk = world.party("ada").await.close().await;
    world.stop_relay().await;
    fill(&disk, threads, messages / threads);
    let size = std::fs::metadata(disk.database()).expect("the file is there").len();

    let (mut opens, mut firsts) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let begun = Instant::now();
        let client = open(&disk).await;
        opens.push(begun.elapsed());
        client.thread_page(None, 50).await.expect("a page");
        firsts.push(begun.elapsed());
        client.suspend().await.expect("suspended");
    }

    let ada = disk.open().await;
    let client = &ada.client;
    let (mut lists, mut pages, mut after_writes, mut reads) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let listed = client.thread_page(None, 50).await.expect("a page").threads;
    let thread = client.thread(listed.first().expect("a thread").id).await.expect("the thread");
    for _ in 0..TIMES {
        lists.push(timed(async || drop(client.thread_page(None, 50).await.expect("a page"))).await);
        pages.push(timed(async || drop(thread.history(None).await.expect("a page"))).await);
    }
    for _ in 0..TIMES {
        thread.send_text("a line of a conversation").await.expect("queued");
        after_writes.push(timed(async || drop(thread.history(None).await.expect("a page"))).await);
    }
    // Each thread is marked once, because afterwards it has no unread messages.
    for summary in &listed {
        let thread = client.thread(summary.id).await.expect("the thread");
        let newest = thread.history_of(None, 1).await.expect("a page").messages.pop().expect("a message");
        reads.push(timed(async || thread.mark_read(newest.id).await.expect("marked")).await);
    }
    disk = ada.close().await;
    drop(disk);
    let bytes = size / u64::from(messages);
    let columns = [opens, firsts, lists, pages, after_writes, reads].map(columns_of).join(" | ");
    println!("| {threads} | {messages} | {bytes} | {columns} |");
}

async fn open(disk: &PartyDisk) -> Client {
    match Client::open(disk.config()).await.expect("opens") {
        Opened::Ready(client) => client,
        Opened::Unregistered(_) => panic!("registered"),
    }
}

/// Inserts threads, with the same number of unread messages in each, directly into the database. The search index is
/// empty, and is recorded as up to date.
fn fill(disk: &PartyDisk, threads: u32, each: u32) {
    let database = open_database(disk.database(), &disk.key());
    // Rows are inserted at random positions of three indexes. With a large cache, each page is written only once.
    let filled = database.execute_batch(&format!(
        "PRAGMA cache_size = -500000; PRAGMA synchronous = OFF;
         BEGIN;
         CREATE TEMP TABLE n AS WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {threads})
            SELECT n, CAST(unhex(printf('%032x', n)) AS BLOB) AS name FROM n;
         CREATE TEMP TABLE m AS WITH RECURSIVE m (m) AS (SELECT 1 UNION ALL SELECT m + 1 FROM m WHERE m < {each}) SELECT m FROM m;
         INSERT INTO contact (user_id, trust) SELECT name, 0 FROM n;
         INSERT INTO thread (thread_id, roster_version, created, activity, accepted, unread)
            SELECT name, 1, n, n, 1, {each} FROM n;
         INSERT INTO member (thread_id, user_id) SELECT name, name FROM n;
         INSERT INTO message (thread_id, content_id, author, device, kind, body, sent, server_seq, position, state)
            SELECT name, CAST(unhex(printf('%016x%016x', n, m)) AS BLOB), name, 1, 1,
                CAST(unhex('523c') || '{LINE}' AS BLOB), m, m, m, 10
            FROM m CROSS JOIN n;
         UPDATE account SET indexed_up_to = (SELECT max(id) FROM message), indexed_after = 0;
         COMMIT;
         PRAGMA wal_checkpoint(TRUNCATE);"
    ));
    filled.expect("filled");
}

/// A text of 60 bytes, which is a typical length of a message.
const LINE: &str = "as long as a line that people write to each other tends to b";

fn columns_of(times: Vec<Duration>) -> String {
    let Percentiles { p50, p99 } = percentiles(times);
    format!("{p50:.2}, {p99:.2}")
}

async fn timed(work: impl AsyncFnOnce()) -> Duration {
    let begun = Instant::now();
    work().await;
    begun.elapsed()
}
