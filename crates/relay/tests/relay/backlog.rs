//! Full mailboxes, slow consumers, and the frames that live connections receive.

use std::time::Duration;

use sealpost_wire::frame::Body;
use sealpost_wire::id::ThreadId;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::{
    Ack, AckOk, Credit, Hello, InboxKey, InboxPage, Ping, QueueEmpty, Sync, Synced, ThreadCursor, Trimmed,
};

use crate::common::socket::{Socket, hello};
use crate::common::{Party, World};

async fn fill(world: &World, from: &Party, to: &Party, thread: ThreadId, rows: usize, bytes: usize) {
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

/// Reads a whole mailbox, acknowledging rows, and returns the sequence numbers in order of arrival.
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
                    socket.send(Body::Ack(Ack { keys: std::mem::take(&mut unacked), trimmed: 0 })).await;
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
    world.end(bobs).await;
}

#[tokio::test]
async fn the_window_holds_frames_and_bytes_back_until_they_are_acknowledged() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    fill(&world, &alice, &bob, thread, 6, 1_000).await;
    // Credit for two and a half frames.
    let mut by_bytes = hello(&bob);
    by_bytes.max_batch_bytes = 2_600;
    let mut by_frames = hello(&bob);
    by_frames.credit = 2;
    for hello in [by_bytes, by_frames.clone()] {
        let (mut bobs, _) = Socket::connect_with(&world, hello).await;
        let first = bobs.deliver().await.key.unwrap();
        assert_eq!((first.server_seq, bobs.deliver().await.key.unwrap().server_seq), (1, 2));
        // The answer to a ping is sent before the rows that are held back, and nothing else is sent.
        let Body::Pong(_) = bobs.ask(Body::Ping(Ping { t: 1 })).await else { panic!() };
    }
    let (mut bobs, _) = Socket::connect_with(&world, by_frames).await;
    bobs.deliver().await;
    let second = bobs.deliver().await.key.unwrap();
    assert_eq!(bobs.acknowledge(vec![second]).await, 1);
    assert_eq!(bobs.deliver().await.key.unwrap().server_seq, 3);
    bobs.send(Body::Credit(Credit { more: 1 })).await;
    assert_eq!(bobs.deliver().await.key.unwrap().server_seq, 4);
    world.end(bobs).await;
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
    // The connection is still open, and its time starts again with each acknowledgement.
    assert_eq!(bobs.acknowledge(vec![first]).await, 1);
    bobs.deliver().await;
    world.clock.advance(Duration::from_secs(59));
    let Body::Pong(_) = bobs.ask(Body::Ping(Ping { t: 1 })).await else { panic!() };
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(bobs.closed().await, 4408);

    let mut bobs = Socket::connect(&world, &bob).await;
    bobs.send(sync()).await;
    assert_eq!(drain(&mut bobs).await.0, [2, 3]);
    world.end(bobs).await;
}

fn cursor(thread: ThreadId, after_seq: u64, limit: u32) -> ThreadCursor {
    ThreadCursor { thread_id: thread.to_wire(), after_seq, limit }
}

fn gaps(threads: Vec<ThreadCursor>) -> Body {
    Body::Sync(Sync { inbox: false, threads })
}

#[tokio::test]
async fn requested_rows_are_pushed_before_waiting_rows_as_credit_is_granted() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let other = world.register().await;
    let elsewhere = world.thread(&other, &bob).await;
    fill(&world, &other, &bob, elsewhere, 3, 10).await;
    fill(&world, &alice, &bob, thread, 5, 10).await;
    let (mut bobs, _) = Socket::connect_with(&world, Hello { credit: 2, ..hello(&bob) }).await;
    let first = bobs.deliver().await.key.unwrap();
    let second = bobs.deliver().await.key.unwrap();
    let asked = bobs.send(gaps(vec![cursor(thread, 2, 2)])).await;
    // There is no credit, and the requested rows are not lost.
    let Body::Pong(_) = bobs.ask(Body::Ping(Ping { t: 1 })).await else { panic!() };
    let key = |server_seq| Some(InboxKey { thread_id: thread.to_wire(), server_seq });
    assert_eq!(bobs.acknowledge(vec![first]).await, 1);
    assert_eq!(bobs.deliver().await.key, key(3));
    assert_eq!(bobs.acknowledge(vec![second]).await, 1);
    assert_eq!(bobs.deliver().await.key, key(4));
    assert_eq!(bobs.frame().await, (asked, Body::Synced(Synced {})));
    // Delivery of the mailbox continues where it was, and skips rows that were sent out of turn.
    bobs.send(Body::Credit(Credit { more: 100 })).await;
    let third = InboxKey { thread_id: elsewhere.to_wire(), server_seq: 3 };
    for expected in [Some(third), key(1), key(2), key(5)] {
        assert_eq!(bobs.deliver().await.key, expected);
    }
    world.end(bobs).await;
}

