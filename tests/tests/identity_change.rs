//! A contact whose keys change: the app is told in the commit that writes it down, nothing more is sealed to a
//! verified contact, and the person decides.

#![cfg(test)]

use std::time::Duration;

use sealpost_core::{Delivery, Direction, Event, Events, FailReason, TrustState, UserId};
use sealpost_testkit::{Party, World, eventually};
use tokio::time::timeout;

/// Lets the relay hand out the keys of `other` as those of `user`: what happens when somebody starts over on a new
/// phone, and what a relay does that wants to read along.
fn swap_keys(world: &World, user: UserId, other: UserId) {
    let db = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    db.busy_timeout(Duration::from_secs(60)).unwrap();
    let (user, other) = (user.as_bytes(), other.as_bytes());
    db.execute(
        "UPDATE device SET (registration_id, identity_key) =
            (SELECT registration_id, identity_key FROM device WHERE user_id = ?2) WHERE user_id = ?1",
        [user, other],
    )
    .unwrap();
    // One-time keys stay behind: the last-resort key will do.
    for table in ["signed_pre_key", "one_time_pre_key"] {
        db.execute(&format!("DELETE FROM {table} WHERE user_id = ?1"), [user]).unwrap();
    }
    db.execute("UPDATE signed_pre_key SET user_id = ?1 WHERE user_id = ?2", [user, other]).unwrap();
}

/// Ada knows Ben; then his keys are those of somebody else.
async fn changed(world: &World, verified: bool) -> (Party, Party, Events) {
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let hers = ada.thread_with(&ben).await;
    let hello = hers.send_text("hello").await.unwrap();
    ada.message_reaches(&hers, hello.id, |state| *state == Direction::Outgoing(Delivery::Delivered)).await;
    if verified {
        let number = hers.peer().safety_number().await.unwrap();
        assert!(hers.peer().verify(&number).await.unwrap());
    }
    let mallory = world.party("mallory").await;
    let theirs = mallory.client.user_id();
    mallory.close().await;
    let events = ada.client.events();
    swap_keys(world, ben.client.user_id(), theirs);
    (ada, ben, events)
}

/// Waits until it is told that this user's identity changed.
async fn is_told(events: &mut Events, user: UserId) {
    let told = async { while events.next().await.unwrap().unwrap() != Event::IdentityChanged(user) {} };
    timeout(Duration::from_secs(60), told).await.expect("the change is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_to_a_verified_contact_whose_keys_changed_until_the_person_accepts() {
    let world = World::start().await;
    let (ada, ben, mut events) = changed(&world, true).await;
    let hers = ada.thread_with(&ben).await;
    let number = hers.peer().safety_number().await.unwrap();
    let secrets = [hers.send_text("a secret").await.unwrap(), hers.send_text("another").await.unwrap()];
    is_told(&mut events, ben.client.user_id()).await;
    // What is told is durable, all of it.
    assert_eq!(hers.peer().trust().await.unwrap(), TrustState::ChangedSinceVerified);
    assert_ne!(hers.peer().safety_number().await.unwrap(), number);
    assert!(!hers.peer().verify(&number).await.unwrap());
    let failed = Direction::Outgoing(Delivery::Failed(FailReason::IdentityChanged));
    for secret in &secrets {
        ada.message_reaches(&hers, secret.id, |state| *state == failed).await;
    }
    // Trying again changes nothing while the person has not decided.
    hers.retry(secrets[0].id).await.unwrap();
    ada.message_reaches(&hers, secrets[0].id, |state| *state == failed).await;
    assert_eq!(mail(&world), 0);
    hers.peer().accept().await.unwrap();
    assert_eq!(hers.peer().trust().await.unwrap(), TrustState::FirstUse);
    hers.retry(secrets[0].id).await.unwrap();
    ada.message_reaches(&hers, secrets[0].id, |state| {
        matches!(state, Direction::Outgoing(Delivery::Sent | Delivery::Delivered))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn comparing_the_new_number_trusts_the_contact_again() {
    let world = World::start().await;
    let (ada, ben, mut events) = changed(&world, true).await;
    let hers = ada.thread_with(&ben).await;
    hers.send_text("a secret").await.unwrap();
    is_told(&mut events, ben.client.user_id()).await;
    let number = hers.peer().safety_number().await.unwrap();
    assert!(hers.peer().verify(&number).await.unwrap());
    assert_eq!(hers.peer().trust().await.unwrap(), TrustState::Verified);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_was_never_verified_is_told_of_and_written_to() {
    let world = World::start().await;
    let (ada, ben, mut events) = changed(&world, false).await;
    let hers = ada.thread_with(&ben).await;
    let message = hers.send_text("whoever you are").await.unwrap();
    is_told(&mut events, ben.client.user_id()).await;
    assert_eq!(hers.peer().trust().await.unwrap(), TrustState::FirstUse);
    ada.message_reaches(&hers, message.id, |state| {
        matches!(state, Direction::Outgoing(Delivery::Sent | Delivery::Delivered))
    })
    .await;
    // It was not for the Ben who is still there: he sees that something came that he cannot open.
    let his = ben.thread_with(&ada).await;
    let all = ben.texts_when(&his, 2).await;
    assert_eq!(all[0], "hello");
    assert!(all[1].starts_with("Undecryptable"), "{}", all[1]);
    eventually("an empty mailbox", async || (mail(&world) == 0).then_some(())).await;
}

/// How much waits at the relay.
fn mail(world: &World) -> i64 {
    let db = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    db.query_row("SELECT count(*) FROM inbox", [], |row| row.get(0)).unwrap()
}
