//! What several devices of an account cost, with a real relay on loopback and real files: `./dev bench client`.
//!
//! All devices and the relay share one process and its cores, but for the part `linking-alone`, in which each device has its own process. Nothing
//! is asserted; the figures are printed.

#![expect(clippy::print_stdout, reason = "it prints figures")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    reason = "a failure ends the benchmark with a message"
)]

mod figures;
mod memory;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use figures::{Percentiles, percentiles};
use memory::resident_kb;
use sealpost_core::{Client, Event, LinkCode, Opened, SharedHistory, Thread};
use sealpost_testkit::{Party, PartyDisk, World, open_database};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::sleep;

const TALK: usize = 500;
const WARM_UP: usize = 1_500;
/// Messages that a new companion is sent, in 1,000 threads.
const HISTORY: u64 = 100_000;
/// Messages that all devices of a person have missed, and from how many people.
const MISSED: usize = 10_000;
const SENDERS: usize = 8;

#[tokio::main]
async fn main() {
    // `cargo test` also runs benchmarks, to check that they work.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    // The name of a part runs only this part.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    match wanted.as_deref() {
        Some(PRIMARY) => return link_as_primary().await,
        Some(COMPANION) => return link_as_companion().await,
        _ => {}
    }
    let is_wanted = |part| wanted.as_deref().is_none_or(|wanted| wanted == part);
    if is_wanted("sending") {
        sending().await;
    }
    if is_wanted("linking") {
        linking().await;
    }
    if is_wanted("linking-alone") {
        linking_alone().await;
    }
    if is_wanted("catching-up") {
        catching_up().await;
    }
}

/// Two people with one device each, and then with five: how long a message is queued and sealed, and when the last of the other nine devices
/// shows it.
async fn sending() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let hers = ada.thread_with(&ben).await;
    let other = std::slice::from_ref(&ben);
    for _ in 0..WARM_UP {
        say_to_all(&hers, other).await;
    }
    let alone = rounds(&hers, other).await;
    let mut all = Vec::new();
    for number in 2..=5 {
        all.push(world.companion(&ada, &format!("ada-{number}")).await);
        all.push(world.companion(&ben, &format!("ben-{number}")).await);
    }
    all.push(ben);
    // The sessions with the new devices begin with the first message.
    for _ in 0..20 {
        say_to_all(&hers, &all).await;
    }
    let five = rounds(&hers, &all).await;
    let further = (five.queued.p50 - alone.queued.p50) * 1000.0 / 8.0;
    print("queue and seal for 1 device", &alone.queued.to_string());
    print("queue and seal for 9 devices", &five.queued.to_string());
    print("each further device", &format!("{further:.1} µs"));
    print("send → shown on the other device", &alone.shown.to_string());
    print("send → shown on the last of 9", &five.shown.to_string());
}

/// What a message costs.
struct Rounds {
    /// Until it is durable and sealed.
    queued: Percentiles,
    /// Until the last device shows it.
    shown: Percentiles,
}

async fn rounds(hers: &Thread, others: &[Party]) -> Rounds {
    let (mut queued, mut shown) = (Vec::new(), Vec::new());
    for _ in 0..TALK {
        let (until_queued, until_shown) = say_to_all(hers, others).await;
        queued.push(until_queued);
        shown.push(until_shown);
        // The receipts do not delay the next message.
        sleep(Duration::from_millis(40)).await;
    }
    Rounds { queued: percentiles(queued), shown: percentiles(shown) }
}

/// Sends one message. Returns the time until it is queued, and until the last of these devices shows it.
async fn say_to_all(hers: &Thread, others: &[Party]) -> (Duration, Duration) {
    let mut events: Vec<_> = others.iter().map(|other| other.client.events()).collect();
    let begun = Instant::now();
    hers.send_text("as long as a line that people write to each other tends to be").await.unwrap();
    let queued = begun.elapsed();
    for events in &mut events {
        while !matches!(events.next().await, Some(Ok(Event::MessageAdded(_)))) {}
    }
    (queued, begun.elapsed())
}

