//! The people: each writes down what it asks before it asks, and what it hears when it hears it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sealpost_relay_check::Recorder;
use sealpost_relay_check::event::{self, At, Call, Device, Event, Place, Reply};
use sealpost_wire::frame::Body;
use sealpost_wire::id::{ClientMsgId, ThreadId, UserId};
use sealpost_wire::send_ack::Status;
use sealpost_wire::{
    Ack, Bundles, CreateThread, Deliver, Frame, InboxKey, InboxPage, KeyUpload, RegisterRequest,
    RegisterResponse, Send, Sync, Thread,
};
use tokio::net::TcpStream;
use tokio::sync::{Barrier, watch};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::common::socket::hello;
use crate::common::{Answer, Party, copy, ec, http, kem, keys, public, with_body};

/// One-time keys of each kind that everybody begins with, and that everybody adds later.
const KEYS: u32 = 10;
/// Messages under way from one person at a time.
const IN_FLIGHT: usize = 4;
/// A relay that does not answer in this time is taken for dead.
const SILENCE: Duration = Duration::from_secs(30);
/// The relay knows a taking of keys again for a minute.
const REMEMBERED: Duration = Duration::from_secs(40);

/// What all people share.
pub(super) struct World {
    pub(super) recorder: Arc<Recorder>,
    parties: Vec<Party>,
    /// Of each pair of neighbours.
    threads: Vec<ThreadId>,
    http: reqwest::Client,
    url: watch::Sender<Option<String>>,
    answers: AtomicU64,
    finishing: AtomicBool,
    /// Where everybody waits until nobody has a question open.
    answered: Barrier,
}

impl World {
    /// Everybody registers, and has a thread with the next one, which both accept.
    pub(super) async fn register(url: &str, recorder: Arc<Recorder>, people: usize) -> Arc<Self> {
        let mut world = Self {
            recorder,
            parties: Vec::new(),
            threads: Vec::new(),
            http: http(),
            url: watch::Sender::new(Some(url.to_owned())),
            answers: AtomicU64::new(0),
            finishing: AtomicBool::new(false),
            answered: Barrier::new(people),
        };
        for _ in 0..people {
            let request = RegisterRequest {
                registration_id: 77,
                identity_key: public(0x05, 33, 1),
                keys: Some(keys(0, KEYS)),
                ..RegisterRequest::default()
            };
            let answer: RegisterResponse =
                world.post("/v1/accounts", None, &request).await.expect("nobody kills it yet").body();
            let user = UserId::from_slice(&answer.user_id).unwrap();
            let party = Party { user, tokens: answer.tokens.unwrap() };
            let secrets = [&party.tokens.access_token, &party.tokens.refresh_token, &user.to_string()];
            for text in secrets {
                world.recorder.write(Event::Secret { text: text.clone() });
            }
            let ids: Vec<u32> = (0..KEYS).collect();
            let call = Call::Upload { device: device(&party), ec: ids.clone(), kem: ids };
            let op = world.recorder.invoke(call);
            world.recorder.ok(op, Reply::Upload);
            world.parties.push(party);
        }
        world.recorder.write(Event::Secret { text: "CANARY".into() });
        for index in 0..people {
            let (a, b) = (&world.parties[index], &world.parties[(index + 1) % people]);
            let request = CreateThread { peer_user_id: b.user.to_wire() };
            let thread: Thread = world.post("/v1/threads", Some(a), &request).await.unwrap().body();
            let thread = ThreadId::from_slice(&thread.thread_id).unwrap();
            let accept = format!("/v1/threads/{thread}/accept");
            assert_eq!(world.post(&accept, Some(b), &()).await.unwrap().status, 204);
            world.recorder.write(Event::Secret { text: thread.to_string() });
            world.recorder.write(Event::Thread {
                thread: hex(thread.as_bytes()),
                members: vec![hex(a.user.as_bytes()), hex(b.user.as_bytes())],
                roster_version: 1,
            });
            world.threads.push(thread);
        }
        Arc::new(world)
    }

    pub(super) fn reached_at(&self, url: &str) {
        self.url.send_replace(Some(url.to_owned()));
    }

    pub(super) fn gone(&self) {
        self.url.send_replace(None);
    }

    pub(super) fn answers(&self) -> u64 {
        self.answers.load(Ordering::SeqCst)
    }

    pub(super) fn finish(&self) {
        self.finishing.store(true, Ordering::SeqCst);
    }

    fn is_finishing(&self) -> bool {
        self.finishing.load(Ordering::SeqCst)
    }

    fn answered(&self) {
        self.answers.fetch_add(1, Ordering::SeqCst);
    }

    async fn url(&self) -> String {
        self.url.subscribe().wait_for(Option::is_some).await.unwrap().clone().unwrap()
    }

