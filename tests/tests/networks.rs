//! Networks that fail silently, come back, or never keep a connection for long.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sealpost_core::{ConnectionState, Delivery, Direction, Event, MessageId, Thread};
use sealpost_testkit::{Line, ManualClock, Meddle, Party, Proxy, World, eventually, within};
use sealpost_wire::Frame;
use sealpost_wire::frame::Body;

async fn sent(party: &Party, thread: &Thread, id: MessageId) {
    party.message_reaches(thread, id, |state| *state != Direction::Outgoing(Delivery::Queued)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_died_silently_is_replaced_when_the_app_says_that_the_network_changed() {
    let world = World::start().await;
    let line = Line::start(world.addr()).await;
    let ada = world.disk("ada").through(&line.url()).come().await;
    let cyd = world.disk("cyd").through(&line.url()).come().await;
    let ben = world.party("ben").await;
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    ada.live().await;
    cyd.live().await;
    line.cut();
    ada.client.reconnect();
    let out = hers.send_text("out").await.unwrap();
    his.send_text("in").await.unwrap();
    sent(&ada, &hers, out.id).await;
    ada.texts_when(&hers, 2).await;
    // Without the hint, it would take the heartbeat, many times as long.
    assert_eq!(cyd.client.connection_state(), ConnectionState::Live);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_ends_an_attempt_that_hangs() {
    let world = World::start().await;
    let line = Line::start(world.addr()).await;
    let mut disks = Vec::new();
    for name in ["ada", "cyd"] {
        disks.push(world.disk(name).through(&line.url()).come().await.close().await);
    }
    line.swallow(true);
    let mut parties = Vec::new();
    for disk in disks {
        let before = line.connections();
        parties.push(disk.open().await);
        eventually("an attempt", async || (line.connections() > before).then_some(())).await;
    }
    // The first attempt of each, and the second one that is started in parallel when it hangs.
    let hanging = line.connections();
    eventually("second attempts", async || (line.connections() >= hanging + 2).then_some(())).await;
    line.swallow(false);
    let [ada, cyd] = &parties[..] else { panic!() };
    ada.client.reconnect();
    ada.live().await;
    // Without the hint, the attempts hang until they time out.
    assert_eq!(cyd.client.connection_state(), ConnectionState::Connecting);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_on_a_connection_that_died_silently_is_repeated_on_a_new_one() {
    let world = World::start().await;
    let line = Line::start(world.addr()).await;
    let ada = world.disk("ada").through(&line.url()).come().await;
    let (ben, cyd) = (world.party("ben").await, world.party("cyd").await);
    ada.thread_with(&ben).await;
    ada.live().await;
    let mut events = ada.client.events();
    line.cut();
    // Nobody has reported a change of the network. Without the repetition, the call would time out.
    ada.client.direct_thread(cyd.client.user_id()).await.unwrap();
    // The call's result is passed on to the socket.
    let ended = async {
        while !matches!(events.next().await, Some(Ok(Event::Connection(ConnectionState::Offline)))) {}
    };
    within("the dead connection ends", ended).await;
    ada.live().await;
}

/// Ends every connection as soon as nothing is waiting on it.
struct Cut(Arc<AtomicBool>);

impl Meddle for Cut {
    fn down(&self, frame: Frame) -> Vec<Frame> {
        if !self.0.load(Ordering::SeqCst) || !matches!(frame.body, Some(Body::QueueEmpty(_))) {
            return vec![frame];
        }
        let error = sealpost_wire::Error { code: 500, reason: "internal".into(), ..Default::default() };
        vec![frame, Frame { v: sealpost_wire::FRAME_VERSION, id: 0, body: Some(Body::Error(error)) }]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_end_as_soon_as_they_are_live_are_retried_with_growing_delays() {
    let world = World::start().await;
    let cuts = Arc::new(AtomicBool::new(true));
    let proxy = Proxy::start(world.addr(), Cut(Arc::clone(&cuts))).await;
    let ada = world.disk("ada").through(&proxy.url()).come().await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    // With a constant ceiling, there would be about 30. Ten growing delays take two minutes on average, and less than
    // 8 seconds once in about 10^7 runs.
    assert!(proxy.sockets() <= 10, "{} connections", proxy.sockets());
    cuts.store(false, Ordering::SeqCst);
    ada.client.reconnect();
    ada.live().await;
}

/// Answers requests for bundles with its own page.
#[derive(Clone, Default)]
struct Page(Arc<AtomicUsize>);

impl Meddle for Page {
    fn answer(&self, request: &str, body: Vec<u8>) -> Vec<u8> {
        if !request.contains("/prekeys") {
            return body;
        }
        self.0.fetch_add(1, Ordering::SeqCst);
        b"<html>log in</html>".to_vec()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unavailable_bundles_are_requested_with_growing_delays() {
    let world = World::start().await;
    let page = Page::default();
    let proxy = Proxy::start(world.addr(), page.clone()).await;
    let ada = world.disk("ada").through(&proxy.url()).come().await;
    for name in 0..8 {
        let other = world.party(&format!("{name}")).await;
        ada.thread_with(&other).await.send_text("hello").await.unwrap();
    }
    let begin = Instant::now();
    let mut asked = Vec::new();
    for second in [6, 12] {
        tokio::time::sleep_until((begin + Duration::from_secs(second)).into()).await;
        asked.push(page.0.load(Ordering::SeqCst));
    }
    let (early, late) = (asked[0], asked[1] - asked[0]);
    assert!(early > 8, "nobody tried again");
    // With constant delays, both halves would be alike.
    assert!(late * 2 < early, "{early} requests, then {late}");
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn suspending_does_not_wait_for_a_network_that_swallows_everything() {
    let world = World::start().await;
    let line = Line::start(world.addr()).await;
    let clock = ManualClock::at(now_ms());
    let disk = world.disk("ada").through(&line.url()).with_clock(&clock);
    let ada = disk.come().await;
    let ada_user = ada.client.user_id();
    let disk = ada.close().await;
    // The token has expired, and the exchange hangs.
    clock.advance(Duration::from_secs(1200));
    let ben = world.disk("ben").through(&line.url()).come().await;
    line.swallow(true);
    let before = line.connections();
    let ada = disk.open().await;
    eventually("an exchange", async || (line.connections() > before).then_some(())).await;
    let call = tokio::spawn(async move { ben.client.direct_thread(ada_user).await });
    for _ in 0..3 {
        ada.client.suspend().await.unwrap();
        // The abandoned exchange does not delay anybody.
        ada.client.resume().await.unwrap();
    }
    ada.client.suspend().await.unwrap();
    assert!(!call.is_finished(), "it took as long as a call that times out");
    ada.client.resume().await.unwrap();
    line.swallow(false);
    ada.client.reconnect();
    ada.live().await;
}

/// Holds one message back until the relay has answered that it has nothing more, and delivers it right after the
/// answer, as if another process of the device had stored it meanwhile.
#[derive(Clone, Default)]
struct Late {
    delivered: Arc<AtomicUsize>,
    held_back: Arc<Mutex<Option<Frame>>>,
}

impl Meddle for Late {
    fn down(&self, frame: Frame) -> Vec<Frame> {
        match frame.body {
            // One in the middle of a conversation.
            Some(Body::Deliver(_)) if self.delivered.fetch_add(1, Ordering::SeqCst) == 1 => {
                *self.held_back.lock().unwrap() = Some(frame);
                Vec::new()
            }
            Some(Body::Synced(_)) => {
                [frame].into_iter().chain(self.held_back.lock().unwrap().take()).collect()
            }
            _ => vec![frame],
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_just_after_its_gap_was_answered_does_not_end_the_connection() {
    let world = World::start().await;
    let late = Late::default();
    let proxy = Proxy::start(world.addr(), late.clone()).await;
    let (ada, ben) = (world.party("ada").await, world.disk("ben").through(&proxy.url()).come().await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    ben.live().await;
    for line in ["one", "two", "three"] {
        let message = hers.send_text(line).await.unwrap();
        sent(&ada, &hers, message.id).await;
    }
    assert_eq!(ben.texts_when(&his, 3).await, ["one", "two", "three"]);
    assert!(late.delivered.load(Ordering::SeqCst) >= 3 && late.held_back.lock().unwrap().is_none());
    assert_eq!(proxy.sockets(), 1);
}
