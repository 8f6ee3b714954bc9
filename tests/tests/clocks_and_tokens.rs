//! Wrong clocks, clocks that are set, and tokens that expire. Users notice nothing, unless the relay refuses their
//! device.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use prost::Message as _;
use sealpost_core::{ConnectionState, Delivery, Event};
use sealpost_testkit::{Interceptor, ManualClock, Party, Proxy, World, eventually, texts};
use sealpost_wire::frame::Body;
use sealpost_wire::{Frame, Reconnect, RegisterResponse, TokenPair, reason};

const MINUTE: Duration = Duration::from_secs(60);
const DAY_MS: i64 = 24 * 3600 * 1000;

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A relay with a clock that is set by hand.
async fn world_at(clock: &ManualClock) -> World {
    let clock = clock.clone();
    World::start_with(move |config| sealpost_relay::Config { clock: Arc::new(clock.clone()), ..config }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_delivered_with_a_wrong_clock_and_after_it_is_corrected() {
    let world = &World::start().await;
    let cases = [-3650 * DAY_MS, -8 * DAY_MS, -DAY_MS, DAY_MS, 8 * DAY_MS, 3650 * DAY_MS];
    let cases = cases.map(|wrong_by| async move {
        let clock = ManualClock::at(now_ms().saturating_add_signed(wrong_by));
        let ada = world.disk(&format!("ada {wrong_by}")).with_clock(&clock).open_or_register().await;
        let ben = world.party(&format!("ben {wrong_by}")).await;
        talk(&ada, &ben).await;
        // The clock is set while the connection is live.
        clock.set(now_ms());
        talk(&ada, &ben).await;
        clock.set(now_ms().saturating_add_signed(-wrong_by));
        talk(&ada, &ben).await;
        // The clock is set again while no client is running.
        let disk = ada.close().await;
        clock.set(now_ms().saturating_add_signed(wrong_by));
        let ada = disk.open().await;
        talk(&ada, &ben).await;
    });
    join_all(cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_continues_when_the_clock_of_the_relay_is_corrected() {
    const HOUR_MS: i64 = 3_600_000;
    for wrong_by in [2 * HOUR_MS, 24 * HOUR_MS, -8 * 24 * HOUR_MS, HOUR_MS - 60_000] {
        let clock = ManualClock::at(now_ms().saturating_add_signed(wrong_by));
        let world = world_at(&clock).await;
        let (ada, ben) = (world.party("ada").await, world.party("ben").await);
        let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
        let before = hers.send_text("before").await.unwrap();
        ada.message_reaches(&hers, before.id, Delivery::Delivered).await;
        clock.set(now_ms());
        // Messages and receipts of both users, on the live connections.
        let message = hers.send_text("after").await.unwrap();
        ada.message_reaches(&hers, message.id, Delivery::Delivered).await;
        his.mark_read(his.history(None).await.unwrap().messages[0].id).await.unwrap();
        ada.message_reaches(&hers, message.id, Delivery::Read).await;
    }
}

/// Loses the first refusal for the time of a message, and the connection with it.
#[derive(Clone, Default)]
struct LosesRefusal(Arc<AtomicUsize>);

impl Interceptor for LosesRefusal {
    fn down(&self, frame: Frame) -> Vec<Frame> {
        match &frame.body {
            Some(Body::Error(error))
                if [reason::TOO_OLD, reason::CLOCK_SKEW].contains(&error.reason.as_str())
                    && self.0.fetch_add(1, Ordering::SeqCst) == 0 =>
            {
                let away = Body::Reconnect(Reconnect { jitter_ms: 0, reason: "drain".into() });
                vec![Frame { v: 1, id: 0, body: Some(away) }]
            }
            _ => vec![frame],
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_refusal_for_its_time_is_lost_is_delivered() {
    for wrong_by in [DAY_MS, -8 * DAY_MS] {
        let clock = ManualClock::at(now_ms().saturating_add_signed(wrong_by));
        let world = world_at(&clock).await;
        let lost = LosesRefusal::default();
        let proxy = Proxy::start(world.addr(), lost.clone()).await;
        let (ada, ben) =
            (world.disk("ada").through(&proxy.url()).open_or_register().await, world.party("ben").await);
        let hers = talk(&ada, &ben).await;
        clock.set(now_ms());
        let message = hers.send_text("after").await.unwrap();
        ada.message_reaches(&hers, message.id, Delivery::Delivered).await;
        assert!(lost.0.load(Ordering::SeqCst) > 0, "nothing was refused");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_written_offline_with_a_wrong_clock_are_delivered() {
    let mut world = World::start().await;
    let clock = ManualClock::at(now_ms());
    let ada = world.disk("ada").with_clock(&clock).open_or_register().await;
    let ben = world.party("ben").await;
    let hers = talk(&ada, &ben).await;
    world.stop_relay().await;
    for wrong_by in [-3650 * DAY_MS, 3650 * DAY_MS, 0] {
        clock.set(now_ms().saturating_add_signed(wrong_by));
        hers.send_text(&format!("written at {wrong_by}")).await.unwrap();
    }
    world.start_relay().await;
    // The relay asked the client to reconnect within half a minute.
    ada.client.reconnect();
    ben.client.reconnect();
    let his = ben.thread_with(&ada).await;
    let said = ben.texts_when(&his, 5).await;
    assert_eq!(said[2..], ["written at -315360000000", "written at 315360000000", "written at 0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_replaced_on_the_live_socket() {
    let clock = ManualClock::at(now_ms());
    let world = world_at(&clock).await;
    let refreshes = Refreshes::default();
    let proxy = Proxy::start(world.addr(), refreshes.clone()).await;
    let ada = world.disk("ada").through(&proxy.url()).with_clock(&clock).open_or_register().await;
    let ben = world.disk("ben").with_clock(&clock).open_or_register().await;
    talk(&ada, &ben).await;
    for times in 1..=2 {
        // Tokens are valid for ten minutes; one with less than a minute left is replaced.
        clock.advance(MINUTE * 9 + Duration::from_secs(30));
        eventually("a new token", async || (refreshes.count() == times).then_some(())).await;
        talk(&ada, &ben).await;
    }
    assert_eq!(proxy.sockets(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_replaced_when_the_client_connects() {
    let clock = ManualClock::at(now_ms());
    let world = world_at(&clock).await;
    let refreshes = Refreshes::default();
    let proxy = Proxy::start(world.addr(), refreshes.clone()).await;
    let ada = world.disk("ada").through(&proxy.url()).with_clock(&clock).open_or_register().await;
    let ben = world.disk("ben").with_clock(&clock).open_or_register().await;
    talk(&ada, &ben).await;
    let disk = ada.close().await;
    clock.advance(MINUTE * 60 * 24 * 20);
    let ada = disk.open().await;
    talk(&ada, &ben).await;
    assert_eq!(refreshes.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_was_asleep_when_its_token_expired_reconnects() {
    let relay_clock = ManualClock::at(now_ms());
    let world = world_at(&relay_clock).await;
    let proxy = Proxy::start(world.addr(), sealpost_testkit::PassThrough).await;
    // Its own clock has not advanced.
    let ada = world
        .disk("ada")
        .through(&proxy.url())
        .with_clock(&ManualClock::at(now_ms()))
        .open_or_register()
        .await;
    let ben = world.disk("ben").with_clock(&relay_clock).open_or_register().await;
    talk(&ada, &ben).await;
    relay_clock.advance(MINUTE * 30);
    eventually("a new connection", async || (proxy.sockets() > 1).then_some(())).await;
    ada.live().await;
    talk(&ada, &ben).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_without_valid_tokens_logs_in_with_its_key() {
    let clock = ManualClock::at(now_ms());
    let world = world_at(&clock).await;
    let ada = world.disk("ada").with_clock(&clock).open_or_register().await;
    let ben = world.disk("ben").with_clock(&clock).open_or_register().await;
    talk(&ada, &ben).await;
    let relay = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    relay.busy_timeout(MINUTE).unwrap();
    relay.execute("DELETE FROM token_family", []).unwrap();
    clock.advance(MINUTE * 11);
    talk(&ada, &ben).await;
    // The device is offline for longer than the lifetime of a refresh token.
    let disk = ada.close().await;
    clock.advance(MINUTE * 60 * 24 * 100);
    let ada = disk.open().await;
    talk(&ada, &ben).await;
    assert_eq!(ada.client.connection_state(), ConnectionState::Live);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_of_a_relay_a_century_ahead_is_rejected_without_lasting_effects() {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    let (clock, own_clock) = (ManualClock::at(now_ms()), ManualClock::at(now_ms()));
    let world = world_at(&clock).await;
    let ada = world.disk("ada").with_clock(&own_clock).open_or_register().await;
    let ben = world.disk("ben").with_clock(&own_clock).open_or_register().await;
    let hers = talk(&ada, &ben).await;
    let right_ms = now_ms();
    let mut events = ada.client.events();
    clock.set(right_ms + u64::try_from(CENTURY.as_millis()).unwrap());
    // Its tokens have expired by that clock.
    let disk = ada.close().await;
    drop(events);
    let ada = disk.open().await;
    events = ada.client.events();
    ada.live().await;
    let told = async {
        loop {
            if let Ok(Event::RelayClockWrong { relay_ms }) = events.next().await.unwrap() {
                return relay_ms;
            }
        }
    };
    let told = tokio::time::timeout(MINUTE, told).await.expect("the wrong clock is reported");
    assert!(told >= right_ms + 99 * 365 * 24 * 3_600_000);
    let waits = hers_again(&ada, hers.id()).await.send_text("written in between").await.unwrap();
    clock.set(right_ms);
    ada.client.reconnect();
    ben.client.reconnect();
    let hers = hers_again(&ada, hers.id()).await;
    ada.message_reaches(&hers, waits.id, Delivery::Delivered).await;
    talk(&ada, &ben).await;
    assert_eq!(texts(&hers).await.len(), 5);
    // Its signed keys are replaced when they are due.
    let before = signed_keys(&world, &ada);
    let disk = ada.close().await;
    clock.advance(MINUTE * 60 * 49);
    own_clock.advance(MINUTE * 60 * 49);
    let ada = disk.open().await;
    eventually("new signed keys", async || {
        let now = signed_keys(&world, &ada);
        now.iter().zip(&before).all(|(now, before)| now > before).then_some(())
    })
    .await;
}

async fn hers_again(ada: &Party, id: sealpost_core::ThreadId) -> sealpost_core::Thread {
    ada.client.thread(id).await.unwrap()
}

fn signed_keys(world: &World, of: &Party) -> Vec<i64> {
    let relay = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    relay.busy_timeout(MINUTE).unwrap();
    let mut keys =
        relay.prepare("SELECT key_id FROM signed_pre_key WHERE user_id = ?1 ORDER BY kind").unwrap();
    let ids = keys.query_map([of.client.user_id().as_bytes()], |row| row.get(0)).unwrap();
    ids.collect::<Result<_, _>>().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_whose_tokens_expire_immediately_is_not_flooded_with_exchanges() {
    let world = World::start().await;
    let refreshes = Refreshes::default();
    let proxy = Proxy::start(world.addr(), Ephemeral(refreshes.clone())).await;
    let (ada, ben) =
        (world.disk("ada").through(&proxy.url()).open_or_register().await, world.party("ben").await);
    for _ in 0..5 {
        talk(&ada, &ben).await;
    }
    // One exchange for the connection and one for each request. If the socket exchanged tokens all the time, there
    // would be hundreds.
    let count = refreshes.count();
    assert!((2..25).contains(&count), "{count} tokens");
}

/// Makes tokens expire immediately.
struct Ephemeral(Refreshes);

impl Interceptor for Ephemeral {
    fn down(&self, mut frame: Frame) -> Vec<Frame> {
        if let Some(Body::Welcome(welcome)) = &mut frame.body {
            welcome.access_expires_ms = welcome.server_time_ms;
        }
        vec![frame]
    }

    fn answer(&self, request: &str, body: Vec<u8>) -> Vec<u8> {
        let body = self.0.answer(request, body);
        let run_out = |pair: TokenPair| TokenPair { access_expires_ms: pair.server_time_ms, ..pair };
        if request.starts_with("POST /v1/accounts") {
            let answer = sealpost_wire::decode::<RegisterResponse>(body.into()).unwrap();
            RegisterResponse { tokens: answer.tokens.map(run_out), ..answer }.encode_to_vec()
        } else if request.starts_with("POST /v1/auth/refresh") {
            run_out(sealpost_wire::decode::<TokenPair>(body.into()).unwrap()).encode_to_vec()
        } else {
            body
        }
    }
}

/// Counts how often tokens are exchanged.
#[derive(Clone, Default)]
struct Refreshes(Arc<AtomicUsize>);

impl Refreshes {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Interceptor for Refreshes {
    fn answer(&self, request: &str, body: Vec<u8>) -> Vec<u8> {
        if request.starts_with("POST /v1/auth/refresh") {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        body
    }
}

/// Sends a text in each direction, waits until both are delivered, and returns Ada's thread.
async fn talk(ada: &Party, ben: &Party) -> sealpost_core::Thread {
    let (hers, his) = (ada.thread_with(ben).await, ben.thread_with(ada).await);
    for (party, thread) in [(ada, &hers), (ben, &his)] {
        let hello = thread.send_text("hello").await.unwrap();
        party.message_reaches(thread, hello.id, Delivery::Delivered).await;
    }
    hers
}
