//! Signing in with a key, and a store that is restored in an older state.

use std::path::Path;
use std::time::Duration;

use sealpost_relay::store::sqlite::SqliteStore;
use sealpost_wire::frame::Body;
use sealpost_wire::id::ToWire as _;
use sealpost_wire::login::Purpose;
use sealpost_wire::{
    CreateThread, Generation, Hello, KeyCounts, LoginRequest, RefreshRequest, Thread, TokenPair, Welcome,
    reason,
};

use crate::common::login::Key;
use crate::common::socket::{Socket, hello};
use crate::common::{Party, World, keys};

async fn logged_in(world: &World, party: &Party) -> Party {
    let answer = world.log_in(party.login, (party.user, 1)).await;
    assert_eq!(answer.status, 200, "{:?}", party.user);
    Party { tokens: answer.body(), ..party.clone() }
}

async fn refresh(world: &World, party: &Party, login_key: Option<Key>) -> crate::common::Answer {
    let refresh_token = party.tokens.refresh_token.clone();
    let login_key = login_key.map(Key::public).unwrap_or_default();
    world.post("/v1/auth/refresh", None, &RefreshRequest { refresh_token, login_key }).await
}

#[tokio::test]
async fn a_login_issues_tokens_and_invalidates_earlier_ones() {
    let world = World::start().await;
    let before = world.register().await;
    let mut socket = Socket::connect(&world, &before).await;
    let after = logged_in(&world, &before).await;
    assert_eq!(socket.closed().await, 4401);
    world.get("/v1/keys", Some(&before)).await.refused(401, reason::INVALID_TOKEN);
    refresh(&world, &before, None).await.refused(401, reason::INVALID_TOKEN);
    assert_eq!(world.get("/v1/keys", Some(&after)).await.status, 200);
    assert_eq!(refresh(&world, &after, None).await.status, 200);
    world.end(socket).await;
}

/// Two processes of one device sign in at once, or one signs in again because its answer was lost.
#[tokio::test]
async fn a_login_repeated_with_its_idempotency_key_gives_the_same_refresh_token() {
    let world = World::start().await;
    let alice = world.register().await;
    let device = (alice.user, 1);
    let named = async |name: &str| {
        let signed = alice.login.sign(Purpose::Login, device, &world.challenge(device).await);
        let request = world.http.post(world.url("/v1/auth/login")).header("idempotency-key", name);
        let request = crate::common::with_body(request, &LoginRequest { signed: Some(signed) });
        world.request(request, None).await.body::<TokenPair>().refresh_token
    };
    let (one, other) = tokio::join!(named("a login"), named("a login"));
    assert_eq!(one, other);
    assert_ne!(named("another").await, one);
    world.relay.shutdown().await;
}