#[tokio::test]
async fn unacknowledged_rows_are_not_pushed_again_on_the_same_connection() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    fill(&world, &alice, &bob, thread, 4, 1_000).await;
    let mut bobs = Socket::connect(&world, &bob).await;
    for seq in 1..=4 {
        assert_eq!(bobs.deliver().await.key.unwrap().server_seq, seq);
    }
    for _ in 0..20 {
        world.clock.advance(Duration::from_secs(1));
        let asked = bobs.send(gaps(vec![cursor(thread, 0, 100); 64])).await;
        assert_eq!(bobs.frame().await, (asked, Body::Synced(Synced {})));
    }
    let empty = Body::QueueEmpty(QueueEmpty { drained: 4, ..QueueEmpty::default() });
    bobs.send(sync()).await;
    let (_, Body::QueueEmpty(told)) = bobs.frame().await else { panic!() };
    assert_eq!(Body::QueueEmpty(QueueEmpty { hlc: 0, ..told }), empty);
    bobs.send(sync()).await;
    assert_eq!(bobs.frame().await, (0, Body::QueueEmpty(QueueEmpty::default())));
    // On another connection they are new.
    let mut again = Socket::connect(&world, &bob).await;
    assert_eq!(again.deliver().await.key.unwrap().server_seq, 1);
    world.end((bobs, again)).await;
}

#[tokio::test]
async fn requesting_rows_grants_no_credit() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    fill(&world, &alice, &bob, thread, 70, 1_000).await;
    let (mut bobs, _) = Socket::connect_with(&world, Hello { credit: 3, ..hello(&bob) }).await;
    // The ranges overlap, and start in the middle.
    let cursors: Vec<_> = (0..64).map(|n| cursor(thread, 63 - n, 100)).collect();
    let asked = bobs.send(gaps(cursors)).await;
    let mut delivered = Vec::new();
    let mut unacked = Vec::new();
    while delivered.len() < 70 {
        match bobs.frame().await {
            (0, Body::Deliver(deliver)) => {
                let key = deliver.key.unwrap();
                delivered.push(key.server_seq);
                unacked.push(key);
                assert!(unacked.len() <= 3);
                if unacked.len() == 3 {
                    assert_eq!(bobs.acknowledge(std::mem::take(&mut unacked)).await, 3);
                }
            }
            (id, Body::Synced(_)) => assert_eq!(id, asked),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(delivered, (1..=70).collect::<Vec<_>>());
    world.end(bobs).await;
}

#[tokio::test]
async fn a_client_with_too_many_pending_requests_is_disconnected() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    fill(&world, &alice, &bob, thread, 2, 10).await;
    let (mut bobs, _) = Socket::connect_with(&world, Hello { credit: 1, ..hello(&bob) }).await;
    bobs.deliver().await;
    bobs.send(gaps((0..64).map(|n| cursor(thread, n, 1)).collect())).await;
    let Body::Pong(_) = bobs.ask(Body::Ping(Ping { t: 1 })).await else { panic!() };
    bobs.send(gaps(vec![cursor(thread, 64, 1)])).await;
    assert_eq!(bobs.closed().await, 4429);
    world.relay.shutdown().await;
}

/// Changes the database of the relay: this many more rows count as trimmed.
fn trim(world: &World, rows: u64) {
    let db = rusqlite::Connection::open(world.folder.path().join("relay.db")).unwrap();
    db.busy_timeout(Duration::from_secs(60)).unwrap();
    assert!(db.execute("UPDATE mailbox SET trimmed = trimmed + ?1", [rows]).unwrap() > 0);
}

fn knows_of(trimmed: u64) -> Body {
    Body::Ack(Ack { keys: vec![], trimmed })
}

