//! The delays that a user notices: opening until the first page, pages between writes, and marking as read. `./dev
//! bench client`.
//!
//! Nothing is asserted; the figures are printed.

#![expect(clippy::print_stdout, reason = "it prints figures")]
#![expect(clippy::expect_used, clippy::panic, reason = "a failure ends the benchmark with a message")]

mod figures;

use std::time::Instant;

use figures::percentiles;
use sealpost_core::{Client, Opened, Thread, Trust};
use sealpost_testkit::{PartyDisk, World, insert_unread, open_database, set_unread};

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
    opening(&disk).await;
    between_writes(&disk).await;
    for unread in [10, 1_000, HISTORY] {
        marking(&disk, unread).await;
    }
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

/// How long marking takes, and how long a concurrent write waits at most until everything is marked.
async fn marking(disk: &PartyDisk, unread: u32) {
    let database = open_database(disk.database(), &disk.key());
    set_unread(&database, unread);
    drop(database);
    let client = client(disk).await;
    let thread = only_thread(&client).await;
    let newest = thread.history(None).await.expect("a page").messages.first().expect("a message").id;
    let begun = Instant::now();
    thread.mark_read(newest).await.expect("marked");
    let took = begun.elapsed();
    let mut waits = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        thread.send_text("in between").await.expect("queued");
        waits.push(begun.elapsed());
    }
    let ms = took.as_secs_f64() * 1000.0;
    print(&format!("mark_read of {unread}"), &format!("{ms:.3} ms; a write then: {}", percentiles(waits)));
    client.suspend().await.expect("suspends");
}

fn print(what: &str, value: &str) {
    println!("{what:<36} {value}");
}
