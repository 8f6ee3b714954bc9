//! The limits of a single requester: charges by rows, refusals with the time to wait, and disconnection.

use std::sync::Arc;
use std::time::Duration;

use sealpost_relay::clock::SystemClock;
use sealpost_relay::limits::{Name, Rate};
use sealpost_wire::frame::Body;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::limits::close;
use sealpost_wire::{Ack, Bundles, CreateThread, InboxKey, KeyCounts, reason};

use crate::common::socket::{Read, Socket, hello};
use crate::common::{Answer, Party, World, kem, keys};

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// A relay that allows this many units, and the next one a day later.
async fn allowing(name: Name, burst: u64) -> World {
    World::start_with(|config| {
        config.limits.set(name, Some(Rate::new(burst, 1, DAY)));
        config.metrics = Some(([127, 0, 0, 1], 0).into());
    })
    .await
}

/// An acknowledgement of rows that do not exist.
fn ack_of_nothing(rows: u64) -> Body {
    let key = |seq| InboxKey { thread_id: vec![9; 16].into(), server_seq: seq };
    Body::Ack(Ack { keys: (1..=rows).map(key).collect(), trimmed: 0 })
}

pub(crate) fn assert_retry_after(answer: &Answer) {
    answer.refused(429, reason::RATE_LIMITED);
    let asked: u32 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    let exact = answer.error().retry_after_ms;
    assert!(asked > 0 && asked == exact.div_ceil(1_000), "{asked} s for {exact} ms");
}

#[tokio::test]
async fn acknowledgements_are_charged_by_rows_and_repeated_refusals_close_the_socket() {
    let world = allowing(Name::AckRows, 1_024).await;
    let bob = world.register().await;
    let mut socket = Socket::connect(&world, &bob).await;
    for _ in 0..2 {
        assert!(matches!(socket.ask(ack_of_nothing(512)).await, Body::AckOk(_)));
    }
    let Body::Error(error) = socket.ask(ack_of_nothing(512)).await else { panic!("it was not refused") };
    assert_eq!((error.code, error.reason.as_str()), (429, reason::RATE_LIMITED));
    assert!(error.retry_after_ms > 0);
    let by_http = Ack { keys: vec![InboxKey { thread_id: vec![9; 16].into(), server_seq: 1 }], trimmed: 0 };
    assert_retry_after(&world.post("/v1/inbox:ack", Some(&bob), &by_http).await);
    // After twenty more refusals in a row, the relay stops reading.
    let mut refused = 1;
    for _ in 0..20 {
        socket.send(ack_of_nothing(1)).await;
    }
    let code = loop {
        match socket.read().await {
            Read::Frame(_, Body::Error(_)) => refused += 1,
            Read::Frame(_, _) => {}
            Read::Closed(code) => break code,
        }
    };
    assert_eq!((code, refused), (close::FLOODING, 20));
    let metrics = crate::connections::metrics(&world).await;
    assert!(metrics.contains("relay_rate_limited_total{policy=\"ack_rows\"} 22\n"), "{metrics}");
    assert!(metrics.contains("relay_rate_limited_total{policy=\"refusals\"} 1\n"), "{metrics}");
    world.end(socket).await;
}

#[tokio::test]
async fn a_refused_acknowledgement_is_always_answered_and_its_rows_remain() {
    let world = World::start_with(|config| {
        config.limits.set(Name::AckRows, Some(Rate::new(1, 1, Duration::from_secs(60))));
    })
    .await;
    let (alice, bob, thread) = world.pair().await;
    for text in [b"1", b"2"] {
        world.send(&alice, &world.message(thread, &bob, text)).await;
    }
    let mut socket = Socket::connect(&world, &bob).await;
    let (first, second) = (socket.deliver().await.key.unwrap(), socket.deliver().await.key.unwrap());
    socket.notify(Body::Ack(Ack { keys: vec![first], trimmed: 0 })).await;
    socket.notify(Body::Ack(Ack { keys: vec![second.clone()], trimmed: 0 })).await;
    let refused = loop {
        match socket.frame().await {
            (0, Body::Error(error)) => break error,
            (0, Body::QueueEmpty(_)) => {}
            other => panic!("not an error: {other:?}"),
        }
    };
    assert_eq!(refused.reason, reason::RATE_LIMITED);
    world.clock.advance(Duration::from_millis(refused.retry_after_ms.into()));
    assert_eq!(socket.acknowledge(vec![second]).await, 1);
    world.end(socket).await;
}

#[tokio::test]
async fn a_requester_above_a_limit_is_slowed_before_it_is_refused() {
    let world = World::start_with(|config| {
        config.clock = Arc::new(SystemClock::new());
        config.limits.set(Name::AckRows, Some(Rate::new(100, 1_000, Duration::from_secs(1))));
        config.metrics = Some(([127, 0, 0, 1], 0).into());
    })
    .await;
    let bob = world.register().await;
    let mut socket = Socket::connect(&world, &bob).await;
    // Half a second's worth of rows more than the burst, all sent without waiting.
    for _ in 0..60 {
        socket.send(ack_of_nothing(10)).await;
    }
    for _ in 0..60 {
        let (_, body) = socket.frame().await;
        assert!(matches!(body, Body::AckOk(_) | Body::QueueEmpty(_)), "{body:?}");
    }
    let metrics = crate::connections::metrics(&world).await;
    assert!(metrics.contains("relay_rate_limited_total{policy=\"ack_rows\"} 0\n"), "{metrics}");
    assert!(!metrics.contains("relay_rate_slowed_total{policy=\"ack_rows\"} 0\n"), "{metrics}");
    world.end(socket).await;
}

