//! The requesters of the table, and the world around them.

use std::time::Duration;

use prost::Message as _;
use sealpost_wire::frame::Body;
use sealpost_wire::id::ThreadId;
use sealpost_wire::send_ack::Status;
use sealpost_wire::{Frame, Hello, RefreshRequest, Send, TokenPair};
use sha2::{Digest as _, Sha256};

use crate::common::groups::request;
use crate::common::login::Key;
use crate::common::socket::{Read, Socket, hello};
use crate::common::{Answer, Party, World, copy, with_body};
use crate::entries::{Chain, by};

/// The requesters of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Actor {
    Anonymous,
    Forged,
    Expired,
    Ended,
    Revoked,
    Stranger,
    Member,
    Companion,
}

/// More than the lifetime of an access token, the leeway for clocks and the grace period of a connection together.
const LATER: Duration = Duration::from_secs(10 * 60 + 60 + 30 + 1);

/// A member with two devices to whom the peer has sent a message, and the requester.
pub(super) struct Cast {
    pub(super) world: World,
    pub(super) actor: Actor,
    pub(super) member: Party,
    pub(super) peer: Party,
    pub(super) thread: ThreadId,
    /// A group of the member, with nobody else.
    pub(super) group: Chain,
    /// The requester, with the token that it presents. `None` presents nothing.
    pub(super) requester: Option<Party>,
    /// The socket of a requester who was admitted and no longer would be.
    socket: Option<Socket>,
}

impl Cast {
    pub(super) async fn assemble(actor: Actor) -> Self {
        let world = World::start_with(|config| config.metrics = Some("127.0.0.1:0".parse().unwrap())).await;
        let (member, peer, thread) = world.pair().await;
        let companion = link(&world, &member).await;
        let mut send = world.message(thread, &member, b"sealed");
        send.copies.push(to_device(2, &member));
        assert_eq!(world.send(&peer, &send).await.status, 201);
        let (group, entry) = Chain::create_with(by(member.user), &[], 1, &[1, 2]);
        assert_eq!(world.post("/v1/groups", Some(&member), &request(&entry)).await.status, 201);

        let was_let_in = matches!(actor, Actor::Expired | Actor::Ended | Actor::Revoked);
        let socket = if was_let_in { Some(Socket::connect(&world, &member).await) } else { None };
        let requester = match actor {
            Actor::Anonymous => None,
            Actor::Forged => Some(forged(&member)),
            Actor::Expired => {
                world.clock.step_forward(LATER);
                Some(member.clone())
            }
            Actor::Ended => {
                assert_eq!(super::requests::log_out_by(&world, Some(&member)).await.status, 204);
                Some(member.clone())
            }
            Actor::Revoked => {
                assert_eq!(world.delete("/v1/devices/1", Some(&member)).await.status, 204);
                Some(member.clone())
            }
            Actor::Stranger => Some(world.register().await),
            Actor::Member => Some(member.clone()),
            Actor::Companion => Some(companion),
        };
        Self { world, actor, member, peer, thread, group, requester, socket }
    }

    pub(super) async fn end(self) {
        self.world.end(self.socket).await;
    }

    pub(super) fn by(&self) -> Option<&Party> {
        self.requester.as_ref()
    }

    pub(super) async fn get(&self, path: &str) -> Outcome {
        Outcome::of(self.world.get(path, self.by()).await)
    }

    pub(super) async fn delete(&self, path: &str) -> Outcome {
        Outcome::of(self.world.delete(path, self.by()).await)
    }

    pub(super) async fn post(&self, path: &str, body: &impl prost::Message) -> Outcome {
        Outcome::of(self.world.post(path, self.by(), body).await)
    }

    pub(super) async fn put(&self, path: &str, body: &impl prost::Message) -> Outcome {
        Outcome::of(self.world.put(path, self.by(), body).await)
    }

    /// A message for the other devices of the thread, as this requester sees them.
    pub(super) fn message(&self, thread: ThreadId) -> Send {
        let mut send = self.world.message(thread, &self.peer, b"sealed");
        match self.actor {
            Actor::Companion => send.copies.push(to_device(1, &self.member)),
            _ => send.copies.push(to_device(2, &self.member)),
        }
        send
    }

    /// The frame with which this requester begins.
    pub(super) fn hello(&self) -> Hello {
        let device_id = if self.actor == Actor::Companion { 2 } else { 1 };
        match self.by() {
            Some(party) => Hello { device_id, ..hello(party) },
            None => Hello { device_id, ..Hello::default() },
        }
    }

    /// Sends a frame on a socket that admitted this requester, if it did.
    pub(super) async fn say(&mut self, body: Body) -> Outcome {
        let mut conversation = match self.enter(&body).await {
            Ok(socket) => Conversation::with(socket),
            Err(closed) => return closed,
        };
        conversation.say(body).await
    }

    /// The same as [`Self::say`], with the number of rows that were delivered before the answer.
    pub(super) async fn send_and_count_rows(&mut self, body: Body) -> (Outcome, usize) {
        let mut conversation = match self.enter(&body).await {
            Ok(socket) => Conversation::with(socket),
            Err(closed) => return (closed, 0),
        };
        let outcome = conversation.say(body).await;
        (outcome, conversation.delivered)
    }

    /// The same as [`Self::say`], followed by a frame that has an answer.
    pub(super) async fn say_both(&mut self, body: Body, then: Body) -> Outcome {
        let mut conversation = match self.enter(&body).await {
            Ok(socket) => Conversation::with(socket),
            Err(closed) => return closed,
        };
        conversation.socket.send(body).await;
        conversation.say(then).await
    }

