//! The order of a thread and exactly-once storage of a message, under repetition and concurrency.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use sealpost_relay::limits::{Name, Rate};
use sealpost_wire::frame::Body;
use sealpost_wire::id::ClientMsgId;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::send_ack::Status;
use sealpost_wire::{InboxPage, Send, SendAck, reason};

use crate::common::socket::Socket;
use crate::common::{START_MS, World};

const DAY: Duration = Duration::from_secs(24 * 3_600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_sent_a_thousand_times_concurrently_is_stored_once() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let send = world.message(thread, &bob, b"sealed");
    let mut alices = Socket::connect(&world, &alice).await;
    for _ in 0..500 {
        alices.send(Body::Send(send.clone())).await;
    }
    let mut acks: Vec<SendAck> = Vec::new();
    for chunk in 0..10 {
        let answers = join_all((0..50).map(|_| world.send(&alice, &send))).await;
        acks.extend(answers.iter().map(|answer| answer.body::<SendAck>()));
        assert!(chunk == 0 || answers.iter().all(|answer| answer.status == 200));
    }
    for _ in 0..500 {
        let (_, Body::SendAck(ack)) = alices.frame().await else { panic!() };
        acks.push(ack);
    }
    assert_eq!(acks.iter().filter(|ack| ack.status() == Status::Stored).count(), 1);
    let places: BTreeSet<_> = acks.iter().map(|ack| (ack.server_seq, ack.hlc)).collect();
    assert_eq!(places.len(), 1);
    let page: InboxPage = world.get("/v1/inbox", Some(&bob)).await.body();
    assert_eq!(page.rows.len(), 1);
    world.end(alices).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sequence_numbers_have_no_gap_with_several_senders() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let mut answers = Vec::new();
    for _ in 0..10 {
        let here: Vec<_> = (0..10).map(|_| world.message(thread, &bob, b"a")).collect();
        let there: Vec<_> = (0..10).map(|_| world.message(thread, &alice, b"b")).collect();
        // Sends that are refused in between must not use up a number.
        let stale = Send { roster_version: 9, ..world.message(thread, &bob, b"c") };
        let here = here.iter().chain([&stale]).map(|send| world.send(&alice, send));
        let there = there.iter().map(|send| world.send(&bob, send));
        let (here, there) = tokio::join!(join_all(here), join_all(there));
        answers.extend(here.into_iter().chain(there));
    }
    let acks = answers.iter().filter(|answer| answer.status == 201).map(|answer| answer.body::<SendAck>());
    let mut places: Vec<_> = acks.map(|ack| (ack.server_seq, ack.hlc)).collect();
    places.sort_unstable();
    let seqs: Vec<_> = places.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs, (1..=200).collect::<Vec<_>>());
    assert!(
        places.is_sorted_by(|(_, a), (_, b)| a < b),
        "clock values of a thread increase with its sequence numbers"
    );
    world.relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_refusal_later_sends_of_the_thread_are_refused_until_one_resumes_it() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let cleo = world.register().await;
    let other = world.thread(&alice, &cleo).await;
    let message = || world.message(thread, &bob, b"sealed");
    let (first, second, third) = (message(), message(), message());
    let stale = Send { roster_version: 9, ..second.clone() };
    let resuming = |send: &Send| Send { resume: true, ..send.clone() };
    let mut alices = Socket::connect(&world, &alice).await;
    // All of them are in flight at the same time.
    let sends = [
        first.clone(),
        stale.clone(),
        third.clone(),
        world.message(other, &cleo, b"sealed"),
        first.clone(),
        resuming(&stale),
        third.clone(),
        resuming(&second),
        third.clone(),
        resuming(&third),
        first.clone(),
    ];
    for send in sends {
        alices.send(Body::Send(send)).await;
    }
    let mut answers = Vec::new();
    for _ in 0..11 {
        answers.push(match alices.frame().await {
            (_, Body::SendAck(ack)) => (ack.server_seq, ack.status().as_str_name().to_owned()),
            (_, Body::Error(error)) => (0, error.reason),
            (_, other) => panic!("{other:?}"),
        });
    }
    let expected = [
        (1, "STORED"),
        (0, reason::STALE_ROSTER),
        (0, reason::LANE_STOPPED),
        (1, "STORED"),
        // It was stored before the lane stopped, and does not resume it.
        (1, "DUPLICATE"),
        (0, reason::STALE_ROSTER),
        (0, reason::LANE_STOPPED),
        (2, "STORED"),
        (3, "STORED"),
        // Whether a send resumes its lane is not part of the message.
        (3, "DUPLICATE"),
        (1, "DUPLICATE"),
    ];
    assert_eq!(answers, expected.map(|(seq, what)| (seq, what.to_owned())));
    // Another connection is not affected by it, and neither is HTTP.
    alices.send(Body::Send(Send { roster_version: 9, ..message() })).await;
    let (_, Body::Error(_)) = alices.frame().await else { panic!() };
    assert_eq!(world.send(&alice, &message()).await.status, 201);
    let mut again = Socket::connect(&world, &alice).await;
    let Body::SendAck(ack) = again.ask(Body::Send(message())).await else { panic!() };
    assert_eq!(ack.server_seq, 5);
    world.end(alices).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lookup_says_whether_a_message_was_stored_and_stores_nothing() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let (stored, unknown) = (world.message(thread, &bob, b"1"), world.message(thread, &bob, b"2"));
    let lookup = |send: &Send| Send { lookup: true, ..send.clone() };
    let mut alices = Socket::connect(&world, &alice).await;
    let Body::SendAck(first) = alices.ask(Body::Send(stored.clone())).await else { panic!() };
    let Body::SendAck(again) = alices.ask(Body::Send(lookup(&stored))).await else { panic!() };
    assert_eq!((again.status(), again.server_seq), (Status::Duplicate, first.server_seq));
    // It says so without the lane having been stopped before, and also over HTTP.
    let Body::Error(error) = alices.ask(Body::Send(lookup(&unknown))).await else { panic!() };
    assert_eq!(error.reason, reason::LANE_STOPPED);
    world.send(&alice, &lookup(&unknown)).await.refused(409, reason::LANE_STOPPED);
    let Body::SendAck(ack) = alices.ask(Body::Send(Send { resume: true, ..unknown })).await else { panic!() };
    assert_eq!((ack.status(), ack.server_seq), (Status::Stored, 2));
    world.end(alices).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_on_a_connection_is_not_stored_once_its_device_sends_on_a_newer_one() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let message = || world.message(thread, &bob, b"sealed");
    let mut before = Socket::connect(&world, &alice).await;
    let Body::SendAck(_) = before.ask(Body::Send(message())).await else { panic!() };
    let mut now = Socket::connect(&world, &alice).await;
    // A newer one alone changes nothing: it may be that of the extension that handles a push notification.
    let Body::SendAck(_) = before.ask(Body::Send(message())).await else { panic!() };
    let Body::SendAck(ack) = now.ask(Body::Send(message())).await else { panic!() };
    assert_eq!(ack.server_seq, 3);
    before.send(Body::Send(message())).await;
    assert_eq!(before.closed().await, 4409);
    let Body::SendAck(ack) = now.ask(Body::Send(message())).await else { panic!() };
    assert_eq!(ack.server_seq, 4);
    world.end(now).await;
}

