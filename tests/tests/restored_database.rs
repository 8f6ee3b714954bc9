//! A client's database that is restored from an older copy: this is detected and reported once, and the conversation
//! continues.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sealpost_core::{Delivery, Event, Message, MessageBody, Thread, Undecryptable};
use sealpost_testkit::{Party, PartyDisk, World, eventually, history, open_database, texts};

/// Copies the database of a closed client.
fn copy(disk: &PartyDisk, to: &Path) {
    for (from, to) in files(disk.database()).into_iter().zip(files(to)) {
        if from.exists() {
            std::fs::copy(from, to).unwrap();
        }
    }
}

fn put_back(disk: &PartyDisk, from: &Path) {
    for (from, to) in files(from).into_iter().zip(files(disk.database())) {
        let _ = std::fs::remove_file(&to);
        if from.exists() {
            std::fs::copy(from, to).unwrap();
        }
    }
}

fn files(database: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}

/// Two people after a line in each direction, and a copy of Ada's database from this moment.
async fn with_copy(world: &World) -> (Party, Party, PathBuf) {
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    talk(&ada, &ben, "before").await;
    let disk = ada.close().await;
    let saved = world.dir().join("saved.db");
    copy(&disk, &saved);
    (disk.open().await, ben, saved)
}

/// Closes a client, and puts the copy in the place of its database.
async fn close_and_put_back(party: Party, saved: &Path) -> PartyDisk {
    let disk = party.close().await;
    put_back(&disk, saved);
    disk
}

async fn reaches(party: &Party, thread: &Thread, message: &Message, delivery: Delivery) {
    party.message_reaches(thread, message.id, delivery).await;
}

/// Sends a line in each direction, and waits until both are read.
async fn talk(ada: &Party, ben: &Party, line: &str) {
    for (from, to) in [(ada, ben), (ben, ada)] {
        say(from, to, line).await;
    }
}

async fn say(from: &Party, to: &Party, line: &str) {
    let (here, there) = (from.thread_with(to).await, to.thread_with(from).await);
    let text = format!("{line} of {}", from.name());
    let message = here.send_text(&text).await.unwrap();
    reaches(from, &here, &message, Delivery::Delivered).await;
    assert!(texts(&there).await.contains(&text), "{text}");
}

/// The causes of the messages that could not be decrypted.
async fn undecryptable(thread: &Thread) -> Vec<Undecryptable> {
    let causes = history(thread).await.into_iter().filter_map(|message| match message.body {
        MessageBody::Undecryptable(cause) => Some(cause),
        _ => None,
    });
    causes.collect()
}

/// The number of events that report a restored database.
fn count(party: &Party) -> Arc<AtomicUsize> {
    let counted = Arc::new(AtomicUsize::new(0));
    let mut events = party.client.events();
    let count = Arc::clone(&counted);
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if event == Ok(Event::DatabaseRestored) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    counted
}

