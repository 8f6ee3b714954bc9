//! A contact whose keys change: the app is notified in the commit that stores the change, nothing more is sealed for a
//! verified contact, and the user decides. Keys that the relay has changed are refused.

#![cfg(test)]

use std::time::Duration;

use futures_util::FutureExt as _;
use rusqlite::params;
use sealpost_core::{
    ConnectionState, Delivery, Error, Event, Events, FailReason, MessageBody, Thread, TrustState,
    Undecryptable, UserId,
};
use sealpost_e2e::{has_device_list, open_database, swap_keys};
use sealpost_testkit::{Party, PartyDisk, World, eventually, history, other};
use tokio::time::timeout;

/// Ada has a session with Ben.
async fn talked(world: &World, verified: bool) -> (Party, Party) {
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let hers = ada.thread_with(&ben).await;
    let hello = hers.send_text("hello").await.unwrap();
    ada.message_reaches(&hers, hello.id, Delivery::Delivered).await;
    if verified {
        let number = other(&hers).await.safety_number().await.unwrap();
        assert!(other(&hers).await.verify(&number).await.unwrap());
    }
    (ada, ben)
}

/// Ada has a session with Ben, and then he starts again on another phone. The first one is still there.
async fn changed(world: &World, verified: bool) -> (Party, Party, Events) {
    let (ada, ben) = talked(world, verified).await;
    let events = ada.client.events();
    let new = start_over(world, ben.client.user_id(), &world.disk("ben")).await.open().await;
    // The list that the new phone has signed replaces the one of the old phone.
    has_device_list(world, ben.client.user_id(), 2).await;
    new.close().await;
    (ada, ben, events)
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_the_relay_has_swapped_are_refused_and_change_nothing() {
    for verified in [true, false] {
        for hides_list in [true, false] {
            let world = World::start().await;
            let (ada, ben) = talked(&world, verified).await;
            let hers = ada.thread_with(&ben).await;
            let number = other(&hers).await.safety_number().await.unwrap();
            let trust = other(&hers).await.trust().await.unwrap();
            let mallory = world.party("mallory").await;
            let theirs = mallory.client.user_id();
            mallory.close().await;
            swap_keys(&world.relay_dir(), ben.client.user_id(), theirs);
            if hides_list {
                let db = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
                db.busy_timeout(Duration::from_secs(60)).unwrap();
                db.execute("DELETE FROM device_list", []).unwrap();
            }
            let secret = hers.send_text("a secret").await.unwrap();
            ada.message_reaches(&hers, secret.id, Delivery::Failed(FailReason::BadKeys)).await;
            assert_eq!(other(&hers).await.trust().await.unwrap(), trust);
            assert_eq!(other(&hers).await.safety_number().await.unwrap(), number);
            assert_eq!(mail(&world), 0, "nothing was sealed for the swapped keys");
        }
    }
}

/// Waits for the event that this user's identity changed.
async fn is_told(events: &mut Events, user: UserId) {
    let told = async { while events.next().await.unwrap().unwrap() != Event::IdentityChanged(user) {} };
    timeout(Duration::from_secs(60), told).await.expect("the change is reported");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_to_a_verified_contact_with_changed_keys_until_the_user_accepts() {
    let world = World::start().await;
    let (ada, ben, mut events) = changed(&world, true).await;
    let hers = ada.thread_with(&ben).await;
    let number = other(&hers).await.safety_number().await.unwrap();
    let secrets = [hers.send_text("a secret").await.unwrap(), hers.send_text("another").await.unwrap()];
    is_told(&mut events, ben.client.user_id()).await;
    // Everything that was reported is durable.
    assert_eq!(other(&hers).await.trust().await.unwrap(), TrustState::ChangedSinceVerified);
    assert_ne!(other(&hers).await.safety_number().await.unwrap(), number);
    assert!(!other(&hers).await.verify(&number).await.unwrap());
    let failed = Delivery::Failed(FailReason::IdentityChanged);
    for secret in &secrets {
        ada.message_reaches(&hers, secret.id, failed).await;
    }
    // Retrying has no effect until the user has decided.
    hers.retry(secrets[0].id).await.unwrap();
    ada.message_reaches(&hers, secrets[0].id, failed).await;
    assert_eq!(mail(&world), 0);
    other(&hers).await.accept().await.unwrap();
    assert_eq!(other(&hers).await.trust().await.unwrap(), TrustState::FirstUse);
    hers.retry(secrets[0].id).await.unwrap();
    ada.message_reaches(&hers, secrets[0].id, Delivery::Sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verifying_the_new_safety_number_restores_trust() {
    let world = World::start().await;
    let (ada, ben, mut events) = changed(&world, true).await;
    let hers = ada.thread_with(&ben).await;
    hers.send_text("a secret").await.unwrap();
    is_told(&mut events, ben.client.user_id()).await;
    let number = other(&hers).await.safety_number().await.unwrap();
    assert!(other(&hers).await.verify(&number).await.unwrap());
    assert_eq!(other(&hers).await.trust().await.unwrap(), TrustState::Verified);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_an_unverified_contact_is_reported_and_does_not_stop_sends() {
    let world = World::start().await;
    let (ada, ben, mut events) = changed(&world, false).await;
    let hers = ada.thread_with(&ben).await;
    let message = hers.send_text("whoever you are").await.unwrap();
    is_told(&mut events, ben.client.user_id()).await;
    assert_eq!(other(&hers).await.trust().await.unwrap(), TrustState::FirstUse);
    ada.message_reaches(&hers, message.id, Delivery::Sent).await;
    // It was not sealed for the Ben who is still there; he sees an undecryptable message.
    let his = ben.thread_with(&ada).await;
    let all = ben.texts_when(&his, 2).await;
    assert_eq!(all[0], "hello");
    assert!(all[1].starts_with("Undecryptable"), "{}", all[1]);
    eventually("an empty mailbox", async || (mail(&world) == 0).then_some(())).await;
}

/// A user starts again on another phone.
async fn start_over(world: &World, user: UserId, old: &PartyDisk) -> PartyDisk {
    let new = world.party("ben again").await;
    sealpost_e2e::start_over(world, user, old, new).await
}

/// Waits until the thread of `party` has this many messages, and returns the last one.
async fn last_of(thread: &Thread, count: usize) -> MessageBody {
    let last = async || {
        let all = history(thread).await;
        (all.len() == count).then(|| all.last().map(|message| message.body.clone())).flatten()
    };
    eventually("the expected number of messages", last).await
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_sealed_by_a_replaced_key_are_refused_and_the_new_key_works() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let (user, mut events) = (ben.client.user_id(), ada.client.events());
    let hers = ada.thread_with(&ben).await;
    let his = ben.thread_with(&ada).await;
    hers.send_text("hello").await.unwrap();
    last_of(&his, 1).await;
    his.send_text("hello to you").await.unwrap();
    last_of(&hers, 2).await;
    let old = ben.close().await;

    // Ben loses his phone, and the next one has other keys.
    let new = start_over(&world, user, &old).await;
    let ben = new.open().await;
    ben.thread_with(&ada).await.send_text("it is me").await.unwrap();
    assert_eq!(last_of(&hers, 3).await, MessageBody::Text("it is me".into()));
    is_told(&mut events, user).await;
    let number = other(&hers).await.safety_number().await.unwrap();
    assert_eq!(sessions(&world.disk("ada")), 1, "those of the old phone are dropped");
    let asked = hers.send_text("is it?").await.unwrap();
    ada.message_reaches(&hers, asked.id, Delivery::Delivered).await;
    let new = ben.close().await;

    // Another person with the lost phone writes in its session, which is inactive on her side.
    let replaced = MessageBody::Undecryptable(Undecryptable::SenderKeyReplaced);
    let thief = old.open().await;
    thief.thread_with(&ada).await.send_text("lend me money").await.unwrap();
    assert_eq!(last_of(&hers, 5).await, replaced);
    // They also start another session with the old keys.
    let old = thief.close().await;
    open_database(old.database(), &old.key()).execute("DELETE FROM session", []).unwrap();
    let thief = old.open().await;
    thief.thread_with(&ada).await.send_text("a lot of it").await.unwrap();
    assert_eq!(last_of(&hers, 6).await, replaced);
    thief.close().await;

    // Neither changes the keys that she encrypts to and accepts.
    assert_eq!(other(&hers).await.safety_number().await.unwrap(), number);
    let ben = new.open().await;
    ben.thread_with(&ada).await.send_text("do not believe him").await.unwrap();
    assert_eq!(last_of(&hers, 7).await, MessageBody::Text("do not believe him".into()));
    let never = hers.send_text("never").await.unwrap();
    ada.message_reaches(&hers, never.id, Delivery::Delivered).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_message_of_a_device_that_is_not_on_the_list_is_not_opened() {
    let world = World::start().await;
    let (ada, ben) = talked(&world, true).await;
    let (user, hers) = (ben.client.user_id(), ada.thread_with(&ben).await);
    let number = other(&hers).await.safety_number().await.unwrap();
    let old = ben.close().await;
    // Somebody who has Ben's tokens writes in his name, with keys of their own and the list that Ben has signed.
    let new = start_over(&world, user, &old).await;
    let values: (Vec<u8>, Vec<u8>, Vec<u8>) = open_database(old.database(), &old.key())
        .query_row(
            "SELECT account_key, digest, list FROM device_list WHERE user_id = ?1",
            [user.as_bytes()],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .unwrap();
    let database = open_database(new.database(), &new.key());
    let insert = "INSERT INTO device_list VALUES (?1, ?2, 1, ?3, ?4)";
    database.execute(insert, params![user.as_bytes(), values.0, values.1, values.2]).unwrap();
    database.execute("UPDATE account SET list_told = 1", []).unwrap();
    drop(database);
    let mallory = new.open().await;
    mallory.thread_with(&ada).await.send_text("lend me money").await.unwrap();
    // The relay is asked for some minutes whether there is a later list.
    let database = || open_database(world.disk("ada").database(), &world.disk("ada").key());
    let was_asked = async || {
        let tries = database().query_row("SELECT tries FROM device_list_due", [], |row| row.get(0));
        tries.is_ok_and(|tries: u32| tries > 0).then_some(())
    };
    eventually("the relay was asked", was_asked).await;
    assert_eq!(history(&hers).await.len(), 1);
    drop(hers);
    let ada = ada.close().await;
    database().execute("UPDATE device_list_due SET tries = 7, due = 0", []).unwrap();
    let ada = ada.open().await;
    let hers = ada.thread_with_user(user).await;
    assert_eq!(last_of(&hers, 2).await, MessageBody::Undecryptable(Undecryptable::UnlistedDevice));
    assert_eq!(other(&hers).await.trust().await.unwrap(), TrustState::Verified);
    assert_eq!(other(&hers).await.safety_number().await.unwrap(), number);
    mallory.close().await;
    // The true Ben is still understood.
    let ben = old.open().await;
    ben.thread_with(&ada).await.send_text("it is me").await.unwrap();
    assert_eq!(last_of(&hers, 3).await, MessageBody::Text("it is me".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_registration_unlinks_the_companions_and_ends_their_sessions_at_contacts() {
    let world = World::start().await;
    let (ada, ben) = talked(&world, true).await;
    let (user, mut events) = (ben.client.user_id(), ada.client.events());
    let hers = ada.thread_with(&ben).await;
    let tablet = world.companion(&ben, "tablet").await;
    let of_tablet = tablet.thread_with(&ada).await;
    of_tablet.send_text("from the tablet").await.unwrap();
    last_of(&hers, 2).await;
    let number = other(&hers).await.safety_number().await.unwrap();
    assert_eq!(sessions(&world.disk("ada")), 2);
    let old_list = at_relay(&world, user);
    let mut own_events = tablet.client.events();
    let old = ben.close().await;

    // Ben has lost his phone, and registers again. The relay still has his tablet.
    let new = start_over(&world, user, &old).await;
    let ben = new.open().await;
    // The tablet does not take the list of another account key for its own, and is unlinked by the new phone.
    let signed_out = async || (tablet.client.connection_state() == ConnectionState::SignedOut).then_some(());
    eventually("the tablet is unlinked", signed_out).await;
    let refused = tablet.client.direct_thread(UserId::from_bytes([9; 16])).await;
    assert_eq!(refused.map(drop), Err(Error::Unlinked));
    let devices = tablet.client.devices().await.unwrap();
    assert_eq!(devices.iter().map(|own| own.id.get()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(ben.client.devices().await.unwrap().len(), 1);
    while let Some(event) = own_events.next().now_or_never().flatten() {
        assert!(!matches!(event, Ok(Event::IdentityChanged(_))), "nobody is asked about our own key");
    }

    // Ada is told with the first message, and the sessions with all old devices are gone.
    ben.thread_with(&ada).await.send_text("it is me").await.unwrap();
    is_told(&mut events, user).await;
    assert_eq!(last_of(&hers, 3).await, MessageBody::Text("it is me".into()));
    assert_eq!(sessions(&world.disk("ada")), 1);
    assert_ne!(other(&hers).await.safety_number().await.unwrap(), number);
    assert_eq!(other(&hers).await.trust().await.unwrap(), TrustState::ChangedSinceVerified);
    let secret = hers.send_text("a secret").await.unwrap();
    ada.message_reaches(&hers, secret.id, Delivery::Failed(FailReason::IdentityChanged)).await;
    other(&hers).await.accept().await.unwrap();
    hers.retry(secret.id).await.unwrap();
    ada.message_reaches(&hers, secret.id, Delivery::Delivered).await;

    // The relay shows the list of the old key again, as a later one.
    let (disk, number) = (world.disk("ada"), other(&hers).await.safety_number().await.unwrap());
    drop(hers);
    ada.close().await;
    let relay = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    relay.busy_timeout(Duration::from_secs(60)).unwrap();
    relay
        .execute(
            "UPDATE device_list SET version = 99, list = ?2 WHERE user_id = ?1",
            params![user.as_bytes(), old_list],
        )
        .unwrap();
    open_database(disk.database(), &disk.key())
        .execute(
            "INSERT INTO device_list_due (user_id, version, contradicts) VALUES (?1, 0, 0)",
            [user.as_bytes()],
        )
        .unwrap();
    let ada = disk.open().await;
    let mut events = ada.client.events();
    let refused = async { while events.next().await.unwrap().unwrap() != Event::DeviceListRefused(user) {} };
    timeout(Duration::from_secs(60), refused).await.expect("the old list is refused");
    let hers = ada.thread_with_user(user).await;
    assert_eq!(other(&hers).await.safety_number().await.unwrap(), number);
    let still = hers.send_text("still you").await.unwrap();
    ada.message_reaches(&hers, still.id, Delivery::Delivered).await;
}

/// The list that the relay has of a user.
fn at_relay(world: &World, user: UserId) -> Vec<u8> {
    let relay = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    let sql = "SELECT list FROM device_list WHERE user_id = ?1";
    relay.query_row(sql, [user.as_bytes()], |row| row.get(0)).unwrap()
}

/// The number of sessions in the database of a client.
fn sessions(disk: &PartyDisk) -> i64 {
    let database = open_database(disk.database(), &disk.key());
    database.query_row("SELECT count(*) FROM session", [], |row| row.get(0)).unwrap()
}

/// The number of rows that wait at the relay.
fn mail(world: &World) -> i64 {
    let db = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    db.query_row("SELECT count(*) FROM inbox", [], |row| row.get(0)).unwrap()
}
