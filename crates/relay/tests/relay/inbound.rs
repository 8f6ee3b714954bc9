//! Limits on what one sender, and all senders together, deliver to a recipient.

use std::time::Duration;

use sealpost_relay::limits::{Name, Rate};
use sealpost_wire::frame::Body;
use sealpost_wire::id::ThreadId;
use sealpost_wire::limits::ROW_BYTES;
use sealpost_wire::{InboxPage, Send, reason};

use crate::common::socket::Socket;
use crate::common::{Answer, Party, World};

/// The size that a message of [`TEXT`] counts for.
const ROW: u64 = ROW_BYTES + TEXT.len() as u64;
const TEXT: [u8; 44] = [7; 44];
/// How long a sender is slowed down before anything is refused.
const SLACK: Duration = Duration::from_secs(1);

/// A relay that allows this many rows, and another one each minute.
async fn allowing(limits: &[(Name, u64)]) -> World {
    World::start_with(|config| {
        for (name, rows) in limits {
            let rate = Rate::new(ROW * rows, ROW, Duration::from_secs(60));
            config.limits.set(*name, Some(rate));
        }
    })
    .await
}

/// A user with a thread in which they write to the recipient.
struct Sender {
    party: Party,
    thread: ThreadId,
}

impl Sender {
    async fn accepted(world: &World, recipient: &Party) -> Self {
        let party = world.register().await;
        Self { thread: world.thread(&party, recipient).await, party }
    }

    async fn stranger(world: &World, recipient: &Party) -> Self {
        let party = world.register().await;
        Self { thread: world.request_thread(&party, recipient).await, party }
    }

    fn message(&self, world: &World, to: &Party) -> Send {
        world.message(self.thread, to, &TEXT)
    }

    async fn send(&self, world: &World, to: &Party) -> Answer {
        world.send(&self.party, &self.message(world, to)).await
    }
}

fn wait_of(answer: &Answer) -> Duration {
    answer.refused(429, reason::RATE_LIMITED);
    let wait = answer.error().retry_after_ms;
    assert_eq!(answer.headers["retry-after"].to_str().unwrap(), wait.div_ceil(1_000).to_string());
    Duration::from_millis(wait.into())
}

async fn held(world: &World, by: &Party) -> (usize, u64) {
    let page: InboxPage = world.get("/v1/inbox", Some(by)).await.body();
    let last = page.rows.iter().filter_map(|row| row.key.as_ref()).map(|key| key.server_seq).max();
    (page.rows.len(), last.unwrap_or(0))
}

#[tokio::test]
async fn a_sender_above_its_limit_for_a_recipient_waits_and_nothing_is_lost() {
    let world = allowing(&[(Name::PairBytes, 2)]).await;
    let (ben, cleo) = (world.register().await, world.register().await);
    let ada = Sender::accepted(&world, &ben).await;
    for _ in 0..3 {
        assert_eq!(ada.send(&world, &ben).await.status, 201);
    }
    let late = ada.message(&world, &ben);
    let wait = wait_of(&world.send(&ada.party, &late).await);
    let mut socket = Socket::connect(&world, &ada.party).await;
    let Body::Error(error) = socket.ask(Body::Send(late.clone())).await else { panic!("it was not refused") };
    assert_eq!((error.code, Duration::from_millis(error.retry_after_ms.into())), (429, wait));
    // Others write to the recipient, and the sender writes to others.
    assert_eq!(Sender::accepted(&world, &ben).await.send(&world, &ben).await.status, 201);
    let thread = world.thread(&ada.party, &cleo).await;
    let other = Sender { party: ada.party.clone(), thread };
    assert_eq!(other.send(&world, &cleo).await.status, 201);
    assert_eq!(held(&world, &ben).await.0, 4);

    world.clock.advance(wait + SLACK);
    assert_eq!(world.send(&ada.party, &late).await.status, 201);
    assert_eq!(held(&world, &ben).await, (5, 4));
    world.relay.shutdown().await;
}

#[tokio::test]
async fn repeated_and_refused_messages_are_not_charged() {
    let world = allowing(&[(Name::PairBytes, 1)]).await;
    let ben = world.register().await;
    let ada = Sender::accepted(&world, &ben).await;
    let first = ada.message(&world, &ben);
    assert_eq!(world.send(&ada.party, &first).await.status, 201);
    for _ in 0..5 {
        assert_eq!(world.send(&ada.party, &first).await.status, 200);
        let stale = Send { roster_version: 9, ..ada.message(&world, &ben) };
        world.send(&ada.party, &stale).await.refused(409, reason::STALE_ROSTER);
    }
    assert_eq!(ada.send(&world, &ben).await.status, 201);
    wait_of(&ada.send(&world, &ben).await);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn heavy_senders_use_up_the_limit_of_a_recipient_and_light_ones_are_accepted() {
    let world = allowing(&[(Name::ShareBytes, 1), (Name::RecipientBytes, 4)]).await;
    let ben = world.register().await;
    let heavy = [Sender::accepted(&world, &ben).await, Sender::accepted(&world, &ben).await];
    for n in 0..5 {
        assert_eq!(heavy[n % 2].send(&world, &ben).await.status, 201);
    }
    let wait = wait_of(&heavy[0].send(&world, &ben).await);
    assert_eq!(wait_of(&heavy[1].send(&world, &ben).await), wait);
    let light = Sender::accepted(&world, &ben).await;
    for _ in 0..2 {
        assert_eq!(light.send(&world, &ben).await.status, 201);
    }
    wait_of(&light.send(&world, &ben).await);
    assert_eq!(held(&world, &ben).await.0, 7);

    world.clock.advance(wait_of(&heavy[0].send(&world, &ben).await) + SLACK);
    assert_eq!(heavy[0].send(&world, &ben).await.status, 201);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn strangers_do_not_use_up_the_limit_of_a_recipient() {
    let world = allowing(&[(Name::ShareBytes, 1), (Name::RecipientBytes, 3)]).await;
    let ben = world.register().await;
    for _ in 0..4 {
        let stranger = Sender::stranger(&world, &ben).await;
        for _ in 0..3 {
            assert_eq!(stranger.send(&world, &ben).await.status, 201);
        }
    }
    let ada = Sender::accepted(&world, &ben).await;
    for _ in 0..4 {
        assert_eq!(ada.send(&world, &ben).await.status, 201);
    }
    wait_of(&ada.send(&world, &ben).await);
    world.relay.shutdown().await;
}