    /// `None`: there was no whole answer.
    async fn post(&self, path: &str, by: Option<&Party>, body: &impl prost::Message) -> Option<Answer> {
        let request = with_body(self.http.post(self.url().await + path), body);
        self.ask(request, by).await
    }

    async fn ask(&self, request: reqwest::RequestBuilder, by: Option<&Party>) -> Option<Answer> {
        let request = match by {
            Some(party) => request.bearer_auth(&party.tokens.access_token),
            None => request,
        };
        Answer::of(request.timeout(SILENCE).send().await.ok()?).await
    }
}

/// What an answer over HTTP means for the one who asked.
enum Heard {
    Done(Answer),
    /// Certainly not done: why, in the relay's word.
    Refused(String),
    Nothing,
}

impl Heard {
    fn from(answer: Option<Answer>) -> Self {
        match answer {
            None => Self::Nothing,
            // The store does not answer: the outcome is unknown.
            Some(answer) if answer.status == 503 => Self::Nothing,
            Some(answer) if answer.status >= 400 => Self::Refused(answer.error().reason),
            Some(answer) => Self::Done(answer),
        }
    }
}

/// Takes everybody's keys until there are none, each time until there is an answer; and adds some of its own.
pub(super) async fn take_keys(world: Arc<World>, index: usize, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let (me, recorder) = (world.parties[index].clone(), Arc::clone(&world.recorder));
    let others = world.parties.len();
    let (mut count, mut added) = (0_u32, false);
    while !world.is_finishing() {
        tokio::time::sleep(Duration::from_millis(random.random_range(1..40))).await;
        if !added && random.random_range(0..10) == 0 {
            added = add_keys(&world, &me).await;
            continue;
        }
        let of = &world.parties[(index + random.random_range(1..others)) % others];
        count += 1;
        let idempotency = format!("{index}-{count}");
        let began = Instant::now();
        while began.elapsed() < REMEMBERED {
            let path = format!("/v1/users/{}/devices/1/prekeys", of.user);
            let url = world.url().await + &path;
            let op = recorder.invoke(Call::Take {
                requester: device(&me),
                idempotency: idempotency.clone(),
                target: device(of),
            });
            let request = world.http.get(url).header("idempotency-key", &idempotency);
            match Heard::from(world.ask(request, Some(&me)).await) {
                Heard::Done(answer) => {
                    let Bundles { bundles } = answer.body();
                    let ec = bundles[0].one_time.as_ref().map(|key| key.id);
                    let kem = bundles[0].kem.as_ref().map(|key| key.id).filter(|id| *id != u32::MAX);
                    recorder.ok(op, Reply::Take { ec, kem });
                    world.answered();
                    break;
                }
                Heard::Refused(reason) => {
                    recorder.fail(op, &reason);
                    break;
                }
                Heard::Nothing => recorder.unknown(op),
            }
        }
    }
}

/// `true`: they are there.
async fn add_keys(world: &World, me: &Party) -> bool {
    let ids: Vec<u32> = (KEYS..2 * KEYS).collect();
    let upload = KeyUpload {
        one_time: ids.iter().copied().map(ec).collect(),
        one_time_kem: ids.iter().copied().map(kem).collect(),
        ..KeyUpload::default()
    };
    let request = with_body(world.http.put(world.url().await + "/v1/keys"), &upload);
    let op = world.recorder.invoke(Call::Upload { device: device(me), ec: ids.clone(), kem: ids });
    match Heard::from(world.ask(request, Some(me)).await) {
        Heard::Done(_) => world.recorder.ok(op, Reply::Upload),
        Heard::Refused(reason) => world.recorder.fail(op, &reason),
        Heard::Nothing => {
            world.recorder.unknown(op);
            return false;
        }
    }
    true
}

/// A question that is under way on a socket.
enum Question {
    Send(Send),
    Ack,
}

/// Somebody with one device, on one socket at a time.
pub(super) struct Person {
    world: Arc<World>,
    index: usize,
    random: StdRng,
    sent: u64,
    /// Messages without an answer, oldest first.
    unanswered: VecDeque<Send>,
    /// What came and was not acknowledged.
    got: Vec<Place>,
    /// Everybody's questions are answered: what is left is to read.
    reading: bool,
    drained: bool,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A connection, and what is asked on it.
struct Line {
    socket: Socket,
    since: At,
    next_id: u64,
    questions: BTreeMap<u64, (u64, Question)>,
    /// Whether it waits to hear that the mailbox is empty.
    draining: bool,
}

impl Person {
    pub(super) fn new(world: &Arc<World>, index: usize, seed: u64) -> Self {
        Self {
            world: Arc::clone(world),
            index,
            random: StdRng::seed_from_u64(seed),
            sent: 0,
            unanswered: VecDeque::new(),
            got: Vec::new(),
            reading: false,
            drained: false,
        }
    }

