//! Messages that cannot be read because of a fault in the recipient's own database. They are kept, and are shown once
//! and in their position when the fault is repaired.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::time::Duration;

use sealpost_core::{Delivery, Event, Message, Thread};
use sealpost_e2e::open_database;
use sealpost_testkit::{Party, PartyDisk, World, eventually, newest, texts};
use tokio::time::timeout;

const DAMAGED: &str = "Undecryptable(StorageDamaged)";

/// Ada and Ben have exchanged messages, and Ada is offline.
struct Talk {
    world: World,
    ben: Party,
    his: Thread,
    ada: PartyDisk,
}

impl Talk {
    async fn begin() -> Self {
        let world = World::start().await;
        let (ada, ben) = (world.party("ada").await, world.party("ben").await);
        let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
        let hello = hers.send_text("hello").await.unwrap();
        reaches(&ada, &hers, &hello, Delivery::Delivered).await;
        let hello = his.send_text("hello too").await.unwrap();
        reaches(&ben, &his, &hello, Delivery::Delivered).await;
        let ada = ada.close().await;
        Self { world, ben, his, ada }
    }

    /// Changes Ada's database while she is offline.
    fn change(&self, sql: &str) {
        let database = open_database(self.ada.database(), &self.ada.key());
        database.execute_batch(sql).unwrap();
    }

    /// Sends a message from Ben while Ada is offline.
    async fn write(&self, text: &str) {
        let message = self.his.send_text(text).await.unwrap();
        reaches(&self.ben, &self.his, &message, Delivery::Sent).await;
    }

    /// Opens Ada's client, waits until it has received everything, and closes it.
    async fn receive(&self) {
        let ada = self.ada.clone().open().await;
        ada.live().await;
        nothing_waits(&self.world).await;
        ada.close().await;
    }

    /// The number of deferred messages.
    fn deferred(&self) -> u32 {
        let database = open_database(self.ada.database(), &self.ada.key());
        database.query_row("SELECT count(*) FROM deferred", [], |row| row.get(0)).unwrap()
    }
}

async fn reaches(party: &Party, thread: &Thread, message: &Message, delivery: Delivery) {
    party.message_reaches(thread, message.id, delivery).await;
}

async fn only_thread(party: &Party) -> Thread {
    party.client.threads().await.unwrap().pop().unwrap()
}

/// The number of unread messages in the only thread.
async fn unread(party: &Party) -> u64 {
    party.client.thread_page(None, 2).await.unwrap().threads[0].unread
}

/// Waits until all rows at the relay were acknowledged.
async fn nothing_waits(world: &World) {
    eventually("an empty mailbox", async || {
        let db = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
        let rows: i64 = db.query_row("SELECT count(*) FROM inbox", [], |row| row.get(0)).unwrap();
        (rows == 0).then_some(())
    })
    .await;
}

/// Waits until the thread shows these texts.
async fn shows(thread: &Thread, expected: &[&str]) {
    eventually(&format!("{expected:?}"), async || (texts(thread).await == expected).then_some(())).await;
}

/// Damages the sessions in a way that can be undone.
const DAMAGE_SESSIONS: &str = "ALTER TABLE session ADD COLUMN saved BLOB;
    UPDATE session SET saved = state; UPDATE session SET state = x'ff00';";
