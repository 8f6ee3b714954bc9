//! A process that ends in a given way while its client is working.
//!
//! `ending-process FOLDER NAME RELAY WAY ROUND`: opens the database of `NAME` in `FOLDER`, which is registered and has
//! a thread, keeps it busy, and ends. The number of the round determines the moment.

#![expect(clippy::expect_used, clippy::panic, reason = "a failure here fails the test with a message")]

use std::mem::ManuallyDrop;
use std::path::Path;
use std::process::exit;
use std::thread;
use std::time::Duration;

use futures_util::FutureExt as _;
use sealpost_core::{Client, Thread};
use sealpost_testkit::PartyDisk;
use tokio::runtime::{Builder, Runtime};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, name, relay, way, round] = arguments.as_slice() else { exit(2) };
    let disk = PartyDisk::new(Path::new(folder), name, relay);
    let round: u64 = round.parse().expect("a number");
    if way == "dropped-client" {
        return write_and_exit(disk, round);
    }
    // The process ends between the start of the work and some milliseconds later.
    let work = Duration::from_micros((round % 20).saturating_mul(400));
    // It is never shut down, so its tasks run until the process has ended.
    let runtime = Runtime::new().expect("a runtime");
    let runtime: &'static Runtime = Box::leak(Box::new(runtime));
    match way.as_str() {
        "leaked-client" => {
            let _leaked = ManuallyDrop::new(at_work(runtime, disk));
            thread::sleep(work);
            exit(0)
        }
        // `main` returns.
        "client-of-another-thread" => {
            let client = at_work(runtime, disk);
            thread::spawn(move || runtime.block_on(write_on(&client)));
            thread::sleep(work);
        }
        "cancelled-open" => {
            // Opening takes some milliseconds.
            let patience = Duration::from_micros((round % 40).saturating_mul(150));
            runtime.block_on(async {
                let _ = tokio::time::timeout(patience, Client::open(disk.config())).await;
            });
            exit(0)
        }
        "exit-on-another-thread" => {
            let client = at_work(runtime, disk);
            thread::spawn(move || {
                thread::sleep(work);
                exit(0)
            });
            runtime.block_on(write_on(&client));
        }
        "panic" => {
            let client = at_work(runtime, disk);
            thread::spawn(move || runtime.block_on(write_on(&client)));
            thread::sleep(work);
            panic!("as requested")
        }
        _ => exit(2),
    }
}

/// Queues messages without waiting for them, drops the client, and ends the process immediately.
fn write_and_exit(disk: PartyDisk, round: u64) {
    let hand_over = |thread: &Thread| {
        for line in 0..10 {
            let _ = thread.send_text(&format!("{round} {line}")).now_or_never();
        }
        let _ = thread.history(None).now_or_never();
    };
    let runtime = match round % 3 {
        // Tasks of the client can end only on the thread that drops it.
        0 => Builder::new_current_thread().enable_all().build(),
        // The tasks of the client run on other threads, and nothing waits for them.
        _ => Runtime::new(),
    };
    let runtime = runtime.expect("a runtime");
    let open = async {
        let client = disk.open().await.client;
        let thread = first_thread(&client).await;
        (client, thread)
    };
    if round % 3 == 2 {
        // The runtime is dropped before the client.
        let (client, thread) = runtime.block_on(open);
        hand_over(&thread);
        drop(runtime);
        drop((client, thread));
        exit(0)
    }
    runtime.block_on(async {
        let (client, thread) = open.await;
        hand_over(&thread);
        drop((client, thread));
        exit(0)
    })
}

/// A client whose writer and readers are always busy.
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
