//! Performance of search on a real encrypted file with 10,000, 100,000 and 300,000 messages: how fast a backlog is
//! indexed, how long that holds the writer and makes others wait, how large the index is, and what queries cost: `cargo
//! bench -p sealpost-core --bench search`.
//!
//! The messages are inserted by SQL, in the state in which a migration finds them. Nothing is asserted; the figures
//! are printed.

#![expect(clippy::print_stdout, reason = "it prints figures")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a failure ends the benchmark with a message"
)]

mod figures;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use figures::percentiles;
use hkdf::Hkdf;
use rusqlite::{Connection, params};
use sealpost_core::{Client, Config, DatabaseKey, Opened, Thread};
use sealpost_testkit::World;
use sha2::Sha256;
use tokio::time::sleep;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

const KEY: [u8; 32] = [7; 32];
const SIZES: [usize; 3] = [10_000, 100_000, 300_000];
const VOCABULARY: usize = 50_000;

/// A description and the text of each query. Every message contains "message"; every second one contains "alpha", the
/// others "beta".
const QUERIES: [(&str, &str); 12] = [
    ("a prefix of one letter", "e"),
    ("the same of a word in every message", "m"),
    ("a word in every message", "message"),
    ("its first six letters", "messag"),
    ("two words in every message", "message line"),
    ("two prefixes of one letter", "a b"),
    ("four prefixes of one letter", "q x z j"),
    ("two frequent words, never together", "alpha beta"),
    ("three, never together", "message alpha beta"),
    ("a frequent word and one that is nowhere", "message zzzzzz"),
    ("a long word", "extraordinarily"),
    ("two characters of Chinese", "北京"),
];

#[tokio::main]
async fn main() {
    // `cargo test` also runs benchmarks, to check that they work.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let of_writer = Targets::new().with_target("sealpost_core::store::writer", Level::TRACE);
    tracing::subscriber::set_global_default(
        tracing_subscriber::registry().with(Holds.with_filter(of_writer)),
    )
    .unwrap();
    for size in SIZES {
        measure(size).await;
    }
}

async fn measure(size: usize) {
    println!("\n{size} messages");
    let mut world = World::start().await;
    let ben = world.party("ben").await.client.user_id();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let config = || Config::new(&path, DatabaseKey::new(KEY), world.url());
    let Opened::Unregistered(new) = Client::open(config()).await.unwrap() else { panic!("a new file") };
    let client = new.register(&[]).await.unwrap();
    let thread = client.direct_thread(ben).await.unwrap();
    let id = thread.id();
    thread.send_text("the first one").await.unwrap();
    found(&client, "first").await;
    client.suspend().await.unwrap();
    drop((thread, client));
    fill(&path, size);
    let before = std::fs::metadata(&path).unwrap().len();
    let config = config();
    world.stop_relay().await;

    let Opened::Ready(client) = Client::open(config).await.unwrap() else { panic!("registered") };
    let thread = client.thread(id).await.unwrap();
    index(&client, &thread, size).await;
    client.suspend().await.unwrap();
    let after = std::fs::metadata(&path).unwrap().len();
    print("file before", &format!("{:.1} MB", before as f64 / 1e6));
    print("of the index, of each message", &format!("{:.0} bytes", (after - before) as f64 / size as f64));
    client.resume().await.unwrap();
    print("a write with nothing beside it", &with_longest(write_alone(&thread).await));

    for (what, words) in QUERIES {
        let mut took = Vec::new();
        let mut results = 0;
        for _ in 0..50 {
            let begun = Instant::now();
            results = client.search(words, 50).await.unwrap().len();
            took.push(begun.elapsed());
        }
        print(
            &format!("{what}: {words:?}"),
            &format!("{results:>3} found, first {}, {}", ms(took[0]), percentiles(took)),
        );
    }
    client.suspend().await.unwrap();
}

/// Waits until everything is indexed. Measures meanwhile, in turns, how long a write waits for the writer, and how long each
/// transaction of indexing holds it.
async fn index(client: &Client, thread: &Thread, size: usize) {
    let (begun, mut waits) = (Instant::now(), Vec::new());
    // The oldest message is indexed last.
    while client.search("oldestofall", 1).await.unwrap().is_empty() {
        if begun.elapsed().as_millis() % 400 < 200 {
            MEASURE_HOLDS.store(false, Ordering::Relaxed);
            let asked = Instant::now();
            thread.send_text("while the index is fed").await.unwrap();
            waits.push(asked.elapsed());
        } else {
            MEASURE_HOLDS.store(true, Ordering::Relaxed);
        }
        sleep(Duration::from_millis(10)).await;
    }
    MEASURE_HOLDS.store(false, Ordering::Relaxed);
    print("backlog", &format!("{:.0} messages/s", size as f64 / begun.elapsed().as_secs_f64()));
    print("a write beside it", &with_longest(waits));
    let holds = std::mem::take(&mut *HOLDS.lock().unwrap());
    let what = format!("a transaction of indexing holds the writer ({})", holds.len());
    print(&what, &with_longest(holds));
    let begun = Instant::now();
    thread.send_text("lastofall").await.unwrap();
    found(client, "lastofall").await;
    print("from the write to the result", &ms(begun.elapsed()));
}

