//! The program: its output, its log, and how it handles signals and crashes.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use sealpost_wire::frame::Body;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::send_ack::Status;
use sealpost_wire::{CreateThread, InboxPage, RegisterResponse, SendAck};

use crate::common::socket::{Socket, hello};
use crate::common::{Answer, Party, http, keys, public, with_body};

/// Much longer than a relay takes to start or stop, even on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Waits for a process to end by itself.
fn end_of(child: &mut Child) -> ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if began.elapsed() >= TIMEOUT {
            child.kill().unwrap();
            panic!("the relay does not exit");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// The first line that it prints.
fn first_line(child: &mut Child) -> String {
    let (to, read) = mpsc::channel();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    thread::spawn(move || {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        to.send((line, output))
    });
    let Ok((line, output)) = read.recv_timeout(TIMEOUT) else {
        child.kill().unwrap();
        panic!("the relay prints nothing");
    };
    // It may print more.
    child.stdout = Some(output.into_inner());
    line
}

/// A relay in a separate process.
pub(crate) struct Process {
    child: Child,
    url: String,
    http: reqwest::Client,
}

impl Process {
    pub(crate) fn start(folder: &std::path::Path, fault: Option<&str>) -> Self {
        Self::start_with(folder, fault, Stdio::piped())
    }

    /// The same as [`Self::start`], with its log going there.
    pub(crate) fn start_with(folder: &std::path::Path, fault: Option<&str>, log: Stdio) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealpost-relay"));
        command.args(["--listen", "127.0.0.1:0", "--registration", "dev", "--data"]).arg(folder);
        command.env("RUST_LOG", "trace").stdout(Stdio::piped()).stderr(log);
        if let Some(fault) = fault {
            command.env("SEALPOST_RELAY_FAULT", fault);
        }
        let mut child = command.spawn().unwrap();
        let line = first_line(&mut child);
        let url = line.strip_prefix("listening on ").expect("it started").trim_end().to_owned();
        Self { child, url, http: http() }
    }

    /// `None` if the process died before it answered.
    pub(crate) async fn post(
        &self,
        path: &str,
        by: Option<&Party>,
        body: &impl prost::Message,
    ) -> Option<Answer> {
        self.send(self.http.post(format!("{}{path}", self.url)), by, body).await
    }

    #[cfg(feature = "faults")]
    pub(crate) async fn put(&self, path: &str, by: &Party, body: &impl prost::Message) -> Option<Answer> {
        self.send(self.http.put(format!("{}{path}", self.url)), Some(by), body).await
    }

    async fn send(
        &self,
        request: reqwest::RequestBuilder,
        by: Option<&Party>,
        body: &impl prost::Message,
    ) -> Option<Answer> {
        let request = with_body(request, body);
        let request = match by {
            Some(party) => request.bearer_auth(&party.tokens.access_token),
            None => request,
        };
        let response = request.send().await.ok()?;
        Answer::of(response).await
    }

    pub(crate) async fn get(&self, path: &str, by: &Party) -> Option<Answer> {
        let request = self.http.get(format!("{}{path}", self.url));
        let response = request.bearer_auth(&by.tokens.access_token).send().await.ok()?;
        Answer::of(response).await
    }

    #[cfg(feature = "faults")]
    pub(crate) async fn delete(&self, path: &str, by: &Party) -> Option<Answer> {
        let request = self.http.delete(format!("{}{path}", self.url));
        let response = request.bearer_auth(&by.tokens.access_token).send().await.ok()?;
        Answer::of(response).await
    }

    pub(crate) async fn register(&self) -> Option<Party> {
        let request = sealpost_wire::RegisterRequest {
            registration_id: 77,
            identity_key: public(0x05, 33, 1),
            keys: Some(keys(0, 10)),
            ..Default::default()
        };
        let answer: RegisterResponse = self.post("/v1/accounts", None, &request).await?.body();
        let user = sealpost_wire::id::UserId::from_slice(&answer.user_id).unwrap();
        Some(Party::new(user, answer.tokens.unwrap()))
    }

    /// Two users, and a message from one to the other that has not been sent yet.
    pub(crate) async fn cast(&self) -> (Party, Party, String, sealpost_wire::Send) {
        let (alice, bob) = (self.register().await.unwrap(), self.register().await.unwrap());
        let request = CreateThread { peer_user_id: bob.user.to_wire(), ..CreateThread::default() };
        let thread: sealpost_wire::Thread =
            self.post("/v1/threads", Some(&alice), &request).await.unwrap().body();
        let id = sealpost_wire::id::ThreadId::from_slice(&thread.thread_id).unwrap();
        let now_ms = alice.tokens.server_time_ms;
        let send = sealpost_wire::Send {
            client_msg_id: sealpost_wire::id::ClientMsgId::new(now_ms, &[1; 10]).to_wire(),
            thread_id: thread.thread_id,
            roster_version: 1,
            copies: vec![crate::common::copy(bob.user, 77, CANARY)],
            resume: false,
            lookup: false,
            group: None,
            shared: bytes::Bytes::new(),
        };
        (alice, bob, format!("/v1/threads/{id}/messages"), send)
    }

    pub(crate) async fn connect(&self, party: &Party) -> Socket {
        Socket::open_at(&self.url).await.greet(hello(party)).await.0
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for the process to end by itself, and returns its exit code, or `None` if it was ended by a signal.
    pub(crate) fn wait(mut self) -> Option<i32> {
        end_of(&mut self.child).code()
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the process to end by itself, and returns its exit code (`None` if it was ended by a signal) and its
    /// log.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let mut stderr = self.child.stderr.take().unwrap();
        // The log is read concurrently, because otherwise the process would block on a full pipe.
        let log = thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).unwrap();
            log
        });
        (end_of(&mut self.child).code(), log.join().unwrap())
    }

    pub(crate) fn terminate(&self) {
        // `kill` is built into every shell, but not every system has the program.
        let kill = format!("kill -TERM {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }
}

/// A ciphertext that can be recognised in files and logs.
const CANARY: &[u8] = b"CANARY-ciphertext-7f3a";

#[tokio::test]
async fn answered_requests_survive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path(), None);
    let (alice, bob, path, send) = process.cast().await;
    let mut socket = process.connect(&alice).await;
    let Body::SendAck(stored) = socket.ask(Body::Send(send.clone())).await else { panic!() };
    process.kill();

    let process = Process::start(folder.path(), None);
    let again: SendAck = process.post(&path, Some(&alice), &send).await.unwrap().body();
    assert_eq!(again, SendAck { status: Status::Duplicate.into(), ..stored });
    let page: InboxPage = process.get("/v1/inbox", &bob).await.unwrap().body();
    assert_eq!(page.rows.len(), 1);
    process.kill();
}

