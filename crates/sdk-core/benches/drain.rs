//! How fast messages that were written offline are sent, with a real relay on loopback and real files: `./dev bench
//! client`.
//!
//! The sender, the receivers and the relay share one process and its cores, so processor time is that of all
//! together. Nothing is asserted; the figures are printed.

#![expect(clippy::print_stdout, reason = "it prints figures")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    reason = "a failure ends the benchmark with a message"
)]

use std::time::{Duration, Instant};

use sealpost_core::{ConnectionState, Delivery, Direction, Event, Thread};
use sealpost_testkit::{Party, World};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// The number of messages, and the number of lanes that they are spread over.
const DRAINS: [(usize, usize); 4] = [(1_000, 1), (20_000, 1), (20_000, 32), (1_000, 32)];
/// How many messages are queued concurrently.
const WRITERS: usize = 64;

#[tokio::main]
async fn main() {
    // `cargo test` also runs benchmarks, to check that they work.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    // Numbers of lanes: only these are measured.
    let wanted: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    for (messages, lanes) in DRAINS {
        if wanted.is_empty() || wanted.contains(&lanes) {
            drain(messages, lanes).await;
        }
    }
}

/// Writes while there is no relay, and then starts it.
async fn drain(messages: usize, lanes: usize) {
    let mut world = World::start().await;
    let ada = world.party("ada").await;
    let (mut peers, mut threads) = (Vec::new(), Vec::new());
    for n in 0..lanes {
        let peer = world.party(&format!("peer-{n}")).await;
        threads.push(ada.thread_with(&peer).await);
        peers.push(peer);
    }
    // Each pair has an established session.
    for thread in &threads {
        thread.send_text("hello").await.expect("queued");
    }
    all_reach(&threads, Delivery::Delivered).await;
    world.stop_relay().await;
    queue(&threads, messages / lanes).await;

    let before = Usage::now();
    world.start_relay().await;
    let first = tokio::spawn(first_send(ada.client.events()));
    ada.client.reconnect();
    let begun = Instant::now();
    peers.iter().for_each(|peer: &Party| peer.client.reconnect());
    all_reach(&threads, Delivery::Sent).await;
    let sent = begun.elapsed();
    all_reach(&threads, Delivery::Delivered).await;
    let (delivered, used) = (begun.elapsed(), Usage::now().since(&before));
    let first = first.await.expect("a first message");

    let each = |total: f64| total / messages as f64;
    println!("{messages} messages written offline in {lanes} lanes");
    print("first one accepted after connecting", &format!("{:.1} ms", first.as_secs_f64() * 1e3));
    print("accepted by the relay", &format!("{:.0} messages/s", messages as f64 / sent.as_secs_f64()));
    print("delivered and confirmed", &format!("{:.0} messages/s", messages as f64 / delivered.as_secs_f64()));
    print("processor time of all, a message", &format!("{:.0} µs", each(used.processor.as_secs_f64()) * 1e6));
    print("writing system calls, a message", &format!("{:.2}", each(used.writes as f64)));
}

/// Queues this many texts in each thread, as fast as possible.
async fn queue(threads: &[Thread], each: usize) {
    let mut writing = JoinSet::new();
    let writers = WRITERS.div_ceil(threads.len());
    for thread in threads {
        for writer in 0..writers {
            let thread = thread.clone();
            writing.spawn(async move {
                for n in (writer..each).step_by(writers) {
                    let text = format!("line {n} of what was written without a network, as long as a line");
                    thread.send_text(&text).await.expect("queued");
                }
            });
        }
    }
    writing.join_all().await;
}

/// The time from the connection to the first message that the relay has accepted.
async fn first_send(mut events: sealpost_core::Events) -> Duration {
    let mut connected = None;
    loop {
        match events.next().await.expect("an open client") {
            Ok(Event::Connection(ConnectionState::CatchingUp)) => connected = Some(Instant::now()),
            Ok(Event::MessageChanged { message, .. }) if message.server_seq.is_some() => {
                return connected.map_or(Duration::ZERO, |at| at.elapsed());
            }
            _ => {}
        }
    }
}

/// Waits until the last message of every thread has reached this state. Polls rarely, so that polling costs little.
async fn all_reach(threads: &[Thread], reached: Delivery) {
    for thread in threads {
        loop {
            let page = thread.history_of(None, 1).await.expect("a page");
            let last = page.messages.first().map(|message| message.direction);
            let done = match reached {
                Delivery::Sent => &[Delivery::Sent, Delivery::Delivered][..],
                _ => &[Delivery::Delivered],
            };
            if matches!(last, Some(Direction::Outgoing(state)) if done.contains(&state)) {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The resources that this process has used so far. Linux only; zero elsewhere.
struct Usage {
    processor: Duration,
    writes: u64,
}

impl Usage {
    fn now() -> Self {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The name is in parentheses and may contain spaces. After it, fields 12 and 13 are the times, in hundredths
        // of a second.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap());
        let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
        let writes = io.lines().find_map(|line| line.strip_prefix("syscw: ")?.parse().ok());
        Self { processor: Duration::from_millis(ticks.sum::<u64>() * 10), writes: writes.unwrap_or(0) }
    }

    fn since(&self, before: &Self) -> Self {
        Self { processor: self.processor - before.processor, writes: self.writes - before.writes }
    }
}

fn print(what: &str, value: &str) {
    println!("  {what:<36} {value}");
}
