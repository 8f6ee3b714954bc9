//! The performance of the client, with a real relay on loopback and real files: `./dev bench client`.
//!
//! Client and relay share one process and its cores. Nothing is asserted; the figures are printed.

#![expect(clippy::print_stdout, reason = "it prints figures")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a failure ends the benchmark with a message"
)]

mod figures;
mod memory;

use std::future::Future;
use std::time::{Duration, Instant};

use figures::percentiles;
use memory::resident_kb;
use sealpost_core::{Client, Direction, Event, Folder, MessageId, Opened, Thread, ThreadsChange};
use sealpost_testkit::{Party, PartyDisk, World, open_database};
use tokio::task::JoinSet;
use tokio::time::sleep;

const TALK: usize = 500;
const WARM_UP: usize = 1_500;
const BACKLOG: usize = 50_000;
const SENDERS: usize = 8;
const HISTORY: usize = 100_000;

#[tokio::main]
async fn main() {
    // `cargo test` also runs benchmarks, to check that they work.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    // The name of a part runs only this part.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let is_wanted = |part| wanted.as_deref().is_none_or(|wanted| wanted == part);
    if is_wanted("talk") {
        talk().await;
    }
    if is_wanted("backlog") {
        backlog().await;
    }
    if is_wanted("history") {
        history().await;
    }
    if is_wanted("threads") {
        threads().await;
    }
}

/// Sends messages one after another, each when the previous one has been delivered.
async fn talk() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let hers = ada.thread_with(&ben).await;
    // A flush takes half as long again while a log grows, so the logs get the size that they keep.
    for _ in 0..WARM_UP {
        say(&ada, &ben, &hers).await;
    }
    let (mut acks, mut deliveries) = (Vec::new(), Vec::new());
    let before = Written::now();
    for _ in 0..TALK {
        let (ack, delivery) = say(&ada, &ben, &hers).await;
        acks.push(ack);
        deliveries.push(delivery);
        // The receipt and its acknowledgement do not delay the next message.
        sleep(Duration::from_millis(20)).await;
    }
    let now = Written::now();
    let each = |before: u64, now: u64| (now - before) as f64 / TALK as f64;
    print("send → ack", &percentiles(acks).to_string());
    print("send → delivered to the other app", &percentiles(deliveries).to_string());
    print("writing system calls, a message", &format!("{:.1}", each(before.calls, now.calls)));
    print("bytes written to files, a message", &format!("{:.0}", each(before.bytes, now.bytes)));
}

/// Sends one message. Returns the time until the relay has acknowledged it, and until the other side shows it.
async fn say(ada: &Party, ben: &Party, hers: &Thread) -> (Duration, Duration) {
    let (mut at_ada, mut at_ben) = (ada.client.events(), ben.client.events());
    let begun = Instant::now();
    let sent = hers.send_text("as long as a line that people write to each other tends to be").await.unwrap();
    let acked = async {
        loop {
            if let Some(Ok(Event::MessageChanged { message, .. })) = at_ada.next().await
                && message.id == sent.id
                && message.server_seq.is_some()
            {
                return begun.elapsed();
            }
        }
    };
    let shown = async {
        loop {
            if let Some(Ok(Event::MessageAdded(message))) = at_ben.next().await
                && message.direction == (Direction::Incoming { read: false })
            {
                return begun.elapsed();
            }
        }
    };
    tokio::join!(acked, shown)
}

/// Measures how fast a device that was offline receives a backlog of messages.
async fn backlog() {
    let world = World::start().await;
    let ben = world.party("ben").await;
    // They know each other: the relay keeps little of what a stranger sends.
    let mut senders = Vec::new();
    for n in 0..SENDERS {
        let sender = world.party(&format!("sender-{n}")).await;
        let thread = sender.thread_with(&ben).await;
        say(&sender, &ben, &thread).await;
        senders.push((sender, thread));
    }
    let away = ben.close().await;
    let mut sending = JoinSet::new();
    for (sender, thread) in senders {
        sending.spawn(async move {
            let mut last = None;
            for n in 0..BACKLOG / SENDERS {
                last = Some(
                    thread
                        .send_text(&format!("message {n} of a long absence, about as long as a line"))
                        .await,
                );
            }
            sent(&thread, last.expect("a message").expect("queued").id).await;
            sender.close().await
        });
    }
    sending.join_all().await;

    let before_kb = resident_kb();
    let begun = Instant::now();
    let ben = away.open().await;
    let mut peak_kb = before_kb;
    while count_incoming(&ben.client).await < BACKLOG + SENDERS {
        peak_kb = peak_kb.max(resident_kb());
        sleep(Duration::from_millis(20)).await;
    }
    let took = begun.elapsed();
    print("backlog into SQLCipher", &format!("{:.0} messages/s", BACKLOG as f64 / took.as_secs_f64()));
    print(
        "memory on top while it drains",
        &format!("{:.1} MB", peak_kb.saturating_sub(before_kb) as f64 / 1000.0),
    );
}

/// The number of messages in all threads. Each thread has a single sender here, so its last sequence number is the
/// number of its messages.
async fn count_incoming(client: &Client) -> usize {
    let mut count = 0;
    for thread in client.threads().await.expect("threads") {
        let newest = thread.history_of(None, 1).await.expect("a page").messages.into_iter().next();
        count = newest.and_then(|message| message.server_seq).map_or(count, |seq| seq as usize + count);
    }
    count
}

