//! Marking messages as read.

#![cfg(test)]

use sealpost_e2e::open_database;
use sealpost_testkit::{PartyDisk, World};

/// Enough messages for eight transactions.
const UNREAD: u32 = 2000;

/// Inserts unread incoming messages directly into the database.
fn fill(disk: &PartyDisk) {
    let database = open_database(disk.database(), &disk.key());
    let made = database.execute_batch(&format!(
        "BEGIN;
         WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {UNREAD})
         INSERT INTO message (thread_id, content_id, author, device, kind, body, sent, server_seq, position, state)
            SELECT thread_id, CAST(unhex(printf('%032x', n)) AS BLOB), member.user_id, 1, 1, x'520568656c6c6f', n, n, n, 10
            FROM n, thread JOIN member USING (thread_id), account WHERE member.user_id <> account.user_id;
         UPDATE thread SET unread = {UNREAD};
         COMMIT;"
    ));
    made.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn marking_thousands_as_read_lets_other_writes_in_between() {
    let mut world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    ada.thread_with(&ben).await;
    ben.close().await;
    let disk = ada.close().await;
    // Without a relay, everything that is queued stays in the database.
    world.stop_relay().await;
    fill(&disk);
    let ada = disk.open().await;
    let thread = ada.client.threads().await.unwrap().pop().unwrap();
    let newest = thread.history(None).await.unwrap().messages.first().unwrap().id;
    let marking = tokio::spawn({
        let thread = thread.clone();
        async move { thread.mark_read(newest).await }
    });
    let mut sent = 0_u32;
    while !marking.is_finished() {
        thread.send_text("in between").await.unwrap();
        sent = sent.saturating_add(1);
    }
    marking.await.unwrap().unwrap();
    let page = ada.client.thread_page(None, 10).await.unwrap();
    assert_eq!(page.threads.first().unwrap().unread, 0);
    let disk = ada.close().await;

    let database = open_database(disk.database(), &disk.key());
    let number = |sql: &str| -> i64 { database.query_row(sql, [], |row| row.get(0)).unwrap() };
    assert_eq!(number("SELECT count(*) FROM message WHERE state = 10"), 0);
    assert_eq!(number("SELECT count(*) FROM outgoing WHERE class = 3"), 8);
    let between = "SELECT count(*) FROM outgoing WHERE class = 1
        AND id > (SELECT min(id) FROM outgoing WHERE class = 3) AND id < (SELECT max(id) FROM outgoing WHERE class = 3)";
    assert!(number(between) > 0, "none of {sent}");
}
