//! Networks that fail silently, come back, or never keep a connection for long.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sealpost_core::{ConnectionState, Delivery, Event, MessageId, Thread};
use sealpost_testkit::{Forwarder, Interceptor, ManualClock, Party, Proxy, World, eventually, within};
use sealpost_wire::Frame;
use sealpost_wire::frame::Body;

async fn sent(party: &Party, thread: &Thread, id: MessageId) {
    party.message_reaches(thread, id, Delivery::Sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_connection_is_replaced_when_the_app_reports_a_network_change() {
    let world = World::start().await;
    let network = Forwarder::start(world.addr()).await;
    let ada = world.disk("ada").through(&network.url()).open_or_register().await;
    let cyd = world.disk("cyd").through(&network.url()).open_or_register().await;
    let ben = world.party("ben").await;
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    ada.live().await;
    cyd.live().await;
    network.cut();
    ada.client.reconnect();
    let out = hers.send_text("out").await.unwrap();
    his.send_text("in").await.unwrap();
    sent(&ada, &hers, out.id).await;
    ada.texts_when(&hers, 2).await;
    // Without the report, the heartbeat would detect it, which takes much longer.
    assert_eq!(cyd.client.connection_state(), ConnectionState::Live);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_change_cancels_a_hanging_connection_attempt() {
    let world = World::start().await;
    let network = Forwarder::start(world.addr()).await;
    let mut disks = Vec::new();
    for name in ["ada", "cyd"] {
        disks.push(world.disk(name).through(&network.url()).open_or_register().await.close().await);
    }
    network.set_stalled(true);
    let mut parties = Vec::new();
    for disk in disks {
        let before = network.connections();
        parties.push(disk.open().await);
        eventually("an attempt", async || (network.connections() > before).then_some(())).await;
    }
    // Each client makes an attempt, and starts a second one in parallel when the first one hangs.
    let hanging = network.connections();
    eventually("second attempts", async || (network.connections() >= hanging + 2).then_some(())).await;
    network.set_stalled(false);
    let [ada, cyd] = &parties[..] else { panic!() };
    ada.client.reconnect();
    ada.live().await;
    // Without the report, the attempts hang until they time out.
    assert_eq!(cyd.client.connection_state(), ConnectionState::Connecting);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_on_a_dead_connection_is_repeated_on_a_new_one() {
    let world = World::start().await;
    let network = Forwarder::start(world.addr()).await;
    let ada = world.disk("ada").through(&network.url()).open_or_register().await;
    let (ben, cyd) = (world.party("ben").await, world.party("cyd").await);
    ada.thread_with(&ben).await;
    ada.live().await;
    let mut events = ada.client.events();
    network.cut();
    // No network change was reported. Without the repetition, the call would time out.
    ada.client.direct_thread(cyd.client.user_id()).await.unwrap();
    // The failed call also makes the client check its socket.
    let ended = async {
        while !matches!(events.next().await, Some(Ok(Event::Connection(ConnectionState::Offline)))) {}
    };
    within("the dead connection ends", ended).await;
    ada.live().await;
}

/// Ends every connection as soon as its mailbox is empty.
struct Cut(Arc<AtomicBool>);

impl Interceptor for Cut {
    fn down(&self, frame: Frame) -> Vec<Frame> {
        if !self.0.load(Ordering::SeqCst) || !matches!(frame.body, Some(Body::QueueEmpty(_))) {
            return vec![frame];
        }
        let error = sealpost_wire::Error { code: 500, reason: "internal".into(), ..Default::default() };
        vec![frame, Frame { v: sealpost_wire::FRAME_VERSION, id: 0, body: Some(Body::Error(error)) }]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn short_lived_connections_are_retried_with_growing_delays() {
    let world = World::start().await;
    let cuts = Arc::new(AtomicBool::new(true));
    let proxy = Proxy::start(world.addr(), Cut(Arc::clone(&cuts))).await;
    let ada = world.disk("ada").through(&proxy.url()).open_or_register().await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    // With a constant maximum delay, there would be about 30 attempts. Ten growing delays take two minutes on average,
    // and less than 8 seconds once in about 10^7 runs.
    assert!(proxy.sockets() <= 10, "{} connections", proxy.sockets());
    cuts.store(false, Ordering::SeqCst);
    ada.client.reconnect();
    ada.live().await;
}

/// Answers requests for bundles with a web page, like a captive portal.
#[derive(Clone, Default)]
struct Page(Arc<AtomicUsize>);

impl Interceptor for Page {
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
    let ada = world.disk("ada").through(&proxy.url()).open_or_register().await;
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
    assert!(early > 8, "there were no retries");
    // With constant delays, both halves would have the same number of attempts.
    assert!(late * 2 < early, "{early} requests, then {late}");
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn suspending_does_not_wait_for_a_hanging_network() {
    let world = World::start().await;
    let network = Forwarder::start(world.addr()).await;
    let clock = ManualClock::at(now_ms());
    let disk = world.disk("ada").through(&network.url()).with_clock(&clock);
    let ada = disk.open_or_register().await;
    let ada_user = ada.client.user_id();
    let disk = ada.close().await;
    // The token has expired, and the exchange hangs.
    clock.advance(Duration::from_secs(1200));
    let ben = world.disk("ben").through(&network.url()).open_or_register().await;
    network.set_stalled(true);
    let before = network.connections();
    let ada = disk.open().await;
    eventually("an exchange", async || (network.connections() > before).then_some(())).await;
    let call = tokio::spawn(async move { ben.client.direct_thread(ada_user).await });
    for _ in 0..3 {
        ada.client.suspend().await.unwrap();
        // The abandoned exchange delays nothing.
        ada.client.resume().await.unwrap();
    }
    ada.client.suspend().await.unwrap();
    assert!(!call.is_finished(), "suspending took as long as the time-out of a call");
    ada.client.resume().await.unwrap();
    network.set_stalled(false);
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

impl Interceptor for Late {
    fn down(&self, frame: Frame) -> Vec<Frame> {
        match frame.body {
            // Withholds a message in the middle of a conversation.
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
async fn a_message_just_after_the_answer_for_its_gap_does_not_end_the_connection() {
    let world = World::start().await;
    let late = Late::default();
    let proxy = Proxy::start(world.addr(), late.clone()).await;
    let (ada, ben) =
        (world.party("ada").await, world.disk("ben").through(&proxy.url()).open_or_register().await);
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
