//! A database with many large groups, beside one with as many direct threads.

use std::time::{Duration, Instant};

use sealpost_core::{Client, Opened};
use sealpost_testkit::{PartyDisk, open_database};

use super::relay::{Relay, folder};
use crate::{percentiles, print};

const THREADS: u32 = 200;
const MEMBERS: u32 = 200;
const MESSAGES: u32 = 50;
const ROUNDS: usize = 200;

pub(crate) async fn many() {
    let (relay, folder) = (Relay::start(&[]), folder());
    println!("\na database with {THREADS} threads of {MESSAGES} messages");
    for members in [1, MEMBERS] {
        let disk = PartyDisk::new(folder.path(), &format!("with-{members}"), &relay.url);
        let disk = disk.register().await.close().await;
        fill(&disk, members);
        let what = if members == 1 { "direct".to_owned() } else { format!("groups of {members}") };
        measure(&disk, &what).await;
    }
}

async fn measure(disk: &PartyDisk, what: &str) {
    let (mut opened, mut shown) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        let begun = Instant::now();
        let client = open(disk).await;
        opened.push(begun.elapsed());
        client.thread_page(None, 50).await.unwrap();
        shown.push(begun.elapsed());
        client.suspend().await.unwrap();
    }
    let client = open(disk).await;
    let thread = client.threads().await.unwrap().pop().unwrap();
    let threads = repeat(async || drop(client.thread_page(None, 50).await.unwrap())).await;
    let messages = repeat(async || drop(thread.history(None).await.unwrap())).await;
    print(&format!("{what}: open"), &percentiles(opened));
    print("  open until the first page of threads", &percentiles(shown));
    print("  page of 50 threads", &percentiles(threads));
    print("  page of 50 messages", &percentiles(messages));
    if let Ok(group) = client.group(thread.id()).await {
        let members = repeat(async || drop(group.members().await.unwrap())).await;
        print("  all members", &percentiles(members));
    }
    client.suspend().await.unwrap();
}

async fn open(disk: &PartyDisk) -> Client {
    match Client::open(disk.config()).await.unwrap() {
        Opened::Ready(client) => client,
        Opened::Unregistered(_) => panic!("registered"),
    }
}

async fn repeat(mut work: impl AsyncFnMut()) -> Vec<Duration> {
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        work().await;
        took.push(begun.elapsed());
    }
    took
}

/// Inserts the threads. With more than one other member they are groups, whose members are the same people, each with an entry and a list. The
/// search index is recorded as up to date: otherwise it would be filled while pages are measured.
fn fill(disk: &PartyDisk, members: u32) {
    let database = open_database(disk.database(), &disk.key());
    let kind = if members == 1 { 1 } else { 3 };
    let made = database.execute_batch(&format!(
        "BEGIN;
         CREATE TEMP TABLE n AS WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {THREADS})
            SELECT n, CAST(unhex(printf('%032x', n)) AS BLOB) AS name FROM n;
         CREATE TEMP TABLE belongs AS SELECT thread.n AS thread, thread.name AS thread_id, person.n AS person, person.name AS user_id
            FROM n AS thread JOIN n AS person ON CASE {kind} WHEN 1 THEN person.n = thread.n ELSE person.n < {members} END;
         INSERT INTO contact (user_id, trust) SELECT name, 0 FROM n;
         INSERT INTO thread (thread_id, kind, roster_version, created, activity, accepted, unread, roster_head)
            SELECT name, {kind}, {members}, n, n, 1, 10, zeroblob(32) FROM n;
         INSERT INTO member (thread_id, user_id, since, account_key, list_version, devices)
            SELECT thread_id, user_id, person, unhex(printf('05%064x', 0)), 1, zeroblob(16) FROM belongs;
         INSERT INTO message (thread_id, content_id, author, device, kind, body, sent, server_seq, position, state)
            SELECT thread_id, CAST(unhex(printf('%016x%016x', thread, n.n)) AS BLOB), user_id, 1, 1, x'520568656c6c6f', n.n, n.n, n.n, 10
            FROM n JOIN belongs ON person = CASE {kind} WHEN 1 THEN thread ELSE n.n END WHERE n.n <= {MESSAGES};
         UPDATE account SET indexed_up_to = (SELECT max(id) FROM message), indexed_after = 0;"
    ));
    made.unwrap();
    if kind == 3 {
        let made = database.execute_batch(
            "INSERT INTO member (thread_id, user_id, account_key) SELECT name, account.user_id, unhex(printf('05%064x', 0)) FROM n, account;
             INSERT INTO roster (thread_id, permissions, timer, commitment, secret_version, floor, details_version, dissolved, unknown_since)
                SELECT name, x'010101', 0, zeroblob(32), 1, 0, 1, 0, 0 FROM n;
             INSERT INTO roster_entry (thread_id, version, hash, outcome, entry)
                SELECT thread_id, person, randomblob(32), 1, randomblob(380) FROM belongs;
             INSERT INTO roster_list (thread_id, user_id, list) SELECT thread_id, user_id, randomblob(220) FROM belongs;",
        );
        made.unwrap();
    }
    database.execute_batch("COMMIT").unwrap();
}
