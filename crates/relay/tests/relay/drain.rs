//! Stopping without losing anything.

use std::time::Duration;

use sealpost_wire::frame::Body;
use sealpost_wire::{Reconnect, reason};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::common::socket::{Read, Socket};
use crate::common::{World, http};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_asked_to_reconnect_and_sends_in_flight_are_answered() {
    let world = World::start_with(|config| config.timing.drain_spread = Duration::ZERO).await;
    let (alice, bob, thread) = world.pair().await;
    let mut alices = Socket::connect(&world, &alice).await;
    let mut bobs = Socket::connect(&world, &bob).await;
    // One answer means that the relay reads; what follows is then in flight or never read.
    for _ in 0..50 {
        alices.send(Body::Send(world.message(thread, &bob, b"sealed"))).await;
    }
    let (_, Body::SendAck(_)) = alices.frame().await else { panic!() };
    let (folder, clock, url) = (world.folder, world.clock, world.relay.url());
    let stopping = tokio::spawn(world.relay.shutdown());

    let mut told = false;
    let mut acked = 1;
    let code = loop {
        match alices.read().await {
            Read::Frame(0, Body::Reconnect(reconnect)) => {
                assert_eq!(reconnect, Reconnect { jitter_ms: 30_000, reason: "drain".into() });
                told = true;
            }
            Read::Frame(_, Body::SendAck(_)) => acked += 1,
            Read::Frame(..) => {}
            Read::Closed(code) => break code,
        }
    };
    assert_eq!((told, code), (true, 1012));
    assert_eq!(bobs.closed().await, 1012);
    stopping.await.unwrap();
    assert!(reqwest::get(url).await.is_err(), "the listener is closed");

    // Every message with an answer is stored, and no message without an answer has a lower sequence number.
    let relay = sealpost_relay::Relay::start(crate::common::config(folder.path(), &clock)).await.unwrap();
    let world = World { folder, clock, relay, http: http() };
    let shown: sealpost_wire::Thread = world.get(&format!("/v1/threads/{thread}"), Some(&alice)).await.body();
    assert!(shown.last_seq >= acked, "{} < {acked}", shown.last_seq);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_draining_relay_is_not_ready_and_opens_no_socket() {
    // One connection that does not read makes the drain take a while.
    let world = World::start_with(|config| config.timing.drain_spread = Duration::ZERO).await;
    let alice = world.register().await;
    assert_eq!(world.get("/readyz", None).await.status, 200);
    let _held = Socket::connect(&world, &alice).await;
    let (http, url) = (world.http.clone(), world.relay.url());
    let stopping = tokio::spawn(world.relay.shutdown());
    let upgrade = http
        .get(format!("{url}/v1/ws"))
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-protocol", "relay.v1");
    let answer = upgrade.send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    let ready = http.get(format!("{url}/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    let error: sealpost_wire::Error = sealpost_wire::decode(ready.bytes().await.unwrap()).unwrap();
    assert_eq!(error.reason, reason::DRAINING);
    stopping.await.unwrap();
}

#[tokio::test]
async fn a_stopped_relay_releases_its_folder() {
    let world = World::start_with(|config| {
        config.metrics = Some(([127, 0, 0, 1], 0).into());
        config.timing.drain_spread = Duration::ZERO;
        config.timing.drain_grace = Duration::ZERO;
        config.timing.receive_timeout = Duration::from_secs(3_600);
    })
    .await;
    // A socket that never authenticates, half a request, and connections that are kept alive.
    let silent = Socket::open(&world).await;
    let mut half = TcpStream::connect(world.relay.addr()).await.unwrap();
    let head = "POST /v1/accounts HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\ncontent-type: ";
    half.write_all(format!("{head}{}\r\n\r\n", sealpost_wire::MEDIA_TYPE).as_bytes()).await.unwrap();
    crate::connections::metrics(&world).await;
    assert_eq!(world.get("/readyz", None).await.status, 200);

    let world = world.restart().await;
    drop((silent, half));
    assert_eq!(world.get("/readyz", None).await.status, 200);
    world.relay.shutdown().await;
}
