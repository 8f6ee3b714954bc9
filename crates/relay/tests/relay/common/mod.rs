//! A real relay on loopback, and users who talk to it.

pub(crate) mod groups;
pub(crate) mod login;
pub(crate) mod socket;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use sealpost_relay::clock::Clock;
use sealpost_relay::limits::{Limits, Name};
use sealpost_relay::{Config, Relay, Timing};
use sealpost_wire::id::ToWire as _;
use sealpost_wire::id::{ClientMsgId, ThreadId, UserId};
use sealpost_wire::{
    Bundles, CreateThread, Decode, DeviceCopy, Envelope, KeyUpload, OneTimeKey, RegisterRequest,
    RegisterResponse, Send, SignedKey, Thread, TokenPair,
};

/// 2026-11-22.
pub(crate) const START_MS: u64 = 1_795_305_600_000;

/// A clock that a test moves.
#[derive(Debug)]
pub(crate) struct TestClock {
    unix_ms: AtomicU64,
    monotonic_ms: AtomicU64,
}

impl TestClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { unix_ms: AtomicU64::new(START_MS), monotonic_ms: AtomicU64::new(1_000_000) })
    }

    pub(crate) fn advance(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap();
        self.unix_ms.fetch_add(ms, Ordering::SeqCst);
        self.monotonic_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Moves only the wall clock forward.
    pub(crate) fn step_forward(&self, by: Duration) {
        self.unix_ms.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Moves only the wall clock back.
    pub(crate) fn step_back(&self, by: Duration) {
        self.unix_ms.fetch_sub(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn unix_ms(&self) -> u64 {
        self.unix_ms.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic_ms.load(Ordering::SeqCst))
    }
}

/// One relay, its folder and its clock.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) relay: Relay,
    pub(crate) http: reqwest::Client,
}

/// No limits except those of a single connection.
pub(crate) fn limits_of_connections() -> Limits {
    let mut limits = Limits::none();
    for name in [Name::Controls, Name::Refusals] {
        limits.set(name, Limits::default().rate(name));
    }
    limits
}

/// The default configuration, except that connections notice the moved clock at once and tests may make frequent
/// requests.
pub(crate) fn config(folder: &Path, clock: &Arc<TestClock>) -> Config {
    Config {
        timing: Timing { tick: Duration::from_millis(10), ..Timing::default() },
        limits: limits_of_connections(),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        ..Config::local(folder)
    }
}

/// A folder in memory, if the system has one with enough room for concurrent tests. In most tests, flushing to disk
/// takes longer than everything else, and minutes in total if others use the disk. These tests do not cover power
/// loss.
fn folder() -> tempfile::TempDir {
    const EACH: u64 = 256 << 20;
    let memory = Path::new("/dev/shm");
    let at_once = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let room = rustix::fs::statvfs(memory).map_or(0, |disk| disk.f_bavail * disk.f_frsize);
    if room >= at_once * EACH { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let (folder, clock) = (folder(), TestClock::new());
        let mut config = config(folder.path(), &clock);
        change(&mut config);
        let relay = Relay::start(config).await.unwrap();
        Self { folder, clock, relay, http: http() }
    }

    /// Closes the sockets and stops the relay. Otherwise the relay would wait a second for each peer that it asks to
    /// leave and that does not read.
    pub(crate) async fn end<Sockets>(self, sockets: Sockets) {
        drop(sockets);
        self.relay.shutdown().await;
    }

    /// Stops the relay and starts it again on the same folder.
    pub(crate) async fn restart(self) -> Self {
        self.restart_after(|| ()).await
    }

    /// The same as [`Self::restart`], while something happens to the folder.
    pub(crate) async fn restart_after(self, meanwhile: impl FnOnce()) -> Self {
        let Self { folder, clock, relay, http } = self;
        relay.shutdown().await;
        meanwhile();
        let relay = Relay::start(config(folder.path(), &clock)).await.unwrap();
        Self { folder, clock, relay, http }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.relay.url())
    }

    pub(crate) async fn register(&self) -> Party {
        self.register_with(keys(0, 10)).await
    }

    pub(crate) async fn register_with(&self, keys: KeyUpload) -> Party {
        let login = login::Key::random();
        let request = RegisterRequest {
            proof: Bytes::new(),
            registration_id: 77,
            identity_key: public(0x05, 33, 1),
            keys: Some(keys),
            login_key: login.public(),
        };
        let answer = self.post("/v1/accounts", None, &request).await;
        assert_eq!(answer.status, 201);
        let answer: RegisterResponse = answer.body();
        let (user, tokens) = (UserId::from_slice(&answer.user_id).unwrap(), answer.tokens.unwrap());
        Party { login, tag: answer.registration_tag, ..Party::new(user, tokens) }
    }

    /// Two users and their thread.
    pub(crate) async fn pair(&self) -> (Party, Party, ThreadId) {
        let (alice, bob) = (self.register().await, self.register().await);
        let thread = self.thread(&alice, &bob).await;
        (alice, bob, thread)
    }

    /// The thread of two users, accepted by both.
    pub(crate) async fn thread(&self, a: &Party, b: &Party) -> ThreadId {
        let thread = self.request_thread(a, b).await;
        assert_eq!(self.accept(thread, b).await.status, 204);
        thread
    }

    pub(crate) async fn accept(&self, thread: ThreadId, by: &Party) -> Answer {
        self.post(&format!("/v1/threads/{thread}/accept"), Some(by), &()).await
    }

    /// A thread that the other user has not accepted.
    pub(crate) async fn request_thread(&self, a: &Party, b: &Party) -> ThreadId {
        let request = CreateThread { peer_user_id: b.user.to_wire(), ..CreateThread::default() };
        let answer = self.post("/v1/threads", Some(a), &request).await;
        assert_eq!(answer.status, 201);
        ThreadId::from_slice(&answer.body::<Thread>().thread_id).unwrap()
    }

    pub(crate) async fn get(&self, path: &str, by: Option<&Party>) -> Answer {
        self.request(self.http.get(self.url(path)), by).await
    }

    pub(crate) async fn delete(&self, path: &str, by: Option<&Party>) -> Answer {
        self.request(self.http.delete(self.url(path)), by).await
    }

    pub(crate) async fn post(&self, path: &str, by: Option<&Party>, body: &impl Message) -> Answer {
        self.request(with_body(self.http.post(self.url(path)), body), by).await
    }

    pub(crate) async fn put(&self, path: &str, by: Option<&Party>, body: &impl Message) -> Answer {
        self.request(with_body(self.http.put(self.url(path)), body), by).await
    }

    pub(crate) async fn request(&self, request: reqwest::RequestBuilder, by: Option<&Party>) -> Answer {
        let request = match by {
            Some(party) => request.bearer_auth(&party.tokens.access_token),
            None => request,
        };
        Answer::of(request.send().await.unwrap()).await.unwrap()
    }

    pub(crate) async fn take(&self, by: &Party, of: &Party, idempotency: &str) -> Answer {
        let request = self.http.get(self.url(&format!("/v1/users/{}/devices/*/prekeys", of.user)));
        self.request(request.header("idempotency-key", idempotency), Some(by)).await
    }

    /// A message from one to the other, with a new ID.
    pub(crate) fn message(&self, thread: ThreadId, to: &Party, text: &[u8]) -> Send {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let mut random = [0; 10];
        random[..8].copy_from_slice(&COUNTER.fetch_add(1, Ordering::SeqCst).to_be_bytes());
        Send {
            client_msg_id: ClientMsgId::new(self.clock.unix_ms(), &random).to_wire(),
            thread_id: thread.to_wire(),
            roster_version: 1,
            copies: vec![copy(to.user, 77, text)],
            resume: false,
            lookup: false,
            group: None,
            shared: Bytes::new(),
        }
    }

    pub(crate) async fn send(&self, by: &Party, send: &Send) -> Answer {
        let thread = ThreadId::from_slice(&send.thread_id).unwrap();
        self.post(&format!("/v1/threads/{thread}/messages"), Some(by), send).await
    }
}