/// Links a device to an account with a long history, and waits until it has all of it.
async fn linking() {
    let world = World::start().await;
    let disk = world.party("ada").await.close().await;
    fill(&disk);
    let ada = disk.open().await;
    let before_kb = resident_kb();
    let received = loopback_bytes();
    let begun = Instant::now();
    let mut events = ada.client.events();
    let linking = world.disk("tablet").link_with(&ada, SharedHistory::Everything);
    let mut linked = None;
    let mut peak_kb = before_kb;
    tokio::pin!(linking);
    let sent = loop {
        tokio::select! {
            companion = &mut linking, if linked.is_none() => {
                print("link a device", &format!("{:.2} s", begun.elapsed().as_secs_f64()));
                linked = Some(companion);
            }
            event = events.next() => match event {
                Some(Ok(Event::LinkProgress(progress))) if progress.is_done => break progress.sent,
                _ => {}
            },
            () = sleep(Duration::from_millis(10)) => peak_kb = peak_kb.max(resident_kb()),
        }
    };
    let took = begun.elapsed().as_secs_f64();
    assert_eq!((sent, linked.is_some()), (HISTORY, true));
    print("100,000 messages for a new device", &format!("{took:.1} s"));
    print("messages for each second", &format!("{:.0}", HISTORY as f64 / took));
    let bytes = loopback_bytes() - received;
    print("bytes on loopback, there and back", &format!("{:.1} MB", bytes as f64 / 1e6));
    let grown = peak_kb.saturating_sub(before_kb) as f64 / 1000.0;
    print("memory on top, both devices and relay", &format!("{grown:.1} MB"));
}

/// The parts that are processes of their own.
const PRIMARY: &str = "as-primary";
const COMPANION: &str = "as-companion";

/// The same as [`linking`], with the relay in this process and each device in another one: the memory of one device.
async fn linking_alone() {
    let world = World::start().await;
    let disk = world.party("ada").await.close().await;
    fill(&disk);
    let mut companion = process(&world, &[COMPANION, "tablet"]);
    let mut lines = BufReader::new(companion.stdout.take().unwrap()).lines();
    let code = lines.next_line().await.unwrap().expect("a code");
    let mut primary = process(&world, &[PRIMARY, "ada", &code]);
    let mut of_primary = BufReader::new(primary.stdout.take().unwrap()).lines();
    let devices = [("companion", &mut lines), ("primary device", &mut of_primary)];
    for (device, lines) in devices {
        let kb: f64 = lines.next_line().await.unwrap().expect("a figure").parse().unwrap();
        print(&format!("memory on top, {device} alone"), &format!("{:.1} MB", kb / 1000.0));
        // The companion has everything.
        drop(primary.stdin.take());
    }
    for mut device in [companion, primary] {
        assert!(device.wait().await.unwrap().success());
    }
}

/// This program in another process, with the part, the name of the device, and what else it needs.
fn process(world: &World, arguments: &[&str]) -> Child {
    let (part, rest) = arguments.split_first().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(part).arg(world.dir()).arg(world.url()).args(rest);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
}

/// The database of the device in this process, and what else it was told.
fn own_disk() -> (PartyDisk, Option<String>) {
    let mut arguments = std::env::args().skip(2);
    let mut next = || arguments.next().expect("an argument");
    let (dir, url, name) = (next(), next(), next());
    (PartyDisk::new(Path::new(&dir), &name, &url), arguments.next())
}

async fn link_as_companion() {
    let (disk, _) = own_disk();
    let Opened::Unregistered(new) = Client::open(disk.config()).await.unwrap() else { return };
    let linking = new.link("tablet").await.unwrap();
    println!("{}", *linking.code().to_text());
    let before_kb = resident_kb();
    let has_all = async {
        let client = linking.finish().await.unwrap();
        let mut has_begun = false;
        loop {
            let goes_on = !client.link_progress().await.unwrap().is_empty();
            if has_begun && !goes_on {
                break client;
            }
            has_begun |= goes_on;
            sleep(Duration::from_millis(20)).await;
        }
    };
    println!("{}", peak_kb(has_all).await.0.saturating_sub(before_kb));
}

async fn link_as_primary() {
    let (disk, code) = own_disk();
    let ada = disk.open().await;
    ada.live().await;
    let code: LinkCode = code.expect("a code").parse().unwrap();
    let mut events = ada.client.events();
    let before_kb = resident_kb();
    let has_told_all = async {
        let pending = ada.client.link(&code).await.unwrap();
        pending.confirm(&pending.name(), SharedHistory::Everything).await.unwrap();
        let sent = loop {
            match events.next().await {
                Some(Ok(Event::LinkProgress(progress))) if progress.is_done => break progress.sent,
                _ => {}
            }
        };
        // The last pieces are queued, but not sent. The input ends when the companion has them.
        tokio::io::stdin().read_to_end(&mut Vec::new()).await.unwrap();
        sent
    };
    let (peak_kb, sent) = peak_kb(has_told_all).await;
    assert_eq!(sent, HISTORY);
    println!("{}", peak_kb.saturating_sub(before_kb));
}

