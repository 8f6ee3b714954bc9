//! Leaving an account, by logging out or deleting it. The relay is notified, however long that takes.
#![cfg(test)]

#[cfg(feature = "faults")]
use std::process::Stdio;
use std::time::Duration;

use rusqlite::Connection;
use sealpost_core::{
    Client, ConnectionState, Delivery, Departure, Direction, Error, FailReason, History, Opened, Thread,
};
use sealpost_testkit::{Party, PartyDisk, World, eventually, open_database, texts};

fn count(db: &Connection, sql: &str) -> i64 {
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn relay(world: &World) -> Connection {
    let db = Connection::open(world.relay_dir().join("relay.db")).unwrap();
    db.busy_timeout(Duration::from_secs(60)).unwrap();
    db
}

/// Sends a text, and waits until the relay has stored it.
async fn sent(party: &Party, thread: &Thread, text: &str) {
    becomes(party, thread, text, Delivery::Sent).await;
}

async fn becomes(party: &Party, thread: &Thread, text: &str, delivery: Delivery) {
    let id = thread.send_text(text).await.unwrap().id;
    party.message_reaches(thread, id, delivery).await;
}

/// The number of rows with secrets: tokens, identity keys, pre-keys and sessions.
fn secrets(disk: &PartyDisk) -> i64 {
    let db = open_database(disk.database(), &disk.key());
    let tables = ["session", "skipped_key", "signed_pre_key", "one_time_pre_key", "kem_pre_key", "outgoing"];
    let rows = tables.map(|table| count(&db, &format!("SELECT count(*) FROM {table}")));
    let account = "SELECT count(*) FROM account WHERE length(identity) > 0 OR refresh_token IS NOT NULL
        OR access_token IS NOT NULL";
    rows.into_iter().chain([count(&db, account)]).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_removes_keys_and_tokens_and_keeps_the_history() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let hers = ada.thread_with(&ben).await;
    sent(&ada, &hers, "hello").await;
    sent(&ben, &ben.thread_with(&ada).await, "hello yourself").await;
    ada.texts_when(&hers, 2).await;
    let mut view = hers.subscribe();
    assert!(view.next().await.is_some());
    assert_eq!(ada.client.log_out(History::Keep).await, Ok(Departure::Complete));
    assert_eq!(ada.client.connection_state(), ConnectionState::SignedOut);

    let user = ada.client.user_id();
    let tokens = "SELECT count(*) FROM token_family WHERE user_id = ?1";
    let left: i64 = relay(&world).query_row(tokens, [user.as_bytes()], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
    assert_eq!(count(&relay(&world), "SELECT count(*) FROM device"), 2, "the account remains at the relay");

    let disk = ada.close().await;
    assert_eq!(secrets(&disk), 0);
    let ada = disk.open().await;
    assert_eq!((ada.client.user_id(), ada.client.connection_state()), (user, ConnectionState::SignedOut));
    let hers = ada.client.thread(hers.id()).await.unwrap();
    assert_eq!(texts(&hers).await, ["hello", "hello yourself"]);
    let theirs = hers.history(None).await.unwrap().messages.remove(0);
    hers.mark_read(theirs.id).await.unwrap();
    eventually("found", async || (ada.client.search("yourself", 5).await.unwrap().len() == 1).then_some(()))
        .await;
    assert_eq!(hers.send_text("again").await, Err(Error::Unauthorized));
    assert_eq!(ada.client.direct_thread(user).await.unwrap_err(), Error::Unauthorized);
    assert_eq!(ada.client.contact(ben.client.user_id()).safety_number().await, Err(Error::Unauthorized));
    assert_eq!(ada.client.delete_account(History::Keep).await, Err(Error::Unauthorized));
    ada.client.suspend().await.unwrap();
    assert!(matches!(ada.client.log_out(History::Keep).await, Err(Error::Misuse(_))));
    ada.client.resume().await.unwrap();
    assert_eq!(ada.client.connection_state(), ConnectionState::SignedOut);

    // The history can still be deleted later, and the file can then be used again.
    assert_eq!(ada.client.log_out(History::Delete).await, Ok(Departure::Complete));
    assert_eq!(ada.client.thread_page(None, 5).await.unwrap().threads, []);
    assert_eq!(hers.send_text("again").await, Err(Error::Unauthorized));
    let disk = ada.close().await;
    let db = open_database(disk.database(), &disk.key());
    for table in ["account", "message", "thread", "contact", "device"] {
        assert_eq!(count(&db, &format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
    drop(db);
    let again = disk.register().await;
    assert_ne!(again.client.user_id(), user);
    sent(&again, &again.thread_with(&ben).await, "here again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_wait_when_the_user_leaves_fail() {
    let mut world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let hers = ada.thread_with(&ben).await;
    sent(&ada, &hers, "hello").await;
    world.stop_relay().await;
    let waits = hers.send_text("too late").await.unwrap();
    assert_eq!(ada.client.log_out(History::Keep).await, Ok(Departure::RelayPending));
    let failed = Direction::Outgoing(Delivery::Failed(FailReason::LoggedOut));
    assert_eq!(ada.client.message(waits.id).await.unwrap().direction, failed);
    assert_eq!(hers.retry(waits.id).await, Err(Error::Unauthorized));
    assert_eq!(hers.cancel(waits.id).await, Ok(true));
    assert_eq!(texts(&hers).await, ["hello"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_relay_is_notified_later_even_by_another_client() {
    let mut world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let hers = ada.thread_with(&ben).await;
    sent(&ada, &hers, "hello").await;
    world.stop_relay().await;
    assert_eq!(ada.client.delete_account(History::Delete).await, Ok(Departure::RelayPending));
    assert_eq!(
        ada.client.thread_page(None, 5).await.unwrap().threads,
        [],
        "the local data is deleted immediately"
    );
    let ada = ada.close().await.open().await;
    assert_eq!(ada.client.connection_state(), ConnectionState::SignedOut);
    world.start_relay().await;
    ada.client.reconnect();
    eventually("the account is deleted", async || {
        (count(&relay(&world), "SELECT count(*) FROM account") == 1).then_some(())
    })
    .await;
    let disk = ada.close().await;
    eventually("the file can be used again", async || match Client::open(disk.config()).await.unwrap() {
        Opened::Unregistered(_) => Some(()),
        // The client was closed before it had stored the relay's answer. This one notifies the relay again.
        client => {
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(client);
            None
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_to_a_deleted_account_fails_with_that_reason() {
    let world = World::start().await;
    let (ada, ben, cyd) = (world.party("ada").await, world.party("ben").await, world.party("cyd").await);
    let (hers, unmet) = (ada.thread_with(&ben).await, cyd.thread_with(&ben).await);
    sent(&ada, &hers, "hello").await;
    let ben_id = ben.client.user_id();
    assert_eq!(ben.client.delete_account(History::Delete).await, Ok(Departure::Complete));

    let gone = Delivery::Failed(FailReason::RecipientDeleted);
    becomes(&ada, &hers, "are you there?", gone).await;
    // Before the first session.
    becomes(&cyd, &unmet, "nice to meet you", gone).await;
    let dan = world.party("dan").await;
    assert_eq!(dan.client.direct_thread(ben_id).await.unwrap_err(), Error::RecipientDeleted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_for_a_push_after_leaving_reports_no_account() {
    let world = World::start().await;
    let ada = world.party("ada").await;
    assert_eq!(ada.client.log_out(History::Keep).await, Ok(Departure::Complete));
    let disk = ada.close().await;
    let fetched = sealpost_core::fetch_for_push(disk.config(), std::future::pending()).await;
    assert_eq!(fetched, Err(Error::Unauthorized));
}

#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_deleted_even_if_the_process_is_killed_meanwhile() {
    use sealpost_core::fault::Station;

    for station in [Station::LeaveAfterCommit, Station::LeaveAnswered] {
        let world = World::start().await;
        let disk = world.party("ada").await.close().await;
        let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_crash-client"))
            .arg(world.dir())
            .args(["ada", &world.url(), "delete"])
            .env("SEALPOST_FAULT", station.name())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let status = tokio::time::timeout(Duration::from_secs(60), child.wait()).await.unwrap().unwrap();
        assert!(!status.success(), "did not die at {station:?}");
        let before = i64::from(station == Station::LeaveAfterCommit);
        assert_eq!(count(&relay(&world), "SELECT count(*) FROM account"), before, "{station:?}");
        let ada = disk.open().await;
        eventually("the account is deleted", async || {
            (count(&relay(&world), "SELECT count(*) FROM account") == 0).then_some(())
        })
        .await;
        eventually("nothing is left to do", async || {
            (ada.client.delete_account(History::Keep).await == Err(Error::Unauthorized)).then_some(())
        })
        .await;
        assert_eq!(secrets(&ada.close().await), 0, "{station:?}");
    }
}
