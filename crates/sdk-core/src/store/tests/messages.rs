//! Tests of the history: its pages, new messages, and that the queries use their indexes.

use super::*;
use crate::id::MessageId;
use crate::store::{Arrived, NewIncoming};

pub(super) fn incoming(text: &str, server_seq: u64) -> NewIncoming {
    NewIncoming {
        thread: THREAD,
        author: PEER,
        device: DeviceId::PRIMARY,
        is_ours: false,
        what: Arrived::Content(fresh_id(), Body::text(text.to_owned())),
        sent_ms: 1000,
        timer: crate::content::Timer::default(),
        server_ms: 1000,
        epoch: 1,
        server_seq,
        number: None,
        after: None,
        roster: None,
    }
}

impl Fixture {
    pub(super) async fn receive(&self, new: NewIncoming) {
        self.store.write(move |tx| tx.insert_incoming(&new).map(drop)).await.unwrap();
    }
}

#[tokio::test]
async fn pages_do_not_overlap_even_if_a_relay_repeats_a_number() {
    let fixture = Fixture::new().await;
    for n in 0..25_u64 {
        fixture.receive(incoming(&n.to_string(), n / 2 + 1)).await;
    }
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let page = fixture.store.read(move |rows| rows.page(THREAD, before, 7)).await.unwrap();
        seen.extend(page.messages.into_iter().map(|message| message.id.0));
        before = page.older;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 25);
    assert!(seen.is_sorted_by(|a, b| a > b));
}

#[tokio::test]
async fn a_later_epoch_comes_after_an_earlier_one() {
    let fixture = Fixture::new().await;
    fixture.receive(NewIncoming { epoch: 2, ..incoming("restored", 3) }).await;
    fixture.receive(NewIncoming { epoch: 1, ..incoming("before", 900) }).await;
    assert_eq!(fixture.texts().await, ["restored", "before"]);
}