/// The most memory that this process has had while something was done.
async fn peak_kb<T>(work: impl Future<Output = T>) -> (u64, T) {
    let mut peak_kb = resident_kb();
    tokio::pin!(work);
    loop {
        tokio::select! {
            value = &mut work => return (peak_kb, value),
            () = sleep(Duration::from_millis(10)) => peak_kb = peak_kb.max(resident_kb()),
        }
    }
}

/// Five devices of a person that were offline receive the same messages at the same time.
async fn catching_up() {
    let world = World::start().await;
    let ben = world.party("ben").await;
    let ben_id = ben.client.user_id();
    let mut devices = Vec::new();
    for number in 2..=5 {
        devices.push(world.companion(&ben, &format!("ben-{number}")).await);
    }
    devices.push(ben);
    // They know each other: the relay keeps little of what a stranger sends.
    let mut senders = Vec::new();
    for n in 0..SENDERS {
        let sender = world.party(&format!("sender-{n}")).await;
        let thread = sender.client.direct_thread(ben_id).await.unwrap();
        say_to_all(&thread, &devices).await;
        senders.push((sender, thread));
    }
    let mut away = Vec::new();
    for device in devices {
        away.push(device.close().await);
    }
    let mut sending = JoinSet::new();
    for (sender, thread) in senders {
        sending.spawn(async move {
            let mut last = None;
            for n in 0..MISSED / SENDERS {
                let text = format!("message {n} of a long absence, about as long as a line");
                last = Some(thread.send_text(&text).await.expect("queued").id);
            }
            let last = last.expect("a message");
            while sender.client.message(last).await.expect("a message").server_seq.is_none() {
                sleep(Duration::from_millis(20)).await;
            }
            sender.close().await
        });
    }
    sending.join_all().await;

    let before_kb = resident_kb();
    let begun = Instant::now();
    let mut opening = JoinSet::new();
    for disk in away {
        opening.spawn(async move {
            let device = disk.open().await;
            while count(&device.client).await < MISSED + SENDERS {
                sleep(Duration::from_millis(50)).await;
            }
            device
        });
    }
    let mut peak_kb = before_kb;
    let open = opening.join_all();
    tokio::pin!(open);
    let all = loop {
        tokio::select! {
            all = &mut open => break all,
            () = sleep(Duration::from_millis(10)) => peak_kb = peak_kb.max(resident_kb()),
        }
    };
    let rate = (MISSED * all.len()) as f64 / begun.elapsed().as_secs_f64();
    print("five devices catch up 10,000 each", &format!("{:.1} s", begun.elapsed().as_secs_f64()));
    print("messages for each second, together", &format!("{rate:.0}"));
    let grown = peak_kb.saturating_sub(before_kb) as f64 / 1000.0;
    print("memory on top, five devices and relay", &format!("{grown:.1} MB"));
}

/// The number of messages that have come. Each thread has one sender.
async fn count(client: &Client) -> usize {
    let mut count = 0;
    for thread in client.threads().await.expect("threads") {
        let newest = thread.history_of(None, 1).await.expect("a page").messages.into_iter().next();
        count += newest.and_then(|message| message.server_seq).map_or(0, |seq| seq as usize);
    }
    count
}

/// Inserts 1,000 threads with 100 received messages each directly into the database.
fn fill(disk: &PartyDisk) {
    let database = open_database(disk.database(), &disk.key());
    let made = database.execute_batch(
        "BEGIN;
         CREATE TEMP TABLE n AS WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1000)
            SELECT n, CAST(unhex(printf('%032x', n)) AS BLOB) AS name FROM n;
         INSERT INTO contact (user_id, trust) SELECT name, 0 FROM n;
         INSERT INTO thread (thread_id, roster_version, created, activity, accepted, unread, newest)
            SELECT name, 1, n, n, 1, 0, 100 FROM n;
         INSERT INTO member (thread_id, user_id) SELECT name, name FROM n;
         INSERT INTO member (thread_id, user_id) SELECT name, (SELECT user_id FROM account) FROM n;
         INSERT INTO message (thread_id, content_id, author, device, kind, body, sent, stored, server_seq, position, state)
            SELECT a.name, CAST(unhex(printf('%016x%016x', a.n, b.n)) AS BLOB), a.name, 1, 1,
               CAST(x'523d' || 'as long as a line that people write to each other tends to be' AS BLOB), b.n, b.n, b.n, b.n, 11
            FROM n AS a JOIN n AS b ON b.n <= 100;
         COMMIT;",
    );
    made.expect("a history");
}

fn print(what: &str, value: &str) {
    println!("{what:<40} {value}");
}

/// How many bytes have gone through the loopback interface, of all processes. Linux only; 0 elsewhere.
fn loopback_bytes() -> u64 {
    let devices = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let line = devices.lines().find_map(|line| line.trim().strip_prefix("lo:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
