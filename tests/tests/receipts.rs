//! The numbers of contents, and what devices tell each other about them: two clients and a real relay.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::path::{Path, PathBuf};

use sealpost_core::{Delivery, MessageId, Thread};
use sealpost_testkit::{Party, PartyDisk, World, eventually, history, open_database};

/// The posts of a thread that one side has received from the other: for each run, up to which number, and how many bytes
/// its exceptions take.
fn heard(disk: &PartyDisk) -> Vec<(Vec<u8>, i64, i64)> {
    let database = open_database(disk.database(), &disk.key());
    let mut statement =
        database.prepare("SELECT run, up_to, length(excepted) FROM heard ORDER BY position").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Our run in the only thread, and how many posts of it there are.
fn counted(disk: &PartyDisk) -> (Vec<u8>, i64) {
    let database = open_database(disk.database(), &disk.key());
    let sql = "SELECT run, counted FROM thread";
    database.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

/// How many contents are kept because the other side may not have them.
fn kept(disk: &PartyDisk) -> i64 {
    let database = open_database(disk.database(), &disk.key());
    database.query_row("SELECT count(*) FROM outgoing WHERE state = 3", [], |row| row.get(0)).unwrap()
}

async fn pair(world: &World) -> (Party, Party, Thread, Thread) {
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    (ada, ben, hers, his)
}

/// Waits until a text has arrived.
async fn arrives(thread: &Thread, text: &str) -> MessageId {
    let found = async || history(thread).await.into_iter().find(|message| message.text() == Some(text));
    eventually(text, found).await.id
}

#[tokio::test(flavor = "multi_thread")]
async fn every_post_of_a_device_has_the_next_number() {
    let world = World::start().await;
    let (ada, ben, hers, his) = pair(&world).await;
    let first = hers.send_text("one").await.unwrap();
    let received = arrives(&his, "one").await;
    ada.message_reaches(&hers, first.id, Delivery::Delivered).await;
    hers.edit(first.id, "one, edited").await.unwrap();
    his.react(received, "👍").await.unwrap();
    for n in 0..40 {
        hers.send_text(&format!("line {n}")).await.unwrap();
    }
    hers.delete_for_everyone(first.id).await.unwrap();
    hers.send_text("last").await.unwrap();
    arrives(&his, "last").await;
    his.send_text("answer").await.unwrap();
    arrives(&hers, "answer").await;
    drop((hers, his));
    let disks = [ada.close().await, ben.close().await];
    let (run, count) = counted(&disks[0]);
    // A text, an edit, forty texts, a deletion, a text. Receipts are not posts.
    assert_eq!(count, 44);
    assert_eq!(heard(&disks[1]), [(run, 44, 0)]);
    let (run, count) = counted(&disks[1]);
    assert_eq!(count, 2);
    assert_eq!(heard(&disks[0]), [(run, 2, 0)]);
    // His answer says that everything has come, also what gets no receipt.
    assert_eq!(kept(&disks[0]), 0);
}

fn files(database: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}

fn copy(from: &Path, to: &Path) {
    for (from, to) in files(from).into_iter().zip(files(to)) {
        let _ = std::fs::remove_file(&to);
        if from.exists() {
            std::fs::copy(from, to).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_begins_a_new_run() {
    let world = World::start().await;
    let (ada, ben, hers, his) = pair(&world).await;
    let thread = hers.id();
    hers.send_text("before").await.unwrap();
    arrives(&his, "before").await;
    drop(hers);
    let disk = ada.close().await;
    let saved = world.dir().join("saved.db");
    copy(disk.database(), &saved);
    let ada = disk.open().await;
    let hers = ada.client.thread(thread).await.unwrap();
    hers.send_text("after the copy").await.unwrap();
    arrives(&his, "after the copy").await;
    drop(hers);
    let disk = ada.close().await;
    let (first, _) = counted(&disk);
    copy(&saved, disk.database());

    let ada = disk.open().await;
    ada.live().await;
    let hers = ada.client.thread(thread).await.unwrap();
    hers.send_text("restored").await.unwrap();
    arrives(&his, "restored").await;
    drop((hers, his));
    let disks = [ada.close().await, ben.close().await];
    let (run, _) = counted(&disks[0]);
    assert_ne!(run, first);
    let heard = heard(&disks[1]);
    // Two texts; then a null content, which starts a session, and a text.
    assert_eq!(heard, [(first, 2, 0), (run, 2, 0)]);
}
