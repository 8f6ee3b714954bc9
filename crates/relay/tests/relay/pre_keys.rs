//! Bundles: each one-time key is used once, then the last-resort key, and the owner is notified.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use sealpost_relay::limits::Limits;
use sealpost_wire::frame::Body;
use sealpost_wire::{KeyCounts, KeysLow, reason};

use crate::common::socket::{Read, Socket};
use crate::common::{World, kem, keys};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_one_time_key_is_given_out_twice() {
    let world = World::start().await;
    let bob = world.register_with(keys(0, 100)).await;
    let requesters = join_all((0..8).map(|_| world.register())).await;
    let mut bundles = Vec::new();
    for round in 0..4 {
        let key = |n: usize| format!("{round}-{n}");
        let takes = (0..48).map(|n| {
            let (world, bob, requester) = (&world, &bob, &requesters[n % requesters.len()]);
            async move { (n, world.take(requester, bob, &key(n)).await.bundle()) }
        });
        for (n, bundle) in join_all(takes).await {
            // A request that is repeated because the answer was lost takes no key.
            let again = world.take(&requesters[n % requesters.len()], &bob, &key(n)).await.bundle();
            assert_eq!(bundle, again);
            bundles.push(bundle);
        }
    }
    let ec: Vec<_> = bundles.iter().filter_map(|bundle| bundle.one_time.as_ref().map(|key| key.id)).collect();
    assert_eq!(ec.len(), 100, "all keys are handed out");
    assert_eq!(ec.iter().collect::<BTreeSet<_>>().len(), 100);
    let last_resort = Some(kem(u32::MAX));
    let one_time: Vec<_> = bundles.iter().filter(|bundle| bundle.kem != last_resort).collect();
    let ids: BTreeSet<_> = one_time.iter().map(|bundle| bundle.kem.as_ref().unwrap().id).collect();
    assert_eq!((one_time.len(), ids.len()), (100, 100));
    assert_eq!(bundles.len(), 192);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn an_idempotency_key_is_remembered_for_a_minute_and_for_its_requester() {
    let world = World::start().await;
    let bob = world.register_with(keys(0, 100)).await;
    let (alice, carol) = (world.register().await, world.register().await);
    let id = |bundle: sealpost_wire::Bundle| bundle.one_time.unwrap().id;
    assert_eq!(id(world.take(&alice, &bob, "1").await.bundle()), 0);
    assert_eq!(id(world.take(&carol, &bob, "1").await.bundle()), 1);
    world.clock.advance(Duration::from_secs(59));
    assert_eq!(id(world.take(&alice, &bob, "1").await.bundle()), 0);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(id(world.take(&alice, &bob, "1").await.bundle()), 2);
    world.take(&alice, &bob, &"x".repeat(65)).await.refused(400, reason::MALFORMED);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn the_owner_is_notified_when_few_keys_are_left() {
    let world = World::start().await;
    let (alice, bob) = (world.register().await, world.register_with(keys(0, 20)).await);
    let mut bobs = Socket::connect(&world, &bob).await;
    world.take(&alice, &bob, "1").await.bundle();
    assert_eq!(bobs.read().await, Read::Frame(0, Body::KeysLow(KeysLow { ec_left: 19, kem_left: 19 })));
    let counts: KeyCounts = world.put("/v1/keys", Some(&bob), &keys(20, 10)).await.body();
    assert_eq!((counts.ec, counts.kem), (29, 29));

    // The notification is repeated on the next connection, in case it was missed.
    let (alice, carol) = (world.register().await, world.register_with(keys(0, 20)).await);
    world.take(&alice, &carol, "1").await.bundle();
    let mut carols = Socket::connect(&world, &carol).await;
    assert_eq!(carols.read().await, Read::Frame(0, Body::KeysLow(KeysLow { ec_left: 19, kem_left: 19 })));
    world.end((bobs, carols)).await;
}

#[tokio::test]
async fn one_requester_cannot_empty_a_pool() {
    let world = World::start_with(|config| {
        config.limits = Limits::default();
        config.metrics = Some(([127, 0, 0, 1], 0).into());
    })
    .await;
    let (alice, bob) = (world.register().await, world.register_with(keys(0, 100)).await);
    for n in 0..6 {
        world.take(&alice, &bob, &n.to_string()).await.bundle();
    }
    let answer = world.take(&alice, &bob, "6").await;
    answer.refused(429, reason::RATE_LIMITED);
    assert_eq!(answer.headers["retry-after"], "100");
    let counts: KeyCounts = world.get("/v1/keys", Some(&bob)).await.body();
    assert_eq!(counts.ec, 94);
    let carol = world.register().await;
    world.take(&carol, &bob, "1").await.bundle();
    world.clock.advance(Duration::from_secs(100));
    world.take(&alice, &bob, "7").await.bundle();
    let metrics = crate::connections::metrics(&world).await;
    assert!(metrics.contains("relay_rate_limited_total{policy=\"pre_keys\"} 1\n"), "{metrics}");
    world.relay.shutdown().await;
}
