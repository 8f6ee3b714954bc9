//! Performance figures of the relay, which runs in a separate process, with clients on loopback: `./dev bench relay`.
//!
//! Relay and clients share the cores of the machine, so rates are lower bounds. Processor time, bytes written and
//! memory are those of the relay alone. Nothing is asserted; the figures are printed. `--only NAME` runs one part.

#![expect(clippy::print_stdout, reason = "it prints figures")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a failure ends the benchmark with a message"
)]

mod load;

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep;

use load::client::{Client, Pair};
use load::relay::{self, Relay, Spent};

/// How many sends per second are offered to the relay while the time to an answer is measured.
const OFFERED: usize = 200;
const PACED: Duration = Duration::from_secs(20);
/// How many connections send as fast as they are answered, and how many sends each of them has in flight: as many as
/// the relay reads ahead of its answers.
const SENDERS: usize = 64;
const ON_THE_WAY: usize = 64;
const WARM: Duration = Duration::from_secs(1);
const LOADED: Duration = Duration::from_secs(8);
/// How many connections are idle.
const IDLE: usize = 10_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test` also runs benchmarks, to check that they work.
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    if let Some(folder) = after(&arguments, relay::SERVE) {
        return relay::serve(folder, arguments.iter().any(|argument| argument == relay::LIMITED));
    }
    let only = after(&arguments, "--only");
    let wanted = |name| only.is_none_or(|only| only == name);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if wanted("paced") {
        runtime.block_on(paced());
    }
    if wanted("hostile") {
        runtime.block_on(hostile());
    }
    if wanted("send") {
        runtime.block_on(closed_loop(false));
    }
    if wanted("talk") {
        runtime.block_on(closed_loop(true));
    }
    if wanted("idle") {
        runtime.block_on(idle());
    }
}

fn after<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.get(at + 1).map(String::as_str)
}

/// The time to an answer while the relay has little to do.
async fn paced() {
    let relay = Relay::start();
    let pairs = Pair::several(&relay, 10).await;
    print(&format!("send → ack at {OFFERED} sends/s"), &percentiles(offered(&relay, &pairs).await));
}

/// The same on a relay with limits, while one account loads it as much as it can over the two sockets that it may
/// have.
async fn hostile() {
    let relay = Relay::start_limited();
    let pairs = Pair::several(&relay, 10).await;
    print(&format!("send → ack at {OFFERED} sends/s, limited"), &percentiles(offered(&relay, &pairs).await));
    let against = Pair::several(&relay, 2).await;
    let acks = async {
        let flood = || Client::acknowledge_nothing(&relay, &against[0].from);
        futures_util::future::join(flood(), flood()).await
    };
    let sends = async {
        let flood = || Client::send_without_end(&relay, &against[1]);
        futures_util::future::join(flood(), flood()).await
    };
    tokio::select! {
        took = offered(&relay, &pairs) => print("  p50 with one hostile account, acks", &percentiles(took)),
        _ = acks => {}
    }
    tokio::select! {
        took = offered(&relay, &pairs) => print("  p50 with one hostile account, sends", &percentiles(took)),
        _ = sends => {}
    }
}

async fn offered(relay: &Relay, pairs: &[Pair]) -> Vec<Duration> {
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    let (mut senders, mut receivers) = (Vec::new(), JoinSet::new());
    for pair in pairs {
        senders.push(Client::connect(relay, &pair.from).await);
        let receiver = Client::connect(relay, &pair.to).await;
        receivers.spawn(receiver.receive());
    }
    let each = Duration::from_secs(1) * u32::try_from(pairs.len()).unwrap() / u32::try_from(OFFERED).unwrap();
    for (n, (mut sender, pair)) in senders.into_iter().zip(pairs.to_vec()).enumerate() {
        tasks.spawn(async move {
            sleep(each.mul_f64(n as f64 / 10.0)).await;
            let mut due = tokio::time::interval(each);
            let mut took = Vec::new();
            while begun.elapsed() < PACED {
                due.tick().await;
                let sent = Instant::now();
                sender.send(&pair, 1).await;
                sender.answers().await;
                took.push(sent.elapsed());
            }
            took
        });
    }
    let took = tasks.join_all().await.concat();
    receivers.shutdown().await;
    took
}

/// The number of sends that the relay and its clients can process per second. `present` says whether the recipients
/// are connected, and read and acknowledge what arrives.
async fn closed_loop(present: bool) {
    let relay = Relay::start();
    let pairs = Pair::several(&relay, SENDERS).await;
    let (mut senders, mut receivers) = (JoinSet::new(), JoinSet::new());
    for pair in pairs {
        let mut sender = Client::connect(&relay, &pair.from).await;
        if present {
            receivers.spawn(Client::connect(&relay, &pair.to).await.receive());
        }
        senders.spawn(async move {
            sender.send(&pair, ON_THE_WAY).await;
            loop {
                let answered = sender.answers().await;
                sender.send(&pair, answered).await;
            }
        });
    }
    sleep(WARM).await;
    let (before, begun) = (relay.spent().await, Instant::now());
    sleep(LOADED).await;
    let (spent, took) = (relay.spent().await - before, begun.elapsed());
    senders.shutdown().await;
    receivers.shutdown().await;
    let what = if present { "received and acknowledged" } else { "recipients away" };
    print(&format!("durable sends, {what}"), &format!("{:.0}/s", spent.sends / took.as_secs_f64()));
    for (name, figure) in figures(&spent) {
        print(&format!("  {name}"), &figure);
    }
}

fn figures(spent: &Spent) -> Vec<(&'static str, String)> {
    let Spent { sends, .. } = *spent;
    let mut figures = vec![
        (
            "processor time of the relay for a send",
            format!("{:.1} µs", spent.processor.as_secs_f64() * 1e6 / sends),
        ),
        ("  of it the writer of the store", format!("{:.1} µs", spent.writer.as_secs_f64() * 1e6 / sends)),
        (
            "processor time of the clients for a send",
            format!("{:.1} µs", spent.clients.as_secs_f64() * 1e6 / sends),
        ),
        ("bytes written to disk for a send", format!("{:.0}", spent.written / sends)),
        ("operations in a commit", format!("{:.0}", spent.operations / spent.commits)),
    ];
    if let Some(statements) = spent.statements {
        figures.push(("statements for a send", format!("{:.2}", statements / sends)));
    }
    figures
}

/// The cost of an idle connection.
async fn idle() {
    let relay = Relay::start();
    let accounts = relay.accounts(IDLE).await;
    let before = relay.memory();
    let mut clients = Vec::new();
    for account in &accounts {
        clients.push(Client::connect(&relay, account).await);
    }
    // By now every client has received everything, and the relay has read its mailbox.
    sleep(Duration::from_secs(3)).await;
    let each = (relay.memory() - before) / accounts.len() as f64;
    print(&format!("memory of an idle connection, of {}", accounts.len()), &format!("{each:.0} bytes"));
    let (before, begun) = (relay.spent().await, Instant::now());
    sleep(Duration::from_secs(10)).await;
    let busy = (relay.spent().await - before).processor.as_secs_f64() / begun.elapsed().as_secs_f64();
    print("  processor time of the relay with them", &format!("{:.1} % of a core", busy * 100.0));
}

fn percentiles(mut took: Vec<Duration>) -> String {
    took.sort();
    let at = |share: f64| took[(took.len() as f64 * share) as usize].as_secs_f64() * 1e3;
    format!("p50 {:.1} ms, p99 {:.1} ms", at(0.5), at(0.99))
}

fn print(what: &str, figure: &str) {
    println!("{what:<48}{figure}");
}