static MEASURE_HOLDS: AtomicBool = AtomicBool::new(false);
static HOLDS: Mutex<Vec<Duration>> = Mutex::new(Vec::new());

/// Collects how long each commit has held the writer, from its trace events.
struct Holds;

impl<S: Subscriber> Layer<S> for Holds {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if MEASURE_HOLDS.load(Ordering::Relaxed) {
            event.record(&mut Hold);
        }
    }
}

struct Hold;

impl Visit for Hold {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "took_us" {
            HOLDS.lock().unwrap().push(Duration::from_micros(value));
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

/// The durations of writes without indexing. The relay is gone, so nothing is sent.
async fn write_alone(thread: &Thread) -> Vec<Duration> {
    let mut waits = Vec::new();
    for _ in 0..200 {
        let asked = Instant::now();
        thread.send_text("with nothing beside it").await.unwrap();
        waits.push(asked.elapsed());
        sleep(Duration::from_millis(10)).await;
    }
    waits
}

async fn found(client: &Client, words: &str) {
    while client.search(words, 1).await.unwrap().is_empty() {
        sleep(Duration::from_millis(5)).await;
    }
}

/// Inserts messages as an earlier version has left them: none of them is in the index.
fn fill(path: &Path, size: usize) {
    let mut connection = unlock(path);
    let words = vocabulary();
    let mut random = Random(1);
    let tx = connection.transaction().unwrap();
    {
        let mut insert = tx
            .prepare(
                "INSERT INTO message (thread_id, content_id, author, device, kind, body, sent, server_seq, position, state)
                 SELECT thread_id, randomblob(16), author, device, kind, ?1, sent, ?2, ?2, 1 FROM message WHERE id = 1",
            )
            .unwrap();
        for n in 0..size {
            let mut text = String::new();
            for _ in 0..9 {
                let _ = write!(text, "{} ", words[random.frequent(words.len())]);
            }
            text.push_str(if n % 2 == 0 { "alpha message line" } else { "beta message line" });
            match n {
                0 => text.push_str(" oldestofall"),
                n if n % 50 == 0 => text.push_str(" extraordinarily 我们去北京开会 🎉"),
                _ => {}
            }
            insert.execute(params![content(&text), i64::try_from(n + 2).unwrap()]).unwrap();
        }
    }
    // The state in which the migration leaves the index: it contains none of these messages.
    tx.execute_batch(
        "INSERT INTO search (search) VALUES ('delete-all');
         UPDATE account SET indexed_up_to = (SELECT max(id) FROM message);
         UPDATE account SET indexed_after = indexed_up_to;",
    )
    .unwrap();
    tx.commit().unwrap();
    connection.pragma_update(None, "wal_checkpoint", "truncate").unwrap();
}

/// Encodes a text as a content (`proto/content.proto`): field 10.
fn content(text: &str) -> Vec<u8> {
    let mut body = vec![0x52];
    let mut length = text.len();
    while length > 0x7f {
        body.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    body.push(u8::try_from(length).unwrap());
    body.extend_from_slice(text.as_bytes());
    body
}

/// Opens the file as the client does (`store/vault.rs`).
fn unlock(path: &Path) -> Connection {
    let mut salt = [0; 16];
    Hkdf::<Sha256>::new(None, &KEY).expand(b"Sealpost database salt v1", &mut salt).unwrap();
    let mut key = String::new();
    for byte in KEY.iter().chain(&salt) {
        let _ = write!(key, "{byte:02x}");
    }
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(&format!(
            "PRAGMA key = \"x'{key}'\"; PRAGMA cipher_plaintext_header_size = 32; PRAGMA cipher_hmac_algorithm = HMAC_SHA256;"
        ))
        .unwrap();
    connection
}

/// Invented words, with lengths like those of a natural language.
fn vocabulary() -> Vec<String> {
    const LETTERS: &[u8] = b"etaoinshrdlucmfwypvbgkjqxz";
    const LENGTHS: [usize; 11] = [2, 3, 4, 4, 5, 5, 6, 7, 8, 9, 12];
    let mut random = Random(2);
    let mut word = || {
        let length = LENGTHS[random.below(LENGTHS.len())];
        // The first letters of the list are the frequent ones.
        (0..length)
            .map(|_| char::from(LETTERS[random.below(LETTERS.len()).min(random.below(LETTERS.len()))]))
            .collect()
    };
    (0..VOCABULARY).map(|_| word()).collect()
}

/// A generator with the same output in every run (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// The first values are frequent: the n-th has about 1/n of the frequency of the first (Zipf).
    fn frequent(&mut self, end: usize) -> usize {
        let part = self.next() as f64 / u64::MAX as f64;
        (((end as f64).ln() * part).exp() as usize).min(end) - 1
    }
}

fn with_longest(times: Vec<Duration>) -> String {
    let longest = times.iter().max().copied().unwrap_or_default();
    format!("{}, longest {}", percentiles(times), ms(longest))
}

fn ms(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1000.0)
}

fn print(what: &str, value: &str) {
    println!("{what:<56} {value}");
}
