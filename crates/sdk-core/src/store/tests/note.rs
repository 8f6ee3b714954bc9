//! Tests of the note to self: what is written in it is settled at once.

use super::*;
use crate::content::Timer;
use crate::message::{Delivery, Direction, Message};
use crate::store::{ThreadKind, note_to_self};

impl Fixture {
    async fn note(&self) -> ThreadId {
        self.store.write(|tx| tx.open_note_to_self(US, 500)).await.unwrap()
    }

    /// Writes a content into a thread, as the queue does.
    async fn write_alone(&self, thread: ThreadId, body: Body, sent_ms: u64) -> Option<Message> {
        let new = NewOutgoing { thread, sent_ms, ..outgoing(body) };
        let work = self.store.write(move |tx| {
            let message = tx.enqueue(new)?;
            tx.settle_alone(thread, message)
        });
        work.await.unwrap()
    }

    async fn rows_of(&self, table: &'static str) -> u32 {
        let count = self.store.read(move |rows| {
            let sql = format!("SELECT count(*) FROM {table}");
            Ok(rows.connection.query_row(&sql, [], |row| row.get(0))?)
        });
        count.await.unwrap()
    }
}

#[tokio::test]
async fn there_is_one_note_to_self_and_it_is_in_the_list() {
    let fixture = Fixture::new().await;
    let mut events = fixture.events.subscribe();
    let note = fixture.note().await;
    assert_eq!((note, fixture.note().await), (note_to_self(US), note));
    assert_eq!(drain(&mut events), [Event::ThreadAdded(note)], "once");
    let read = fixture.store.read(move |rows| {
        let listed = rows.thread_page(Folder::Chats, None, 9)?.0;
        Ok((
            listed,
            rows.thread(note)?,
            rows.thread_with(US)?,
            rows.threads_with_others()?,
            rows.others(note)?,
        ))
    });
    let (listed, thread, with_us, with_others, others) = read.await.unwrap();
    assert_eq!((listed[0].id, listed[0].kind), (note, ThreadKind::NoteToSelf));
    assert!(listed[0].others.is_empty() && others.is_empty());
    assert_eq!(thread.unwrap().peer, Some(US));
    assert_eq!(with_us, None, "it is not a direct thread");
    assert_eq!(with_others.len(), 1, "the relay does not know it");
    // Nothing is to be told to the relay, also after it was restored from a backup.
    fixture.store.write(|tx| tx.accept_again()).await.unwrap();
    let to_accept = fixture.store.read(|rows| rows.threads_to_accept(None, 9)).await.unwrap();
    assert_eq!(to_accept, [THREAD]);
}

#[test]
fn the_id_of_the_note_is_the_same_on_all_devices_of_a_user_and_of_no_other() {
    // SHA-256 of "Sealpost note to self v1", a zero byte and sixteen bytes 0x01, by another implementation.
    assert_eq!(note_to_self(US).to_string(), "d912596f-08ae-837d-9117-9b1bc963ebe6");
    assert_ne!(note_to_self(US), note_to_self(PEER));
}

#[tokio::test]
async fn what_is_written_is_sent_at_once_in_its_order_and_leaves_nothing_in_the_outbox() {
    let fixture = Fixture::new().await;
    let note = fixture.note().await;
    for (n, sent_ms) in [(1, 1_000), (2, 3_000), (3, 2_000)] {
        let message = fixture.write_alone(note, Body::text(n.to_string()), sent_ms).await.unwrap();
        assert_eq!(message.direction, Direction::Outgoing(Delivery::Sent));
        assert_eq!((message.server_seq, message.sent_ms), (Some(n), sent_ms));
    }
    for table in ["outgoing", "lane"] {
        assert_eq!(fixture.rows_of(table).await, 0, "{table}");
    }
    let read = fixture.store.read(move |rows| Ok((rows.page(note, None, 9)?, rows.listed_thread(note)?)));
    let (page, listed) = read.await.unwrap();
    let texts: Vec<_> = page.messages.iter().filter_map(Message::text).collect();
    assert_eq!(texts, ["3", "2", "1"], "whatever the clock says");
    let listed = listed.unwrap();
    assert_eq!((listed.unread, listed.activity_ms), (0, 2_000));
    // What a relay assigns is after all of this.
    assert!(page.messages[0].position.order < crate::store::order_of(1, 1).unwrap());
}

#[tokio::test]
async fn the_timer_of_a_note_runs_from_when_it_was_written() {
    let fixture = Fixture::new().await;
    let note = fixture.note().await;
    fixture.store.write(move |tx| tx.set_first_timer(note, Timer::new(60).unwrap())).await.unwrap();
    let message = fixture.write_alone(note, Body::text("soon gone"), 5_000).await.unwrap();
    assert_eq!((message.timer_s, message.expires_ms), (60, Some(65_000)));
    assert_eq!(fixture.store.write(|tx| tx.delete_expired(64_999, 9)).await.unwrap(), 0);
    assert_eq!(fixture.store.write(|tx| tx.delete_expired(65_000, 9)).await.unwrap(), 1);
}
