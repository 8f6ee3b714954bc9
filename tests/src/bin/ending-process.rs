//! A process that ends while its client is at work, in one of the ways in which processes end.
//!
//! `ending-process FOLDER NAME RELAY WAY DELAY`: opens `NAME` in `FOLDER`, who is registered and has a thread, keeps the
//! database busy, and ends after so many microseconds.

#![expect(clippy::expect_used, clippy::panic, reason = "what goes wrong here fails a test, and says why")]

use std::mem::ManuallyDrop;
use std::path::Path;
use std::process::exit;
use std::thread;
use std::time::Duration;

use sealpost_core::{Client, Thread};
use sealpost_testkit::PartyDisk;
use tokio::runtime::Runtime;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, name, relay, way, delay] = arguments.as_slice() else { exit(2) };
    let disk = PartyDisk::new(Path::new(folder), name, relay);
    let delay = Duration::from_micros(delay.parse().expect("a delay"));
    // Nobody ends it: what runs on it goes on to the last moment.
    let runtime = Runtime::new().expect("a runtime");
    let runtime: &'static Runtime = Box::leak(Box::new(runtime));
    match way.as_str() {
        "leaked-client" => {
            let _leaked = ManuallyDrop::new(at_work(runtime, disk));
            thread::sleep(delay);
            exit(0)
        }
        // Main returns.
        "client-of-another-thread" => {
            let client = at_work(runtime, disk);
            thread::spawn(move || runtime.block_on(write_on(&client)));
            thread::sleep(delay);
        }
        "cancelled-open" => {
            runtime.block_on(async {
                let _ = tokio::time::timeout(delay, Client::open(disk.config())).await;
            });
            exit(0)
        }
        "exit-on-another-thread" => {
            let client = at_work(runtime, disk);
            thread::spawn(move || {
                thread::sleep(delay);
                exit(0)
            });
            runtime.block_on(write_on(&client));
        }
        "panic" => {
            let client = at_work(runtime, disk);
            thread::spawn(move || runtime.block_on(write_on(&client)));
            thread::sleep(delay);
            panic!("as asked")
        }
        _ => exit(2),
    }
}

/// A client whose writer and readers have something to do all the time.
fn at_work(runtime: &'static Runtime, disk: PartyDisk) -> Client {
    let client = runtime.block_on(disk.open()).client;
    for _ in 0..3 {
        let reading = client.clone();
        runtime.spawn(async move {
            let thread = first_thread(&reading).await;
            while thread.history(None).await.is_ok() {}
        });
        let writing = client.clone();
        runtime.spawn(async move { write_on(&writing).await });
    }
    client
}

async fn write_on(client: &Client) {
    let thread = first_thread(client).await;
    while thread.send_text("a line").await.is_ok() {}
    // The process is ending.
    std::future::pending().await
}

async fn first_thread(client: &Client) -> Thread {
    let threads = client.threads().await.unwrap_or_default();
    match threads.into_iter().next() {
        Some(thread) => thread,
        None => std::future::pending().await,
    }
}
