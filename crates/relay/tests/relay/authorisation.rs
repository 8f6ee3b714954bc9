//! Who may do what: one table, each cell a request.

use prost::Message as _;
use sealpost_wire::frame::Body;
use sealpost_wire::{Ack, CreateThread, KeyUpload, RefreshRequest, reason};

use crate::common::socket::{Read, Socket, hello};
use crate::common::{Answer, Party, World, keys, with_body};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Actor {
    Anonymous,
    /// Not a member of the thread.
    Other,
    Member,
    /// A member whose device was revoked; the access token is still within its 10 minutes.
    Revoked,
}

use Actor::{Anonymous, Member, Other, Revoked};

const ACTORS: [Actor; 4] = [Anonymous, Other, Member, Revoked];

/// An action, and the status that each of [`ACTORS`] gets.
type Row = (&'static str, [u16; 4]);

const TABLE: [Row; 10] = [
    ("append to the thread", [401, 404, 201, 401]),
    ("append to no thread", [401, 404, 404, 401]),
    ("look at the thread", [401, 404, 200, 401]),
    ("open a thread", [401, 201, 409, 401]),
    ("page through one's mailbox", [401, 200, 200, 401]),
    ("acknowledge", [401, 200, 200, 401]),
    ("take a bundle", [401, 200, 200, 401]),
    ("put keys", [401, 200, 200, 401]),
    ("count keys", [401, 200, 200, 401]),
    ("list devices", [401, 200, 200, 401]),
];

#[tokio::test]
async fn every_cell_of_the_table() {
    let cast = Cast::assemble().await;
    for (action, expected) in TABLE {
        for (actor, expected) in ACTORS.into_iter().zip(expected) {
            let answer = cast.act(action, actor).await;
            assert_eq!(answer.status, expected, "{actor:?} would {action}");
            if answer.status >= 400 {
                answer.error();
            }
            if expected == 401 {
                assert!(answer.headers.contains_key("www-authenticate"));
            }
        }
    }
    cast.world.relay.shutdown().await;
}

/// A world with everybody in it.
struct Cast {
    world: World,
    member: Party,
    peer: Party,
    other: Party,
    revoked: Party,
    thread: sealpost_wire::id::ThreadId,
}

impl Cast {
    async fn assemble() -> Self {
        let world = World::start().await;
        let (member, peer, thread) = world.pair().await;
        let (other, revoked) = (world.register().await, world.register().await);
        assert_eq!(world.delete("/v1/devices/1", Some(&revoked)).await.status, 204);
        Self { world, member, peer, other, revoked, thread }
    }

    async fn act(&self, action: &str, actor: Actor) -> Answer {
        let by = match actor {
            Anonymous => None,
            Other => Some(&self.other),
            Member => Some(&self.member),
            Revoked => Some(&self.revoked),
        };
        let world = &self.world;
        match action {
            "append to the thread" | "append to no thread" => {
                let nowhere = sealpost_wire::id::ThreadId::from_bytes([9; 16]);
                let thread = if action == "append to no thread" { nowhere } else { self.thread };
                let send = world.message(thread, &self.peer, b"sealed");
                world.post(&format!("/v1/threads/{thread}/messages"), by, &send).await
            }
            "look at the thread" => world.get(&format!("/v1/threads/{}", self.thread), by).await,
            "open a thread" => {
                let request = CreateThread { peer_user_id: self.peer.user.to_wire() };
                world.post("/v1/threads", by, &request).await
            }
            "page through one's mailbox" => world.get("/v1/inbox", by).await,
            "acknowledge" => world.post("/v1/inbox:ack", by, &Ack::default()).await,
            "take a bundle" => {
                world.get(&format!("/v1/users/{}/devices/1/prekeys", self.peer.user), by).await
            }
            "put keys" => world.put("/v1/keys", by, &KeyUpload { ..keys(100, 1) }).await,
            "count keys" => world.get("/v1/keys", by).await,
            "list devices" => world.get("/v1/devices", by).await,
            other => panic!("no such action: {other}"),
        }
    }
}

#[tokio::test]
async fn what_is_not_yours_looks_like_what_does_not_exist() {
    let world = World::start().await;
    let (_, bob, theirs) = world.pair().await;
    let mallory = world.register().await;
    let nothing = "00000000-0000-4000-8000-000000000000";

    let alike = |there: Answer, not_there: Answer| {
        assert_eq!((there.status, &there.bytes), (not_there.status, &not_there.bytes));
        let names = |answer: &Answer| {
            let mut names: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
            names.sort();
            names
        };
        assert_eq!(names(&there), names(&not_there));
        there.refused(404, reason::NOT_FOUND);
    };
    alike(
        world.get(&format!("/v1/threads/{theirs}"), Some(&mallory)).await,
        world.get(&format!("/v1/threads/{nothing}"), Some(&mallory)).await,
    );
    let there = world.message(theirs, &bob, b"x");
    let mut not_there = there.clone();
    not_there.thread_id = nothing.parse::<sealpost_wire::id::ThreadId>().unwrap().to_wire();
    alike(world.send(&mallory, &there).await, world.send(&mallory, &not_there).await);
    alike(
        world.get(&format!("/v1/users/{nothing}/devices/*/prekeys"), Some(&mallory)).await,
        world.get("/v1/users/not-an-id/devices/*/prekeys", Some(&mallory)).await,
    );
    alike(world.delete("/v1/devices/2", Some(&mallory)).await, world.get("/admin", Some(&mallory)).await);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_revoked_device_is_out_at_once_everywhere() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let mut alices = Socket::connect(&world, &alice).await;
    world.send(&bob, &world.message(thread, &alice, b"sealed")).await;

    assert_eq!(world.delete("/v1/devices/1", Some(&alice)).await.status, 204);
    assert_eq!(alices.closed().await, 4401);
    let refresh = RefreshRequest { refresh_token: alice.tokens.refresh_token.clone() };
    world.post("/v1/auth/refresh", None, &refresh).await.refused(401, reason::INVALID_TOKEN);
    let mut again = Socket::open(&world).await;
    again.send(Body::Hello(hello(&alice))).await;
    assert_eq!(again.closed().await, 4401);
    world.take(&bob, &alice, "1").await.refused(404, reason::NOT_FOUND);

    // A sender who does not know yet learns it exactly.
    let answer = world.send(&bob, &world.message(thread, &alice, b"sealed")).await;
    answer.refused(409, reason::MISMATCHED_DEVICES);
    let mismatches = answer.error().mismatches;
    assert_eq!(mismatches.len(), 1);
    assert_eq!((&mismatches[0].user_id, &mismatches[0].extra[..]), (&alice.user.to_wire(), &[1][..]));
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_token_opens_only_the_socket_of_its_own_device() {
    let world = World::start().await;
    let alice = world.register().await;
    let mut socket = Socket::open(&world).await;
    let mut wrong = hello(&alice);
    wrong.device_id = 2;
    let id = socket.send(Body::Hello(wrong)).await;
    let Read::Frame(reply, Body::Error(error)) = socket.read().await else { panic!() };
    assert_eq!((reply, error.code, error.reason.as_str()), (id, 401, reason::INVALID_TOKEN));
    assert_eq!(socket.read().await, Read::Closed(4401));
    world.relay.shutdown().await;
}

#[tokio::test]
async fn registration_can_be_closed() {
    let world = World::start_with(|config| config.registration = sealpost_relay::Registration::Closed).await;
    let request = sealpost_wire::RegisterRequest::default();
    world.post("/v1/accounts", None, &request).await.refused(403, reason::PROOF_REFUSED);
    let request = world.http.post(world.url("/v1/accounts"));
    let answer = world.request(with_body(request, &sealpost_wire::Error::default()), None).await;
    assert_eq!(answer.error().encoded_len(), answer.bytes.len());
    world.relay.shutdown().await;
}
