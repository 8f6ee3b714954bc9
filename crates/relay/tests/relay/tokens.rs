//! Tokens over time: rotation, lost answers, theft, expiry.

use std::collections::BTreeSet;
use std::time::Duration;

use sealpost_wire::frame::Body;
use sealpost_wire::id::UserId;
use sealpost_wire::{RefreshRequest, RegisterRequest, RegisterResponse, TokenPair, reason};

use crate::common::socket::{Read, Socket, hello};
use crate::common::{Answer, Party, World, keys, public, with_body};

async fn refresh(world: &World, token: &str) -> Answer {
    let request = RefreshRequest { refresh_token: token.into(), ..RefreshRequest::default() };
    world.post("/v1/auth/refresh", None, &request).await
}

async fn refreshed(world: &World, party: &Party) -> Party {
    let tokens: TokenPair = refresh(world, &party.tokens.refresh_token).await.body();
    Party { tokens, ..party.clone() }
}

#[tokio::test]
async fn an_access_token_expires_and_is_replaced_with_a_refresh_token() {
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
async fn answers_to_refreshes_may_be_lost_repeatedly() {
    let world = World::start().await;
    let alice = world.register().await;
    let lost = refreshed(&world, &alice).await;
    world.clock.advance(Duration::from_secs(3 * 24 * 3600));
    refreshed(&world, &alice).await;
    let again = refreshed(&world, &alice).await;
    assert_eq!(world.get("/v1/keys", Some(&again)).await.status, 200);
    let next = refreshed(&world, &again).await;
    assert_eq!(world.get("/v1/keys", Some(&next)).await.status, 200);
    // The token from the lost answer is presented by someone else.
    refresh(&world, &lost.tokens.refresh_token).await.refused(401, reason::REUSE_DETECTED);
    world.relay.shutdown().await;
}

/// Exchanges a token under an idempotency key.
async fn exchange(world: &World, token: &str, name: &str) -> Answer {
    let request = RefreshRequest { refresh_token: token.into(), ..RefreshRequest::default() };
    let post = with_body(world.http.post(world.url("/v1/auth/refresh")), &request);
    world.request(post.header("idempotency-key", name), None).await
}

async fn exchanged(world: &World, token: &str, name: &str) -> String {
    let tokens: TokenPair = exchange(world, token, name).await.body();
    tokens.refresh_token
}

/// Two processes of one device exchange at once, and either may be the one that stores last.
#[tokio::test]
async fn an_exchange_that_is_repeated_gives_the_same_successor() {
    let world = World::start().await;
    let alice = world.register().await;
    let first = alice.tokens.refresh_token.clone();
    let second = exchanged(&world, &first, "an exchange").await;
    let world = world.restart().await;
    assert_eq!(exchanged(&world, &first, "an exchange").await, second);
    let third = exchanged(&world, &second, "the next").await;
    assert_eq!(exchanged(&world, &second, "the next").await, third);
    let (one, other) =
        tokio::join!(exchanged(&world, &third, "at once"), exchanged(&world, &third, "at once"));
    assert_eq!(one, other);
    // Theft is detected as before: a token whose successor was used ends the family, also under its idempotency key.
    exchange(&world, &second, "the next").await.refused(401, reason::REUSE_DETECTED);
    exchange(&world, &one, "too late").await.refused(401, reason::INVALID_TOKEN);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn an_exchange_with_another_idempotency_key_gets_another_successor() {
    let world = World::start().await;
    let alice = world.register().await;
    let token = alice.tokens.refresh_token.clone();
    let hers = exchanged(&world, &token, "hers").await;
    // The thief has the token, and gets a different successor.
    let thiefs = exchanged(&world, &token, "a thief's").await;
    assert_ne!(thiefs, hers);
    exchange(&world, &hers, "her next").await.refused(401, reason::REUSE_DETECTED);
    exchange(&world, &thiefs, "a thief's next").await.refused(401, reason::INVALID_TOKEN);
    exchange(&world, &token, &"x".repeat(65)).await.refused(400, reason::MALFORMED);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn reuse_of_a_refresh_token_ends_the_family_of_both_holders() {
    let world = World::start().await;
    let alice = world.register().await;
    let stolen = alice.tokens.refresh_token.clone();
    let alice = refreshed(&world, &refreshed(&world, &alice).await).await;
    let mut socket = Socket::connect(&world, &alice).await;
    refresh(&world, &stolen).await.refused(401, reason::REUSE_DETECTED);
    assert_eq!(socket.closed().await, 4401);
    world.get("/v1/keys", Some(&alice)).await.refused(401, reason::INVALID_TOKEN);
    refresh(&world, &alice.tokens.refresh_token).await.refused(401, reason::INVALID_TOKEN);
    world.end(socket).await;
}

/// Every access token contains the ID of its family, including expired ones.
#[tokio::test]
async fn only_a_token_issued_for_a_family_can_end_it() {
    let world = World::start().await;
    let (alice, mallory) = (world.register().await, world.register().await);
    let used_up = alice.tokens.refresh_token.clone();
    let alice = refreshed(&world, &refreshed(&world, &alice).await).await;
    let mut socket = Socket::connect(&world, &alice).await;
    let family = &used_up[..32];
    let (of_mallory, zeros) = (&mallory.tokens.refresh_token[32..], "00".repeat(32));
    let guesses = [
        format!("{family}.{zeros}"),
        format!("{family}.{zeros}.{}", "00".repeat(16)),
        format!("{family}.{zeros}{}", &used_up[97..]),
        format!("{family}{of_mallory}"),
    ];
    for guess in &guesses {
        refresh(&world, guess).await.refused(401, reason::INVALID_TOKEN);
    }
    assert_eq!(world.get("/v1/keys", Some(&alice)).await.status, 200);
    let Body::Pong(_) = socket.ask(Body::Ping(sealpost_wire::Ping { t: 1 })).await else { panic!() };
    drop(socket);
    // A token of any age still ends the family, also after a restart.
    let mut alice = refreshed(&world, &alice).await;
    for _ in 0..20 {
        world.clock.advance(Duration::from_secs(4 * 24 * 3600));
        alice = refreshed(&world, &alice).await;
    }
    let world = world.restart().await;
    refresh(&world, &used_up).await.refused(401, reason::REUSE_DETECTED);
    refresh(&world, &alice.tokens.refresh_token).await.refused(401, reason::INVALID_TOKEN);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn an_expired_access_token_ends_nothing() {
    let world = World::start().await;
    let alice = world.register().await;
    world.clock.advance(Duration::from_secs(661));
    world.post("/v1/auth/logout", Some(&alice), &()).await.refused(401, reason::INVALID_TOKEN);
    world.delete("/v1/devices/1", Some(&alice)).await.refused(401, reason::INVALID_TOKEN);
    let alice = refreshed(&world, &alice).await;
    assert_eq!(world.get("/v1/keys", Some(&alice)).await.status, 200);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_token_is_invalid_once_its_successor_was_used() {
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
    world.end(socket).await;
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
async fn a_socket_stays_open_only_with_a_fresh_token() {
    let world = World::start().await;
    let alice = world.register().await;
    let mut socket = Socket::connect(&world, &alice).await;
    world.clock.advance(Duration::from_secs(60));
    let renewed = refreshed(&world, &alice).await;
    let Body::Welcome(welcome) = socket.ask(Body::Hello(hello(&renewed))).await else { panic!() };
    assert_eq!(welcome.access_expires_ms, renewed.tokens.access_expires_ms);

    // After the expiry of the first token, the socket still answers, but the client must present a token to stay
    // connected.
    for _ in 0..10 {
        world.clock.advance(Duration::from_secs(60));
        let Body::Pong(_) = socket.ask(Body::Ping(sealpost_wire::Ping { t: 1 })).await else { panic!() };
    }
    world.clock.advance(Duration::from_secs(31));
    assert_eq!(socket.closed().await, 4401);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_socket_cannot_be_taken_over_by_another_device() {
    let world = World::start().await;
    let (alice, bob) = (world.register().await, world.register().await);
    let mut socket = Socket::connect(&world, &alice).await;
    let Body::Error(error) = socket.ask(Body::Hello(hello(&bob))).await else { panic!() };
    assert_eq!(error.reason, reason::INVALID_TOKEN);
    assert_eq!(socket.read().await, Read::Closed(4401));
    world.end(socket).await;
}

#[tokio::test]
async fn a_registration_can_be_repeated_after_a_lost_answer() {
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
    let party = |answer: &RegisterResponse| {
        Party::new(UserId::from_slice(&answer.user_id).unwrap(), answer.tokens.clone().unwrap())
    };
    assert_eq!(world.get("/v1/keys", Some(&party(&again))).await.status, 200);
    world.get("/v1/keys", Some(&party(&lost))).await.refused(401, reason::INVALID_TOKEN);
    let other: RegisterResponse = register("theirs").await.body();
    assert_ne!(other.user_id, again.user_id);
    register(&"x".repeat(65)).await.refused(400, reason::MALFORMED);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn no_two_accounts_threads_or_connections_share_an_id_or_a_secret() {
    let world = World::start().await;
    let (mut users, mut families, mut secrets) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let (mut access, mut threads, mut connections) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for _ in 0..3 {
        let (alice, bob, thread) = world.pair().await;
        threads.insert(thread);
        for party in [alice, bob] {
            let (_socket, welcome) = Socket::connect_with(&world, hello(&party)).await;
            connections.insert(welcome.session_id);
            for token in [party.tokens.clone(), refreshed(&world, &party).await.tokens] {
                secrets.insert(token.refresh_token[33..97].to_owned());
            }
            users.insert(party.user);
            families.insert(party.tokens.refresh_token[..32].to_owned());
            access.insert(party.tokens.access_token);
        }
    }
    let counts = [users.len(), families.len(), access.len(), threads.len(), connections.len(), secrets.len()];
    assert_eq!(counts, [6, 6, 6, 3, 6, 12]);
    world.relay.shutdown().await;
}
