//! A client accepts a thread of another user at the relay automatically, with retries, and the sender waits until then.

#![cfg(test)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use sealpost_core::{Delivery, Direction};
use sealpost_e2e::open_database;
use sealpost_testkit::{Interceptor, Loss, Party, PartyDisk, Proxy, World, eventually, history, texts};
use sealpost_wire::frame::Body;
use sealpost_wire::{Frame, reason};

/// The minimum delay after a failure.
const LEAST_PAUSE: Duration = Duration::from_millis(500);

/// Loses the first calls that accept a thread, alternating between requests and answers.
#[derive(Clone)]
struct Loses {
    most: usize,
    parts: [Loss; 2],
    calls: Arc<Mutex<Vec<Instant>>>,
}

impl Loses {
    fn first(most: usize, parts: [Loss; 2]) -> Self {
        Self { most, parts, calls: Arc::default() }
    }

    fn calls(&self) -> Vec<Instant> {
        self.calls.lock().unwrap().clone()
    }
}

impl Interceptor for Loses {
    fn loses(&self, request: &str) -> Option<Loss> {
        if !request.contains("/accept ") {
            return None;
        }
        let mut calls = self.calls.lock().unwrap();
        let part = self.parts[calls.len() % 2];
        calls.push(Instant::now());
        (calls.len() <= self.most).then_some(part)
    }
}

/// The number of members who have not accepted their thread.
fn not_accepted(world: &World) -> u32 {
    let path = world.relay_dir().join("relay.db");
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    db.query_row("SELECT count(*) FROM thread_member WHERE accepted = 0", [], |row| row.get(0)).unwrap()
}

async fn accepted(world: &World) {
    eventually("the thread is accepted", async || (not_accepted(world) == 0).then_some(())).await;
}

/// Waits until a client knows that its thread is accepted.
async fn written_down(disk: &PartyDisk) {
    eventually("the acceptance is stored", async || {
        let db = open_database(disk.database(), &disk.key());
        let accepted: u32 = db.query_row("SELECT accepted FROM thread", [], |row| row.get(0)).unwrap();
        (accepted == 1).then_some(())
    })
    .await;
}

/// The only thread of a user to whom others write, without asking the relay for it.
async fn only_thread(party: &Party) -> sealpost_core::Thread {
    eventually("a thread", async || party.client.threads().await.unwrap().pop()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_accept_call_is_retried_after_a_delay_until_it_is_answered() {
    let world = World::start().await;
    let loses = Loses::first(4, [Loss::Request, Loss::Answer]);
    let proxy = Proxy::start(world.addr(), loses.clone()).await;
    let (ada, ben) =
        (world.party("ada").await, world.disk("ben").through(&proxy.url()).open_or_register().await);
    let hers = ada.client.direct_thread(ben.client.user_id()).await.unwrap();
    assert_eq!(not_accepted(&world), 1);
    // Messages that arrive in the meantime do not cause an earlier retry.
    for line in ["one", "two", "three"] {
        hers.send_text(line).await.unwrap();
    }
    let his = only_thread(&ben).await;
    assert_eq!(ben.texts_when(&his, 3).await, ["one", "two", "three"]);
    eventually("an answer", async || (loses.calls().len() > 4).then_some(())).await;
    written_down(&world.disk("ben")).await;
    assert_eq!(not_accepted(&world), 0);
    for (before, after) in loses.calls().iter().zip(loses.calls().iter().skip(1)) {
        assert!(after.duration_since(*before) >= LEAST_PAUSE, "{:?}", after.duration_since(*before));
    }
    // The call was answered and is not repeated, neither when something arrives nor at the next start.
    let ben = ben.close().await.open_or_register().await;
    hers.send_text("four").await.unwrap();
    let his = only_thread(&ben).await;
    ben.texts_when(&his, 4).await;
    assert_eq!(loses.calls().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_closed_before_the_answer_accepts_at_the_next_start() {
    let world = World::start().await;
    let loses = Loses::first(usize::MAX, [Loss::Request; 2]);
    let proxy = Proxy::start(world.addr(), loses.clone()).await;
    let (ada, ben) =
        (world.party("ada").await, world.disk("ben").through(&proxy.url()).open_or_register().await);
    let hers = ada.client.direct_thread(ben.client.user_id()).await.unwrap();
    hers.send_text("hello").await.unwrap();
    eventually("a call", async || (!loses.calls().is_empty()).then_some(())).await;
    ben.close().await;
    assert_eq!(not_accepted(&world), 1);
    // Now the client connects without the proxy.
    let ben = world.disk("ben").open().await;
    accepted(&world).await;
    assert_eq!(texts(&only_thread(&ben).await).await, ["hello"]);
}

/// Counts how often a client is refused because its thread is not accepted.
#[derive(Clone, Default)]
struct Refusals(Arc<AtomicUsize>);

impl Interceptor for Refusals {
    fn down(&self, frame: Frame) -> Vec<Frame> {
        if matches!(&frame.body, Some(Body::Error(error)) if error.reason == reason::NOT_ACCEPTED) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        vec![frame]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_who_is_not_accepted_waits_and_continues_after_acceptance() {
    let world = World::start().await;
    let refusals = Refusals::default();
    let proxy = Proxy::start(world.addr(), refusals.clone()).await;
    let (ada, ben) =
        (world.disk("ada").through(&proxy.url()).open_or_register().await, world.party("ben").await);
    let (bens_id, cleo) = (ben.client.user_id(), world.party("cleo").await);
    let ben = ben.close().await;
    let hers = ada.client.direct_thread(bens_id).await.unwrap();
    let lines: Vec<String> = (0..20).map(|n| format!("line {n}")).collect();
    for line in &lines {
        hers.send_text(line).await.unwrap();
    }
    // Sixteen messages are allowed; the others are refused and retried.
    eventually("refusals", async || (refusals.0.load(Ordering::SeqCst) > 1).then_some(())).await;
    let states: Vec<_> = history(&hers).await.into_iter().map(|message| message.direction).collect();
    let (sent, waiting) = states.split_at(16);
    assert!(sent.iter().all(|state| *state == Direction::Outgoing(Delivery::Sent)), "{states:?}");
    assert!(waiting.iter().all(|state| *state == Direction::Outgoing(Delivery::Queued)), "{states:?}");
    // Messages to other users are not delayed.
    let to_cleo = ada.thread_with(&cleo).await;
    let message = to_cleo.send_text("hello").await.unwrap();
    ada.message_reaches(&to_cleo, message.id, Delivery::Delivered).await;

    let ben = ben.open().await;
    let his = only_thread(&ben).await;
    assert_eq!(ben.texts_when(&his, lines.len()).await, lines);
    assert_eq!(not_accepted(&world), 0);
    let last = history(&hers).await.pop().unwrap();
    ada.message_reaches(&hers, last.id, Delivery::Delivered).await;
}
