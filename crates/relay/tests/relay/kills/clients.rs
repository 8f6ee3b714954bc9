//! The clients: each records a request before it makes it, and an answer when it arrives.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sealpost_relay_check::event::{self, At, Call, Device, Event, Place, Reply};
use sealpost_wire::frame::Body;
use sealpost_wire::id::ClientMsgId;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::send_ack::Status;
use sealpost_wire::{Ack, AckMail, Deliver, Frame, Hello, InboxKey, InboxPage, Mail, Send, Sync};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::ANSWER_TIMEOUT;
use super::convert::{device, from_hex, hex, recorded, row};
use super::world::{Outcome, World};
use crate::common::socket::hello;
use crate::common::{Party, copy};

/// Maximum number of messages in flight from one client.
const IN_FLIGHT: usize = 4;

/// A request in flight on a socket.
enum Pending {
    /// A message or mail.
    Submitted(Body),
    Ack,
}

/// A user with one device, on one socket at a time.
pub(super) struct Client {
    world: Arc<World>,
    index: usize,
    random: StdRng,
    sent: u64,
    /// Messages without an answer, oldest first.
    unanswered: VecDeque<Body>,
    /// Rows that were received and not acknowledged.
    got: Vec<Place>,
    /// All requests are answered, and only the mailbox is left to read.
    reading: bool,
    drained: bool,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A connection, and its requests in flight.
struct Connection {
    socket: Socket,
    since: At,
    next_id: u64,
    pending: BTreeMap<u64, (u64, Pending)>,
    /// Whether it waits for the report that the mailbox is empty.
    draining: bool,
}

impl Client {
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
                Some(mut connection) => {
                    // Ends when the connection ends, or when everything is done.
                    self.talk(&mut connection).await;
                    for (op, request) in connection.pending.into_values() {
                        self.world.recorder.unknown(op);
                        if let Pending::Submitted(body) = request {
                            self.unanswered.push_back(body);
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

    async fn connect(&self, url: &str) -> Option<Connection> {
        let mut request = format!("{url}/v1/ws").replace("http", "ws").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "relay.v1".parse().unwrap());
        let since = self.world.recorder.last();
        let (socket, _) = tokio::time::timeout(ANSWER_TIMEOUT, tokio_tungstenite::connect_async(request))
            .await
            .ok()?
            .ok()?;
        let mut connection =
            Connection { socket, since, next_id: 1, pending: BTreeMap::new(), draining: false };
        let features = vec![sealpost_wire::feature::MAIL.to_owned()];
        connection.say(Body::Hello(Hello { features, ..hello(self.me()) })).await?;
        match connection.next_frame().await? {
            (_, Body::Welcome(_)) => Some(connection),
            // A relay that is about to be killed may still answer.
            (_, Body::Error(error)) if error.code == 503 => None,
            other => panic!("no welcome: {other:?}"),
        }
    }

    async fn talk(&mut self, connection: &mut Connection) -> Option<()> {
        while let Some(body) = self.unanswered.pop_front() {
            self.submit(connection, body).await?;
        }
        // Rows of an earlier connection are received again, if they are still there.
        self.got.clear();
        if self.reading {
            connection.drain().await?;
        }
        loop {
            let open =
                connection.pending.values().filter(|(_, request)| matches!(request, Pending::Submitted(_)));
            let open = open.count();
            if !self.world.is_finishing() && open < IN_FLIGHT {
                let send = self.compose();
                self.submit(connection, send).await?;
                if self.random.random_range(0..20) == 0 {
                    self.page().await;
                }
                continue;
            }
            if self.world.is_finishing() && open == 0 && self.unanswered.is_empty() && !self.reading {
                self.world.answered.wait().await;
                self.reading = true;
                connection.drain().await?;
            }
            if self.drained {
                return Some(());
            }
            let frame = connection.next_frame().await?;
            self.on(connection, frame).await?;
        }
    }

    async fn on(&mut self, connection: &mut Connection, (id, body): (u64, Body)) -> Option<()> {
        let recorder = Arc::clone(&self.world.recorder);
        match (body, connection.pending.remove(&id)) {
            (Body::SendAck(ack), Some((op, _))) if ack.status() == Status::PassedOn => {
                recorder.ok(op, Reply::PassedOn);
                self.world.answered();
            }
            (Body::SendAck(ack), Some((op, Pending::Submitted(Body::Mail(_))))) => {
                recorder.ok(op, Reply::Mail { duplicate: ack.status() == Status::Duplicate });
                self.world.answered();
            }
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
            (Body::Error(error), Some((op, request))) if matches!(error.code, 429 | 503) => {
                match error.code {
                    429 => recorder.fail(op, &error.reason),
                    _ => recorder.unknown(op),
                }
                if let Pending::Submitted(body) = request {
                    self.unanswered.push_back(body);
                }
                // The request is repeated on a new connection.
                tokio::time::sleep(Duration::from_millis(50)).await;
                return None;
            }
            (Body::Error(error), Some((op, _))) => recorder.fail(op, &error.reason),
            (Body::Deliver(deliver), _) => {
                let place = self.got(connection, deliver);
                self.got.push(place);
                if self.reading || self.random.random_range(0..3) == 0 {
                    self.acknowledge(connection).await?;
                }
            }
            (Body::DeliverMail(mail), _) if mail.mail_seq == 0 => {
                assert!(mail.envelope.unwrap().ephemeral);
            }
            (Body::DeliverMail(mail), _) => {
                let (own, seq) = (device(self.me()), mail.mail_seq);
                let sender = Device(format!("{}/{}", hex(&mail.sender_user_id), mail.sender_device_id));
                let id = hex(&mail.client_msg_id);
                recorder.write(Event::Mail { device: own.clone(), seq, id, sender });
                let op = recorder.invoke(Call::AckMail { device: own, seqs: vec![seq] });
                connection.ask(op, Pending::Ack, Body::AckMail(AckMail { mail_seqs: vec![seq] })).await?;
            }
            (Body::QueueEmpty(_), _) if self.reading => {
                connection.draining = false;
                self.acknowledge(connection).await?;
                self.drained = connection.pending.is_empty();
            }
            (Body::KeysLow(_), _) => {}
            (other, _) => panic!("an answer without a request: {other:?}"),
        }
        // The last acknowledgement was answered after the mailbox was reported as empty.
        if self.reading && connection.pending.is_empty() && !connection.draining && !self.drained {
            connection.drain().await?;
        }
        Some(())
    }

    /// A new message to one of the two neighbours, or mail, of which some is ephemeral; sometimes one that is refused.
    fn compose(&mut self) -> Body {
        let clients = self.world.parties.len();
        let (thread, to) = match self.random.random_range(0..2) {
            0 => (self.index, (self.index + 1) % clients),
            _ => ((self.index + clients - 1) % clients, (self.index + clients - 1) % clients),
        };
        self.sent += 1;
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.sent.to_be_bytes());
        random[8] = self.index as u8;
        let text = format!("CANARY {} {}", self.index, self.sent);
        let mut copy = copy(self.world.parties[to].user, 77, text.as_bytes());
        let envelope = copy.envelope.as_mut().unwrap();
        // An ephemeral envelope in a message is refused.
        (envelope.ephemeral, envelope.urgent) =
            (matches!(self.sent % 16, 3 | 11), self.sent.is_multiple_of(3));
        let client_msg_id = ClientMsgId::new(self.me().tokens.server_time_ms, &random).to_wire();
        let thread_id = self.world.threads[thread].to_wire();
        if matches!(self.sent % 16, 3 | 5 | 9 | 14) {
            return Body::Mail(Mail { client_msg_id, thread_id, copies: vec![copy], ..Mail::default() });
        }
        Body::Send(Send {
            client_msg_id,
            thread_id,
            roster_version: 1,
            copies: vec![copy],
            // A refused acknowledgement does not affect the next one.
            resume: true,
            ..Send::default()
        })
    }

    async fn submit(&mut self, connection: &mut Connection, body: Body) -> Option<()> {
        let call = match &body {
            Body::Send(send) => Call::Send(recorded(self.me(), send)),
            Body::Mail(mail) if mail.copies[0].envelope.as_ref().unwrap().ephemeral => {
                let Mail { client_msg_id, thread_id, copies, .. } = mail.clone();
                let send = Send { client_msg_id, thread_id, copies, ..Send::default() };
                Call::Send(recorded(self.me(), &send))
            }
            Body::Mail(mail) => Call::Mail(event::Mail {
                sender: device(self.me()),
                id: hex(&mail.client_msg_id),
                to: mail.copies.iter().map(|copy| Device(format!("{}/1", hex(&copy.user_id)))).collect(),
            }),
            other => panic!("not submitted: {other:?}"),
        };
        let op = self.world.recorder.invoke(call);
        connection.ask(op, Pending::Submitted(body.clone()), body).await
    }

    /// Acknowledges the rows of one of the threads.
    async fn acknowledge(&mut self, connection: &mut Connection) -> Option<()> {
        while let Some(first) = self.got.first() {
            let thread = first.thread.clone();
            let (rows, rest) = self.got.drain(..).partition(|place| place.thread == thread);
            self.got = rest;
            let key = |place: &Place| InboxKey { thread_id: from_hex(&place.thread), server_seq: place.seq };
            let keys = rows.iter().map(key).collect();
            let op = self.world.recorder.invoke(Call::Ack { device: device(self.me()), rows });
            connection.ask(op, Pending::Ack, Body::Ack(Ack { keys, trimmed: 0 })).await?;
        }
        Some(())
    }

    fn got(&self, connection: &Connection, deliver: Deliver) -> Place {
        let row = row(deliver);
        let place = row.place.clone();
        self.world.recorder.write(Event::Deliver { device: device(self.me()), since: connection.since, row });
        place
    }

    /// Reads the mailbox over HTTP.
    async fn page(&self) {
        let (world, me) = (&self.world, self.me());
        let request = world.http.get(world.url().await + "/v1/inbox?limit=256");
        let op = world.recorder.invoke(Call::Page { device: device(me) });
        match Outcome::from(world.ask(request, Some(me)).await) {
            Outcome::Done(answer) => {
                let InboxPage { rows, more, .. } = answer.body();
                let rows = rows.into_iter().map(row).collect();
                world.recorder.ok(op, Reply::Page { rows, more });
                world.answered();
            }
            Outcome::Refused(reason) => world.recorder.fail(op, &reason),
            Outcome::Unknown => world.recorder.unknown(op),
        }
    }
}

impl Connection {
    async fn ask(&mut self, op: u64, request: Pending, body: Body) -> Option<()> {
        self.pending.insert(self.next_id, (op, request));
        self.say(body).await
    }

    async fn say(&mut self, body: Body) -> Option<()> {
        let frame = Frame { v: 1, id: self.next_id, body: Some(body) };
        self.next_id += 1;
        self.socket.send(Message::Binary(frame.encode_to_vec().into())).await.ok()
    }

    /// Requests a report when everything was received.
    async fn drain(&mut self) -> Option<()> {
        self.draining = true;
        self.say(Body::Sync(Sync { inbox: true, threads: Vec::new() })).await
    }

    /// The next frame, or `None` if the connection has ended.
    async fn next_frame(&mut self) -> Option<(u64, Body)> {
        loop {
            match tokio::time::timeout(ANSWER_TIMEOUT, self.socket.next()).await.ok()?? {
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