#[tokio::test]
async fn trimmed_rows_are_reported_until_the_device_acknowledges_the_report() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let (mut bobs, welcome) = Socket::connect_with(&world, Hello { credit: 1, ..hello(&bob) }).await;
    assert_eq!((welcome.needs_full_sync, welcome.trimmed), (false, 0));
    trim(&world, 3);
    fill(&world, &alice, &bob, thread, 2, 10).await;
    assert_eq!(bobs.frame().await, (0, Body::Trimmed(Trimmed { total: 3 })));
    assert_eq!(bobs.deliver().await.key.unwrap().server_seq, 1);
    // The report is also sent while there is no credit for rows.
    trim(&world, 2);
    assert_eq!(bobs.frame().await, (0, Body::Trimmed(Trimmed { total: 5 })));
    drop(bobs);
    // It may not have received the report, which is therefore repeated, also over HTTP.
    let (mut bobs, welcome) = Socket::connect_with(&world, hello(&bob)).await;
    assert_eq!((welcome.needs_full_sync, welcome.trimmed), (true, 5));
    let page: InboxPage = world.get("/v1/inbox", Some(&bob)).await.body();
    assert_eq!((page.needs_full_sync, page.trimmed), (true, 5));
    bobs.deliver().await;
    bobs.deliver().await;
    assert_eq!(bobs.ask(knows_of(3)).await, Body::AckOk(AckOk::default()));
    let (_, welcome) = Socket::connect_with(&world, hello(&bob)).await;
    assert_eq!((welcome.needs_full_sync, welcome.trimmed), (true, 5), "it has acknowledged three");
    let ack = Ack { keys: vec![], trimmed: 5 };
    assert_eq!(world.post("/v1/inbox:ack", Some(&bob), &ack).await.status, 200);
    let (mut bobs, welcome) = Socket::connect_with(&world, hello(&bob)).await;
    assert_eq!((welcome.needs_full_sync, welcome.trimmed), (false, 5));
    let page: InboxPage = world.get("/v1/inbox", Some(&bob)).await.body();
    assert!(!page.needs_full_sync);
    // It cannot know of rows that have not been trimmed yet.
    bobs.deliver().await;
    bobs.deliver().await;
    assert_eq!(bobs.ask(knows_of(u64::MAX)).await, Body::AckOk(AckOk::default()));
    trim(&world, 1);
    let (_, welcome) = Socket::connect_with(&world, hello(&bob)).await;
    assert_eq!((welcome.needs_full_sync, welcome.trimmed), (true, 6));
    world.end(bobs).await;
}

#[tokio::test]
async fn a_row_without_a_wake_up_is_found_within_half_a_minute() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let mut bobs = Socket::connect(&world, &bob).await;
    fill(&world, &alice, &bob, thread, 1, 10).await;
    assert_eq!(bobs.deliver().await.key.unwrap().server_seq, 1);
    // The row is written directly into the database, as if its wake-up had been lost.
    let db = rusqlite::Connection::open(world.folder.path().join("relay.db")).unwrap();
    let columns =
        "user_id, device_id, thread_id, hlc, sender_user, sender_device, client_msg_id, roster_version,
        kind, urgent, ttl_s, expires_ms, ciphertext";
    let copied = format!("INSERT INTO inbox (server_seq, {columns}) SELECT 2, {columns} FROM inbox");
    assert_eq!(db.execute(&copied, []).unwrap(), 1);

    world.clock.advance(Duration::from_secs(29));
    let Body::Pong(_) = bobs.ask(Body::Ping(Ping { t: 1 })).await else { panic!() };
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(bobs.deliver().await.key.unwrap().server_seq, 2);
    world.end(bobs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_over_64_mib_loses_its_oldest_rows_and_reports_it() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    // 1,049 rows that count 64,000 bytes each are 67.1 MB; 1,048 fit into 64 MiB.
    fill(&world, &alice, &bob, thread, 1_049, 64_000 - 256).await;
    let (mut bobs, welcome) = Socket::connect_with(&world, hello(&bob)).await;
    assert!(welcome.needs_full_sync);
    bobs.send(sync()).await;
    let mut seqs = Vec::new();
    loop {
        match bobs.frame().await.1 {
            Body::Deliver(deliver) => {
                let key = deliver.key.unwrap();
                seqs.push(key.server_seq);
                bobs.send(Body::Ack(Ack { keys: vec![key], trimmed: 0 })).await;
            }
            Body::AckOk(_) => {}
            Body::QueueEmpty(_) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seqs, (2..=1_049).collect::<Vec<_>>());
    assert_eq!(bobs.acknowledge(vec![]).await, 0);
    let (mut again, welcome) = Socket::connect_with(&world, hello(&bob)).await;
    assert!(welcome.needs_full_sync, "draining the mailbox does not acknowledge the report");
    assert_eq!(again.ask(knows_of(welcome.trimmed)).await, Body::AckOk(AckOk::default()));
    let (once_more, welcome) = Socket::connect_with(&world, hello(&bob)).await;
    assert!(!welcome.needs_full_sync);
    world.end((bobs, again, once_more)).await;
}