#[tokio::test]
async fn the_clock_of_a_thread_grows_when_the_wall_clock_steps_back() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let first: SendAck = world.send(&alice, &world.message(thread, &bob, b"1")).await.body();
    world.clock.step_back(Duration::from_secs(3_600));
    let second: SendAck = world.send(&alice, &world.message(thread, &bob, b"2")).await.body();
    assert_eq!((first.hlc >> 16, second.hlc), (START_MS, first.hlc + 1));
    world.relay.shutdown().await;
}

#[tokio::test]
async fn message_ids_are_accepted_from_seven_days_ago_to_an_hour_ahead() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let at = |ms: u64| Send {
        client_msg_id: ClientMsgId::new(ms, &[1; 10]).to_wire(),
        ..world.message(thread, &bob, b"sealed")
    };
    const WEEK_MS: u64 = 7 * 24 * 3_600_000;
    assert_eq!(world.send(&alice, &at(START_MS - WEEK_MS)).await.status, 201);
    world.send(&alice, &at(START_MS - WEEK_MS - 1)).await.refused(400, reason::CLOCK_SKEW);
    assert_eq!(world.send(&alice, &at(START_MS + 3_600_000)).await.status, 201);
    world.send(&alice, &at(START_MS + 3_600_001)).await.refused(400, reason::CLOCK_SKEW);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_known_message_id_is_answered_at_any_clock_time() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let send = world.message(thread, &bob, b"sealed");
    let first: SendAck = world.send(&alice, &send).await.body();
    // The clock was wrong by hours and is corrected. A week passes afterwards.
    world.clock.step_back(Duration::from_secs(3 * 3_600));
    let again: SendAck = world.send(&alice, &send).await.body();
    assert_eq!((again.status(), again.server_seq), (Status::Duplicate, first.server_seq));
    world.clock.advance(7 * DAY + Duration::from_secs(3 * 3_600 + 60));
    let alice = refreshed(&world, &alice).await;
    let again: SendAck = world.send(&alice, &send).await.body();
    assert_eq!((again.status(), again.server_seq), (Status::Duplicate, first.server_seq));
    world.relay.shutdown().await;
}

