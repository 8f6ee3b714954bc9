//! The main path: two users register, create a thread, and exchange messages over the socket and over HTTP.

use sealpost_wire::frame::Body;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::send_ack::Status;
use sealpost_wire::{Ack, AckOk, Deliver, InboxPage, Ping, QueueEmpty, SendAck, Sync, Thread, reason};

use crate::common::socket::{Read, Socket, hello};
use crate::common::{START_MS, World, copy};

#[tokio::test]
async fn a_message_is_delivered_and_removed_when_acknowledged() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let mut alices = Socket::connect(&world, &alice).await;
    let mut bobs = Socket::connect(&world, &bob).await;

    let send = world.message(thread, &bob, b"sealed");
    let Body::SendAck(ack) = alices.ask(Body::Send(send.clone())).await else { panic!() };
    assert_eq!((ack.server_seq, ack.status(), ack.epoch), (1, Status::Stored, 1));

    let deliver = bobs.deliver().await;
    assert_eq!(deliver.envelope.as_ref().unwrap().ciphertext, b"sealed"[..]);
    assert_eq!((deliver.sender_user_id.clone(), deliver.sender_device_id), (alice.user.to_wire(), 1));
    assert_eq!((deliver.attempt, deliver.hlc, deliver.epoch), (1, ack.hlc, 1));
    assert_eq!(deliver.client_msg_id, send.client_msg_id);

    assert_eq!(bobs.acknowledge(vec![deliver.key.clone().unwrap()]).await, 1);
    assert_eq!(bobs.acknowledge(vec![deliver.key.unwrap()]).await, 0);
    let page: InboxPage = world.get("/v1/inbox", Some(&bob)).await.body();
    assert!(page.rows.is_empty());
    world.end((alices, bobs)).await;
}

#[tokio::test]
async fn unacknowledged_rows_are_delivered_again_after_a_reconnect_or_restart() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    for text in [b"one", b"two"] {
        assert_eq!(world.send(&alice, &world.message(thread, &bob, text)).await.status, 201);
    }
    let mut bobs = Socket::connect(&world, &bob).await;
    assert_eq!(bobs.deliver().await.attempt, 1);
    let second = bobs.deliver().await;
    assert_eq!(bobs.acknowledge(vec![second.key.unwrap()]).await, 1);
    let mut again = Socket::connect(&world, &bob).await;
    let first = again.deliver().await;
    assert_eq!(first.key.as_ref().unwrap().server_seq, 1);
    drop((bobs, again));

    let world = world.restart().await;
    let mut bobs = Socket::connect(&world, &bob).await;
    bobs.send(Body::Sync(Sync { inbox: true, threads: vec![] })).await;
    assert_eq!(bobs.deliver().await, Deliver { attempt: 2, ..first.clone() });
    let empty = QueueEmpty { drained: 1, hlc: first.hlc };
    assert_eq!(bobs.frame().await, (0, Body::QueueEmpty(empty)));
    world.end(bobs).await;
}

#[tokio::test]
async fn messages_can_be_sent_read_and_acknowledged_over_http() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let send = world.message(thread, &bob, b"sealed");
    let stored = world.send(&alice, &send).await;
    let again = world.send(&alice, &send).await;
    assert_eq!((stored.status, again.status), (201, 200));
    let (stored, again): (SendAck, SendAck) = (stored.body(), again.body());
    assert_eq!(again, SendAck { status: Status::Duplicate.into(), ..stored });

    let mut other = send.clone();
    other.copies = vec![copy(bob.user, 77, b"another")];
    world.send(&alice, &other).await.refused(409, reason::MSG_ID_REUSE);

    world.send(&bob, &world.message(thread, &alice, b"answer")).await;
    for text in [b"3", b"4"] {
        world.send(&alice, &world.message(thread, &bob, text)).await;
    }
    let page: InboxPage = world.get("/v1/inbox?limit=2", Some(&bob)).await.body();
    let seqs: Vec<_> = page.rows.iter().map(|row| row.key.as_ref().unwrap().server_seq).collect();
    assert_eq!((seqs, page.more), (vec![1, 3], true));
    let rest: InboxPage = world.get(&format!("/v1/inbox?after={thread}:3"), Some(&bob)).await.body();
    assert_eq!((rest.rows.len(), rest.more), (1, false));

    let ack = Ack { keys: page.rows.into_iter().map(|row| row.key.unwrap()).collect(), trimmed: 0 };
    let ok: AckOk = world.post("/v1/inbox:ack", Some(&bob), &ack).await.body();
    assert_eq!(ok.removed, 2);
    let shown: Thread = world.get(&format!("/v1/threads/{thread}"), Some(&bob)).await.body();
    assert_eq!((shown.last_seq, shown.roster_version, shown.member_user_ids.len()), (4, 1, 2));
    world.relay.shutdown().await;
}

