//! Background work: missing messages are fetched, a restored relay is repaired, pre-keys are replaced.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sealpost_core::{Delivery, Event, Thread, UserId};
use sealpost_e2e::take_one_time_keys;
use sealpost_relay::Config;
use sealpost_testkit::{Interceptor, ManualClock, Party, Proxy, World, eventually, relay_binary, texts};
use sealpost_wire::Frame;
use sealpost_wire::frame::Body;
use tokio::time::timeout;

/// Withholds the first message of every thread, either once or always.
#[derive(Clone, Default)]
struct Withhold {
    happened: Arc<AtomicBool>,
    always: bool,
}

impl Interceptor for Withhold {
    fn down(&self, frame: Frame) -> Vec<Frame> {
        let place = match &frame.body {
            Some(Body::Deliver(deliver)) => deliver.key.as_ref().map_or(0, |key| key.server_seq),
            _ => 0,
        };
        if place == 2 && (self.always || !self.happened.load(Ordering::SeqCst)) {
            self.happened.store(true, Ordering::SeqCst);
            return Vec::new();
        }
        vec![frame]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_message_is_fetched() {
    let world = World::start().await;
    let withhold = Withhold::default();
    let proxy = Proxy::start(world.addr(), withhold.clone()).await;
    let (ada, ben) =
        (world.party("ada").await, world.disk("ben").through(&proxy.url()).open_or_register().await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    let lines = ["one", "two", "three", "four"];
    for line in lines {
        hers.send_text(line).await.unwrap();
    }
    assert_eq!(ben.texts_when(&his, lines.len()).await, lines);
    assert!(withhold.happened.load(Ordering::SeqCst));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_never_arrives_is_reported_as_missing() {
    let world = World::start().await;
    let proxy = Proxy::start(world.addr(), Withhold { always: true, ..Withhold::default() }).await;
    let (ada, ben) =
        (world.party("ada").await, world.disk("ben").through(&proxy.url()).open_or_register().await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    let mut events = ben.client.events();
    for line in ["one", "two", "three"] {
        hers.send_text(line).await.unwrap();
    }
    let told = async {
        loop {
            if let Event::MessagesMissing { thread, first, last } = events.next().await.unwrap().unwrap() {
                return (thread, first, last);
            }
        }
    };
    let missing = timeout(Duration::from_secs(60), told).await.expect("the loss is reported");
    assert_eq!(missing, (his.id(), 2, 2));
    hers.send_text("four").await.unwrap();
    let all = ben.texts_when(&his, 3).await;
    assert_eq!(all, ["one", "three", "four"]);
}

/// Changes the relay's database: the newest message of the thread was trimmed from this mailbox without having been
/// read.
fn trim(world: &World, thread: &Thread, owner: UserId) {
    let db = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    db.busy_timeout(Duration::from_secs(60)).unwrap();
    let last = "UPDATE thread SET last_seq = last_seq + 1 WHERE thread_id = ?1";
    assert_eq!(db.execute(last, [thread.id().as_bytes()]).unwrap(), 1);
    let trimmed = "UPDATE mailbox SET trimmed = trimmed + 1 WHERE user_id = ?1";
    assert_eq!(db.execute(trimmed, [owner.as_bytes()]).unwrap(), 1);
}

/// The number of trimmed rows that the device has not acknowledged.
fn unreported_trimmed_rows(world: &World) -> u64 {
    let db = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    db.busy_timeout(Duration::from_secs(60)).unwrap();
    db.query_row("SELECT sum(trimmed - told) FROM mailbox", [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn trimmed_messages_are_reported_even_if_no_message_follows() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    let one = hers.send_text("one").await.unwrap();
    ada.message_reaches(&hers, one.id, Delivery::Delivered).await;
    let mut events = ben.client.events();
    trim(&world, &his, ben.client.user_id());
    ben.client.suspend().await.unwrap();
    ben.client.resume().await.unwrap();
    let told = async {
        loop {
            if let Event::MessagesMissing { thread, first, last } = events.next().await.unwrap().unwrap() {
                return (thread, first, last);
            }
        }
    };
    let missing = timeout(Duration::from_secs(60), told).await.expect("the loss is reported");
    assert_eq!(missing, (his.id(), 2, 2));
    eventually("the report is acknowledged at the relay", async || {
        (unreported_trimmed_rows(&world) == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_restored_from_a_backup_receives_again_what_it_lost() {
    let mut world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    for line in ["one", "two"] {
        let message = hers.send_text(line).await.unwrap();
        reaches(&ada, &hers, message.id, Delivery::Delivered).await;
    }
    let his_disk = ben.close().await;
    world.stop_relay().await;
    copy_folder(&world.relay_dir(), &world.dir().join("backup"));
    come_back(&mut world, &ada).await;
    // The relay stores these messages, and will lose them.
    for line in ["three", "four"] {
        let message = hers.send_text(line).await.unwrap();
        reaches(&ada, &hers, message.id, Delivery::Sent).await;
    }
    world.stop_relay().await;
    std::fs::remove_dir_all(world.relay_dir()).unwrap();
    copy_folder(&world.dir().join("backup"), &world.relay_dir());
    let new_epoch =
        Command::new(relay_binary()).arg("--data").arg(world.relay_dir()).arg("--new-epoch").status();
    assert!(new_epoch.unwrap().success());
    // The relay never stored this one.
    hers.send_text("five").await.unwrap();
    come_back(&mut world, &ada).await;
    let ben = his_disk.open().await;
    let lines = ["one", "two", "three", "four", "five"];
    assert_eq!(ben.texts_when(&his_again(&ben, his.id()).await, lines.len()).await, lines);
    assert_eq!(texts(&hers).await, lines);
    let last = hers.send_text("six").await.unwrap();
    reaches(&ada, &hers, last.id, Delivery::Delivered).await;
    assert_eq!(ben.texts_when(&his_again(&ben, his.id()).await, 6).await, texts(&hers).await);
}

async fn his_again(ben: &Party, id: sealpost_core::ThreadId) -> Thread {
    ben.client.thread(id).await.unwrap()
}

/// Starts the relay again, and reconnects without the requested delay of up to half a minute.
async fn come_back(world: &mut World, party: &Party) {
    world.start_relay().await;
    eventually("a live connection", async || {
        party.client.reconnect();
        (party.client.connection_state() == sealpost_core::ConnectionState::Live).then_some(())
    })
    .await;
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

async fn reaches(party: &Party, thread: &Thread, id: sealpost_core::MessageId, delivery: Delivery) {
    party.message_reaches(thread, id, delivery).await;
}

/// The number of one-time keys of a user at the relay, of both kinds.
fn one_time_keys(world: &World, user: UserId) -> i64 {
    let sql = "SELECT count(*) FROM one_time_pre_key WHERE user_id = ?1";
    relay_db(world).query_row(sql, [user.as_bytes()], |row| row.get(0)).unwrap()
}

/// The ids of a user's signed pre-key and last-resort key.
fn signed_keys(world: &World, user: UserId) -> Vec<i64> {
    let db = relay_db(world);
    let mut keys = db.prepare("SELECT key_id FROM signed_pre_key WHERE user_id = ?1 ORDER BY kind").unwrap();
    let ids = keys.query_map([user.as_bytes()], |row| row.get(0)).unwrap();
    ids.collect::<Result<_, _>>().unwrap()
}

fn relay_db(world: &World) -> rusqlite::Connection {
    let db = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    db.busy_timeout(Duration::from_secs(60)).unwrap();
    db
}

#[tokio::test(flavor = "multi_thread")]
async fn one_time_keys_are_replenished_when_few_are_left() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let user = ben.client.user_id();
    ben.live().await;
    assert_eq!(one_time_keys(&world, user), 200);
    // 15 of each kind are left.
    let others = "user_id = ?1 AND key_id NOT IN
        (SELECT key_id FROM (SELECT key_id, row_number() OVER (PARTITION BY kind ORDER BY key_id) AS n
         FROM one_time_pre_key WHERE user_id = ?1) WHERE n <= 15)";
    take_one_time_keys(&relay_db(&world), others, [user.as_bytes()]);
    assert_eq!(one_time_keys(&world, user), 30);
    let hers = ada.thread_with(&ben).await;
    let message = hers.send_text("this takes one of each").await.unwrap();
    reaches(&ada, &hers, message.id, Delivery::Delivered).await;
    eventually("a full pool", async || (one_time_keys(&world, user) == 200).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_one_time_keys_the_last_resort_key_is_used() {
    let world = World::start().await;
    let ben = world.party("ben").await;
    let user = ben.client.user_id();
    ben.live().await;
    let disk = ben.close().await;
    take_one_time_keys(&relay_db(&world), "true", []);
    // Two users who start sessions with him with the same key, while he is offline.
    let mut threads = Vec::new();
    for name in ["ada", "cyd"] {
        let party = world.party(name).await;
        take_one_time_keys(&relay_db(&world), "user_id = ?1", [user.as_bytes()]);
        let thread = party.client.direct_thread(user).await.unwrap();
        let message = thread.send_text(name).await.unwrap();
        reaches(&party, &thread, message.id, Delivery::Sent).await;
        threads.push((party, thread, message));
    }
    let ben = disk.open().await;
    for (party, thread, message) in &threads {
        reaches(party, thread, message.id, Delivery::Delivered).await;
        let his = ben.thread_with(party).await;
        assert_eq!(texts(&his).await, [party.name()]);
        let answer = his.send_text("welcome").await.unwrap();
        reaches(&ben, &his, answer.id, Delivery::Delivered).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_keys_are_replaced_after_two_days_and_the_old_ones_still_open_late_messages() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let clock = ManualClock::at(u64::try_from(now.as_millis()).unwrap());
    let for_relay = clock.clone();
    let world =
        World::start_with(move |config| Config { clock: Arc::new(for_relay.clone()), ..config }).await;
    let ben = world.disk("ben").with_clock(&clock).open_or_register().await;
    let user = ben.client.user_id();
    ben.live().await;
    let first = signed_keys(&world, user);
    let disk = ben.close().await;
    // A message that is sealed to the old keys and read after they were replaced.
    let ada = world.disk("ada").with_clock(&clock).open_or_register().await;
    let hers = ada.client.direct_thread(user).await.unwrap();
    let early = hers.send_text("sealed to the old keys").await.unwrap();
    reaches(&ada, &hers, early.id, Delivery::Sent).await;
    clock.advance(Duration::from_secs(2 * 24 * 3600 + 60));
    let late = world.disk("cyd").with_clock(&clock).open_or_register().await;
    let theirs = late.client.direct_thread(user).await.unwrap();
    let message = theirs.send_text("also").await.unwrap();
    reaches(&late, &theirs, message.id, Delivery::Sent).await;
    let _ben = disk.open().await;
    let replaced = async || {
        let now = signed_keys(&world, user);
        now.iter().zip(&first).all(|(now, before)| now > before).then_some(())
    };
    eventually("new signed keys", replaced).await;
    reaches(&late, &theirs, message.id, Delivery::Delivered).await;
    reaches(&ada, &hers, early.id, Delivery::Delivered).await;
}
