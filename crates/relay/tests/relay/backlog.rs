//! Mailboxes that are full, consumers that are slow, and what live connections get meanwhile.

use std::time::Duration;

use sealpost_wire::frame::Body;
use sealpost_wire::{Ack, Credit, InboxKey, QueueEmpty, Sync, ThreadCursor};

use crate::common::socket::{Socket, hello};
use crate::common::{Party, World};

async fn fill(
    world: &World,
    from: &Party,
    to: &Party,
    thread: sealpost_wire::id::ThreadId,
    rows: usize,
    bytes: usize,
) {
    let mut socket = Socket::connect(world, from).await;
    for chunk in (0..rows).collect::<Vec<_>>().chunks(50) {
        for _ in chunk {
            socket.send(Body::Send(world.message(thread, to, &vec![7; bytes]))).await;
        }
        for _ in chunk {
            let (_, Body::SendAck(_)) = socket.frame().await else { panic!() };
        }
    }
}

fn sync() -> Body {
    Body::Sync(Sync { inbox: true, threads: vec![] })
}

/// Reads a whole mailbox and acknowledges as it goes; the seqs in the order in which they came.
async fn drain(socket: &mut Socket) -> (Vec<u64>, QueueEmpty) {
    let mut seqs = Vec::new();
    let mut unacked: Vec<InboxKey> = Vec::new();
    loop {
        match socket.frame().await.1 {
            Body::Deliver(deliver) => {
                let key = deliver.key.unwrap();
                seqs.push(key.server_seq);
                unacked.push(key);
                if unacked.len() == 64 {
                    socket.send(Body::Ack(Ack { keys: std::mem::take(&mut unacked) })).await;
                }
            }
            Body::AckOk(_) => {}
            Body::QueueEmpty(empty) => return (seqs, empty),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_is_drained_in_order_through_a_small_window() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    fill(&world, &alice, &bob, thread, 1_500, 300).await;
    let mut hello = hello(&bob);
    hello.credit = 100;
    let (mut bobs, _) = Socket::connect_with(&world, hello).await;
    bobs.send(sync()).await;
    let (seqs, empty) = drain(&mut bobs).await;
    assert_eq!(seqs, (1..=1_500).collect::<Vec<_>>());
    assert_eq!(empty.drained, 1_500);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn the_window_holds_frames_and_bytes_back_until_they_are_acknowledged() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    fill(&world, &alice, &bob, thread, 6, 1_000).await;
    // Room for two frames and a half.
    let mut by_bytes = hello(&bob);
    by_bytes.max_batch_bytes = 2_600;
    let mut by_frames = hello(&bob);
    by_frames.credit = 2;
    for hello in [by_bytes, by_frames.clone()] {
        let (mut bobs, _) = Socket::connect_with(&world, hello).await;
        let first = bobs.deliver().await.key.unwrap();
        assert_eq!((first.server_seq, bobs.deliver().await.key.unwrap().server_seq), (1, 2));
        // The answer to a ping overtakes what is held back, and nothing else comes.
        let Body::Pong(_) = bobs.ask(Body::Ping(sealpost_wire::Ping { t: 1 })).await else { panic!() };
    }
    let (mut bobs, _) = Socket::connect_with(&world, by_frames).await;
    bobs.deliver().await;
    let second = bobs.deliver().await.key.unwrap();
    assert_eq!(bobs.acknowledge(vec![second]).await, 1);
    assert_eq!(bobs.deliver().await.key.unwrap().server_seq, 3);
    bobs.send(Body::Credit(Credit { more: 1 })).await;
    assert_eq!(bobs.deliver().await.key.unwrap().server_seq, 4);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_slow_consumer_is_closed_and_loses_nothing() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    fill(&world, &alice, &bob, thread, 3, 100).await;
    let mut hello = hello(&bob);
    hello.credit = 1;
    let (mut bobs, _) = Socket::connect_with(&world, hello.clone()).await;
    let first = bobs.deliver().await.key.unwrap();
    world.clock.advance(Duration::from_secs(59));
    // Still there, and its time starts anew with each acknowledgement.
    assert_eq!(bobs.acknowledge(vec![first]).await, 1);
    bobs.deliver().await;
    world.clock.advance(Duration::from_secs(59));
    let Body::Pong(_) = bobs.ask(Body::Ping(sealpost_wire::Ping { t: 1 })).await else { panic!() };
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(bobs.closed().await, 4408);

    let mut bobs = Socket::connect(&world, &bob).await;
    bobs.send(sync()).await;
    assert_eq!(drain(&mut bobs).await.0, [2, 3]);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_gap_is_filled_from_the_thread() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let other = world.register().await;
    let elsewhere = world.thread(&other, &bob).await;
    fill(&world, &other, &bob, elsewhere, 1, 10).await;
    fill(&world, &alice, &bob, thread, 5, 10).await;
    let mut bobs = Socket::connect(&world, &bob).await;
    for _ in 0..6 {
        bobs.deliver().await;
    }
    let cursor = ThreadCursor { thread_id: thread.to_wire(), after_seq: 2, limit: 2 };
    bobs.send(Body::Sync(Sync { inbox: false, threads: vec![cursor] })).await;
    for seq in [3, 4] {
        let deliver = bobs.deliver().await;
        let key = InboxKey { thread_id: thread.to_wire(), server_seq: seq };
        assert_eq!((deliver.key, deliver.attempt), (Some(key), 2));
    }
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_client_may_ask_for_everything_again() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let mut bobs = Socket::connect(&world, &bob).await;
    bobs.send(sync()).await;
    assert_eq!(drain(&mut bobs).await.0, [] as [u64; 0]);
    world.send(&alice, &world.message(thread, &bob, b"x")).await;
    assert_eq!(bobs.deliver().await.key.unwrap().server_seq, 1);
    bobs.send(sync()).await;
    let (seqs, empty) = drain(&mut bobs).await;
    assert_eq!((seqs, empty.drained), (vec![1], 1));
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_row_that_nobody_told_of_is_found_within_half_a_minute() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let mut bobs = Socket::connect(&world, &bob).await;
    fill(&world, &alice, &bob, thread, 1, 10).await;
    assert_eq!(bobs.deliver().await.key.unwrap().server_seq, 1);
    // As if its wake-up had been lost: written behind the back of the relay.
    let db = rusqlite::Connection::open(world.folder.path().join("relay.db")).unwrap();
    let columns =
        "user_id, device_id, thread_id, hlc, sender_user, sender_device, client_msg_id, roster_version,
        kind, urgent, ttl_s, expires_ms, ciphertext";
    let copied = format!("INSERT INTO inbox (server_seq, {columns}) SELECT 2, {columns} FROM inbox");
    assert_eq!(db.execute(&copied, []).unwrap(), 1);

    world.clock.advance(Duration::from_secs(29));
    let Body::Pong(_) = bobs.ask(Body::Ping(sealpost_wire::Ping { t: 1 })).await else { panic!() };
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(bobs.deliver().await.key.unwrap().server_seq, 2);
    world.relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_over_64_mib_loses_its_oldest_rows_and_says_so() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    // 1,049 rows of 64,000 bytes are 67.1 MB; 1,048 fit into 64 MiB.
    fill(&world, &alice, &bob, thread, 1_049, 64_000).await;
    let (mut bobs, welcome) = Socket::connect_with(&world, hello(&bob)).await;
    assert!(welcome.needs_full_sync);
    bobs.send(sync()).await;
    let mut seqs = Vec::new();
    loop {
        match bobs.frame().await.1 {
            Body::Deliver(deliver) => {
                let key = deliver.key.unwrap();
                seqs.push(key.server_seq);
                bobs.send(Body::Ack(Ack { keys: vec![key] })).await;
            }
            Body::AckOk(_) => {}
            Body::QueueEmpty(_) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seqs, (2..=1_049).collect::<Vec<_>>());
    assert_eq!(bobs.acknowledge(vec![]).await, 0);
    let (_again, welcome) = Socket::connect_with(&world, hello(&bob)).await;
    assert!(!welcome.needs_full_sync, "it was told, and has drained what is left");
    world.relay.shutdown().await;
}
