//! Requests without a valid token are charged to their network, if the relay knows it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use prost::Message;
use sealpost_relay::limits::{Name, Rate};
use sealpost_wire::{RefreshRequest, RegisterRequest, reason};

use crate::common::{Answer, Party, World, keys, public, with_body};
use crate::limits::assert_retry_after;

/// A relay behind a proxy on this machine, which is the test. It allows this many requests, and the next one a day
/// later.
async fn behind_a_proxy(name: Name, burst: u64) -> World {
    World::start_with(|config| {
        config.trusted_proxies = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
        config.limits.set(name, Some(Rate::new(burst, 1, Duration::from_secs(24 * 3_600))));
    })
    .await
}

async fn get_from(world: &World, network: &str, path: &str, by: Option<&Party>) -> Answer {
    let request = world.http.get(world.url(path)).header("x-forwarded-for", network);
    world.request(request, by).await
}

async fn post_from(world: &World, network: &str, path: &str, body: &impl Message) -> Answer {
    let request = with_body(world.http.post(world.url(path)), body).header("x-forwarded-for", network);
    world.request(request, None).await
}

/// A user with a well-formed token that another relay issued.
async fn forger() -> Party {
    let elsewhere = World::start().await;
    let forger = elsewhere.register().await;
    elsewhere.relay.shutdown().await;
    forger
}

#[tokio::test]
async fn requests_without_a_valid_token_are_charged_to_their_network() {
    let world = behind_a_proxy(Name::Unauthenticated, 4).await;
    let (alice, forger) = (world.register().await, forger().await);
    let inbox = async |network, by| get_from(&world, network, "/v1/inbox", by).await;
    inbox("192.0.2.1", Some(&forger)).await.refused(401, reason::INVALID_TOKEN);
    inbox("192.0.2.1", None).await.refused(401, reason::INVALID_TOKEN);
    get_from(&world, "192.0.2.1", "/no/such/route", Some(&alice)).await.refused(404, reason::NOT_FOUND);
    assert_eq!(get_from(&world, "192.0.2.1", "/healthz", None).await.status, 200);
    // Above the limit, everything is refused before its token is examined, and so is a socket.
    assert_retry_after(&inbox("192.0.2.1", Some(&forger)).await);
    assert_retry_after(&get_from(&world, "192.0.2.1", "/v1/ws", None).await);
    // Another network, one that puts a false address in front of its own, and a proxy that reports no address.
    inbox("192.0.2.2", Some(&forger)).await.refused(401, reason::INVALID_TOKEN);
    assert_retry_after(&inbox("192.0.2.2, 192.0.2.1", Some(&forger)).await);
    for _ in 0..10 {
        world.get("/v1/inbox", None).await.refused(401, reason::INVALID_TOKEN);
    }
    world.clock.advance(Duration::from_secs(24 * 3_600));
    inbox("192.0.2.1", Some(&forger)).await.refused(401, reason::INVALID_TOKEN);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn requests_with_a_valid_token_are_not_charged_to_their_network() {
    let world = behind_a_proxy(Name::Unauthenticated, 1).await;
    let alice = world.register().await;
    for _ in 0..20 {
        assert_eq!(get_from(&world, "192.0.2.1", "/v1/inbox", Some(&alice)).await.status, 200);
        // This includes requests that are refused.
        let path = format!("/v1/threads/{}", alice.user);
        get_from(&world, "192.0.2.1", &path, Some(&alice)).await.refused(404, reason::NOT_FOUND);
    }
    world.relay.shutdown().await;
}

#[tokio::test]
async fn loopback_peers_are_not_limited_and_their_forwarding_headers_are_ignored() {
    let world = World::start_with(|config| {
        let rate = Rate::new(1, 1, Duration::from_secs(24 * 3_600));
        for name in [Name::Unauthenticated, Name::Registrations, Name::Refreshes] {
            config.limits.set(name, Some(rate));
        }
    })
    .await;
    for _ in 0..10 {
        world.register().await;
        get_from(&world, "192.0.2.1", "/v1/inbox", None).await.refused(401, reason::INVALID_TOKEN);
    }
    world.relay.shutdown().await;
}

#[tokio::test]
async fn registrations_and_refreshes_of_a_network_are_limited_in_plain_http_too() {
    let world = behind_a_proxy(Name::Registrations, 2).await;
    let request = RegisterRequest {
        registration_id: 77,
        identity_key: public(0x05, 33, 1),
        keys: Some(keys(0, 1)),
        ..RegisterRequest::default()
    };
    for network in ["192.0.2.1", "192.0.2.1", "192.0.2.2"] {
        assert_eq!(post_from(&world, network, "/v1/accounts", &request).await.status, 201);
    }
    assert_retry_after(&post_from(&world, "192.0.2.1", "/v1/accounts", &request).await);
    world.relay.shutdown().await;

    let world = behind_a_proxy(Name::Refreshes, 1).await;
    let alice = world.register().await;
    let refresh =
        RefreshRequest { refresh_token: alice.tokens.refresh_token.clone(), ..RefreshRequest::default() };
    let refresh = async |network| post_from(&world, network, "/v1/auth/refresh", &refresh).await;
    assert_eq!(refresh("2001:db8::1").await.status, 200);
    assert_retry_after(&refresh("2001:db8::ffff:2").await);
    assert_eq!(refresh("2001:db8:0:1::1").await.status, 200);
    world.relay.shutdown().await;
}