/// Measures opening a database with a long history, and reading its first page.
async fn history() {
    let mut world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let thread = ada.thread_with(&ben).await;
    ben.close().await;
    world.stop_relay().await;
    let mut writing = JoinSet::new();
    for _ in 0..64 {
        let thread = thread.clone();
        writing.spawn(async move {
            for n in 0..HISTORY / 64 {
                thread.send_text(&format!("line {n} of a long history")).await.expect("queued");
            }
        });
    }
    writing.join_all().await;
    let pages = repeat(1000, async || {
        thread.history(None).await.expect("a page");
    })
    .await;
    print("page of 50 of 100,000 messages", &percentiles(pages).to_string());
    let mut disk = ada.close().await;
    let mut opens = Vec::new();
    for _ in 0..20 {
        let (took, again) = open_and_close(disk).await;
        disk = again;
        opens.push(took);
    }
    print("open with 100,000 messages", &percentiles(opens).to_string());
}

/// Measures a page of the list of threads, for different numbers of threads.
async fn threads() {
    for count in [10, 1_000, 10_000] {
        let world = World::start().await;
        let ada = world.party("ada").await;
        let disk = ada.close().await;
        fill(&disk, count);
        let ada = disk.open().await;
        let pages = repeat(200, async || {
            ada.client.thread_page(None, 50).await.expect("a page");
        })
        .await;
        print(&format!("page of 50 of {count} threads"), &percentiles(pages).to_string());
        let views = repeat(200, async || {
            ada.client.follow_threads(Folder::Chats, 50).next().await.expect("a view").expect("a page");
        })
        .await;
        print(&format!("live list of {count} threads"), &percentiles(views).to_string());
        print(&format!("change of a live list of {count}"), &percentiles(changes(&ada).await).to_string());
    }
}

/// Measures how long it takes from the commit of a new message until a live list shows it.
async fn changes(ada: &Party) -> Vec<Duration> {
    let thread = ada.client.threads().await.expect("threads").pop().expect("a thread");
    let mut events = ada.client.events();
    let mut view = ada.client.follow_threads(Folder::Chats, 50);
    view.next().await.expect("a view").expect("a page");
    let mut took = Vec::new();
    for _ in 0..100 {
        thread.send_text("a line that is new in the list").await.expect("queued");
        while !matches!(events.next().await, Some(Ok(Event::MessageAdded(_)))) {}
        let begun = Instant::now();
        while !matches!(view.next().await, Some(Ok(ThreadsChange::Put(_)))) {}
        took.push(begun.elapsed());
    }
    took
}

/// Inserts threads with ten messages each directly into the database. The search index is recorded as up to date: otherwise it would be
/// filled while pages are measured.
fn fill(disk: &PartyDisk, threads: u32) {
    let database = open_database(disk.database(), &disk.key());
    let made = database.execute_batch(&format!(
        "BEGIN;
         CREATE TEMP TABLE n AS WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {threads})
            SELECT n, CAST(unhex(printf('%032x', n)) AS BLOB) AS name FROM n;
         INSERT INTO contact (user_id, trust) SELECT name, 0 FROM n;
         INSERT INTO thread (thread_id, roster_version, created, activity, accepted, unread)
            SELECT name, 1, n, n, 1, 10 FROM n;
         INSERT INTO member (thread_id, user_id) SELECT name, name FROM n;
         INSERT INTO message (thread_id, content_id, author, device, kind, body, sent, server_seq, position, state)
            SELECT a.name, CAST(unhex(printf('%016x%016x', a.n, b.n)) AS BLOB), a.name, 1, 1, x'520568656c6c6f', b.n, b.n, b.n, 10
            FROM n AS a JOIN n AS b ON b.n <= 10;
         UPDATE account SET indexed_up_to = (SELECT max(id) FROM message), indexed_after = 0;
         COMMIT;"
    ));
    made.expect("threads");
}

async fn open_and_close(disk: PartyDisk) -> (Duration, PartyDisk) {
    let begun = Instant::now();
    let Opened::Ready(client) = Client::open(disk.config()).await.expect("opens") else {
        panic!("registered")
    };
    let took = begun.elapsed();
    client.suspend().await.expect("suspend");
    (took, disk)
}

async fn repeat<F: Future<Output = ()>>(times: usize, mut work: impl FnMut() -> F) -> Vec<Duration> {
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let begun = Instant::now();
        work().await;
        took.push(begun.elapsed());
    }
    took
}

fn print(what: &str, value: &str) {
    println!("{what:<36} {value}");
}

/// What this process, with both clients and the relay, has written so far. Linux only; zero elsewhere.
struct Written {
    calls: u64,
    bytes: u64,
}

impl Written {
    fn now() -> Self {
        let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
        let field =
            |name| io.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0);
        Self { calls: field("syscw:"), bytes: field("write_bytes:") }
    }
}

/// Waits until the relay has accepted a message and all messages before it. Polls rarely, so that polling costs little.
async fn sent(thread: &Thread, id: MessageId) {
    loop {
        let page = thread.history_of(None, 1).await.expect("a page");
        let newest = page.messages.first();
        if newest.is_some_and(|message| message.id == id && message.server_seq.is_some()) {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
}