    async fn enter(&mut self, first: &Body) -> Result<Socket, Outcome> {
        if let Some(mut was_let_in) = self.socket.take() {
            return Err(Outcome::closed(was_let_in.closed().await));
        }
        let mut socket = Socket::open(&self.world).await;
        match self.actor {
            Actor::Anonymous => {
                socket.send(first.clone()).await;
                Err(Outcome::closed(socket.closed().await))
            }
            Actor::Forged => {
                socket.send(Body::Hello(self.hello())).await;
                Err(Outcome::closed(socket.closed().await))
            }
            _ => Ok(socket.greet(self.hello()).await.0),
        }
    }
}

/// A socket, and how many rows it has delivered.
struct Conversation {
    socket: Socket,
    delivered: usize,
}

impl Conversation {
    fn with(socket: Socket) -> Self {
        Self { socket, delivered: 0 }
    }

    async fn say(&mut self, body: Body) -> Outcome {
        let drains = matches!(&body, Body::Sync(sync) if sync.inbox);
        let id = self.socket.send(body).await;
        loop {
            match self.socket.read().await {
                Read::Frame(_, Body::Deliver(_)) => self.delivered += 1,
                Read::Frame(_, body @ Body::QueueEmpty(_)) if drains => return Outcome::of_frame(body),
                Read::Frame(reply, body) if reply == id => return Outcome::of_frame(body),
                Read::Frame(..) => {}
                Read::Closed(code) => return Outcome::closed(code),
            }
        }
    }
}

/// The outcome of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The status of the answer, or of the HTTP equivalent of the frame that answers; or the code of the close frame.
    pub(super) status: u16,
    /// The headers of an HTTP answer, except for the date.
    pub(super) headers: Option<Vec<(String, String)>>,
    pub(super) bytes: Vec<u8>,
}

impl Outcome {
    pub(super) fn of(answer: Answer) -> Self {
        let headers = answer.headers.iter().filter(|(name, _)| *name != "date");
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        Self { status: answer.status, headers: Some(headers.collect()), bytes: answer.bytes.to_vec() }
    }

    pub(super) fn of_frame(body: Body) -> Self {
        let status = match &body {
            Body::Error(error) => u16::try_from(error.code).unwrap(),
            Body::SendAck(ack) if ack.status() == Status::Stored => 201,
            _ => 200,
        };
        let bytes = Frame { v: 1, id: 0, body: Some(body) }.encode_to_vec();
        Self { status, headers: None, bytes }
    }

    pub(super) fn closed(code: u16) -> Self {
        Self { status: code, headers: None, bytes: Vec::new() }
    }

    /// Checks that a refusal over HTTP has an error as its body, and the required headers.
    pub(super) fn check_form(&self) {
        let Some(headers) = &self.headers else { return };
        if self.status >= 400 {
            let error: sealpost_wire::Error = sealpost_wire::decode(self.bytes.clone().into()).unwrap();
            assert_eq!(error.code, u32::from(self.status));
        }
        let challenged = headers.iter().any(|(name, _)| name == "www-authenticate");
        assert_eq!(challenged, self.status == 401);
    }
}

pub(super) fn to_device(device_id: u32, party: &Party) -> sealpost_wire::DeviceCopy {
    sealpost_wire::DeviceCopy { device_id, ..copy(party.user, 77, b"sealed") }
}

/// A token in the relay's format without its signature, and a refresh token of the right family with another secret.
fn forged(of: &Party) -> Party {
    let TokenPair { access_token, refresh_token, .. } = &of.tokens;
    let (signed, signature) = access_token.rsplit_once('.').unwrap();
    let signature: String = signature.chars().rev().collect();
    let (family, secret) = refresh_token.split_once('.').unwrap();
    let secret: String = secret.chars().rev().collect();
    let tokens = TokenPair {
        access_token: format!("{signed}.{signature}"),
        refresh_token: format!("{family}.{secret}"),
        ..of.tokens.clone()
    };
    let tag = of.tag.iter().rev().copied().collect();
    Party { tokens, login: Key::random(), tag, ..of.clone() }
}

/// Gives a user a second device. No route does this yet, so it is written into the store: copies of the first
/// device's rows, and a refresh token, with which the relay then issues tokens itself.
async fn link(world: &World, member: &Party) -> Party {
    let (family, secret) = ([0xc2_u8; 16], [0x5e_u8; 32]);
    let db = rusqlite::Connection::open(world.folder.path().join("relay.db")).unwrap();
    db.busy_timeout(Duration::from_secs(10)).unwrap();
    let login = Key::random();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    for table in ["device", "mailbox", "signed_pre_key", "token_family"] {
        let rows = format!("CREATE TEMP TABLE linked AS SELECT * FROM {table} WHERE user_id = ?1");
        db.execute(&rows, [member.user.as_bytes()]).unwrap();
        db.execute("UPDATE linked SET device_id = 2", []).unwrap();
        if table == "device" {
            let login_key = &login.public()[..];
            db.execute("UPDATE linked SET login_key = ?1, is_primary = 0", [login_key]).unwrap();
        }
        if table == "token_family" {
            let hash: [u8; 32] = Sha256::digest(secret).into();
            db.execute("UPDATE linked SET family_id = ?1, token_hash = ?2", (family, hash)).unwrap();
        }
        db.execute_batch(&format!("INSERT INTO {table} SELECT * FROM linked; DROP TABLE linked")).unwrap();
    }
    db.execute_batch("COMMIT").unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let refresh = RefreshRequest {
        refresh_token: format!("{}.{}", hex(&family), hex(&secret)),
        ..RefreshRequest::default()
    };
    let request = with_body(world.http.post(world.url("/v1/auth/refresh")), &refresh);
    let answer = world.request(request, None).await;
    assert_eq!(answer.status, 200);
    Party { tokens: answer.body(), login, ..member.clone() }
}