pub(crate) fn copy(user: UserId, registration_id: u32, text: &[u8]) -> DeviceCopy {
    DeviceCopy {
        user_id: user.to_wire(),
        device_id: 1,
        registration_id,
        envelope: Some(Envelope { kind: 1, ciphertext: Bytes::copy_from_slice(text), ..Envelope::default() }),
    }
}

pub(crate) fn with_body(request: reqwest::RequestBuilder, body: &impl Message) -> reqwest::RequestBuilder {
    request.header("content-type", sealpost_wire::MEDIA_TYPE).body(body.encode_to_vec())
}

/// A client for plain HTTP. Reading the certificates of the system would take longer than most tests.
pub(crate) fn http() -> reqwest::Client {
    reqwest::Client::builder().tls_certs_only([]).build().unwrap()
}

/// A user with one device.
#[derive(Clone)]
pub(crate) struct Party {
    pub(crate) user: UserId,
    pub(crate) tokens: TokenPair,
    pub(crate) login: login::Key,
    /// Its registration tag.
    pub(crate) tag: Bytes,
}

impl Party {
    /// A user whose login key the relay does not know.
    pub(crate) fn new(user: UserId, tokens: TokenPair) -> Self {
        Self { user, tokens, login: login::Key::random(), tag: Bytes::new() }
    }
}

