//! Tests of when messages expire that were sent long after they were written.

use super::*;
use crate::id::MessageId;
use crate::message::{Delivery, Direction, FailReason};
use crate::store::Settlement;

const DAY_MS: u64 = 24 * 3600 * 1000;

impl Fixture {
    /// The relay has stored a message at this time, with this number.
    async fn stored(&self, id: MessageId, server_seq: u64, server_ms: u64) {
        let number = self.store.write(move |tx| {
            let sql = "UPDATE message SET run = x'0707070707070707', count = ?2 WHERE id = ?1";
            tx.change_one(sql, rusqlite::params![id.0, server_seq.cast_signed()])
        });
        number.await.unwrap();
        self.settle(id, Settlement::Accepted { epoch: 1, server_seq, server_ms }).await;
    }

    /// Examines everything that was sent before this time, one after the other. Returns the texts that have expired by then.
    async fn expired(&self, before_ms: u64) -> Vec<String> {
        let mut steps = 0..100;
        while self.store.read(move |rows| rows.may_expire(before_ms)).await.unwrap() {
            steps.next().expect("an end");
            self.store.write(move |tx| tx.expire_some(before_ms, 1)).await.unwrap();
        }
        let page = self.store.read(|rows| rows.page(THREAD, None, 100)).await.unwrap().messages;
        let expired = Direction::Outgoing(Delivery::Expired);
        let texts =
            page.iter().filter(|message| message.direction == expired).filter_map(|message| message.text());
        let mut texts: Vec<_> = texts.map(str::to_owned).collect();
        texts.sort();
        texts
    }
}

#[tokio::test]
async fn a_message_that_waited_for_months_expires_30_days_after_it_was_sent() {
    let fixture = Fixture::new().await;
    let (waits, other) = (fixture.enqueue("waits").await, fixture.enqueue("other").await);
    fixture.stored(other, 1, 1_100).await;
    // It is passed while it still waits.
    assert_eq!(fixture.expired(2 * DAY_MS).await, ["other"]);
    fixture.stored(waits, 2, 60 * DAY_MS).await;
    assert_eq!(fixture.expired(60 * DAY_MS - 1).await, ["other"]);
    assert_eq!(fixture.expired(60 * DAY_MS).await, ["other", "waits"]);
}

#[tokio::test]
async fn a_message_that_was_sent_late_or_once_more_delays_no_other_one() {
    let fixture = Fixture::new().await;
    let (late, again) = (fixture.enqueue("late").await, fixture.enqueue("again").await);
    let (first, second) = (fixture.enqueue("first").await, fixture.enqueue("second").await);
    fixture.settle(again, Settlement::Failed(FailReason::Refused)).await;
    fixture.stored(first, 1, 1_100).await;
    fixture.stored(late, 2, 20 * DAY_MS).await;
    fixture.store.write(move |tx| tx.retry(again, 20 * DAY_MS)).await.unwrap();
    fixture.stored(again, 3, 20 * DAY_MS + 5_000).await;
    fixture.stored(second, 4, 20 * DAY_MS + 6_000).await;
    assert_eq!(fixture.expired(1_100).await, ["first"]);
    assert_eq!(fixture.expired(20 * DAY_MS).await, ["first", "late"]);
    assert_eq!(
        fixture.expired(20 * DAY_MS + 4_999).await,
        ["first", "late"],
        "counted from when it was sent"
    );
    assert_eq!(fixture.expired(20 * DAY_MS + 6_000).await, ["again", "first", "late", "second"]);
    // Nothing is left of what was judged, or deleted.
    let left = fixture.store.read(|rows| {
        Ok(rows.connection.query_row("SELECT count(*) FROM sent_late", [], |row| row.get::<_, i64>(0))?)
    });
    assert_eq!(left.await.unwrap(), 0);
}

#[tokio::test]
async fn a_message_that_was_judged_and_is_sent_once_more_expires_later() {
    let fixture = Fixture::new().await;
    let (again, other) = (fixture.enqueue("again").await, fixture.enqueue("other").await);
    fixture.settle(again, Settlement::Failed(FailReason::Refused)).await;
    fixture.stored(other, 1, 1_100).await;
    assert_eq!(fixture.expired(2_000).await, ["other"]);
    fixture.store.write(move |tx| tx.retry(again, 3_000)).await.unwrap();
    fixture.stored(again, 2, 4_000).await;
    assert_eq!(fixture.expired(3_999).await, ["other"]);
    assert_eq!(fixture.expired(4_000).await, ["again", "other"]);
}
