//! Abusive input: too large, incomplete, of the wrong kind, or too frequent.

use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt as _;
use prost::Message as _;
use sealpost_wire::frame::Body;
use sealpost_wire::{CreateThread, Envelope, Frame, KeyUpload, OneTimeKey, Ping, reason};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame as WsFrame, FrameHeader};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use crate::common::socket::{Socket, hello};
use crate::common::{World, copy, ec, kem, keys, with_body};

#[tokio::test]
async fn malformed_frames_end_the_connection() {
    let world = World::start().await;
    let alice = world.register().await;
    let hello = Frame { v: 1, id: 1, body: Some(Body::Hello(hello(&alice))) };
    let good = hello.encode_to_vec();
    let schema = Frame { v: 2, ..hello }.encode_to_vec();
    let no_hello = Frame { v: 1, id: 1, body: Some(Body::Ping(Ping { t: 1 })) }.encode_to_vec();
    let cases = [
        (Message::Text("hello".into()), 4400),
        (Message::Binary(good[..good.len() - 1].to_vec().into()), 4400),
        (Message::Binary(vec![0xff; 100].into()), 4400),
        (Message::Binary(Bytes::new()), 4426),
        (Message::Binary(no_hello.into()), 4400),
        (Message::Binary(schema.into()), 4426),
        (Message::Binary(vec![0; 98_305].into()), 1009),
    ];
    for (message, code) in cases {
        let mut socket = Socket::open(&world).await;
        socket.raw.send(message.clone()).await.unwrap();
        assert_eq!(socket.closed().await, code, "before Hello: {} bytes", message.len());
    }
    let welcome = Frame { v: 1, id: 1, body: Some(Body::Welcome(sealpost_wire::Welcome::default())) };
    let cases = [
        (Message::Text("hello".into()), 4400),
        (Message::Binary(good[..good.len() - 1].to_vec().into()), 4400),
        (Message::Binary(welcome.encode_to_vec().into()), 4400),
        (Message::Binary(vec![0; 98_305].into()), 1009),
    ];
    for (message, code) in cases {
        let mut socket = Socket::connect(&world, &alice).await;
        socket.raw.send(message.clone()).await.unwrap();
        assert_eq!(socket.closed().await, code, "after Hello: {} bytes", message.len());
    }
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_fragmented_message_is_refused_above_the_size_limit() {
    let world = World::start().await;
    let alice = world.register().await;
    let mut socket = Socket::connect(&world, &alice).await;
    let piece = |opcode| {
        let header = FrameHeader { is_final: false, opcode: OpCode::Data(opcode), ..FrameHeader::default() };
        Message::Frame(WsFrame::from_payload(header, vec![0; 1_024].into()))
    };
    socket.raw.send(piece(Data::Binary)).await.unwrap();
    // The relay may have closed the connection before the last of them.
    for _ in 0..120 {
        if socket.raw.send(piece(Data::Continue)).await.is_err() {
            break;
        }
    }
    assert_eq!(socket.closed().await, 1009);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_frame_of_empty_fields_is_refused_cheaply() {
    let world = World::start().await;
    let alice = world.register().await;
    let mut socket = Socket::connect(&world, &alice).await;
    let copies = vec![sealpost_wire::DeviceCopy::default(); 30_000];
    socket.send(Body::Send(sealpost_wire::Send { copies, ..Default::default() })).await;
    assert_eq!(socket.closed().await, 4400);

    let mut socket = Socket::connect(&world, &alice).await;
    let full = sealpost_wire::InboxKey { thread_id: vec![1; 16].into(), server_seq: 1 };
    let keys = vec![full; 513];
    let Body::Error(error) = socket.ask(Body::Ack(sealpost_wire::Ack { keys, trimmed: 0 })).await else {
        panic!()
    };
    assert_eq!(error.reason, reason::MALFORMED);
    world.end(socket).await;
}

#[tokio::test]
async fn a_body_of_empty_rows_is_refused_and_changes_nothing() {
    let world = World::start().await;
    let alice = world.register_with(keys(0, 5)).await;
    let upload = KeyUpload { one_time: vec![OneTimeKey::default(); 100_000], ..keys(5, 5) };
    world.put("/v1/keys", Some(&alice), &upload).await.refused(400, reason::MALFORMED);
    let counts: sealpost_wire::KeyCounts = world.get("/v1/keys", Some(&alice)).await.body();
    assert_eq!((counts.ec, counts.kem), (5, 5));

    let (alice, bob, thread) = world.pair().await;
    let good = world.message(thread, &bob, b"sealed");
    let copies = vec![sealpost_wire::DeviceCopy::default(); 30_000];
    let bad = sealpost_wire::Send { copies, ..good.clone() };
    world.send(&alice, &bad).await.refused(400, reason::MALFORMED);
    assert_eq!(world.send(&alice, &good).await.status, 201, "it did not use up the id");
    world.relay.shutdown().await;
}

#[tokio::test]
async fn more_than_ten_pings_at_once_are_flooding() {
    let world = World::start().await;
    let alice = world.register().await;
    let mut socket = Socket::connect(&world, &alice).await;
    for t in 0..10 {
        let Body::Pong(pong) = socket.ask(Body::Ping(Ping { t })).await else { panic!() };
        assert_eq!(pong.t, t);
    }
    world.clock.advance(Duration::from_millis(100));
    let Body::Pong(_) = socket.ask(Body::Ping(Ping { t: 10 })).await else { panic!() };
    socket.send(Body::Ping(Ping { t: 11 })).await;
    assert_eq!(socket.closed().await, 4429);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn pings_before_hello_are_limited_too() {
    let world = World::start().await;
    let mut socket = Socket::open(&world).await;
    for _ in 0..11 {
        socket.raw.send(Message::Ping(Bytes::new())).await.unwrap();
    }
    assert_eq!(socket.closed().await, 4429);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_socket_must_authenticate_and_remain_active() {
    let world = World::start_with(|config| config.timing.receive_timeout = Duration::from_millis(50)).await;
    let mut silent = Socket::open(&world).await;
    assert_eq!(silent.closed().await, 4400);
    world.relay.shutdown().await;

    // With enough time to send it, even on a busy machine.
    let world = World::start().await;
    let alice = world.register().await;
    let mut idle = Socket::connect(&world, &alice).await;
    world.clock.advance(Duration::from_secs(76));
    assert_eq!(idle.closed().await, 1013);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn unread_frames_count_as_activity() {
    let world = World::start().await;
    let alice = world.register().await;
    let mut socket = Socket::connect(&world, &alice).await;
    for t in 0..6 {
        // Everything runs on this thread: when the relay checks the deadline, it has passed, but the frame has arrived.
        world.clock.advance(Duration::from_secs(76));
        std::thread::sleep(Duration::from_millis(20));
        let Body::Pong(pong) = socket.ask(Body::Ping(Ping { t })).await else { panic!() };
        assert_eq!(pong.t, t);
    }
    world.end(socket).await;
}

#[tokio::test]
async fn a_socket_without_the_subprotocol_is_not_opened() {
    let world = World::start().await;
    let url = world.url("/v1/ws").replace("http", "ws");
    let Err(WsError::Http(answer)) = tokio_tungstenite::connect_async(url).await else {
        panic!("the socket was opened")
    };
    assert_eq!(answer.status(), 400);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn bodies_that_are_too_large_or_not_protobuf_are_refused() {
    let world = World::start().await;
    let alice = world.register().await;
    let post = || world.http.post(world.url("/v1/threads"));
    let by = Some(&alice);

    let large = vec![0; 98_305];
    let request = post().header("content-type", sealpost_wire::MEDIA_TYPE).body(large.clone());
    world.request(request, by).await.refused(413, reason::TOO_LARGE);
    let pieces = futures_util::stream::iter(
        large.chunks(1_000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect::<Vec<_>>(),
    );
    let unsized_body = reqwest::Body::wrap_stream(pieces);
    let request = post().header("content-type", sealpost_wire::MEDIA_TYPE).body(unsized_body);
    world.request(request, by).await.refused(413, reason::TOO_LARGE);

    let request = with_body(post(), &CreateThread::default()).header("content-encoding", "gzip");
    world.request(request, by).await.refused(415, reason::MEDIA_TYPE);
    let request = post().header("content-type", "application/json").body("{}");
    world.request(request, by).await.refused(415, reason::MEDIA_TYPE);
    world.request(post(), by).await.refused(415, reason::MEDIA_TYPE);
    let request = post().header("content-type", sealpost_wire::MEDIA_TYPE).body(vec![0xff; 10]);
    world.request(request, by).await.refused(400, reason::MALFORMED);

    let mut many = with_body(post(), &CreateThread::default());
    for n in 0..2_000 {
        many = many.header(format!("x-{n}"), "1");
    }
    assert_eq!(world.request(many, by).await.status, 431);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn invalid_paths_are_not_found() {
    let world = World::start().await;
    let alice = world.register().await;
    for path in
        ["/v1/threads/..%2f..", "/v1/threads/%ff", "/v1/users/x/devices/1/prekeys", "/v1/nothing", "/"]
    {
        let answer = world.get(path, Some(&alice)).await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
    }
    let user = alice.user;
    for device in ["0", "128", "-1", "1e3"] {
        let path = format!("/v1/users/{user}/devices/{device}/prekeys");
        world.get(&path, Some(&alice)).await.refused(404, reason::NOT_FOUND);
    }
    world.relay.shutdown().await;
}

#[tokio::test]
async fn invalid_sends_are_refused_with_a_reason() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let good = world.message(thread, &bob, b"sealed");
    let with = |change: fn(&mut Envelope)| {
        let mut send = good.clone();
        change(send.copies[0].envelope.as_mut().unwrap());
        send
    };
    let cases = [
        (with(|envelope| envelope.ephemeral = true), 400, reason::EPHEMERAL_REFUSED),
        (with(|envelope| envelope.ciphertext = vec![1; 69_633].into()), 413, reason::TOO_LARGE),
        (with(|envelope| envelope.ciphertext = Bytes::new()), 400, reason::MALFORMED),
        (with(|envelope| envelope.kind = 3), 400, reason::MALFORMED),
        (with(|envelope| envelope.ttl_s = 2_592_001), 400, reason::MALFORMED),
        (sealpost_wire::Send { client_msg_id: vec![4; 16].into(), ..good.clone() }, 400, reason::MALFORMED),
        (sealpost_wire::Send { roster_version: 2, ..good.clone() }, 409, reason::STALE_ROSTER),
        (sealpost_wire::Send { copies: vec![], ..good.clone() }, 409, reason::MISMATCHED_DEVICES),
        (
            sealpost_wire::Send {
                copies: vec![copy(bob.user, 77, b"1"), copy(bob.user, 77, b"2")],
                ..good.clone()
            },
            409,
            reason::MISMATCHED_DEVICES,
        ),
        (
            sealpost_wire::Send { copies: vec![copy(bob.user, 76, b"1")], ..good.clone() },
            410,
            reason::STALE_DEVICES,
        ),
    ];
    for (send, status, reason) in cases {
        world.send(&alice, &send).await.refused(status, reason);
    }
    assert_eq!(world.send(&alice, &good).await.status, 201, "none of them used up the id");
    world.relay.shutdown().await;
}

#[tokio::test]
async fn the_largest_ciphertext_still_fits_into_its_delivery() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let mut alices = Socket::connect(&world, &alice).await;
    let mut bobs = Socket::connect(&world, &bob).await;
    let largest = vec![1; sealpost_wire::limits::MAX_CIPHERTEXT];
    let Body::SendAck(_) = alices.ask(Body::Send(world.message(thread, &bob, &largest))).await else {
        panic!()
    };
    let deliver = bobs.deliver().await;
    assert!(Frame { v: 1, id: 0, body: Some(Body::Deliver(deliver)) }.encoded_len() <= 98_304);
    world.end((alices, bobs)).await;
}

#[tokio::test]
async fn keys_are_checked_for_form_and_for_reuse() {
    let world = World::start().await;
    let alice = world.register_with(keys(0, 100)).await;
    let put = async |upload: KeyUpload| world.put("/v1/keys", Some(&alice), &upload).await;
    let bad = [
        KeyUpload { one_time: (200..301).map(ec).collect(), ..KeyUpload::default() },
        KeyUpload { one_time: vec![ec(200), ec(200)], ..KeyUpload::default() },
        KeyUpload {
            last_resort_kem: Some(sealpost_wire::SignedKey { id: 1, ..ec_signed() }),
            ..KeyUpload::default()
        },
    ];
    for upload in bad {
        put(upload).await.refused(422, reason::BAD_KEYS);
    }
    // The same key may be uploaded again, and is not restored; another key with an old id is refused.
    assert_eq!(put(keys(0, 100)).await.status, 200);
    let another = KeyUpload {
        one_time_kem: vec![sealpost_wire::SignedKey { id: 5, ..kem(6) }],
        ..KeyUpload::default()
    };
    put(another).await.refused(409, reason::KEY_ID_USED);
    assert_eq!(world.take(&alice, &alice, "1").await.bundle().one_time, Some(ec(0)));
    let counts: sealpost_wire::KeyCounts = put(keys(0, 100)).await.body();
    assert_eq!((counts.ec, counts.kem), (99, 99));
    let counts: sealpost_wire::KeyCounts = put(keys(100, 100)).await.body();
    assert_eq!((counts.ec, counts.kem), (199, 199));
    world.relay.shutdown().await;
}

fn ec_signed() -> sealpost_wire::SignedKey {
    sealpost_wire::SignedKey { id: 1, public_key: ec(1).public_key, signature: vec![7; 64].into() }
}
