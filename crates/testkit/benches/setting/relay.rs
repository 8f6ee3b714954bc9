//! The relay, in a process of its own, and what it has used.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use prost::Message;
use rusqlite::{Connection, OpenFlags};
use sealpost_relay::limits::{Limits, Name};
use sealpost_relay::{Config, Relay as Running};
use sealpost_wire::{Decode, MEDIA_TYPE};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The argument that makes this program run as the relay; the data folder follows.
pub(crate) const SERVE: &str = "--serve";

/// Removes all limits, for measurements in which few people do what many would.
pub(crate) const UNLIMITED: &str = "--unlimited";

/// Runs the relay until standard input ends.
pub(crate) fn serve(folder: &str, is_limited: bool) {
    let mut limits = if is_limited { Limits::default() } else { Limits::none() };
    // All people come from one address.
    for name in [Name::Registrations, Name::Unauthenticated, Name::Refreshes, Name::Logins] {
        limits.set(name, None);
    }
    let runtime = Runtime::new().unwrap();
    let relay = runtime.block_on(Running::start(Config { limits, ..Config::local(folder) })).unwrap();
    println!("{}", relay.url());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    runtime.block_on(relay.shutdown());
}

/// A running relay, which is stopped when this is dropped.
pub(crate) struct Relay {
    child: Child,
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    folder: TempDir,
}

/// What the relay has used since it started.
#[derive(Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) processor: Duration,
    /// Bytes that were written to the disk.
    pub(crate) written: u64,
}

/// What the relay stores now.
#[derive(Clone, Copy)]
pub(crate) struct Stored {
    /// Rows in the mailboxes of devices.
    pub(crate) inbox: u64,
    /// Posts that are stored once for all their devices.
    pub(crate) payloads: u64,
    /// The bytes of all pages in use.
    pub(crate) bytes: u64,
}

impl Relay {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        // A folder on a disk, because the folder for temporary files may be in memory.
        let folder = folder();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(SERVE)
            .arg(folder.path())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let url = lines.next().expect("the relay did not start").unwrap();
        Self { child, url, http: reqwest::Client::new(), folder }
    }

    pub(crate) async fn post<T: Decode>(&self, path: &str, token: Option<&str>, body: &impl Message) -> T {
        let request = self.http.post(format!("{}{path}", self.url)).header("content-type", MEDIA_TYPE);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = request.body(body.encode_to_vec()).send().await.unwrap();
        let (status, bytes) = (answer.status(), answer.bytes().await.unwrap());
        assert!(status.is_success(), "{path}: {status}: {}", String::from_utf8_lossy(&bytes));
        sealpost_wire::decode(bytes).unwrap()
    }

    pub(crate) fn spent(&self) -> Spent {
        let read = |file| std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap();
        let (stat, io) = (read("stat"), read("io"));
        // The name is in parentheses and may contain spaces. After it, fields 12 and 13 are the times, in hundredths of a second.
        let fields = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(2);
        let ticks: u64 = fields.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap();
        Spent { processor: Duration::from_millis(10 * ticks), written: written.parse().unwrap() }
    }

    pub(crate) fn stored(&self) -> Stored {
        let path = self.folder.path().join("relay.db");
        let store = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let number = |sql: &str| store.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        let count = |table| u64::try_from(number(&format!("SELECT count(*) FROM {table}"))).unwrap();
        let pages = number("PRAGMA page_count") - number("PRAGMA freelist_count");
        Stored {
            inbox: count("inbox"),
            payloads: count("payload"),
            bytes: u64::try_from(pages * number("PRAGMA page_size")).unwrap(),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

/// A folder on the disk with the build.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap()
}
