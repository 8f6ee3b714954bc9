//! Marking messages as read.

#![cfg(test)]

use rusqlite::Connection;
use sealpost_core::{Change, Direction, Message};
use sealpost_testkit::{Party, PartyDisk, World, eventually, insert_unread, make_late, open_database};

/// More messages than are read one by one.
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
async fn thousands_are_read_at_once_and_confirmed_by_one_receipt_even_after_a_restart() {
    let (disk, database, _world) = unread().await;
    let ada = disk.open().await;
    mark_all(&ada).await;
    let disk = all_confirmed(ada, &database).await;
    // As if the process had ended after three steps.
    let rewound = database.execute_batch(
        "DELETE FROM mail;
         UPDATE heard SET read = 3 * 256;
         INSERT INTO read_receipt_due
            SELECT thread_id, position, id, 1 FROM message ORDER BY position LIMIT 1 OFFSET 3 * 256 - 1;",
    );
    rewound.unwrap();
    all_confirmed(disk.open().await, &database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_late_messages_are_read_at_once_and_confirmed_even_after_a_restart() {
    let (disk, database, _world) = unread().await;
    make_late(&database);
    set_apart(&database);
    let ada = disk.open().await;
    mark_all(&ada).await;
    let disk = all_confirmed(ada, &database).await;
    // As if the process had ended after the messages were marked.
    make_late_again(&database);
    set_apart(&database);
    let ada = disk.open().await;
    let page = ada.client.thread_page(None, 10).await.unwrap();
    assert_eq!(page.threads.first().unwrap().unread, 0);
    all_confirmed(ada, &database).await;
}

/// Each of the messages came behind one that was read.
fn set_apart(database: &Connection) {
    database.execute_batch(&format!("UPDATE heard SET read = {UNREAD}, apart = {UNREAD}")).unwrap();
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

/// Waits until all messages count as read and one receipt is queued, and closes the client.
async fn all_confirmed(party: Party, database: &Connection) -> PartyDisk {
    eventually("nothing is due", async || {
        let sql = "SELECT (SELECT count(*) FROM read_receipt_due) + (SELECT count(*) FROM late_mark)";
        let due: i64 = database.query_row(sql, [], |row| row.get(0)).unwrap();
        (due == 0).then_some(())
    })
    .await;
    let disk = party.close().await;
    // The receipt is written when it is sealed, from this row.
    let told: (i64, i64, i64) = database
        .query_row("SELECT read, apart, (SELECT count(*) FROM mail) FROM heard", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    assert_eq!(told, (UNREAD.into(), 0, 1));
    disk
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_read_in_both_directions_from_the_first_unread_message() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    for n in 0..20 {
        his.send_text(&format!("line {n}, https://example.org/{n}")).await.unwrap();
    }
    let all = eventually("all messages", async || {
        let all = hers.history(None).await.unwrap().messages;
        (all.len() == 20).then_some(all)
    });
    let all = all.await;
    let ids = |messages: &[Message]| messages.iter().map(|message| message.id).collect::<Vec<_>>();
    hers.mark_read(all[12].id).await.unwrap();
    let divider = hers.unread_divider().await.unwrap().unwrap();
    assert_eq!((divider.message, divider.unread), (all[11].id, 12));
    let around = hers.history_around(divider.message, 5).await.unwrap();
    assert_eq!(ids(&around.messages), ids(&all[9..14]));
    let newer = hers.history_after(around.newer.unwrap(), 4).await.unwrap();
    assert_eq!(ids(&newer.messages), ids(&all[5..9]));
    let older = hers.history_of(around.older, 50).await.unwrap();
    assert_eq!(ids(&older.messages), ids(&all[14..]));
    assert_eq!(older.older, None);
    let links = hers.links(None, 50).await.unwrap();
    assert_eq!(ids(&links.messages), ids(&all));
    hers.mark_read(all[0].id).await.unwrap();
    assert_eq!(hers.unread_divider().await.unwrap(), None);
}
