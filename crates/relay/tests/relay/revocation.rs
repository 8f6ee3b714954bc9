//! Connections whose token is no longer valid, however they learn of it.

use std::sync::Arc;
use std::time::Duration;

use sealpost_relay::address::Address;
use sealpost_relay::bus::{Bus, LocalBus, Passing, Subscription, WakeReason};
use sealpost_wire::frame::Body;
use sealpost_wire::id::UserId;
use sealpost_wire::{Ping, RefreshRequest, RegisterRequest, RegisterResponse};

use crate::common::socket::Socket;
use crate::common::{Party, World, keys, public, with_body};

/// Loses every notification that a token is no longer valid.
#[derive(Debug, Default)]
struct Lossy(LocalBus);

impl Bus for Lossy {
    fn subscribe(&self, address: Address) -> Subscription {
        self.0.subscribe(address)
    }

    fn wake(&self, address: Address, reason: WakeReason) {
        if reason != WakeReason::Revoked {
            self.0.wake(address, reason);
        }
    }

    fn pass(&self, address: Address, passing: &Passing) -> bool {
        self.0.pass(address, passing)
    }
}

/// Registers under an idempotency key, which gives the same party with other tokens.
async fn register_as(world: &World, key: &str) -> Party {
    let request = RegisterRequest {
        registration_id: 77,
        identity_key: public(0x05, 33, 1),
        keys: Some(keys(0, 30)),
        ..RegisterRequest::default()
    };
    let post = world.http.post(world.url("/v1/accounts")).header("idempotency-key", key);
    let answer = world.request(with_body(post, &request), None).await;
    assert_eq!(answer.status, 201);
    let answer: RegisterResponse = answer.body();
    Party::new(UserId::from_slice(&answer.user_id).unwrap(), answer.tokens.unwrap())
}

async fn is_answered(socket: &mut Socket) -> bool {
    matches!(socket.ask(Body::Ping(Ping { t: 1 })).await, Body::Pong(_))
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Revoked,
    LoggedOut,
    RefreshTokenReused,
    RegisteredAgain,
    AccountDeleted,
}

const WAYS: [Way; 5] =
    [Way::Revoked, Way::LoggedOut, Way::RefreshTokenReused, Way::RegisteredAgain, Way::AccountDeleted];

/// Invalidates the tokens of a party that was registered under the key "lost".
async fn invalidate(world: &World, party: &Party, way: Way) {
    match way {
        Way::Revoked => assert_eq!(world.delete("/v1/devices/1", Some(party)).await.status, 204),
        Way::AccountDeleted => assert_eq!(world.delete("/v1/account", Some(party)).await.status, 204),
        Way::LoggedOut => {
            let logout = world.http.post(world.url("/v1/auth/logout"));
            assert_eq!(world.request(logout, Some(party)).await.status, 204);
        }
        Way::RefreshTokenReused => {
            let mut request = RefreshRequest {
                refresh_token: party.tokens.refresh_token.clone(),
                ..RefreshRequest::default()
            };
            let next: sealpost_wire::TokenPair = world.post("/v1/auth/refresh", None, &request).await.body();
            let used = std::mem::replace(&mut request.refresh_token, next.refresh_token);
            assert_eq!(world.post("/v1/auth/refresh", None, &request).await.status, 200);
            request.refresh_token = used;
            assert_eq!(world.post("/v1/auth/refresh", None, &request).await.status, 401);
        }
        Way::RegisteredAgain => assert_eq!(register_as(world, "lost").await.user, party.user),
    }
}

#[tokio::test]
async fn a_connection_with_an_invalidated_token_ends_at_the_next_tick_if_the_wake_up_is_lost() {
    for way in WAYS {
        let world = World::start_with(|config| config.bus = Arc::new(Lossy::default())).await;
        let (party, other) = (register_as(&world, "lost").await, register_as(&world, "other").await);
        let mut socket = Socket::connect(&world, &party).await;
        let mut others = Socket::connect(&world, &other).await;
        assert!(is_answered(&mut socket).await && is_answered(&mut others).await);
        invalidate(&world, &party, way).await;
        assert_eq!(socket.closed().await, 4401, "{way:?}");
        assert!(is_answered(&mut others).await, "{way:?}");
        world.end((socket, others)).await;
    }
}

#[tokio::test]
async fn a_connection_with_an_invalidated_token_ends_immediately() {
    for way in WAYS {
        let world = World::start_with(|config| config.timing.tick = Duration::from_secs(3_600)).await;
        let party = register_as(&world, "lost").await;
        let mut socket = Socket::connect(&world, &party).await;
        invalidate(&world, &party, way).await;
        assert_eq!(socket.closed().await, 4401, "{way:?}");
        world.relay.shutdown().await;
    }
}