const REPAIR_SESSIONS: &str = "UPDATE session SET state = saved WHERE saved IS NOT NULL;
    ALTER TABLE session DROP COLUMN saved;";

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_damaged_session_is_read_when_the_session_can_be_read_again() {
    let talk = Talk::begin().await;
    talk.change(DAMAGE_SESSIONS);
    talk.write("the first").await;
    talk.write("the second").await;
    talk.receive().await;
    assert_eq!(talk.deferred(), 2);
    // The retry fails.
    let ada = talk.ada.clone().open().await;
    ada.live().await;
    shows(&only_thread(&ada).await, &["hello", "hello too", DAMAGED, DAMAGED]).await;
    ada.close().await;
    talk.change(REPAIR_SESSIONS);
    // Not every start retries.
    talk.change("UPDATE deferred SET tried = 0");
    let ada = talk.ada.clone().open().await;
    let hers = only_thread(&ada).await;
    shows(&hers, &["hello", "hello too", "the first", "the second"]).await;
    let answer = hers.send_text("an answer").await.unwrap();
    reaches(&ada, &hers, &answer, Delivery::Delivered).await;
    let more = talk.his.send_text("and more").await.unwrap();
    reaches(&talk.ben, &talk.his, &more, Delivery::Delivered).await;
    let all = ["hello", "hello too", "the first", "the second", "an answer", "and more"];
    assert_eq!(texts(&hers).await, all);
    assert_eq!(texts(&talk.his).await, all);
    ada.close().await;
    assert_eq!(talk.deferred(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_session_is_replaced_without_anybody_writing() {
    let talk = Talk::begin().await;
    talk.change("UPDATE session SET state = x'ff00'");
    talk.write("lost").await;
    let ada = talk.ada.clone().open().await;
    shows(&only_thread(&ada).await, &["hello", "hello too", DAMAGED]).await;
    let hers = only_thread(&ada).await;
    eventually("Ben uses another session", async || {
        let message = talk.his.send_text("can you read this?").await.unwrap();
        reaches(&talk.ben, &talk.his, &message, Delivery::Sent).await;
        texts(&hers).await.contains(&"can you read this?".to_owned()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_waits_for_a_damaged_row_of_its_sender() {
    let talk = Talk::begin().await;
    talk.change("ALTER TABLE device ADD COLUMN saved BLOB; UPDATE device SET saved = identity, identity = zeroblob(33)");
    talk.write("from whom?").await;
    talk.receive().await;
    talk.change("UPDATE device SET identity = saved; ALTER TABLE device DROP COLUMN saved");
    let ada = talk.ada.clone().open().await;
    shows(&only_thread(&ada).await, &["hello", "hello too", "from whom?"]).await;
    ada.close().await;
    assert_eq!(talk.deferred(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_even_be_represented_stops_no_others_and_is_read_later() {
    let talk = Talk::begin().await;
    let cyd = talk.world.party("cyd").await;
    talk.change("UPDATE thread SET roster_version = -roster_version");
    talk.write("from ben").await;
    let ada = talk.ada.clone().open().await;
    let cyds = cyd.thread_with(&ada).await;
    let message = cyds.send_text("from cyd").await.unwrap();
    reaches(&cyd, &cyds, &message, Delivery::Delivered).await;
    nothing_waits(&talk.world).await;
    ada.close().await;
    assert_eq!(talk.deferred(), 1);
    talk.change("UPDATE thread SET roster_version = abs(roster_version)");
    let ada = talk.ada.clone().open().await;
    let hers = ada.client.thread(talk.his.id()).await.unwrap();
    shows(&hers, &["hello", "hello too", "from ben"]).await;
    ada.close().await;
    assert_eq!(talk.deferred(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_kept_bytes_are_damaged_is_reported_as_missing_once() {
    let talk = Talk::begin().await;
    talk.change("UPDATE thread SET roster_version = -roster_version");
    talk.write("lost").await;
    talk.receive().await;
    assert_eq!(talk.deferred(), 1);
    let ada = talk.ada.clone().open().await;
    let mut events = ada.client.events();
    ada.client.suspend().await.unwrap();
    talk.change(
        "UPDATE thread SET roster_version = abs(roster_version);
         UPDATE deferred SET envelope = x'ff', tried = 0;",
    );
    ada.client.resume().await.unwrap();
    let hers = only_thread(&ada).await;
    let mut missing = Vec::new();
    let first = async {
        loop {
            if let Ok(Event::MessagesMissing { thread, first, last }) = events.next().await.unwrap() {
                return (thread, first..=last);
            }
        }
    };
    missing.push(timeout(Duration::from_secs(60), first).await.expect("it is reported"));
    // A message behind it makes the client look for gaps.
    for next in ["next", "last"] {
        talk.write(next).await;
        eventually("it is there", async || texts(&hers).await.contains(&next.to_owned()).then_some(())).await;
    }
    assert_eq!(talk.deferred(), 0);
    nothing_waits(&talk.world).await;
    ada.close().await;
    while let Some(Some(event)) = futures_util::FutureExt::now_or_never(events.next()) {
        if let Ok(Event::MessagesMissing { thread, first, last }) = event {
            missing.push((thread, first..=last));
        }
    }
    assert_eq!(missing, [(hers.id(), 3..=3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_can_never_be_read_is_reported_once_with_its_cause() {
    let talk = Talk::begin().await;
    talk.change("UPDATE session SET state = x'ff00'");
    talk.write("lost").await;
    talk.receive().await;
    // The inactive session is deleted after 30 days.
    talk.change("DELETE FROM session");
    let ada = talk.ada.clone().open().await;
    let mut events = ada.client.events();
    let hers = only_thread(&ada).await;
    shows(&hers, &["hello", "hello too", "Undecryptable(NoSession)"]).await;
    let told = hers.send_text("what did you say?").await.unwrap();
    reaches(&ada, &hers, &told, Delivery::Delivered).await;
    let (mut changes, lost) = (0, sealpost_testkit::history(&hers).await[2].id);
    while let Some(event) = futures_util::FutureExt::now_or_never(events.next()).flatten() {
        changes +=
            u32::from(matches!(event, Ok(Event::MessageChanged { message, .. }) if message.id == lost));
    }
    assert!(changes <= 1, "told {changes} times");
    ada.close().await;
    assert_eq!(talk.deferred(), 0);
}

#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread")]
async fn a_deferred_message_appears_once_although_the_process_dies_over_it() {
    use std::process::Stdio;

    use sealpost_core::fault::Station;

    for station in [Station::RetryBeforeOpen, Station::RetryBeforeCommit, Station::RetryAfterCommit] {
        let talk = Talk::begin().await;
        talk.change(DAMAGE_SESSIONS);
        talk.write("kept").await;
        talk.receive().await;
        talk.change(REPAIR_SESSIONS);
        let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_crash-client"))
            .arg(talk.world.dir())
            .args(["ada", &talk.world.url()])
            .env("SEALPOST_FAULT", station.name())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let status = timeout(Duration::from_secs(60), child.wait()).await.unwrap().unwrap();
        assert!(!status.success(), "did not die at {station:?}");
        let ada = talk.ada.clone().open().await;
        shows(&only_thread(&ada).await, &["hello", "hello too", "kept"]).await;
        ada.live().await;
        assert_eq!(texts(&only_thread(&ada).await).await.len(), 3, "{station:?}");
        ada.close().await;
        assert_eq!(talk.deferred(), 0, "{station:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_stored_neither_loses_nor_repeats_those_that_arrive_with_it() {
    let talk = Talk::begin().await;
    talk.change(
        "CREATE TRIGGER refuse BEFORE INSERT ON message WHEN CAST(new.body AS TEXT) LIKE '%refused%'
         BEGIN SELECT RAISE(ABORT, 'refused'); END",
    );
    let lines = ["one", "two", "refused", "four", "refused, too", "six"];
    let mut sent = Vec::new();
    for line in lines {
        sent.push(talk.his.send_text(line).await.unwrap());
    }
    reaches(&talk.ben, &talk.his, &sent[5], Delivery::Sent).await;
    talk.receive().await;
    assert_eq!(talk.deferred(), 2);
    let ada = talk.ada.clone().open().await;
    let hers = only_thread(&ada).await;
    shows(&hers, &["hello", "hello too", "one", "two", DAMAGED, "four", DAMAGED, "six"]).await;
    assert_eq!(ada.client.threads().await.unwrap().len(), 1);
    assert_eq!(unread(&ada).await, 7);
    for (line, message) in lines.into_iter().zip(&sent) {
        if !line.starts_with("refused") {
            reaches(&talk.ben, &talk.his, message, Delivery::Delivered).await;
        }
    }
    ada.close().await;

    talk.change("DROP TRIGGER refuse; UPDATE deferred SET tried = 0");
    let ada = talk.ada.clone().open().await;
    let hers = only_thread(&ada).await;
    let all: Vec<_> = ["hello", "hello too"].into_iter().chain(lines).collect();
    shows(&hers, &all).await;
    assert_eq!(unread(&ada).await, 7);
    for message in &sent {
        reaches(&talk.ben, &talk.his, message, Delivery::Delivered).await;
    }
    ada.close().await;
    assert_eq!(talk.deferred(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_a_damaged_session_takes_effect_when_the_session_can_be_read_again() {
    let talk = Talk::begin().await;
    let ada = talk.ada.clone().open().await;
    let hers = only_thread(&ada).await;
    let sent = hers.send_text("read this").await.unwrap();
    reaches(&ada, &hers, &sent, Delivery::Delivered).await;
    drop(hers);
    ada.close().await;
    talk.change(DAMAGE_SESSIONS);
    // His receipt is mail.
    talk.his.mark_read(newest(&talk.his).await.id).await.unwrap();
    eventually("the receipt waits", async || (talk.world.rows_in_mailboxes() == 1).then_some(())).await;
    let ada = talk.ada.clone().open().await;
    eventually("it is deferred", async || (talk.deferred() == 1).then_some(())).await;
    eventually("the relay is rid of it", async || (talk.world.rows_in_mailboxes() == 0).then_some(())).await;
    ada.message_reaches(&only_thread(&ada).await, sent.id, Delivery::Delivered).await;
    ada.close().await;
    talk.change(REPAIR_SESSIONS);
    let ada = talk.ada.clone().open().await;
    ada.message_reaches(&only_thread(&ada).await, sent.id, Delivery::Read).await;
    assert_eq!(talk.deferred(), 0);
    assert_eq!(texts(&only_thread(&ada).await).await, ["hello", "hello too", "read this"]);
}