#[tokio::test]
async fn the_number_of_sends_and_requests_is_limited() {
    let world = allowing(Name::Frames, 2).await;
    let (alice, bob, thread) = world.pair().await;
    let mut socket = Socket::connect(&world, &alice).await;
    for _ in 0..2 {
        let answer = socket.ask(Body::Send(world.message(thread, &bob, b"x"))).await;
        assert!(matches!(answer, Body::SendAck(_)), "{answer:?}");
    }
    let Body::Error(error) = socket.ask(ack_of_nothing(1)).await else { panic!("it was not refused") };
    assert_eq!(error.reason, reason::RATE_LIMITED);
    world.end(socket).await;

    let world = allowing(Name::Requests, 2).await;
    let bob = world.register().await;
    for _ in 0..2 {
        assert_eq!(world.get("/v1/inbox", Some(&bob)).await.status, 200);
    }
    assert_retry_after(&world.get("/v1/inbox", Some(&bob)).await);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn the_number_of_threads_key_uploads_and_connections_is_limited() {
    let world = allowing(Name::Threads, 1).await;
    let [a, b, c] = [world.register().await, world.register().await, world.register().await];
    world.thread(&a, &b).await;
    let third = CreateThread { peer_user_id: c.user.to_wire(), ..CreateThread::default() };
    assert_retry_after(&world.post("/v1/threads", Some(&a), &third).await);
    world.relay.shutdown().await;

    let world = allowing(Name::KeyRows, 250).await;
    let bob = world.register().await;
    assert_eq!(world.put("/v1/keys", Some(&bob), &keys(10, 100)).await.status, 200);
    assert_retry_after(&world.put("/v1/keys", Some(&bob), &keys(110, 50)).await);
    world.relay.shutdown().await;

    let world = allowing(Name::Connects, 1).await;
    let bob = world.register().await;
    let first = Socket::connect(&world, &bob).await;
    let mut second = Socket::open(&world).await;
    second.send(Body::Hello(hello(&bob))).await;
    let Read::Frame(1, Body::Error(error)) = second.read().await else {
        panic!("the connection was accepted")
    };
    assert_eq!(error.reason, reason::RATE_LIMITED);
    assert_eq!(second.closed().await, close::FLOODING);
    world.end(first).await;
}

#[tokio::test]
async fn bundle_requests_share_a_bucket_and_repetitions_are_not_charged() {
    let world = allowing(Name::PreKeys, 2).await;
    let (alice, bob) = (world.register().await, world.register_with(keys(0, 100)).await);
    let take = async |device: &str, key: &str| {
        let path = format!("/v1/users/{}/devices/{device}/prekeys", bob.user);
        let request = world.http.get(world.url(&path)).header("idempotency-key", key);
        world.request(request, Some(&alice)).await
    };
    let first = take("*", "1").await.bundle();
    take("1", "1").await.bundle();
    assert_retry_after(&take("*", "2").await);
    assert_retry_after(&take("1", "2").await);
    for _ in 0..10 {
        assert_eq!(take("*", "1").await.bundle(), first);
    }
    let left: KeyCounts = world.get("/v1/keys", Some(&bob)).await.body();
    assert_eq!((left.ec, left.kem), (98, 98));
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_target_with_many_requesters_is_reached_with_its_last_resort_key() {
    let world = allowing(Name::PreKeysTarget, 3).await;
    let bob = world.register_with(keys(0, 100)).await;
    let askers: [Party; 2] = [world.register().await, world.register().await];
    for n in 0..6 {
        let bundle = world.take(&askers[n % 2], &bob, &n.to_string()).await.bundle();
        assert_eq!((bundle.one_time.is_some(), bundle.kem == Some(kem(u32::MAX))), (n < 3, n >= 3));
    }
    let left: KeyCounts = world.get("/v1/keys", Some(&bob)).await.body();
    assert_eq!((left.ec, left.kem), (97, 97));
    world.relay.shutdown().await;
}

#[tokio::test]
async fn the_number_of_users_whose_bundles_are_fetched_is_limited() {
    let world = allowing(Name::Takes, 2).await;
    let alice = world.register().await;
    for n in 0..3 {
        let peer = world.register().await;
        let answer = world.take(&alice, &peer, "1").await;
        if n < 2 {
            assert_eq!(answer.body::<Bundles>().bundles.len(), 1);
        } else {
            assert_retry_after(&answer);
        }
    }
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_device_stores_at_most_200_one_time_keys_of_a_kind() {
    let world = World::start().await;
    let (alice, bob) = (world.register().await, world.register_with(keys(0, 100)).await);
    let full = |newest_id| KeyCounts { ec: 200, kem: 200, newest_id };
    let put = async |first, count| world.put("/v1/keys", Some(&bob), &keys(first, count)).await;
    assert_eq!(put(100, 100).await.body::<KeyCounts>(), full(199));
    put(200, 1).await.refused(409, reason::TOO_MANY_KEYS);
    // A repetition after a lost answer, and an upload of signed keys only, still work.
    assert_eq!(put(100, 100).await.body::<KeyCounts>(), full(199));
    assert_eq!(put(0, 0).await.body::<KeyCounts>(), full(199));
    world.take(&alice, &bob, "1").await.bundle();
    put(200, 2).await.refused(409, reason::TOO_MANY_KEYS);
    assert_eq!(put(200, 1).await.body::<KeyCounts>(), full(200));
    world.relay.shutdown().await;
}