async fn is_told(counted: &AtomicUsize) {
    eventually("the restore is reported", async || (counted.load(Ordering::SeqCst) == 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_is_reported_once_and_the_conversation_continues() {
    let world = World::start().await;
    let (ada, ben, saved) = with_copy(&world).await;
    for line in ["one", "two", "three"] {
        talk(&ada, &ben, line).await;
    }
    let disk = close_and_put_back(ada, &saved).await;

    let ada = disk.open().await;
    let counted = count(&ada);
    ada.live().await;
    is_told(&counted).await;
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    talk(&ada, &ben, "after").await;
    talk(&ada, &ben, "and again").await;
    assert_eq!(undecryptable(&his).await, [], "no key was used for two messages");
    assert_eq!(undecryptable(&hers).await, []);
    assert_eq!(texts(&his).await.len(), 12);

    // The event is not repeated.
    let disk = ada.close().await;
    let ada = disk.open().await;
    let again = count(&ada);
    ada.live().await;
    talk(&ada, &ben, "later").await;
    assert_eq!((counted.load(Ordering::SeqCst), again.load(Ordering::SeqCst)), (1, 0));
}

/// The sessions of a closed client, and whether each is used for sending.
fn sessions(disk: &PartyDisk) -> Vec<(Vec<u8>, bool)> {
    let database = open_database(disk.database(), &disk.key());
    let mut statement = database.prepare("SELECT session_id, active FROM session ORDER BY rank").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_session_from_before_the_restore_does_not_make_it_used_again() {
    let world = World::start().await;
    let (ada, ben, saved) = with_copy(&world).await;
    ada.live().await;
    let his = ben.thread_with(&ada).await;
    let disk = close_and_put_back(ada, &saved).await;
    let old = sessions(&disk);
    assert!(!old.is_empty());
    // It waits at the relay, and was sealed in the old session.
    his.send_text("waits").await.unwrap();
    let ada = disk.open().await;
    let hers = ada.thread_with(&ben).await;
    eventually("it is opened", async || texts(&hers).await.contains(&"waits".to_owned()).then_some(())).await;
    talk(&ada, &ben, "after").await;
    drop(hers);
    let disk = ada.close().await;
    for (id, _) in old {
        assert!(!sessions(&disk).contains(&(id, true)), "an old session is used again");
    }
    assert_eq!(undecryptable(&his).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_cannot_be_read_at_the_restore_is_not_used_again_when_it_can() {
    let world = World::start().await;
    let (ada, ben, saved) = with_copy(&world).await;
    ada.live().await;
    let his = ben.thread_with(&ada).await;
    let disk = close_and_put_back(ada, &saved).await;
    let database = || open_database(disk.database(), &disk.key());
    let damaged = "ALTER TABLE session ADD COLUMN saved BLOB;
        UPDATE session SET saved = state; UPDATE session SET state = x'ff00';";
    database().execute_batch(damaged).unwrap();
    let old = sessions(&disk);
    assert!(!old.is_empty());
    his.send_text("waits").await.unwrap();
    let ada = disk.clone().open().await;
    let hers = ada.thread_with(&ben).await;
    talk(&ada, &ben, "in a new session").await;
    assert!(!texts(&hers).await.contains(&"waits".to_owned()));
    drop(hers);
    ada.close().await;
    let repaired = "UPDATE session SET state = saved WHERE saved IS NOT NULL;
        ALTER TABLE session DROP COLUMN saved;";
    database().execute_batch(repaired).unwrap();
    let ada = disk.clone().open().await;
    let hers = ada.thread_with(&ben).await;
    eventually("it is opened", async || texts(&hers).await.contains(&"waits".to_owned()).then_some(())).await;
    drop(hers);
    ada.close().await;
    for (id, _) in old {
        assert!(!sessions(&disk).contains(&(id, true)), "an old session is used again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_written_before_the_restore_is_detected_reuse_no_key() {
    let mut world = World::start().await;
    let (ada, ben, saved) = with_copy(&world).await;
    talk(&ada, &ben, "lost").await;
    let disk = close_and_put_back(ada, &saved).await;
    world.stop_relay().await;
    let ada = disk.open().await;
    let hers = ada.client.threads().await.unwrap().into_iter().next().unwrap();
    let hers = ada.client.thread(hers.id()).await.unwrap();
    let offline = hers.send_text("written offline").await.unwrap();
    world.start_relay().await;
    ada.client.reconnect();
    ben.client.reconnect();
    reaches(&ada, &hers, &offline, Delivery::Delivered).await;
    let his = ben.thread_with(&ada).await;
    assert_eq!(undecryptable(&his).await, []);
    talk(&ada, &ben, "after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_sealed_before_the_peer_learns_of_the_restore_are_shown_as_undecryptable() {
    let mut world = World::start().await;
    let (ada, ben, saved) = with_copy(&world).await;
    for line in ["one", "two"] {
        talk(&ada, &ben, line).await;
    }
    let disk = close_and_put_back(ada, &saved).await;
    // Ben writes before he can learn of it.
    let his = ben.client.threads().await.unwrap().into_iter().next().unwrap();
    let his = ben.client.thread(his.id()).await.unwrap();
    let missed = his.send_text("missed").await.unwrap();
    reaches(&ben, &his, &missed, Delivery::Sent).await;
    let ada = disk.open().await;
    ada.live().await;
    let hers = ada.thread_with(&ben).await;
    talk(&ada, &ben, "after").await;
    let causes = undecryptable(&hers).await;
    assert_eq!(causes, [Undecryptable::NotDecryptable], "shown, and not dropped");
    talk(&ada, &ben, "and again").await;
    assert_eq!(undecryptable(&hers).await.len(), 1);
    world.stop_relay().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_replaces_its_pre_keys_at_the_relay() {
    let world = World::start().await;
    let ada = world.party("ada").await;
    let user = ada.client.user_id();
    ada.live().await;
    let disk = ada.close().await;
    let saved = world.dir().join("saved.db");
    copy(&disk, &saved);
    // After the copy, her one-time keys are taken, and she uploads new ones.
    let relay = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    relay.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
    sealpost_e2e::take_one_time_keys(&relay, "user_id = ?1", [user.as_bytes()]);
    let ids = || -> Vec<u32> {
        let sql = "SELECT key_id FROM one_time_pre_key WHERE user_id = ?1 ORDER BY key_id";
        let mut statement = relay.prepare(sql).unwrap();
        let ids = statement.query_map([user.as_bytes()], |row| row.get(0)).unwrap();
        ids.collect::<Result<_, _>>().unwrap()
    };
    let ada = disk.open().await;
    eventually("new keys", async || (ids().len() == 200).then_some(())).await;
    let made = ids();
    let disk = close_and_put_back(ada, &saved).await;
    let ada = disk.open().await;
    eventually("other keys", async || {
        let now = ids();
        (now.len() == 200 && now.first() > made.last()).then_some(())
    })
    .await;
    let ben = world.party("ben").await;
    say(&ben, &ada, "hello").await;
    talk(&ada, &ben, "after").await;
    let hers = ada.thread_with(&ben).await;
    assert_eq!(undecryptable(&hers).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_is_detected_even_if_the_relay_was_restored_too() {
    let mut world = World::start().await;
    let (ada, ben, saved) = with_copy(&world).await;
    talk(&ada, &ben, "one").await;
    // The backup of the relay is later than that of the database.
    world.stop_relay().await;
    let backup = world.dir().join("backup");
    copy_folder(&world.relay_dir(), &backup);
    world.start_relay().await;
    ada.client.reconnect();
    ben.client.reconnect();
    talk(&ada, &ben, "two").await;
    let disk = close_and_put_back(ada, &saved).await;
    world.stop_relay().await;
    std::fs::remove_dir_all(world.relay_dir()).unwrap();
    copy_folder(&backup, &world.relay_dir());
    world.start_relay().await;
    ben.client.reconnect();
    let ada = disk.open().await;
    let counted = count(&ada);
    ada.live().await;
    is_told(&counted).await;
    ben.live().await;
    talk(&ada, &ben, "after").await;
    let his = ben.thread_with(&ada).await;
    assert_eq!(undecryptable(&his).await, []);
    assert_eq!(texts(&his).await.len(), 8, "no message is shown twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_were_not_renewed_at_once_are_renewed_by_a_later_process() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    talk(&ada, &ben, "before").await;
    let disk = ada.close().await;
    let database = || open_database(disk.database(), &disk.key());
    // As the notice that it is a copy leaves it in a thread beyond the newest.
    let copied = "UPDATE session SET active = 0; UPDATE account SET renewed_up_to = zeroblob(16)";
    database().execute_batch(copied).unwrap();
    let ada = disk.clone().open().await;
    eventually("a new session", async || {
        let sql = "SELECT (SELECT count(*) FROM session WHERE active = 1) > 0 AND renewed_up_to IS NULL FROM account";
        database().query_row(sql, [], |row| row.get::<_, bool>(0)).unwrap().then_some(())
    })
    .await;
    talk(&ada, &ben, "after").await;
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    assert_eq!((undecryptable(&hers).await, undecryptable(&his).await), (vec![], vec![]));
    assert_eq!(texts(&his).await.len(), 4, "a new session shows nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_restored_together_with_the_relay_uses_no_key_twice() {
    let mut world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    talk(&ada, &ben, "before").await;
    // Both backups are of the same moment.
    let disk = ada.close().await;
    world.stop_relay().await;
    let (saved, backup) = (world.dir().join("saved.db"), world.dir().join("backup"));
    copy(&disk, &saved);
    copy_folder(&world.relay_dir(), &backup);
    world.start_relay().await;
    ben.client.reconnect();
    let ada = disk.open().await;
    for line in ["one", "two"] {
        talk(&ada, &ben, line).await;
    }
    let disk = ada.close().await;
    world.stop_relay().await;
    put_back(&disk, &saved);
    std::fs::remove_dir_all(world.relay_dir()).unwrap();
    copy_folder(&backup, &world.relay_dir());
    world.start_relay().await;
    // Ben has seen a later state of the relay, which begins a new epoch.
    ben.client.reconnect();
    ben.live().await;
    let ada = disk.open().await;
    ada.live().await;
    talk(&ada, &ben, "after").await;
    talk(&ada, &ben, "and again").await;
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    assert_eq!(undecryptable(&his).await, [], "no key was used for two messages");
    assert_eq!(undecryptable(&hers).await, []);
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
