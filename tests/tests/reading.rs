//! Marking messages as read.

#![cfg(test)]

use std::collections::BTreeSet;

use rusqlite::Connection;
use sealpost_core::{Change, Direction};
use sealpost_testkit::{Party, PartyDisk, World, eventually, insert_unread, make_late, open_database};

/// Enough messages for eight receipts.
const UNREAD: u32 = 2000;

/// A client with unread messages, and its database. Without a relay, everything that is queued stays in the database.
async fn unread() -> (PartyDisk, Connection, World) {
    let mut world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    ada.thread_with(&ben).await;
    ben.close().await;
    let disk = ada.close().await;
    world.stop_relay().await;
    let database = open_database(disk.database(), &disk.key());
    insert_unread(&database, UNREAD);
    (disk, database, world)
}

/// Marks everything as read, and checks that a view shows it.
async fn mark_all(ada: &Party) {
    let thread = ada.client.threads().await.unwrap().pop().unwrap();
    let newest = thread.history(None).await.unwrap().messages.first().unwrap().id;
    let mut view = thread.subscribe();
    assert!(matches!(view.next().await, Some(Ok(Change::Snapshot(_)))));
    thread.mark_read(newest).await.unwrap();
    // At once, whatever is still to be confirmed.
    let page = ada.client.thread_page(None, 10).await.unwrap();
    assert_eq!(page.threads.first().unwrap().unread, 0);
    let Some(Ok(Change::Snapshot(page))) = view.next().await else { panic!("a snapshot") };
    let read = Direction::Incoming { read: true };
    assert!(page.messages.iter().all(|message| message.direction == read));
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_are_read_at_once_and_each_is_confirmed_once_even_after_a_restart() {
    let (disk, database, _world) = unread().await;
    let ada = disk.open().await;
    mark_all(&ada).await;
    let disk = all_confirmed(ada, &database).await;
    // As if the process had ended after three receipts.
    let rewound = database.execute_batch(
        "DELETE FROM mail WHERE id NOT IN (SELECT id FROM mail ORDER BY id LIMIT 3);
         INSERT INTO read_receipt_due
            SELECT thread_id, position, id FROM message ORDER BY position LIMIT 1 OFFSET 3 * 256 - 1;",
    );
    rewound.unwrap();
    all_confirmed(disk.open().await, &database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_late_messages_are_read_at_once_and_confirmed_even_after_a_restart() {
    let (disk, database, _world) = unread().await;
    make_late(&database);
    let ada = disk.open().await;
    mark_all(&ada).await;
    let disk = all_confirmed(ada, &database).await;
    // As if the process had ended after the messages were marked.
    make_late_again(&database);
    let ada = disk.open().await;
    let page = ada.client.thread_page(None, 10).await.unwrap();
    assert_eq!(page.threads.first().unwrap().unread, 0);
    all_confirmed(ada, &database).await;
}

/// Makes the messages late that were read and confirmed, with a mark that reads them, and without their receipts.
fn make_late_again(database: &Connection) {
    let made = database.execute_batch(
        "DELETE FROM mail;
         UPDATE message SET state = 12, late = server_seq WHERE state = 11;
         INSERT INTO late_mark (thread_id, late, position, id)
            SELECT thread_id, late, position, id FROM message ORDER BY position DESC LIMIT 1;",
    );
    made.unwrap();
}

/// Waits until all receipts are queued, each message in one of them, and closes the client.
async fn all_confirmed(party: Party, database: &Connection) -> PartyDisk {
    eventually("nothing is due", async || {
        let sql = "SELECT (SELECT count(*) FROM read_receipt_due) + (SELECT count(*) FROM late_mark)";
        let due: i64 = database.query_row(sql, [], |row| row.get(0)).unwrap();
        (due == 0).then_some(())
    })
    .await;
    let disk = party.close().await;
    let mut statement = database.prepare("SELECT body FROM mail ORDER BY id").unwrap();
    let bodies: Vec<Vec<u8>> =
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(bodies.len(), 8);
    let mut confirmed = BTreeSet::new();
    for body in &bodies {
        // The ids, of 16 bytes each, are at the end of the body.
        for id in body[body.len() % 16..].as_chunks::<16>().0 {
            assert!(confirmed.insert(u128::from_be_bytes(*id)), "confirmed twice");
        }
    }
    assert_eq!(confirmed, (1..=u128::from(UNREAD)).collect());
    disk
}
