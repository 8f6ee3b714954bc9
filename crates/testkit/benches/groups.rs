//! Groups of up to 1,024 people, with real clients and a relay on loopback: `./dev bench groups`.
//!
//! Sixteen members have a client with its database. The others are sockets with real keys and device lists, which acknowledge what they get. The
//! relay is a process of its own, with its limits. All share the cores of the machine. Nothing is asserted; the figures are printed. `--only PART`
//! runs one part, and `--size MEMBERS` one size.

#![expect(clippy::print_stdout, reason = "it prints figures")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a failure ends the benchmark with a message"
)]

mod setting;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use sealpost_core::{Event, Thread};
use sealpost_protocol::DistributionId;
use sealpost_protocol::group::SenderKeyRecord;
use tokio::task::JoinSet;
use tokio::time::sleep;

use setting::backlog::backlog;
use setting::group::{Group, members_at, until};
use setting::line::Line;
use setting::many::many;
use setting::member::Member;
use setting::relay::{self, UNLIMITED};

const SIZES: [usize; 3] = [10, 100, 1_024];
/// How many messages are sent one after another, at most: the relay lets a person fill 120,000 rows at once.
const MESSAGES: usize = 60;
const ROWS: usize = 45_000;
/// How many direct threads others talk in meanwhile, and how often each of them sends a message.
const PAIRS: usize = 10;
const EACH: Duration = Duration::from_millis(50);
const LINE: &str = "as long as a line that people write to each other tends to be";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test` also runs benchmarks, to check that they work.
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    if let Some(folder) = after(&arguments, relay::SERVE) {
        return relay::serve(folder, !arguments.iter().any(|argument| argument == UNLIMITED));
    }
    let (only, size) = (after(&arguments, "--only"), after(&arguments, "--size"));
    let wanted = |name| only.is_none_or(|only| only == name);
    let sizes = SIZES.into_iter().filter(|one| size.is_none_or(|size| size == one.to_string()));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if wanted("seal") {
        seal();
    }
    for size in sizes {
        if wanted("talk") {
            runtime.block_on(talk(size));
        }
    }
    if wanted("many") {
        runtime.block_on(many());
    }
    if wanted("backlog") {
        runtime.block_on(backlog());
    }
}

fn after<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.get(at + 1).map(String::as_str)
}

/// What sealing costs apart from the transaction around it: the chain is read, encrypts, and is written.
fn seal() {
    let mut rng = rand::rng();
    let record = SenderKeyRecord::empty(DistributionId::new([1; 16])).create_distribution(&mut rng).next;
    let (mut stored, mut took) = (record.to_bytes(), Vec::new());
    for _ in 0..2_000 {
        let begun = Instant::now();
        let chain = SenderKeyRecord::from_bytes(&stored).unwrap();
        stored = chain.encrypt(&[7; 240], &mut rng).unwrap().next.to_bytes();
        took.push(begun.elapsed());
    }
    print("seal, with the chain read and written", &micros(took));
}

/// The first message in a group, and those after it.
async fn talk(size: usize) {
    let group = Group::of(size).await;
    let others = size - 1;
    println!("\n{size} members");
    print("create, until the relay has it", &seconds(group.began.created));
    print("  all others accept, one after another", &seconds(group.began.accepted));
    print("  until all clients know all members", &seconds(group.began.known));
    group.rest().await;
    let thread = group.at(0).await;
    first(&group, &thread).await;
    let rounds = MESSAGES.min(ROWS / others);
    next(&group, &thread, rounds).await;
    stored(&group, &thread).await;
    meanwhile(&group, &thread).await;
    if size == SIZES[2] {
        removal(&group).await;
    }
}

/// What is sent when nobody has the chain of the sender.
async fn first(group: &Group, thread: &Thread) {
    let (relay, up, down) = (group.relay.spent(), group.first.sent(), group.first.received());
    let begun = Instant::now();
    let acked = submit(group, thread).await;
    // Those with a client get their mail, too, but cannot read the message without it.
    let (post, mail) =
        tokio::join!(group.arrivals.last_post(group.size - 1), group.arrivals.last_mail(group.members.len()));
    print("first message: accepted by the relay", &seconds(acked.1));
    print("  last member has the message", &seconds(post - begun));
    if !group.members.is_empty() {
        print("  last member has the sender key", &seconds(mail - begun));
    }
    let used = group.relay.spent();
    print("  sender, sent and received", &both(group.first.sent() - up, group.first.received() - down));
    print("  processor time of the relay", &millis(used.processor - relay.processor));
    group.rest().await;
}

/// Messages one after another, each when all have the one before.
async fn next(group: &Group, thread: &Thread, rounds: usize) {
    let (mut queued, mut acked, mut delivered) = (Vec::new(), Vec::new(), Vec::new());
    let (relay, up, down) = (group.relay.spent(), group.first.sent(), group.first.received());
    let bytes = group.arrivals.bytes();
    for _ in 0..rounds {
        let begun = Instant::now();
        let (queue, ack) = submit(group, thread).await;
        delivered.push(group.arrivals.last_post(group.size - 1).await - begun);
        queued.push(queue);
        acked.push(ack);
        // What follows, acknowledgements and receipts, does not delay the next message.
        sleep(Duration::from_millis(100 + group.size as u64 / 2)).await;
    }
    let used = group.relay.spent();
    let each = |total: u64| total / rounds as u64;
    print("next message: queued, sealed and stored", &percentiles(queued));
    print("  accepted by the relay", &percentiles(acked));
    print("  last member has it", &percentiles(delivered));
    let (up, down) = (group.first.sent() - up, group.first.received() - down);
    print("  sender, sent and received with receipts", &both(each(up), each(down)));
    if !group.members.is_empty() {
        let each = each(group.arrivals.bytes() - bytes) / group.members.len() as u64;
        print("  received by a member", &format!("{each} bytes"));
    }
    print("  processor time of the relay", &millis((used.processor - relay.processor) / rounds as u32));
    print("  written to disk by the relay", &kilobytes(each(used.written - relay.written)));
}

/// Sends a message. Returns the time until it was durable here, and until the relay has accepted it.
async fn submit(group: &Group, thread: &Thread) -> (Duration, Duration) {
    submit_of(group, 0, thread).await
}

async fn submit_of(group: &Group, client: usize, thread: &Thread) -> (Duration, Duration) {
    let mut events = group.clients[client].client.events();
    let begun = Instant::now();
    let sent = thread.send_text(LINE).await.unwrap();
    let queued = begun.elapsed();
    loop {
        if let Some(Ok(Event::MessageChanged { message, .. })) = events.next().await
            && message.id == sent.id
            && message.server_seq.is_some()
        {
            return (queued, begun.elapsed());
        }
    }
}

/// What the relay stores while nobody without a client acknowledges.
async fn stored(group: &Group, thread: &Thread) {
    if group.members.is_empty() {
        return;
    }
    group.arrivals.hold(true);
    let before = group.relay.stored();
    submit(group, thread).await;
    group.arrivals.last_post(group.size - 1).await;
    sleep(Duration::from_millis(500)).await;
    let now = group.relay.stored();
    let rows = format!(
        "{} rows, {} payload, {:.0} kB",
        now.inbox.saturating_sub(before.inbox),
        now.payloads.saturating_sub(before.payloads),
        now.bytes.saturating_sub(before.bytes) as f64 / 1e3
    );
    print(&format!("  in mailboxes until {} acknowledge", group.members.len()), &rows);
    group.arrivals.hold(false);
    // The next message makes them acknowledge both.
    submit(group, thread).await;
    group.arrivals.last_post(group.size - 1).await;
    group.rest().await;
}

/// How long others wait for answers while messages go to the group.
async fn meanwhile(group: &Group, thread: &Thread) {
    let (relay, mut pairs) = (&group.relay, Vec::new());
    for _ in 0..PAIRS {
        let (from, to) = (Member::register(relay).await, Member::register(relay).await);
        let thread = from.thread_with(&to, relay).await;
        let receiver = Line::connect(&relay.url, &to).await;
        pairs.push((Line::connect(&relay.url, &from).await, receiver, to, thread));
    }
    let (took, mut receivers) = (Mutex::new(Vec::new()), JoinSet::new());
    let mut pacing = Vec::new();
    for (line, receiver, to, thread) in pairs {
        receivers.spawn(receiver.receive(std::sync::Arc::default()));
        let took = &took;
        pacing.push(async move { line.pace((&to, thread), EACH, took).await });
    }
    let begun = Instant::now();
    let talking = async {
        sleep(Duration::from_secs(10)).await;
        let quiet = begun.elapsed();
        let mut busy = Vec::new();
        for _ in 0..20 {
            let from = Instant::now();
            submit(group, thread).await;
            busy.push((from, group.arrivals.last_post(group.size - 1).await));
            sleep(Duration::from_millis(500)).await;
        }
        (quiet, busy)
    };
    let (quiet, busy) = tokio::select! {
        windows = talking => windows,
        _ = futures_util::future::join_all(pacing) => unreachable!("they send without end"),
    };
    let took = took.into_inner().unwrap();
    let alone = took.iter().filter(|(at, _)| *at > begun + quiet / 10 && *at < begun + quiet);
    let beside =
        took.iter().filter(|(at, took)| busy.iter().any(|(from, until)| *at < *until && *at + *took > *from));
    print("others, send → ack, alone", &percentiles(alone.map(|(_, took)| *took).collect()));
    print("  while a message goes to the group", &percentiles(beside.map(|(_, took)| *took).collect()));
}

/// A member is removed, and ten others write.
async fn removal(group: &Group) {
    const WRITERS: std::ops::RangeInclusive<usize> = 1..=10;
    let count = WRITERS.count();
    let mut threads = Vec::new();
    for n in WRITERS {
        threads.push(group.at(n).await);
    }
    let all = (group.size - 1) * count;
    let mail = group.members.len() * count;
    let begun = Instant::now();
    let sending = WRITERS.zip(&threads).map(|(n, thread)| submit_of(group, n, thread));
    futures_util::future::join_all(sending).await;
    let (post, mail_at) = tokio::join!(group.arrivals.last_post(all), group.arrivals.last_mail(mail));
    print("ten more write for the first time: messages", &seconds(post - begun));
    print("  their sender keys", &seconds(mail_at - begun));
    group.rest().await;

    let (up, down) = (group.others.sent(), group.others.received());
    let (relay, bytes) = (group.relay.spent(), group.arrivals.bytes());
    let begun = Instant::now();
    let gone = group.members.last().unwrap().user;
    group.clients[0].client.group(group.thread).await.unwrap().remove(&[gone]).await.unwrap();
    let writing = WRITERS.zip(&threads).map(async |(n, thread)| {
        until(async || members_at(&group.clients[n], group.thread).await == group.size - 1).await;
        let known = begun.elapsed();
        (known, submit_of(group, n, thread).await.1)
    });
    let known = futures_util::future::join_all(writing).await;
    let last = known.iter().map(|(known, _)| *known).max().unwrap();
    let (post, mail_at) =
        tokio::join!(group.arrivals.last_post(all - count), group.arrivals.last_mail(mail - count));
    print("a member is removed: ten writers know it", &seconds(last));
    print("  their next messages have arrived", &seconds(post - begun));
    print("  their new sender keys have arrived", &seconds(mail_at - begun));
    let used = group.relay.spent();
    print("  clients, sent and received", &both(group.others.sent() - up, group.others.received() - down));
    print("  received by members without a client", &kilobytes(group.arrivals.bytes() - bytes));
    print("  processor time of the relay", &millis(used.processor - relay.processor));
    print("  written to disk by the relay", &kilobytes(used.written - relay.written));
}

fn at(mut took: Vec<Duration>) -> (Duration, Duration) {
    took.sort_unstable();
    let at = |percent: usize| {
        took.get((took.len().saturating_sub(1)) * percent / 100).copied().unwrap_or_default()
    };
    (at(50), at(99))
}

fn percentiles(took: Vec<Duration>) -> String {
    let (p50, p99) = at(took);
    format!("p50 {:.1} ms, p99 {:.1} ms", p50.as_secs_f64() * 1e3, p99.as_secs_f64() * 1e3)
}

fn micros(took: Vec<Duration>) -> String {
    let (p50, p99) = at(took);
    format!("p50 {:.1} µs, p99 {:.1} µs", p50.as_secs_f64() * 1e6, p99.as_secs_f64() * 1e6)
}

fn seconds(took: Duration) -> String {
    format!("{:.2} s", took.as_secs_f64())
}

fn millis(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1e3)
}

fn kilobytes(bytes: u64) -> String {
    format!("{:.1} kB", bytes as f64 / 1e3)
}

fn both(sent: u64, received: u64) -> String {
    format!("{}, {}", kilobytes(sent), kilobytes(received))
}

fn print(what: &str, figure: &str) {
    println!("{what:<48}{figure}");
}
