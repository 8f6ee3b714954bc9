//! Invalid requests are refused with an `Error`, and numbers at the limits of their ranges are handled.

use reqwest::Method;
use sealpost_wire::frame::Body;
use sealpost_wire::id::ClientMsgId;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::{
    Ack, AckOk, Credit, DeviceCopy, Envelope, Hello, InboxKey, InboxPage, MEDIA_TYPE, Ping, Send, Sync,
    Synced, ThreadCursor, reason,
};

use crate::common::socket::{Socket, hello};
use crate::common::{Answer, World, keys, with_body};

/// The largest numbers that a signed and an unsigned column can store, and their neighbours.
const ENDS: [u64; 4] = [i64::MAX as u64 - 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX];

fn is_error(answer: &Answer) -> bool {
    answer.headers.get("content-type").is_some_and(|media_type| media_type == MEDIA_TYPE)
        && !answer.error().reason.is_empty()
}

#[tokio::test]
async fn a_path_that_is_not_utf_8_is_not_found() {
    let world = World::start().await;
    let alice = world.register().await;
    let send = world.message(sealpost_wire::id::ThreadId::from_bytes([1; 16]), &alice, b"x");
    let requests = [
        world.http.get(world.url("/v1/threads/%ff")),
        world.http.get(world.url("/v1/users/%ff/devices/1/prekeys")),
        world.http.get(world.url(&format!("/v1/users/{}/devices/%ff/prekeys", alice.user))),
        world.http.delete(world.url("/v1/devices/%ff")),
        with_body(world.http.post(world.url("/v1/threads/%c0%80/messages")), &send),
    ];
    for request in requests {
        world.request(request, Some(&alice)).await.refused(404, reason::NOT_FOUND);
    }
    world.relay.shutdown().await;
}

#[tokio::test]
async fn every_refusal_has_the_same_form() {
    let world = World::start().await;
    let alice = world.register().await;
    let paths = [
        "/",
        "/v1",
        "/v1/accounts",
        "/v1/auth/refresh",
        "/v1/auth/logout",
        "/v1/devices",
        "/v1/devices/9999999999",
        "/v1/keys",
        "/v1/users/x/devices/y/prekeys",
        "/v1/threads",
        "/v1/threads/x",
        "/v1/threads/x/messages",
        "/v1/inbox?limit=-1",
        "/v1/inbox?%ff",
        "/v1/inbox:ack",
        "/v1/ws",
        "/v1/%ff",
        "/metrics",
    ];
    for path in paths {
        for method in ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "BREW"] {
            let request = world.http.request(Method::from_bytes(method.as_bytes()).unwrap(), world.url(path));
            let request = request.header("content-type", MEDIA_TYPE).body(vec![0xff; 3]);
            let answer = world.request(request, Some(&alice)).await;
            assert!(answer.status < 400 || is_error(&answer), "{method} {path}: {answer:?}");
            if path == "/v1/auth/logout" && method == "POST" {
                assert_eq!(answer.status, 204);
            }
        }
    }
    // Requests that look like a WebSocket handshake but are invalid.
    let upgrade = |version: &str, protocol: &str| {
        world
            .http
            .get(world.url("/v1/ws"))
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", version)
            .header("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==")
            .header("sec-websocket-protocol", protocol)
    };
    for request in [upgrade("8", "relay.v1"), upgrade("13", "relay.v9")] {
        let answer = world.request(request, None).await;
        assert!(answer.status == 400 && is_error(&answer), "{answer:?}");
    }
    world.relay.shutdown().await;
}

#[tokio::test]
async fn numbers_at_the_limits_of_their_ranges_are_handled() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    assert_eq!(world.send(&alice, &world.message(thread, &bob, b"x")).await.status, 201);
    let mut socket = Socket::connect_with(&world, Hello { epoch_seen: u64::MAX, ..hello(&bob) }).await.0;
    let delivered = socket.deliver().await.key.unwrap();
    for end in ENDS {
        // So that the frames of this test do not exceed a limit.
        world.clock.advance(std::time::Duration::from_secs(1));
        let key = InboxKey { thread_id: thread.to_wire(), server_seq: end };
        let body = socket.ask(Body::Ack(Ack { keys: vec![key.clone()], trimmed: end })).await;
        assert_eq!(body, Body::AckOk(AckOk { removed: 0 }), "{end}");
        let answer = world.post("/v1/inbox:ack", Some(&bob), &Ack { keys: vec![key], trimmed: end }).await;
        assert_eq!(answer.body::<AckOk>().removed, 0);
        let cursor = ThreadCursor { thread_id: thread.to_wire(), after_seq: end, limit: u32::MAX };
        let asked = socket.send(Body::Sync(Sync { inbox: false, threads: vec![cursor] })).await;
        assert_eq!(socket.frame().await, (asked, Body::Synced(Synced {})), "{end}");
        socket.send(Body::Credit(Credit { more: u32::MAX })).await;
        let Body::Pong(pong) = socket.ask(Body::Ping(Ping { t: end })).await else { panic!("{end}") };
        assert_eq!(pong.t, end);
        let page = world.get(&format!("/v1/inbox?limit={}&after={thread}:{end}", u32::MAX), Some(&bob)).await;
        assert_eq!(page.body::<InboxPage>().rows, [], "{end}");

        let send = Send { roster_version: end, ..world.message(thread, &bob, b"x") };
        world.send(&alice, &send).await.refused(409, reason::STALE_ROSTER);
        let send = Send {
            client_msg_id: ClientMsgId::new(end & ((1 << 48) - 1), &[9; 10]).to_wire(),
            ..world.message(thread, &bob, b"x")
        };
        assert_eq!(world.send(&alice, &send).await.status, 400);
    }
    for (device_id, registration_id, ttl_s, status) in
        [(u32::MAX, 77, 0, 400), (1, u32::MAX, 0, 410), (1, 77, u32::MAX, 400), (127, 77, 0, 409)]
    {
        let envelope = Envelope { kind: 1, ciphertext: "x".into(), ttl_s, ..Envelope::default() };
        let copies = vec![DeviceCopy {
            user_id: bob.user.to_wire(),
            device_id,
            registration_id,
            envelope: Some(envelope),
        }];
        let answer = world.send(&alice, &Send { copies, ..world.message(thread, &bob, b"x") }).await;
        assert_eq!(answer.status, status, "{device_id} {registration_id} {ttl_s}");
    }
    // These are the last ids that keys can have. Afterwards there are no keys left, and the device is notified.
    assert_eq!(world.put("/v1/keys", Some(&bob), &keys(u32::MAX - 1, 1)).await.status, 200);
    world.put("/v1/keys", Some(&bob), &keys(5_000, 1)).await.refused(409, reason::KEY_ID_USED);
    assert_eq!(world.take(&alice, &bob, "k").await.status, 200);
    assert_eq!(world.get("/readyz", None).await.status, 200);
    assert_eq!(socket.acknowledge(vec![delivered]).await, 1);
    world.end(socket).await;
}
