//! Causes failures around an app, for the tests of the bindings.
//!
//! - `trouble relays FOLDER` starts servers that are not usable relays and prints a line for each, such as
//!   `offline.busy URL`. It runs until it is killed.
//! - `trouble database FILE KEY STATEMENTS` runs SQL in a database, with its key in hexadecimal.
//! - `trouble integrity FILE KEY` checks a whole database, and prints `ok`, or what is wrong with it.
//! - `trouble full FILE` makes the disk full for everything that is written to a file that does not exist yet. It
//!   prints `full`, or `not allowed` if it may not create the device that it needs, which usually requires root.

#![expect(clippy::expect_used, reason = "a failure here fails the test with a message")]

use std::fs::{self, File};
use std::future::pending;
use std::io::{ErrorKind, Write as _, stdout};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;
use sealpost_e2e::open_database;
use sealpost_relay::{Config, Registration, Relay};
use sealpost_testkit::{BadResponse, BadServer, Root};

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments.as_slice() {
        ["relays", folder] => relays(Path::new(folder)).await,
        ["database", file, key, statements] => database(Path::new(file), key, statements),
        ["integrity", file, key] => integrity(Path::new(file), key),
        ["full", file] => full(Path::new(file)),
        _ => std::process::exit(2),
    }
}

async fn relays(folder: &Path) {
    let silent = BadServer::start(BadResponse::Silent).await;
    let overloaded = BadServer::start(BadResponse::BadGateway).await;
    let portal = BadServer::start(BadResponse::WebPage).await;
    let closed = Config { registration: Registration::Closed, ..Config::local(folder.join("closed")) };
    let closed = Relay::start(closed).await.expect("a relay");
    // With a certificate of an unknown root.
    let certificate = Root::new().certify(Ipv4Addr::LOCALHOST.into(), &folder.join("certificate"));
    let unvouched = Config { tls: Some(certificate), ..Config::local(folder.join("unvouched")) };
    let unvouched = Relay::start(unvouched).await.expect("a relay");
    for (code, url) in [
        // Only root may listen on this port, and no server does.
        ("unreachable", "http://127.0.0.1:1".to_owned()),
        ("timed_out", silent.url()),
        ("busy", overloaded.url()),
        ("not_a_relay", portal.url()),
        ("refused", closed.url()),
        ("untrusted", unvouched.url()),
    ] {
        say(&format!("offline.{code} {url}"));
    }
    pending().await
}

fn database(file: &Path, key: &str, statements: &str) {
    open(file, key).execute_batch(statements).expect("statements");
}

fn integrity(file: &Path, key: &str) {
    let database = open(file, key);
    let mut check = database.prepare("PRAGMA integrity_check").expect("a statement");
    let found = check.query_map([], |row| row.get::<_, String>(0)).expect("a check");
    found.for_each(|line| say(&line.expect("a line")));
}

fn open(file: &Path, key: &str) -> Connection {
    let key = hex::decode(key).ok().and_then(|key| key.try_into().ok()).expect("32 bytes in hexadecimal");
    open_database(file, &key)
}

/// Replaces the file with something that behaves like `/dev/full`. (SQLite does not follow a link to that.)
fn full(file: &Path) {
    let made = Command::new("mknod").arg(file).args(["c", "1", "7"]).output();
    if !made.is_ok_and(|made| made.status.success()) {
        return say("not allowed");
    }
    match File::options().write(true).open(file).and_then(|mut file| file.write_all(b"?")) {
        Err(error) if error.kind() == ErrorKind::StorageFull => say("full"),
        // The device does not work in folders that are mounted without devices.
        _ => {
            fs::remove_file(file).expect("it was made here");
            say("not allowed");
        }
    }
}

/// Prints one line for the parent process.
fn say(line: &str) {
    writeln!(stdout(), "{line}").expect("somebody reads");
}
