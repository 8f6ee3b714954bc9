//! The delays that a user notices: opening until the first page, pages between writes, and marking as read. `./dev
//! bench client`.
//!
//! Nothing is asserted; the figures are printed.

#![expect(clippy::print_stdout, reason = "it prints figures")]
#![expect(clippy::expect_used, clippy::panic, reason = "a failure ends the benchmark with a message")]

mod figures;

use std::time::{Duration, Instant};

use figures::percentiles;
use rusqlite::Connection;
use sealpost_core::{Client, Opened, Thread, Trust};
use sealpost_testkit::{PartyDisk, World, insert_unread, make_late, open_database, set_unread};

const HISTORY: u32 = 100_000;
const ROUNDS: usize = 200;

#[tokio::main]
async fn main() {
    // `cargo test` also runs benchmarks, to check that they work.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let mut world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    ada.thread_with(&ben).await;
    let disk = ada.close().await;
    ben.close().await;
    world.stop_relay().await;
    insert_unread(&open_database(disk.database(), &disk.key()), HISTORY);
    floor(&disk);
    opening(&disk).await;
    between_writes(&disk).await;
    for unread in [10, 1_000, HISTORY] {
        set_unread(&open_database(disk.database(), &disk.key()), unread);
        marking(&disk, &format!("mark_read of {unread}")).await;
    }
    let database = open_database(disk.database(), &disk.key());
    make_late(&database);
    marking(&disk, &format!("mark_read of {HISTORY} late messages")).await;
    confirming(&disk, &database).await;
}

async fn client(disk: &PartyDisk) -> Client {
    match Client::open(disk.config().trust(Trust::Platform)).await.expect("opens") {
        Opened::Ready(client) => client,
        Opened::Unregistered(_) => panic!("registered"),
    }
}

async fn only_thread(client: &Client) -> Thread {
    client.threads().await.expect("threads").pop().expect("a thread")
}

async fn opening(disk: &PartyDisk) {
    let (mut opened, mut shown) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        let begun = Instant::now();
        let client = client(disk).await;
        opened.push(begun.elapsed());
        only_thread(&client).await.history(None).await.expect("a page");
        shown.push(begun.elapsed());
        client.suspend().await.expect("suspends");
    }
    print("open with 100,000 messages", &percentiles(opened).to_string());
    print("open until the first page", &percentiles(shown).to_string());
}

/// How long SQLCipher alone takes to open a file with these tables, but without rows, and to look for one row.
fn floor(disk: &PartyDisk) {
    let path = disk.database().with_extension("floor");
    let tables = open_database(disk.database(), &disk.key());
    let sql = "SELECT group_concat(sql, ';') FROM sqlite_schema
               WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'search_%'";
    let tables: String = tables.query_row(sql, [], |row| row.get(0)).expect("tables");
    let empty = open_database(&path, &disk.key());
    empty.execute_batch(&tables).expect("the same tables");
    empty.execute_batch("PRAGMA journal_mode = wal").expect("a log");
    drop(empty);
    let mut opened = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let empty = open_database(&path, &disk.key());
        empty.query_row("SELECT count(*) FROM account", [], |row| row.get::<_, u32>(0)).expect("no rows");
        opened.push(begun.elapsed());
    }
    print("floor: an empty file, and one row", &percentiles(opened).to_string());
}

async fn between_writes(disk: &PartyDisk) {
    let client = client(disk).await;
    let thread = only_thread(&client).await;
    let page = async || {
        let begun = Instant::now();
        thread.history(None).await.expect("a page");
        begun.elapsed()
    };
    let (mut quiet, mut written) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        page().await;
        quiet.push(page().await);
        thread.send_text("as long as a line that people write to each other").await.expect("queued");
        written.push(page().await);
    }
    print("page of 50, nothing written", &percentiles(quiet).to_string());
    print("page of 50 after a write", &percentiles(written).to_string());
    client.suspend().await.expect("suspends");
}

/// How long marking everything takes, and how long a concurrent write waits.
async fn marking(disk: &PartyDisk, what: &str) {
    let client = client(disk).await;
    let thread = only_thread(&client).await;
    let newest = thread.history(None).await.expect("a page").messages.first().expect("a message").id;
    let begun = Instant::now();
    thread.mark_read(newest).await.expect("marked");
    let took = begun.elapsed();
    let ms = took.as_secs_f64() * 1000.0;
    print(what, &format!("{ms:.3} ms; a write then: {}", percentiles(writes(&thread).await)));
    client.suspend().await.expect("suspends");
}

/// How long writes take.
async fn writes(thread: &Thread) -> Vec<Duration> {
    let mut waits = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        thread.send_text("in between").await.expect("queued");
        waits.push(begun.elapsed());
    }
    waits
}

/// How long it takes until all receipts of late messages are queued, and how long a write waits in each moment of that.
async fn confirming(disk: &PartyDisk, database: &Connection) {
    let is_due = || {
        let sql = "SELECT EXISTS (SELECT 1 FROM late_mark)";
        database.query_row(sql, [], |row| row.get::<_, bool>(0)).expect("a table")
    };
    let client = client(disk).await;
    let thread = only_thread(&client).await;
    let (begun, mut waits) = (Instant::now(), Vec::new());
    while is_due() {
        waits.extend(writes(&thread).await);
    }
    let seconds = begun.elapsed().as_secs_f64();
    if !waits.is_empty() {
        print(
            "the rest of their receipts",
            &format!("{seconds:.1} s; a write meanwhile: {}", percentiles(waits)),
        );
    }
    client.suspend().await.expect("suspends");
}

fn print(what: &str, value: &str) {
    println!("{what:<36} {value}");
}
