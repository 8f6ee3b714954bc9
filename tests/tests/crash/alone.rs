//! What a client does without the relay: a clean-up, a note to self, and the migration of an earlier file. Its process is killed in between.

use std::fs;

use sealpost_core::Direction;
use sealpost_e2e::FROZEN_MS;
use sealpost_testkit::open_database;
use tokio::time::sleep;

use super::*;

/// An address at which nothing answers.
const NOBODY: &str = "http://127.0.0.1:1";
/// Messages that are added to a file before it is used.
const MANY: u32 = 20_000;
/// The same for a clean-up, which takes a step for every 500.
const OLD: u32 = 2_600;

/// Starts a client that does what it is told, until it dies at the fault.
async fn dies_at(folder: &Path, what: &[&str], (station, pass): (Station, u64)) {
    let fault = format!("{}:{pass}", station.name());
    let mut child = client(folder, what).env("SEALPOST_FAULT", &fault).spawn().unwrap();
    let dead = timeout(TIMEOUT, child.wait()).await;
    let status = dead.unwrap_or_else(|_| panic!("not reached: {fault}")).unwrap();
    assert_eq!(status.signal(), Some(SIGABRT), "did not die at {fault}: {status}");
}

fn client(folder: &Path, what: &[&str]) -> Command {
    let mut client = Command::new(env!("CARGO_BIN_EXE_crash-client"));
    client.arg(folder).args(["ada", NOBODY]).args(what).stdin(Stdio::null()).kill_on_drop(true);
    client
}

fn database(disk: &PartyDisk) -> rusqlite::Connection {
    open_database(disk.database(), &disk.key())
}

fn count(database: &rusqlite::Connection, what: &str) -> u32 {
    database.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0)).unwrap()
}

fn is_intact(database: &rusqlite::Connection) {
    let told: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(told, "ok");
}

/// Somebody who has registered at a relay that does not answer any more.
async fn registered() -> (World, PartyDisk) {
    let mut world = World::start().await;
    let ada = world.disk("ada").register().await.close().await;
    world.stop_relay().await;
    (world, ada.through(NOBODY))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_that_was_written_is_there_once_wherever_the_process_was_killed() {
    let (world, ada) = registered().await;
    let mut written = 0;
    for (station, pass, more) in [
        (Station::QueueBeforeCommit, 1, 0),
        (Station::QueueAfterCommit, 1, 1),
        (Station::QueueBeforeCommit, 3, 2),
        (Station::QueueAfterCommit, 3, 3),
    ] {
        dies_at(world.dir(), &["note"], (station, pass)).await;
        written += more;
        let party = ada.clone().open().await;
        let note = party.client.note_to_self().await.unwrap();
        let expected: Vec<_> = (0..written).map(|line| format!("ada {line}")).collect();
        assert_eq!(texts(&note).await, expected, "after {}:{pass}", station.name());
        let is_sent = |direction| direction == Direction::Outgoing(Delivery::Sent);
        assert!(history(&note).await.iter().all(|message| is_sent(message.direction)));
        drop(note);
        let database = database(&party.close().await);
        assert_eq!((count(&database, "outgoing"), count(&database, "lane")), (0, 0), "nothing waits");
    }
    is_intact(&database(&ada));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_up_is_continued_wherever_the_process_was_killed() {
    let (world, ada) = registered().await;
    let party = ada.open().await;
    let note = party.client.note_to_self().await.unwrap();
    for line in 0..3 {
        note.send_text(&format!("kept {line}")).await.unwrap();
    }
    drop(note);
    let ada = party.close().await;
    // Among them are messages that are kept.
    let insert = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
        INSERT INTO message (thread_id, content_id, author, device, kind, body, sent, position, state, stored)
        SELECT thread_id, randomblob(16), author, device, kind, body, 1000, n, state, 1000 FROM n, message
        WHERE id = (SELECT min(id) FROM message)";
    assert_eq!(database(&ada).execute(insert, [OLD]).unwrap(), OLD as usize);
    let left = || count(&database(&ada), "message") - 3;
    let mut before = left();
    // The first process begins it, and the others continue it without being asked.
    for (what, station, pass, steps) in [
        (&["clean-up"][..], Station::CleanUpBeforeCommit, 1, 0),
        (&[], Station::CleanUpAfterCommit, 1, 1),
        (&[], Station::CleanUpBeforeCommit, 2, 1),
        (&[], Station::CleanUpAfterCommit, 2, 2),
    ] {
        dies_at(world.dir(), what, (station, pass)).await;
        // Each step examines 500 messages, and each process begins with the three that are kept.
        let deleted = (500_u32 * steps).saturating_sub(3);
        assert_eq!(before - left(), deleted, "after {}:{pass}", station.name());
        before = left();
    }
    let party = ada.clone().open().await;
    eventually("the rest is deleted", async || (left() == 0).then_some(())).await;
    let note = party.client.note_to_self().await.unwrap();
    assert_eq!(texts(&note).await, ["kept 0", "kept 1", "kept 2"]);
    drop(note);
    party.close().await;
    is_intact(&database(&ada));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_of_an_earlier_version_can_be_migrated_after_any_kill() {
    for schema in ["schema-25", "schema-33"] {
        let dir = tempfile::tempdir().unwrap();
        let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(schema).join("ada.db");
        let clock = ManualClock::at(FROZEN_MS);
        let ada = PartyDisk::new(dir.path(), "ada", NOBODY).with_clock(&clock);
        fs::copy(frozen, ada.database()).unwrap();
        let version = |file: &rusqlite::Connection| -> u32 {
            file.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
        };
        let (old, before) = {
            let file = database(&ada);
            let insert = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
                INSERT INTO message (thread_id, content_id, author, device, kind, body, sent, server_seq, position, state)
                SELECT thread_id, randomblob(16), author, device, kind, body, sent, n, n, state FROM n, message
                WHERE id = (SELECT min(id) FROM message WHERE state = 10 AND kind = 1)";
            assert_eq!(file.execute(insert, [MANY]).unwrap(), MANY as usize);
            (version(&file), count(&file, "message"))
        };
        dies_at(dir.path(), &[], (Station::MigrateBeforeCommit, 1)).await;
        assert_eq!(version(&database(&ada)), old, "nothing of it has happened");
        // At any time, from before the file is opened until it is in use.
        for round in 0..8 {
            let mut child = client(dir.path(), &[]).spawn().unwrap();
            sleep(Duration::from_millis(4 + 5 * round)).await;
            child.kill().await.unwrap();
        }
        let party = ada.open().await;
        assert_eq!(party.client.threads().await.unwrap().len(), 4, "{schema}");
        let file = database(&party.close().await);
        assert!(version(&file) > old);
        assert_eq!(count(&file, "message"), before, "{schema}");
        is_intact(&file);
    }
}
