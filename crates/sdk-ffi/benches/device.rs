//! What an app on a device would notice, each measured in a new process. `./dev bench bindings` runs this.
//!
//! ```text
//! device prepare FOLDER      creates FOLDER/history.db, with 100,000 messages and a key of 32 sevens
//! device measure FOLDER      measures opening it, calls, and fetch_for_push with 100 waiting messages; prints a
//!                            name and a number per line
//! ```
//!
//! Nothing is asserted; the figures are printed.

#![expect(clippy::print_stdout, reason = "it prints figures")]
#![expect(clippy::expect_used, reason = "a failure ends the benchmark with a message")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sealpost::{CancelToken, Client, Config, Delivery, Direction, Opened};
use sealpost_testkit::{Root, World};
use tokio::task::JoinSet;
use tokio::time::sleep;

const HISTORY: usize = 100_000;
const WRITERS: usize = 50;
/// The number of threads, and of messages in a page.
const ROWS: usize = 50;
/// The calls that read a page are measured this often.
const PAGES: usize = 500;
const WAITING: usize = 100;
const ROUNDS: usize = 9;
const CALLS: u32 = 20_000;
const KEY: [u8; 32] = [7; 32];
/// The root certificates of a system with OpenSSL.
const PLATFORM: &str = "/etc/ssl/certs/ca-certificates.crt";
/// An address at which nothing listens.
const NOWHERE: &str = "http://127.0.0.1:1";

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["prepare", folder] => prepare(&database(folder)).await,
        ["measure", folder] => measure(&database(folder)).await,
        ["open", database] => open(database).await,
        ["calls", database] => calls(database).await,
        ["pages", database] => pages(database).await,
        ["push", database, relay] => push(database, relay).await,
        // `cargo test` and `cargo bench` also run this program.
        _ => println!("device prepare|measure FOLDER"),
    }
}

fn database(folder: &str) -> String {
    Path::new(folder).join("history.db").to_str().expect("a folder in UTF-8").to_owned()
}

fn file(world: &World, name: &str) -> String {
    format!("{}/{name}.db", world.dir().display())
}

async fn account(database: &str, relay: &str) -> Arc<Client> {
    account_with(database, relay, answering()).await
}

/// The configuration of somebody who answers everyone.
fn answering() -> Config {
    Config { accept_all_requests: true, ..Config::default() }
}

async fn account_with(database: &str, relay: &str, config: Config) -> Arc<Client> {
    let opened = sealpost::open_account(database.to_owned(), KEY.to_vec(), relay.to_owned(), config).await;
    match opened.expect("the database opens") {
        Opened::Ready { client } => client,
        Opened::Unregistered { registration } => {
            registration.register(Vec::new(), None).await.expect("registration")
        }
    }
}

/// Writes a long history.
async fn prepare(database: &str) {
    let mut world = World::start().await;
    let client = account(database, &world.url()).await;
    for n in 1..ROWS {
        let friend = account(&file(&world, &format!("friend-{n}")), &world.url()).await;
        let user = friend.user_id().expect("an account");
        friend.shutdown().await.expect("shut down");
        let thread = client.direct_thread(user, None).await.expect("a thread");
        thread.send_text(format!("hello {n}"), None).await.expect("queued");
    }
    let ben = account(&file(&world, "ben"), &world.url()).await;
    let thread = client.direct_thread(ben.user_id().expect("an account"), None).await.expect("a thread");
    ben.shutdown().await.expect("shut down");
    world.stop_relay().await;
    let mut writing = JoinSet::new();
    for _ in 0..WRITERS {
        let thread = Arc::clone(&thread);
        writing.spawn(async move {
            for n in 0..HISTORY / WRITERS {
                thread.send_text(format!("line {n} of a long history"), None).await.expect("queued");
            }
        });
    }
    writing.join_all().await;
    client.shutdown().await.expect("shut down");
}

async fn measure(database: &str) {
    let opens: Vec<f64> = (0..ROUNDS).flat_map(|_| child(&["open", database])).collect();
    println!("open to first page, ms\t{:.2}", median(opens));
    let [plain, waited] = child(&["calls", database]).try_into().expect("two numbers");
    println!("call, ns\t{plain:.0}");
    println!("asynchronous call, ns\t{waited:.0}");
    let [threads, history] = child(&["pages", database]).try_into().expect("two numbers");
    println!("threads, µs\t{threads:.0}");
    println!("history, µs\t{history:.0}");
    let root = Root::new();
    for (over, world) in
        [("over TLS", World::start_over_tls(&root).await), ("without TLS", World::start().await)]
    {
        let (mut grown, mut mapped) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let numbers = fetch_in_a_child(&world, &root, round).await;
            let [all, files] = numbers.try_into().expect("two numbers");
            grown.push(all);
            mapped.push(files);
        }
        println!("fetch_for_push with {WAITING} waiting, {over}: memory at most, MB\t{:.1}", median(grown));
        println!("of it pages of the program and of files, {over}, MB\t{:.1}", median(mapped));
    }
}