    pub(super) async fn live(mut self) {
        while !self.drained {
            let url = self.world.url().await;
            match self.connect(&url).await {
                Some(mut line) => {
                    // Ends when the connection does, or everything is done.
                    self.talk(&mut line).await;
                    for (op, question) in line.questions.into_values() {
                        self.world.recorder.unknown(op);
                        if let Question::Send(send) = question {
                            self.unanswered.push_back(send);
                        }
                    }
                }
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    fn me(&self) -> &Party {
        &self.world.parties[self.index]
    }

    async fn connect(&self, url: &str) -> Option<Line> {
        let mut request = format!("{url}/v1/ws").replace("http", "ws").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "relay.v1".parse().unwrap());
        let since = self.world.recorder.last();
        let (socket, _) =
            tokio::time::timeout(SILENCE, tokio_tungstenite::connect_async(request)).await.ok()?.ok()?;
        let mut line = Line { socket, since, next_id: 1, questions: BTreeMap::new(), draining: false };
        line.say(Body::Hello(hello(self.me()))).await?;
        match line.hear().await? {
            (_, Body::Welcome(_)) => Some(line),
            // A relay that is about to die may still answer.
            (_, Body::Error(error)) if error.code == 503 => None,
            other => panic!("no welcome: {other:?}"),
        }
    }

    async fn talk(&mut self, line: &mut Line) -> Option<()> {
        while let Some(send) = self.unanswered.pop_front() {
            self.submit(line, send).await?;
        }
        // What came on an earlier connection comes again, if it is still there.
        self.got.clear();
        if self.reading {
            line.drain().await?;
        }
        loop {
            let open = line.questions.values().filter(|(_, question)| matches!(question, Question::Send(_)));
            let open = open.count();
            if !self.world.is_finishing() && open < IN_FLIGHT {
                let send = self.compose();
                self.submit(line, send).await?;
                if self.random.random_range(0..20) == 0 {
                    self.page().await;
                }
                continue;
            }
            if self.world.is_finishing() && open == 0 && self.unanswered.is_empty() && !self.reading {
                self.world.answered.wait().await;
                self.reading = true;
                line.drain().await?;
            }
            if self.drained {
                return Some(());
            }
            let heard = line.hear().await?;
            self.on(line, heard).await?;
        }
    }

    async fn on(&mut self, line: &mut Line, (id, body): (u64, Body)) -> Option<()> {
        let recorder = Arc::clone(&self.world.recorder);
        match (body, line.questions.remove(&id)) {
            (Body::SendAck(ack), Some((op, _))) => {
                let duplicate = ack.status() == Status::Duplicate;
                let reply = Reply::Send { seq: ack.server_seq, hlc: ack.hlc, epoch: ack.epoch, duplicate };
                recorder.ok(op, reply);
                self.world.answered();
            }
            (Body::AckOk(ok), Some((op, _))) => {
                recorder.ok(op, Reply::Ack { removed: ok.removed.into() });
                self.world.answered();
            }
            (Body::Error(error), Some((op, question))) if matches!(error.code, 429 | 503) => {
                match error.code {
                    429 => recorder.fail(op, &error.reason),
                    _ => recorder.unknown(op),
                }
                if let Question::Send(send) = question {
                    self.unanswered.push_back(send);
                }
                // Once more, on a new connection.
                tokio::time::sleep(Duration::from_millis(50)).await;
                return None;
            }
            (Body::Error(error), Some((op, _))) => recorder.fail(op, &error.reason),
            (Body::Deliver(deliver), _) => {
                let place = self.got(line, deliver);
                self.got.push(place);
                if self.reading || self.random.random_range(0..3) == 0 {
                    self.acknowledge(line).await?;
                }
            }
            (Body::QueueEmpty(_), _) if self.reading => {
                line.draining = false;
                self.acknowledge(line).await?;
                self.drained = line.questions.is_empty();
            }
            (Body::KeysLow(_), _) => {}
            (other, _) => panic!("nobody asked for {other:?}"),
        }
        // The last acknowledgement was answered after the mailbox was said to be empty.
        if self.reading && line.questions.is_empty() && !line.draining && !self.drained {
            line.drain().await?;
        }
        Some(())
    }

    /// A new message to one of the two neighbours; now and then one that is refused.
    fn compose(&mut self) -> Send {
        let people = self.world.parties.len();
        let (thread, to) = match self.random.random_range(0..2) {
            0 => (self.index, (self.index + 1) % people),
            _ => ((self.index + people - 1) % people, (self.index + people - 1) % people),
        };
        self.sent += 1;
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.sent.to_be_bytes());
        random[8] = self.index as u8;
        let text = format!("CANARY {} {}", self.index, self.sent);
        let mut copy = copy(self.world.parties[to].user, 77, text.as_bytes());
        copy.envelope.as_mut().unwrap().ephemeral = self.sent % 16 == 3;
        Send {
            client_msg_id: ClientMsgId::new(self.me().tokens.server_time_ms, &random).to_wire(),
            thread_id: self.world.threads[thread].to_wire(),
            roster_version: 1,
            copies: vec![copy],
        }
    }

    async fn submit(&mut self, line: &mut Line, send: Send) -> Option<()> {
        let call = Call::Send(recorded(self.me(), &send));
        let op = self.world.recorder.invoke(call);
        line.ask(op, Question::Send(send.clone()), Body::Send(send)).await
    }

    /// Acknowledges what came from one of the threads.
    async fn acknowledge(&mut self, line: &mut Line) -> Option<()> {
        while let Some(first) = self.got.first() {
            let thread = first.thread.clone();
            let (rows, rest) = self.got.drain(..).partition(|place| place.thread == thread);
            self.got = rest;
            let key = |place: &Place| InboxKey { thread_id: from_hex(&place.thread), server_seq: place.seq };
            let keys = rows.iter().map(key).collect();
            let op = self.world.recorder.invoke(Call::Ack { device: device(self.me()), rows });
            line.ask(op, Question::Ack, Body::Ack(Ack { keys, trimmed: 0 })).await?;
        }
        Some(())
    }

    fn got(&self, line: &Line, deliver: Deliver) -> Place {
        let row = row(deliver);
        let place = row.place.clone();
        self.world.recorder.write(Event::Deliver { device: device(self.me()), since: line.since, row });
        place
    }

    /// The mailbox as the twin over HTTP shows it.
    async fn page(&self) {
        let (world, me) = (&self.world, self.me());
        let request = world.http.get(world.url().await + "/v1/inbox?limit=256");
        let op = world.recorder.invoke(Call::Page { device: device(me) });
        match Heard::from(world.ask(request, Some(me)).await) {
            Heard::Done(answer) => {
                let InboxPage { rows, more, .. } = answer.body();
                let rows = rows.into_iter().map(row).collect();
                world.recorder.ok(op, Reply::Page { rows, more });
                world.answered();
            }
            Heard::Refused(reason) => world.recorder.fail(op, &reason),
            Heard::Nothing => world.recorder.unknown(op),
        }
    }
}

impl Line {
    async fn ask(&mut self, op: u64, question: Question, body: Body) -> Option<()> {
        self.questions.insert(self.next_id, (op, question));
        self.say(body).await
    }