#[tokio::test]
async fn arrivals_are_in_order_of_arrival_whatever_their_positions() {
    let fixture = Fixture::new().await;
    let last = async || fixture.store.read(|rows| rows.last_message()).await.unwrap();
    assert_eq!(last().await, MessageId(0));
    for seq in [7, 8, 3, 9, 1] {
        fixture.receive(incoming(&seq.to_string(), seq)).await;
    }
    let after = async |id, limit| {
        let found = fixture.store.read(move |rows| rows.arrived_after(THREAD, MessageId(id), limit)).await;
        found.unwrap().iter().map(|message| message.server_seq.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(after(1, 50).await, [8, 3, 9, 1]);
    assert_eq!(after(1, 2).await, [8, 3]);
    assert_eq!(after(last().await.0, 50).await, [0; 0]);
}

#[tokio::test]
async fn a_new_listener_receives_no_earlier_messages() {
    let fixture = Fixture::new().await;
    let here = fixture.enqueue("here").await;
    assert_eq!(fixture.events.newest(), here);
    fixture.store.close().await;
    let events = EventBus::new();
    let _store = open(&fixture.dir, events.clone()).unwrap();
    assert_eq!(events.newest(), here);
}

#[tokio::test]
async fn lists_use_their_indexes() {
    let fixture = Fixture::new().await;
    let plans = [
        (
            "SELECT id FROM message WHERE thread_id = x'00' AND (position, id) < (1, 1)
             ORDER BY position DESC, id DESC LIMIT 50",
            "message_page",
        ),
        (
            "SELECT id FROM outgoing WHERE lane = x'00' AND state < 3 AND state = 2 AND id > 1 ORDER BY id LIMIT 16",
            "outgoing_lane (lane=? AND state=? AND id>?)",
        ),
        (
            "SELECT min(lane) FROM outgoing WHERE state < 3 AND lane > x'00'",
            "SEARCH outgoing USING COVERING INDEX outgoing_lane (lane>?)",
        ),
        ("SELECT lane FROM lane WHERE due <= 5 ORDER BY due, lane LIMIT 16", "lane_due"),
        ("SELECT min(due) FROM lane WHERE due > 5", "lane_due"),
        ("UPDATE lane SET due = 0 WHERE due > 0", "lane_due"),
        ("SELECT id FROM mail WHERE due <= 5 ORDER BY due, id LIMIT 16", "mail_due"),
        ("SELECT min(due) FROM mail WHERE due > 5", "mail_due"),
        ("UPDATE mail SET due = 0 WHERE due > 0 AND attempts > 0", "mail_due"),
        ("UPDATE outgoing SET state = 2 WHERE state = 3", "outgoing_unproven"),
        ("DELETE FROM opened WHERE at < 5", "opened_at"),
        ("SELECT id FROM message WHERE author = x'00' AND content_id = x'00'", "sqlite_autoindex_message"),
        (
            "SELECT position, id FROM message WHERE thread_id = x'00' AND state = 10 AND position <= 1
             AND (position, id) <= (1, 1) AND id <= 5 ORDER BY position DESC, id DESC LIMIT 1",
            "USING COVERING INDEX message_incoming",
        ),
        (
            "SELECT 1 FROM message WHERE thread_id = x'00' AND state = 10 AND position BETWEEN 1 AND 2
             AND (position, id) > (1, 1) AND (position, id) <= (2, 2) LIMIT 5",
            "USING COVERING INDEX message_incoming (thread_id=? AND position>? AND position<?)",
        ),
        (
            "SELECT id FROM message WHERE thread_id = x'00' AND (position, id) < (1, 1) AND links = 1 AND hidden IS NULL
             ORDER BY position DESC, id DESC LIMIT 50",
            "message_links",
        ),
        (
            "SELECT position, id FROM message WHERE thread_id = x'00' AND state = 10 AND position >= 1
             AND (position, id) > (1, 1) AND hidden IS NULL ORDER BY position, id LIMIT 1",
            "message_incoming",
        ),
        (
            "SELECT position, id, late FROM message WHERE thread_id = x'00' AND state = 12 AND position <= 1
             AND (position, id) <= (1, 1) AND late <= 5 ORDER BY position, id",
            "USING COVERING INDEX message_late (thread_id=? AND position<?)",
        ),
        (
            "SELECT position, id, late, content_id FROM message WHERE thread_id = x'00' AND state = 12
             AND position BETWEEN 1 AND 2 AND (position, id) > (1, 1) AND (position, id) <= (2, 2)
             ORDER BY position, id LIMIT 5",
            "USING INDEX message_late (thread_id=? AND position>? AND position<?)",
        ),
        (
            "SELECT 1 FROM message WHERE thread_id = x'00' AND state = 12 AND position >= 1
             AND (position, id) > (1, 1)",
            "USING COVERING INDEX message_late (thread_id=? AND position>?)",
        ),
        (
            "UPDATE message SET state = 12 WHERE id > 5 AND +thread_id = x'00' AND state = 10
             AND (position, id) <= (1, 1)",
            "INTEGER PRIMARY KEY (rowid>?)",
        ),
        (
            "SELECT id FROM message WHERE +thread_id = x'00' AND id > 1 ORDER BY id LIMIT 50",
            "INTEGER PRIMARY KEY (rowid>?)",
        ),
        ("SELECT coalesce(max(id), 0) FROM message", "SEARCH message"),
        (
            "SELECT thread_id FROM thread WHERE folder = 0 AND (pinned, activity, thread_id) < (1, 2, x'00')
             ORDER BY pinned DESC, activity DESC, thread_id DESC LIMIT 50",
            "thread_list",
        ),
    ];
    for (sql, index) in plans {
        let plan = fixture.store.read(move |rows| {
            let mut statement = rows.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            let steps = statement.query_map([], |row| row.get::<_, String>(3))?;
            Ok(steps.collect::<Result<Vec<_>, _>>()?.join("; "))
        });
        let plan = plan.await.unwrap();
        assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
}