/// An HTTP answer of the relay.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Answer {
    /// `None` if the connection broke before the answer was complete.
    pub(crate) async fn of(response: reqwest::Response) -> Option<Self> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Some(Self { status, headers, bytes: response.bytes().await.ok()? })
    }

    pub(crate) fn body<T: Decode>(&self) -> T {
        sealpost_wire::decode(self.bytes.clone()).unwrap()
    }

    pub(crate) fn error(&self) -> sealpost_wire::Error {
        let error: sealpost_wire::Error = self.body();
        assert_eq!(error.code, u32::from(self.status), "{}", error.reason);
        error
    }

    pub(crate) fn refused(&self, status: u16, reason: &str) {
        assert_eq!((self.status, self.error().reason.as_str()), (status, reason));
    }

    pub(crate) fn bundle(&self) -> sealpost_wire::Bundle {
        assert_eq!(self.status, 200);
        let Bundles { bundles, .. } = self.body();
        assert_eq!(bundles.len(), 1);
        bundles.into_iter().next().unwrap()
    }
}

pub(crate) fn public(type_byte: u8, len: usize, id: u32) -> Bytes {
    let mut key = vec![0x11; len];
    key[0] = type_byte;
    key[1..5].copy_from_slice(&id.to_be_bytes());
    key.into()
}

pub(crate) fn ec(id: u32) -> OneTimeKey {
    OneTimeKey { id, public_key: public(0x05, 33, id) }
}

pub(crate) fn kem(id: u32) -> SignedKey {
    SignedKey { id, public_key: public(0x08, 1569, id), signature: vec![7; 64].into() }
}

/// Signed keys with ID 1, and one-time keys of each kind from `first` on.
pub(crate) fn keys(first: u32, count: u32) -> KeyUpload {
    KeyUpload {
        signed_pre_key: Some(SignedKey {
            id: 1,
            public_key: public(0x05, 33, 1),
            signature: vec![7; 64].into(),
        }),
        last_resort_kem: Some(kem(u32::MAX)),
        one_time: (first..first + count).map(ec).collect(),
        one_time_kem: (first..first + count).map(kem).collect(),
        ..KeyUpload::default()
    }
}
