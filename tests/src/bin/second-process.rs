//! A second process that uses a database, such as a notification extension of an app, or the app of an extension.
//!
//! `second-process FOLDER NAME RELAY WHAT COUNT` prints `ready`, waits for a line, and then does one of the
//! following:
//!
//! - `fetch`: fetches for a push notification COUNT times, and prints `message TEXT` for each new message.
//! - `read`: marks the messages of its only thread as read, and ends at once.
//! - `open`: opens the databases `NAME 0`, `NAME 1` and so on, COUNT of them.
//! - `stay`: keeps the database open while there are lines to read; prints `live`, and then `shows COUNT` as its only
//!   thread grows.

#![expect(clippy::expect_used, reason = "a failure here fails the test with a message")]

use std::io::{BufRead as _, Write as _, stdin, stdout};
use std::path::Path;
use std::time::Duration;

use sealpost_core::{Client, MessageBody, fetch_for_push};
use sealpost_testkit::{PartyDisk, texts};
use tokio::time::sleep;

/// More than the time that the system grants to a push notification.
const TIMEOUT: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, name, relay, what, count] = arguments.as_slice() else {
        std::process::exit(2);
    };
    let count: usize = count.parse().expect("a number");
    let disk = |name: &str| PartyDisk::new(Path::new(folder), name, relay);
    say("ready");
    stdin().lock().read_line(&mut String::new()).expect("a line");
    match what.as_str() {
        "fetch" => fetch(&disk(name), count).await,
        "read" => read(disk(name)).await,
        "open" => {
            for number in 0..count {
                let opened = Client::open(disk(&format!("{name} {number}")).config()).await;
                drop(opened.expect("the database opens"));
            }
        }
        "stay" => tokio::select! {
            () = stay(disk(name)) => {}
            _ = tokio::task::spawn_blocking(|| stdin().lock().read_line(&mut String::new())) => {}
        },
        _ => std::process::exit(2),
    }
}

async fn fetch(disk: &PartyDisk, times: usize) {
    for _ in 0..times {
        let fetched = fetch_for_push(disk.config(), sleep(TIMEOUT)).await.expect("a fetch");
        assert!(fetched.complete, "the relay was out of reach");
        for message in fetched.messages {
            match message.body {
                MessageBody::Text(text) => say(&format!("message {text}")),
                other => say(&format!("message {other:?}")),
            }
        }
    }
}

async fn read(disk: PartyDisk) {
    let me = disk.open().await;
    let thread = me.client.threads().await.expect("threads").pop().expect("a thread");
    let newest = thread.history(None).await.expect("history").messages.first().expect("a message").id;
    thread.mark_read(newest).await.expect("it is marked");
    // What follows is left to the other process.
    std::process::exit(0);
}

async fn stay(disk: PartyDisk) {
    let me = disk.open().await;
    me.live().await;
    say("live");
    let thread = me.client.threads().await.expect("threads").pop().expect("a thread");
    let mut view = thread.subscribe();
    while let Some(change) = view.next().await {
        change.expect("a change");
        say(&format!("shows {}", texts(&thread).await.len()));
    }
}

/// Prints one line for the parent process.
fn say(line: &str) {
    writeln!(stdout(), "{line}").expect("somebody reads");
}