/// A user is offline while messages arrive; then the process of a push notification is started. It finds `root` among
/// all the platform's root certificates.
async fn fetch_in_a_child(world: &World, root: &Root, round: usize) -> Vec<f64> {
    let config = || Config { roots: Some(vec![root.der()]), ..answering() };
    let believed = world.dir().join("believed.pem");
    let platform = std::fs::read_to_string(PLATFORM).unwrap_or_default();
    std::fs::write(&believed, platform + &root.pem()).expect("the certificates are written");
    let (away_file, friend_file) =
        (file(world, &format!("away-{round}")), file(world, &format!("friend-{round}")));
    let away = account_with(&away_file, &world.url(), config()).await;
    let user = away.user_id().expect("an account");
    let friend = account_with(&friend_file, &world.url(), config()).await;
    // They know each other: the relay keeps little of what a stranger sends.
    away.direct_thread(friend.user_id().expect("an account"), None).await.expect("a thread");
    away.shutdown().await.expect("shut down");
    let thread = friend.direct_thread(user, None).await.expect("a thread");
    for n in 0..WAITING {
        thread
            .send_text(format!("message {n} of a short absence, about as long as a line"), None)
            .await
            .expect("queued");
    }
    let sent = Direction::Outgoing { delivery: Delivery::Sent };
    while thread
        .history(None, 1)
        .await
        .expect("a page")
        .messages
        .iter()
        .any(|newest| newest.direction != sent)
    {
        sleep(Duration::from_millis(10)).await;
    }
    friend.shutdown().await.expect("shut down");
    child_with(&["push", &away_file, &world.url()], &[("SSL_CERT_FILE", &believed)])
}

/// The time from the start of the program until a screen could be drawn, in milliseconds.
async fn open(database: &str) {
    let begun = Instant::now();
    let client = account(database, NOWHERE).await;
    let threads = client.threads().await.expect("threads");
    let thread = client.thread(threads.first().expect("a thread").id).await.expect("a thread");
    let page = thread.history(None, 50).await.expect("a page");
    let took = begun.elapsed();
    assert_eq!(page.messages.len(), 50);
    println!("{}", took.as_secs_f64() * 1e3);
    client.shutdown().await.expect("shut down");
}

/// The duration of a call that does nothing, and of an awaited call that does nothing, in nanoseconds.
async fn calls(database: &str) {
    let client = account(database, NOWHERE).await;
    let token = CancelToken::new().expect("a token");
    let begun = Instant::now();
    for _ in 0..CALLS {
        assert!(!std::hint::black_box(&token).is_cancelled().expect("an answer"));
    }
    println!("{}", begun.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS));
    let begun = Instant::now();
    for _ in 0..CALLS {
        client.resume().await.expect("it runs");
    }
    println!("{}", begun.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS));
    client.shutdown().await.expect("shut down");
}

/// The time to read a page of 50 threads, and a page of 50 messages, in microseconds.
async fn pages(database: &str) {
    let client = account(database, NOWHERE).await;
    let (mut lists, mut histories) = (Vec::new(), Vec::new());
    for _ in 0..PAGES {
        let begun = Instant::now();
        let threads = client.threads().await.expect("threads");
        lists.push(begun.elapsed().as_secs_f64() * 1e6);
        assert_eq!(threads.len(), ROWS);
    }
    let threads = client.threads().await.expect("threads");
    let thread = client.thread(threads.first().expect("a thread").id).await.expect("a thread");
    for _ in 0..PAGES {
        let begun = Instant::now();
        let page = thread.history(None, 50).await.expect("a page");
        histories.push(begun.elapsed().as_secs_f64() * 1e6);
        assert_eq!(page.messages.len(), ROWS);
    }
    println!("{}\n{}", median(lists), median(histories));
    client.shutdown().await.expect("shut down");
}

/// The peak memory of the process beyond what it started with, and how many more pages of files it has in memory at
/// the end, in megabytes.
async fn push(database: &str, relay: &str) {
    let (before, files_before) = (resident("VmRSS:"), resident("RssFile:"));
    let (database, relay) = (database.to_owned(), relay.to_owned());
    let fetched = sealpost::fetch_for_push(database, KEY.to_vec(), relay, 20_000, answering(), None).await;
    let fetched = fetched.expect("fetched");
    assert_eq!((fetched.messages.len(), fetched.complete), (WAITING, true));
    println!("{}", resident("VmHWM:") - before);
    println!("{}", resident("RssFile:") - files_before);
}

/// The numbers that this program prints when it is started as a child with these arguments.
fn child(arguments: &[&str]) -> Vec<f64> {
    child_with(arguments, &[])
}

fn child_with(arguments: &[&str], environment: &[(&str, &Path)]) -> Vec<f64> {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.args(arguments).envs(environment.iter().copied());
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(|line| line.parse().expect("a number")).collect()
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

/// The memory of this process, in megabytes. Linux only; 0 elsewhere.
fn resident(what: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0.0) / 1000.0
}