    async fn say(&mut self, body: Body) -> Option<()> {
        let frame = Frame { v: 1, id: self.next_id, body: Some(body) };
        self.next_id += 1;
        self.socket.send(Message::Binary(frame.encode_to_vec().into())).await.ok()
    }

    /// Asks to hear when everything has come.
    async fn drain(&mut self) -> Option<()> {
        self.draining = true;
        self.say(Body::Sync(Sync { inbox: true, threads: Vec::new() })).await
    }

    /// The next frame. `None`: the connection is over.
    async fn hear(&mut self) -> Option<(u64, Body)> {
        loop {
            match tokio::time::timeout(SILENCE, self.socket.next()).await.ok()?? {
                Ok(Message::Binary(bytes)) => {
                    let frame: Frame = sealpost_wire::decode(bytes).unwrap();
                    return Some((frame.id, frame.body.unwrap()));
                }
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}

fn recorded(by: &Party, send: &Send) -> event::Send {
    let to = |copy: &sealpost_wire::DeviceCopy| Device(format!("{}/{}", hex(&copy.user_id), copy.device_id));
    let envelope = send.copies[0].envelope.as_ref().unwrap();
    event::Send {
        sender: device(by),
        thread: hex(&send.thread_id),
        id: hex(&send.client_msg_id),
        body: text(&envelope.ciphertext),
        roster_version: send.roster_version,
        ephemeral: envelope.ephemeral,
        to: send.copies.iter().map(to).collect(),
    }
}

fn row(deliver: Deliver) -> event::Row {
    let key = deliver.key.unwrap();
    event::Row {
        place: Place { thread: hex(&key.thread_id), seq: key.server_seq },
        hlc: deliver.hlc,
        epoch: deliver.epoch,
        id: hex(&deliver.client_msg_id),
        sender: Device(format!("{}/{}", hex(&deliver.sender_user_id), deliver.sender_device_id)),
        body: text(&deliver.envelope.unwrap().ciphertext),
        roster_version: deliver.roster_version,
    }
}

fn device(party: &Party) -> Device {
    Device(format!("{}/1", hex(party.user.as_bytes())))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> bytes::Bytes {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}
