//! A relay in a separate process, and the resources that this process has used.

use std::io::{BufRead as _, BufReader, Read as _};
use std::ops::Sub;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use prost::Message;
use sealpost_relay::limits::Limits;
use sealpost_relay::{Config, Relay as Running};
use sealpost_wire::id::ToWire as _;
use sealpost_wire::id::{ThreadId, UserId};
use sealpost_wire::{
    CreateThread, Decode, KeyUpload, MEDIA_TYPE, RegisterRequest, RegisterResponse, SignedKey, Thread,
};
use tokio::runtime::Runtime;

/// The argument that makes this program run as the relay; the data folder follows.
pub(crate) const SERVE: &str = "--serve";

/// Whether the relay runs with its default limits or with none.
pub(crate) const LIMITED: &str = "--limited";

/// Runs the relay until standard input ends.
pub(crate) fn serve(folder: &str, limited: bool) {
    let config = Config {
        limits: if limited { Limits::default() } else { Limits::none() },
        metrics: Some("127.0.0.1:0".parse().unwrap()),
        ..Config::local(folder)
    };
    let runtime = Runtime::new().unwrap();
    let relay = runtime.block_on(Running::start(config)).unwrap();
    println!("{}\nhttp://{}/metrics", relay.url(), relay.metrics_addr().unwrap());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    runtime.block_on(relay.shutdown());
}

/// A running relay, which is stopped when this is dropped.
pub(crate) struct Relay {
    child: Child,
    pub(crate) url: String,
    metrics: String,
    http: reqwest::Client,
    _folder: tempfile::TempDir,
}

/// An account with one device.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) user: UserId,
    pub(crate) access_token: String,
}

/// What the relay has used since it started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) processor: Duration,
    /// The processor time of the clients, which share the cores with the relay.
    pub(crate) clients: Duration,
    pub(crate) writer: Duration,
    pub(crate) written: f64,
    pub(crate) sends: f64,
    pub(crate) operations: f64,
    pub(crate) commits: f64,
    pub(crate) statements: Option<f64>,
}

impl Sub for Spent {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            processor: self.processor - before.processor,
            clients: self.clients - before.clients,
            writer: self.writer - before.writer,
            written: self.written - before.written,
            sends: self.sends - before.sends,
            operations: self.operations - before.operations,
            commits: self.commits - before.commits,
            statements: self.statements.zip(before.statements).map(|(after, before)| after - before),
        }
    }
}

impl Relay {
    /// Starts a relay without limits.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a relay with the default limits.
    pub(crate) fn start_limited() -> Self {
        Self::start_with(&[LIMITED])
    }

    fn start_with(arguments: &[&str]) -> Self {
        // A folder on a disk, because the folder for temporary files may be in memory.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(SERVE)
            .arg(folder.path())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let mut line = || lines.next().expect("the relay did not start").unwrap();
        let (url, metrics) = (line(), line());
        Self { child, url, metrics, http: reqwest::Client::new(), _folder: folder }
    }

    /// Registers this many accounts.
    pub(crate) async fn accounts(&self, count: usize) -> Vec<Account> {
        let all = stream::iter(0..count).map(|_| self.register()).buffer_unordered(64);
        all.collect().await
    }

    async fn register(&self) -> Account {
        let request = RegisterRequest {
            proof: Bytes::new(),
            registration_id: 77,
            identity_key: public(0x05, 33),
            keys: Some(KeyUpload {
                signed_pre_key: Some(signed(0x05, 33)),
                last_resort_kem: Some(signed(0x08, 1569)),
                ..KeyUpload::default()
            }),
            login_key: Bytes::new(),
        };
        let answer: RegisterResponse = self.post("/v1/accounts", None, &request).await;
        let access_token = answer.tokens.unwrap().access_token;
        Account { user: UserId::from_slice(&answer.user_id).unwrap(), access_token }
    }

    /// Creates the thread between two users, accepted by both.
    pub(crate) async fn thread(&self, from: &Account, to: &Account) -> ThreadId {
        let request = CreateThread { peer_user_id: to.user.to_wire(), ..CreateThread::default() };
        let answer: Thread = self.post("/v1/threads", Some(from), &request).await;
        let thread = ThreadId::from_slice(&answer.thread_id).unwrap();
        let accept = self.http.post(format!("{}/v1/threads/{thread}/accept", self.url));
        accept.bearer_auth(&to.access_token).send().await.unwrap().error_for_status().unwrap();
        thread
    }

    async fn post<T: Decode>(&self, path: &str, by: Option<&Account>, body: &impl Message) -> T {
        let mut request = self.http.post(format!("{}{path}", self.url)).header("content-type", MEDIA_TYPE);
        if let Some(account) = by {
            request = request.bearer_auth(&account.access_token);
        }
        let answer = request.body(body.encode_to_vec()).send().await.unwrap().error_for_status().unwrap();
        sealpost_wire::decode(answer.bytes().await.unwrap()).unwrap()
    }

    pub(crate) async fn spent(&self) -> Spent {
        let text = self.http.get(&self.metrics).send().await.unwrap().text().await.unwrap();
        let metric = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.map(|number| number.parse::<f64>().unwrap())
        };
        let written = self.read("io");
        let written = written.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap();
        Spent {
            processor: processor(self.child.id(), |_| true),
            clients: processor(std::process::id(), |_| true),
            writer: processor(self.child.id(), |thread| thread == "store-writer"),
            written: written.parse().unwrap(),
            sends: metric("relay_send_ack_seconds_count{transport=\"ws\"}").unwrap(),
            operations: metric("relay_store_batch_size_sum").unwrap(),
            commits: metric("relay_store_batch_size_count").unwrap(),
            statements: metric("relay_store_statements_total"),
        }
    }

    /// The process's private memory, in bytes.
    pub(crate) fn memory(&self) -> f64 {
        let status = self.read("status");
        let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        anonymous.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

/// The processor time of these threads of a process. None of them ends during the measurement, except those that only
/// read.
fn processor(process: u32, wanted: impl Fn(&str) -> bool) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let of_task = |folder: std::path::PathBuf| {
        let name = std::fs::read_to_string(folder.join("comm")).ok()?;
        let nanoseconds = std::fs::read_to_string(folder.join("schedstat")).ok()?;
        let nanoseconds = nanoseconds.split(' ').next()?.parse().ok()?;
        wanted(name.trim_end()).then(|| Duration::from_nanos(nanoseconds))
    };
    tasks.filter_map(|task| of_task(task.unwrap().path())).sum()
}

fn public(type_byte: u8, len: usize) -> Bytes {
    let mut key = vec![0x11; len];
    key[0] = type_byte;
    key.into()
}

fn signed(type_byte: u8, len: usize) -> SignedKey {
    SignedKey { id: 1, public_key: public(type_byte, len), signature: vec![7; 64].into() }
}