#[tokio::test]
async fn sigterm_stops_the_relay_cleanly_and_its_log_reveals_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path(), None);
    let (alice, bob, path, send) = process.cast().await;
    process.post(&path, Some(&alice), &send).await.unwrap();
    let (mut alices, mut bobs) = (process.connect(&alice).await, process.connect(&bob).await);
    let Body::SendAck(_) = alices.ask(Body::Send(send.clone())).await else { panic!() };
    assert_eq!(bobs.deliver().await.envelope.unwrap().ciphertext, CANARY);
    // A failed request must not log it either.
    process.post(&path, Some(&bob), &send).await.unwrap();
    process
        .post(
            "/v1/auth/refresh",
            None,
            &sealpost_wire::RefreshRequest {
                refresh_token: alice.tokens.refresh_token.clone() + "0",
                ..sealpost_wire::RefreshRequest::default()
            },
        )
        .await
        .unwrap();
    process.terminate();
    let (code, log) = process.ended();
    assert_eq!(code, Some(0));
    assert!(log.contains("for development only"), "the log was read: {log}");
    for party in [&alice, &bob] {
        let secrets = [&party.tokens.access_token, &party.tokens.refresh_token, &party.user.to_string()];
        assert!(secrets.iter().all(|secret| !log.contains(secret.as_str())));
    }
    assert!(!log.contains("CANARY"));
    assert!(!log.contains(&path), "no thread id in the log");
}

#[tokio::test]
async fn deleted_ciphertext_and_tokens_are_not_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path(), None);
    let (alice, bob, path, send) = process.cast().await;
    process.post(&path, Some(&alice), &send).await.unwrap();
    let there = |needle: &[u8]| {
        let files = std::fs::read_dir(folder.path()).unwrap();
        files.flatten().any(|file| {
            let bytes = std::fs::read(file.path()).unwrap();
            // The reserve is large and empty, so one comparison suffices.
            bytes != vec![0; bytes.len()] && bytes.windows(needle.len()).any(|window| window == needle)
        })
    };
    assert!(there(CANARY), "the search finds it while it is in the mailbox");
    let page: InboxPage = process.get("/v1/inbox", &bob).await.unwrap().body();
    let keys = page.rows.into_iter().map(|row| row.key.unwrap()).collect();
    process.post("/v1/inbox:ack", Some(&bob), &sealpost_wire::Ack { keys, trimmed: 0 }).await.unwrap();
    process.terminate();
    process.ended();
    assert!(!there(CANARY));
    let secret = alice.tokens.refresh_token.split('.').nth(1).unwrap().to_owned();
    assert!(!there(secret.as_bytes()));
    let raw: Vec<u8> =
        (0..secret.len()).step_by(2).map(|at| u8::from_str_radix(&secret[at..at + 2], 16).unwrap()).collect();
    assert!(!there(&raw));
}

#[tokio::test]
async fn two_relays_cannot_share_a_folder_and_a_new_epoch_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path(), None);
    let second = |flag: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealpost-relay"));
        command.args([flag, "--listen", "127.0.0.1:0", "--data"]).arg(folder.path());
        end_of(&mut command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()).code()
    };
    assert_eq!(second("--insecure-plain"), Some(1));
    assert_eq!(second("--new-epoch"), Some(1));
    let alice = process.register().await.unwrap();
    process.terminate();
    process.ended();
    assert_eq!(second("--new-epoch"), Some(0));
    let process = Process::start(folder.path(), None);
    let page: InboxPage = process.get("/v1/inbox", &alice).await.unwrap().body();
    assert_eq!(page.epoch, 2);
    process.kill();
}

#[test]
fn plain_http_is_allowed_on_loopback_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealpost-relay"));
    command.args(["--listen", "0.0.0.0:0", "--data"]).arg(folder.path());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(end_of(&mut child).code(), Some(1));
}