#[tokio::test]
async fn two_users_have_one_direct_thread() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let request = sealpost_wire::CreateThread {
        peer_user_id: alice.user.to_wire(),
        ..sealpost_wire::CreateThread::default()
    };
    let answer = world.post("/v1/threads", Some(&bob), &request).await;
    answer.refused(409, reason::EXISTING_THREAD);
    assert_eq!(answer.error().thread_id, thread.to_wire());
    world.relay.shutdown().await;
}

#[tokio::test]
async fn pipelined_sends_are_answered_in_order() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let mut alices = Socket::connect(&world, &alice).await;
    let mut ids = Vec::new();
    for _ in 0..200 {
        ids.push(alices.send(Body::Send(world.message(thread, &bob, b"x"))).await);
    }
    for (seq, id) in (1..).zip(ids) {
        let (reply, body) = alices.frame().await;
        let Body::SendAck(ack) = body else { panic!("{body:?}") };
        assert_eq!((reply, ack.server_seq), (id, seq));
    }
    world.end(alices).await;
}

#[tokio::test]
async fn the_welcome_contains_the_settings_of_the_connection() {
    let world = World::start().await;
    let alice = world.register().await;
    let (socket, welcome) = Socket::connect_with(&world, hello(&alice)).await;
    assert_eq!(welcome.max_frame, 98_304);
    assert_eq!((welcome.epoch, welcome.epoch_changed, welcome.needs_full_sync), (1, false, false));
    assert_eq!(welcome.access_expires_ms, alice.tokens.access_expires_ms);
    assert_eq!(welcome.server_time_ms, START_MS);
    world.end(socket).await;
}

#[tokio::test]
async fn a_message_of_a_client_that_disconnects_reaches_a_connected_recipient() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let mut bobs = Socket::connect(&world, &bob).await;
    let mut alices = Socket::connect(&world, &alice).await;
    for _ in 0..20 {
        alices.send(Body::Send(world.message(thread, &bob, b"sealed"))).await;
    }
    alices.raw.close(None).await.unwrap();
    for seq in 1..=20 {
        assert_eq!(bobs.deliver().await.key.unwrap().server_seq, seq);
    }
    world.end((bobs, alices)).await;
}

/// An app and its notification extension, and extensions that have ended without the relay having noticed it.
#[tokio::test]
async fn a_device_has_four_connections_at_once_and_a_fifth_ends_the_oldest() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let mut app = Socket::connect(&world, &bob).await;
    let mut extension = Socket::connect(&world, &bob).await;
    for text in [b"one", b"two"] {
        assert_eq!(world.send(&alice, &world.message(thread, &bob, text)).await.status, 201);
        let (to_app, to_extension) = (app.deliver().await, extension.deliver().await);
        assert_eq!(to_app.client_msg_id, to_extension.client_msg_id);
        // The second connection acknowledges a row that was already removed.
        assert_eq!(extension.acknowledge(vec![to_extension.key.unwrap()]).await, 1);
        assert_eq!(app.acknowledge(vec![to_app.key.unwrap()]).await, 0);
    }
    let earlier = [Socket::connect(&world, &bob).await, Socket::connect(&world, &bob).await];
    let Body::Pong(_) = app.ask(Body::Ping(Ping { t: 1 })).await else { panic!() };
    let mut newest = Socket::connect(&world, &bob).await;
    assert_eq!(app.read().await, Read::Closed(4409));
    assert_eq!(world.send(&alice, &world.message(thread, &bob, b"three")).await.status, 201);
    let (one, other) = (extension.deliver().await, newest.deliver().await);
    assert_eq!(one.key, other.key);
    world.end((app, extension, earlier, newest)).await;
}