async fn refreshed(world: &World, party: &crate::common::Party) -> crate::common::Party {
    let request = sealpost_wire::RefreshRequest {
        refresh_token: party.tokens.refresh_token.clone(),
        ..sealpost_wire::RefreshRequest::default()
    };
    let tokens = world.post("/v1/auth/refresh", None, &request).await.body();
    crate::common::Party { tokens, ..party.clone() }
}

#[tokio::test]
async fn a_row_expires_at_the_time_set_by_its_sender() {
    let world = World::start().await;
    let (alice, bob, thread) = world.pair().await;
    let mut short = world.message(thread, &bob, b"short");
    short.copies[0].envelope.as_mut().unwrap().ttl_s = 60;
    world.send(&alice, &short).await;
    world.send(&alice, &world.message(thread, &bob, b"long")).await;
    world.clock.advance(Duration::from_secs(59));
    let page: InboxPage = world.get("/v1/inbox", Some(&bob)).await.body();
    assert_eq!(page.rows.len(), 2);
    world.clock.advance(Duration::from_secs(1));
    let page: InboxPage = world.get("/v1/inbox", Some(&bob)).await.body();
    assert_eq!(page.rows.len(), 1);
    assert_eq!(page.rows[0].key.as_ref().unwrap().server_seq, 2);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn sends_above_the_limit_get_the_time_to_wait() {
    let world = World::start_with(|config| {
        config.limits.set(Name::SendBytes, Some(Rate::new(1, 1, Duration::from_millis(2_500))));
    })
    .await;
    let (alice, bob, thread) = world.pair().await;
    assert_eq!(world.send(&alice, &world.message(thread, &bob, b"x")).await.status, 201);
    // It is delayed by at most a second.
    let answer = world.send(&alice, &world.message(thread, &bob, b"x")).await;
    answer.refused(429, reason::RATE_LIMITED);
    assert_eq!(answer.error().retry_after_ms, 1_500);
    assert_eq!(answer.headers["retry-after"], "2");
    world.clock.advance(Duration::from_millis(1_500));
    assert_eq!(world.send(&alice, &world.message(thread, &bob, b"x")).await.status, 201);
    world.relay.shutdown().await;
}
