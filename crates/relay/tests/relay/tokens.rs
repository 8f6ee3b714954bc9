//! Tokens over time: rotation, lost answers, theft, expiry.

use std::time::Duration;

use sealpost_wire::frame::Body;
use sealpost_wire::id::UserId;
use sealpost_wire::{RefreshRequest, RegisterRequest, RegisterResponse, TokenPair, reason};

use crate::common::socket::{Read, Socket, hello};
use crate::common::{Answer, Party, World, keys, public, with_body};

async fn refresh(world: &World, token: &str) -> Answer {
    let request = RefreshRequest { refresh_token: token.into() };
    world.post("/v1/auth/refresh", None, &request).await
}

async fn refreshed(world: &World, party: &Party) -> Party {
    let tokens: TokenPair = refresh(world, &party.tokens.refresh_token).await.body();
    Party { tokens, ..party.clone() }
}

#[tokio::test]
async fn an_access_token_expires_and_a_refresh_token_brings_the_next() {
    let world = World::start().await;
    let alice = world.register().await;
    world.clock.advance(Duration::from_secs(660));
    assert_eq!(world.get("/v1/keys", Some(&alice)).await.status, 200, "within the leeway");
    world.clock.advance(Duration::from_secs(1));
    world.get("/v1/keys", Some(&alice)).await.refused(401, reason::INVALID_TOKEN);
    let alice = refreshed(&world, &alice).await;
    assert_eq!(world.get("/v1/keys", Some(&alice)).await.status, 200);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn an_answer_may_be_lost_again_and_again() {
    let world = World::start().await;
    let alice = world.register().await;
    let lost = refreshed(&world, &alice).await;
    world.clock.advance(Duration::from_secs(3 * 24 * 3600));
    refreshed(&world, &alice).await;
    let again = refreshed(&world, &alice).await;
    assert_eq!(world.get("/v1/keys", Some(&again)).await.status, 200);
    let next = refreshed(&world, &again).await;
    assert_eq!(world.get("/v1/keys", Some(&next)).await.status, 200);
    // The answer that was lost turns up elsewhere.
    refresh(&world, &lost.tokens.refresh_token).await.refused(401, reason::REUSE_DETECTED);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_stolen_refresh_token_puts_both_out() {
    let world = World::start().await;
    let alice = world.register().await;
    let stolen = alice.tokens.refresh_token.clone();
    let alice = refreshed(&world, &refreshed(&world, &alice).await).await;
    let mut socket = Socket::connect(&world, &alice).await;
    refresh(&world, &stolen).await.refused(401, reason::REUSE_DETECTED);
    assert_eq!(socket.closed().await, 4401);
    world.get("/v1/keys", Some(&alice)).await.refused(401, reason::INVALID_TOKEN);
    refresh(&world, &alice.tokens.refresh_token).await.refused(401, reason::INVALID_TOKEN);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_token_is_spent_once_its_successor_is_used() {
    let world = World::start().await;
    let alice = world.register().await;
    let successor = refreshed(&world, &alice).await;
    refreshed(&world, &successor).await;
    refresh(&world, &alice.tokens.refresh_token).await.refused(401, reason::REUSE_DETECTED);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn logout_ends_every_token_of_the_device_and_its_socket() {
    let world = World::start().await;
    let alice = world.register().await;
    let mut socket = Socket::connect(&world, &alice).await;
    assert_eq!(world.post("/v1/auth/logout", Some(&alice), &()).await.status, 204);
    assert_eq!(socket.closed().await, 4401);
    world.get("/v1/keys", Some(&alice)).await.refused(401, reason::INVALID_TOKEN);
    refresh(&world, &alice.tokens.refresh_token).await.refused(401, reason::INVALID_TOKEN);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn an_unknown_refresh_token_is_refused() {
    let world = World::start().await;
    for token in ["", "x", &format!("{}.{}", "00".repeat(16), "11".repeat(32))] {
        refresh(&world, token).await.refused(401, reason::INVALID_TOKEN);
    }
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_socket_lives_on_with_a_fresh_token_and_ends_without() {
    let world = World::start().await;
    let alice = world.register().await;
    let mut socket = Socket::connect(&world, &alice).await;
    world.clock.advance(Duration::from_secs(60));
    let renewed = refreshed(&world, &alice).await;
    let Body::Welcome(welcome) = socket.ask(Body::Hello(hello(&renewed))).await else { panic!() };
    assert_eq!(welcome.access_expires_ms, renewed.tokens.access_expires_ms);

    // Past the first token's time the socket still answers; it must speak to stay.
    for _ in 0..10 {
        world.clock.advance(Duration::from_secs(60));
        let Body::Pong(_) = socket.ask(Body::Ping(sealpost_wire::Ping { t: 1 })).await else { panic!() };
    }
    world.clock.advance(Duration::from_secs(31));
    assert_eq!(socket.closed().await, 4401);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_socket_cannot_change_hands() {
    let world = World::start().await;
    let (alice, bob) = (world.register().await, world.register().await);
    let mut socket = Socket::connect(&world, &alice).await;
    let Body::Error(error) = socket.ask(Body::Hello(hello(&bob))).await else { panic!() };
    assert_eq!(error.reason, reason::INVALID_TOKEN);
    assert_eq!(socket.read().await, Read::Closed(4401));
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_registration_whose_answer_was_lost_is_repeated() {
    let world = World::start().await;
    let request = RegisterRequest {
        registration_id: 77,
        identity_key: public(0x05, 33, 1),
        keys: Some(keys(0, 10)),
        ..Default::default()
    };
    let register = async |key: &str| {
        let post = with_body(world.http.post(world.url("/v1/accounts")), &request);
        world.request(post.header("idempotency-key", key), None).await
    };
    let lost: RegisterResponse = register("mine").await.body();
    let again: RegisterResponse = register("mine").await.body();
    assert_eq!(again.user_id, lost.user_id);
    let party = |answer: &RegisterResponse| Party {
        user: UserId::from_slice(&answer.user_id).unwrap(),
        tokens: answer.tokens.clone().unwrap(),
    };
    assert_eq!(world.get("/v1/keys", Some(&party(&again))).await.status, 200);
    world.get("/v1/keys", Some(&party(&lost))).await.refused(401, reason::INVALID_TOKEN);
    let other: RegisterResponse = register("theirs").await.body();
    assert_ne!(other.user_id, again.user_id);
    register(&"x".repeat(65)).await.refused(400, reason::MALFORMED);
    world.relay.shutdown().await;
}