#[tokio::test]
async fn stolen_tokens_and_used_signatures_do_not_allow_a_login() {
    let world = World::start().await;
    let alice = world.register().await;
    let mallory = world.register().await;
    let device = (alice.user, 1);

    // With a stolen access token, another key can neither sign for her nor replace hers.
    assert_eq!(world.get("/v1/keys", Some(&alice)).await.status, 200);
    world.log_in(mallory.login, device).await.refused(401, reason::UNKNOWN_DEVICE);
    world.restore(&mallory, device).await.refused(401, reason::UNKNOWN_DEVICE);

    // With a used refresh token, both lose their tokens, and only she can log in again.
    let second: TokenPair = refresh(&world, &alice, None).await.body();
    let second = Party { tokens: second, ..alice.clone() };
    let third: TokenPair = refresh(&world, &second, None).await.body();
    refresh(&world, &alice, Some(mallory.login)).await.refused(401, reason::REUSE_DETECTED);
    refresh(&world, &Party { tokens: third, ..alice.clone() }, None)
        .await
        .refused(401, reason::INVALID_TOKEN);
    world.log_in(mallory.login, device).await.refused(401, reason::UNKNOWN_DEVICE);

    // An observed signature was valid once, for this request, at this relay.
    let challenge = world.challenge(device).await;
    let seen = LoginRequest { signed: Some(alice.login.sign(Purpose::Login, device, &challenge)) };
    let answer = world.post("/v1/auth/login", None, &seen).await;
    assert_eq!(answer.status, 200);
    let alice = Party { tokens: answer.body(), ..alice };
    world.post("/v1/auth/login", None, &seen).await.refused(401, reason::UNKNOWN_DEVICE);
    let unused = alice.login.sign(Purpose::Login, device, &world.challenge(device).await);
    let mut moved = unused.clone();
    moved.user_id = mallory.user.to_wire();
    let moved = LoginRequest { signed: Some(moved) };
    world.post("/v1/auth/login", None, &moved).await.refused(401, reason::INVALID_SIGNATURE);
    world.clock.advance(Duration::from_secs(61));
    let late = LoginRequest { signed: Some(unused) };
    world.post("/v1/auth/login", None, &late).await.refused(401, reason::INVALID_SIGNATURE);
    let world = world.restart().await;
    world.post("/v1/auth/login", None, &seen).await.refused(401, reason::INVALID_SIGNATURE);
    assert_eq!(world.get("/v1/keys", Some(&alice)).await.status, 200, "her own tokens remain valid");
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_device_without_a_login_key_registers_one_when_it_refreshes() {
    let world = World::start().await;
    let (alice, key) = (world.register().await, Key::random());
    let db = rusqlite::Connection::open(world.folder.path().join("relay.db")).unwrap();
    db.busy_timeout(Duration::from_secs(10)).unwrap();
    db.execute("UPDATE device SET login_key = NULL", []).unwrap();
    world.log_in(alice.login, (alice.user, 1)).await.refused(401, reason::UNKNOWN_DEVICE);
    let pair: TokenPair = refresh(&world, &alice, Some(key)).await.body();
    assert!(!pair.registration_tag.is_empty());
    let alice = Party { login: key, tag: pair.registration_tag.clone(), tokens: pair, ..alice };
    // The first key is kept.
    let pair: TokenPair = refresh(&world, &alice, Some(Key::random())).await.body();
    assert!(pair.registration_tag.is_empty());
    let alice = Party { tokens: pair, ..alice };
    let pair: TokenPair = refresh(&world, &alice, Some(key)).await.body();
    assert_eq!(pair.registration_tag, alice.tag);
    logged_in(&world, &alice).await;
    world.relay.shutdown().await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// The relay loses everything that happens in between.
async fn lose<T>(world: World, new_epoch: bool, between: impl AsyncFnOnce(&World) -> T) -> (World, T) {
    let backup = tempfile::tempdir().unwrap();
    let folder = world.folder.path().to_owned();
    let world = world.restart_after(|| copy(&folder, &backup.path().join("relay"))).await;
    let happened = between(&world).await;
    let world = world
        .restart_after(|| {
            for entry in std::fs::read_dir(&folder).unwrap() {
                std::fs::remove_file(entry.unwrap().path()).unwrap();
            }
            copy(&backup.path().join("relay"), &folder);
            if new_epoch {
                assert_eq!(SqliteStore::new_epoch(&folder).unwrap(), 2);
            }
        })
        .await;
    (world, happened)
}

#[tokio::test]
async fn a_device_with_tokens_unknown_to_a_restored_relay_can_log_in() {
    for new_epoch in [true, false] {
        let world = World::start().await;
        let alice = world.register().await;
        let (world, (second, third)) = lose(world, new_epoch, async |world| {
            let second: TokenPair = refresh(world, &alice, None).await.body();
            let second = Party { tokens: second, ..alice.clone() };
            let third: TokenPair = refresh(world, &second, None).await.body();
            (second, Party { tokens: third, ..alice.clone() })
        })
        .await;
        if new_epoch {
            // It is not known whether the tokens were used, so this does not count as theft, and the family
            // continues.
            for party in [&second, &third] {
                refresh(&world, party, None).await.refused(401, reason::INVALID_TOKEN);
            }
            assert_eq!(refresh(&world, &alice, None).await.status, 200);
        } else {
            refresh(&world, &third, None).await.refused(401, reason::REUSE_DETECTED);
        }
        let alice = logged_in(&world, &third).await;
        assert_eq!(world.get("/v1/keys", Some(&alice)).await.status, 200);
        // From now on, theft is detected again.
        let next: TokenPair = refresh(&world, &alice, None).await.body();
        let next = Party { tokens: next, ..alice.clone() };
        assert_eq!(refresh(&world, &next, None).await.status, 200);
        refresh(&world, &alice, None).await.refused(401, reason::REUSE_DETECTED);
        world.relay.shutdown().await;
    }
}

#[tokio::test]
async fn a_device_unknown_to_a_restored_relay_can_be_restored() {
    let world = World::start().await;
    let mallory = world.register().await;
    let (world, alice) = lose(world, true, async |world| world.register().await).await;
    let device = (alice.user, 1);
    world.log_in(alice.login, device).await.refused(401, reason::UNKNOWN_DEVICE);

    // The device cannot be restored with another login key, without the tag, or with other keys than were registered.
    let thief = Party { tag: mallory.tag.clone(), ..mallory.clone() };
    world.restore(&thief, device).await.refused(401, reason::UNKNOWN_DEVICE);
    let thief = Party { tag: alice.tag.clone(), ..mallory.clone() };
    world.restore(&thief, device).await.refused(401, reason::UNKNOWN_DEVICE);
    let mut other = world.restore_request(&alice, device).await;
    other.identity_key = crate::common::public(0x05, 33, 2);
    world.post("/v1/accounts/restore", None, &other).await.refused(401, reason::UNKNOWN_DEVICE);
    let mut forged = world.restore_request(&alice, device).await;
    forged.signed = Some(mallory.login.sign(Purpose::Restore, device, &world.challenge(device).await));
    world.post("/v1/accounts/restore", None, &forged).await.refused(401, reason::INVALID_SIGNATURE);
    let mut login = world.restore_request(&alice, device).await;
    login.signed = Some(alice.login.sign(Purpose::Login, device, &world.challenge(device).await));
    world.post("/v1/accounts/restore", None, &login).await.refused(401, reason::INVALID_SIGNATURE);

    let request = world.restore_request(&alice, device).await;
    let answer = world.post("/v1/accounts/restore", None, &request).await;
    assert_eq!(answer.status, 201);
    world.post("/v1/accounts/restore", None, &request).await.refused(401, reason::INVALID_SIGNATURE);
    // The answer was lost.
    let answer = world.restore(&alice, device).await;
    assert_eq!(answer.status, 201);
    let alice = Party { tokens: answer.body(), ..alice };
    let bundle = world.take(&mallory, &alice, "1").await.bundle();
    assert_eq!((bundle.registration_id, bundle.one_time.unwrap().id), (77, 1_000));
    let (mut socket, _) = Socket::connect_with(&world, hello(&alice)).await;
    socket.send(Body::Ping(sealpost_wire::Ping { t: 1 })).await;

    // A revoked device cannot be restored.
    assert_eq!(world.delete("/v1/devices/1", Some(&alice)).await.status, 204);
    world.restore(&alice, device).await.refused(409, reason::DEVICE_REVOKED);
    world.end(socket).await;
}

#[tokio::test]
async fn a_device_cannot_be_restored_on_a_relay_that_did_not_register_it() {
    let (here, there) = (World::start().await, World::start().await);
    let alice = here.register().await;
    there.restore(&alice, (alice.user, 1)).await.refused(401, reason::UNKNOWN_DEVICE);
    here.relay.shutdown().await;
    there.relay.shutdown().await;
}

async fn greeted(world: &World, hello: Hello) -> (Socket, Welcome) {
    Socket::connect_with(world, hello).await
}

#[tokio::test]
async fn a_client_with_a_later_store_version_reveals_that_the_relay_was_restored() {
    let world = World::start().await;
    let (alice, bob) = (world.register().await, world.register().await);
    let (world, seen) = lose(world, false, async |world| {
        let (mut socket, welcome) = greeted(world, hello(&alice)).await;
        assert_eq!(welcome.epoch, 1);
        assert_eq!(world.take(&bob, &alice, "one").await.bundle().one_time.unwrap().id, 0);
        let id = socket.send(Body::Ping(sealpost_wire::Ping { t: 7 })).await;
        let (reply, Body::Pong(pong)) = socket.frame().await else { panic!("no pong") };
        assert_eq!(reply, id);
        assert_ne!(pong.store_version, welcome.store_version, "transactions were committed in between");
        pong.store_version
    })
    .await;
    let forged: Vec<u8> = seen.iter().map(|byte| byte ^ 1).collect();
    for store_version in [Vec::new(), forged] {
        let (socket, welcome) =
            greeted(&world, Hello { store_version: store_version.into(), ..hello(&bob) }).await;
        assert_eq!(welcome.epoch, 1, "no client has seen a later version");
        drop(socket);
    }
    let (mut bobs, own) = greeted(&world, hello(&bob)).await;
    let shown = Hello { store_version: seen.clone(), epoch_seen: 1, ..hello(&alice) };
    let (alices, welcome) = greeted(&world, shown.clone()).await;
    assert_eq!((welcome.epoch, welcome.epoch_changed), (2, true));
    // Clients that were connected before must reconnect, and then learn of the restoration.
    assert_eq!(bobs.closed().await, 1012);
    for known in [own.store_version, seen, welcome.store_version] {
        let (socket, welcome) = greeted(&world, Hello { store_version: known, ..shown.clone() }).await;
        assert_eq!(welcome.epoch, 2, "no further epoch begins");
        drop(socket);
    }
    // The backup's one-time keys may have been handed out since.
    let bundle = world.take(&bob, &alice, "two").await.bundle();
    assert_eq!((bundle.one_time, bundle.kem.unwrap().id), (None, u32::MAX));
    assert_eq!(world.put("/v1/keys", Some(&alice), &keys(20, 5)).await.status, 200);
    assert_eq!(world.take(&bob, &alice, "three").await.bundle().one_time.unwrap().id, 20);
    drop(alices);
    let world = world.restart().await;
    let (socket, welcome) = greeted(&world, hello(&alice)).await;
    assert_eq!(welcome.epoch, 2, "the epoch is stored");
    world.end(socket).await;
}

#[tokio::test]
async fn the_relay_records_the_newest_generation_of_a_devices_database() {
    let world = World::start().await;
    let alice = world.register().await;
    let say = async |number: u64, nonce: u8| {
        let generation = Some(Generation { number, nonce: vec![nonce; 8].into() });
        let (socket, welcome) = greeted(&world, Hello { generation, ..hello(&alice) }).await;
        drop(socket);
        let known = welcome.generation.unwrap();
        (known.number, known.nonce[0])
    };
    assert_eq!(say(1, 10).await, (0, 0));
    assert_eq!(say(2, 20).await, (1, 10));
    // An older generation, of a copy or of a slower process, is answered with the recorded one and changes nothing.
    assert_eq!(say(2, 21).await, (2, 20));
    assert_eq!(say(1, 11).await, (2, 20));
    assert_eq!(say(9, 90).await, (2, 20));
    assert_eq!(say(10, 1).await, (9, 90));
    for (number, nonce) in [(0, 8), (11, 7), (u64::MAX, 8)] {
        let generation = Some(Generation { number, nonce: vec![1; nonce].into() });
        let (socket, welcome) = greeted(&world, Hello { generation, ..hello(&alice) }).await;
        assert_eq!(welcome.generation.unwrap().number, 0, "an invalid generation is not recorded");
        drop(socket);
    }
    assert_eq!(say(11, 2).await, (10, 1));
    world.relay.shutdown().await;
}

#[tokio::test]
async fn restoring_a_device_replaces_its_pre_keys() {
    let world = World::start().await;
    let (alice, bob) = (world.register_with(keys(0, 100)).await, world.register().await);
    let counts: KeyCounts = world.get("/v1/keys", Some(&alice)).await.body();
    assert_eq!((counts.ec, counts.newest_id), (100, 99));
    let fresh = sealpost_wire::KeyUpload { replaces_all: true, ..keys(200, 90) };
    for _ in 0..2 {
        // This also holds if the answer was lost.
        let counts: KeyCounts = world.put("/v1/keys", Some(&alice), &fresh).await.body();
        assert_eq!((counts.ec, counts.kem, counts.newest_id), (90, 90, 289));
    }
    assert_eq!(world.take(&bob, &alice, "one").await.bundle().one_time.unwrap().id, 200);
    let again: KeyCounts = world.put("/v1/keys", Some(&alice), &fresh).await.body();
    assert_eq!((again.ec, again.kem), (89, 89), "keys that were handed out are not restored");
    let old = sealpost_wire::KeyUpload { replaces_all: true, ..keys(100, 5) };
    world.put("/v1/keys", Some(&alice), &old).await.refused(409, reason::KEY_ID_USED);
    let counts: KeyCounts = world.get("/v1/keys", Some(&alice)).await.body();
    assert_eq!((counts.ec, counts.kem), (89, 89), "a refused upload changes nothing");
    world.relay.shutdown().await;
}

#[tokio::test]
async fn a_thread_that_a_restored_relay_has_lost_keeps_its_id() {
    let world = World::start().await;
    let (alice, bob, cyd) = (world.register().await, world.register().await, world.register().await);
    let (world, lost) = lose(world, true, async |world| world.thread(&alice, &bob).await).await;
    assert_eq!(world.accept(lost, &alice).await.status, 404);
    let named = CreateThread { peer_user_id: bob.user.to_wire(), thread_id: lost.to_wire() };
    let answer = world.post("/v1/threads", Some(&alice), &named).await;
    assert_eq!((answer.status, answer.body::<Thread>().thread_id), (201, lost.to_wire()));
    assert_eq!(world.accept(lost, &bob).await.status, 204);
    // For other users, it is an ordinary ID.
    let taken = CreateThread { peer_user_id: cyd.user.to_wire(), thread_id: lost.to_wire() };
    let answer = world.post("/v1/threads", Some(&alice), &taken).await;
    assert_eq!(answer.status, 201);
    assert_ne!(answer.body::<Thread>().thread_id, lost.to_wire());
    world.relay.shutdown().await;
}
