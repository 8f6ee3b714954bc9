//! Tests of messages that disappear.

use proptest::prelude::*;

use super::messages::incoming;
use super::reactions::origin;
use super::*;
use crate::content::{Edit, Target, Timer};
use crate::error::Result;
use crate::id::MessageId;
use crate::store::{Arrived, Found, NewIncoming, Origin, POSITION_PENDING, Settlement};

const SOON: u64 = 60_000;

fn timer(seconds: u32) -> Timer {
    Timer::new(seconds).unwrap()
}

impl Fixture {
    async fn receive_timed(&self, text: &str, server_seq: u64) -> MessageId {
        let new = NewIncoming { timer: timer(60), ..incoming(text, server_seq) };
        self.store.write(move |tx| tx.insert_incoming(&new)).await.unwrap()
    }

    async fn read_up_to(&self, id: MessageId) {
        let work = self.store.write(move |tx| tx.mark_read(THREAD, id, AFTER_ALL, 256).map(drop));
        work.await.unwrap();
    }

    /// Starts what is due in transactions of two messages.
    async fn start_all(&self, now_ms: u64) -> u32 {
        let mut transactions = 0_u32;
        while self.store.read(|rows| rows.are_timers_due()).await.unwrap() {
            self.store.write(move |tx| tx.start_timers(now_ms, 2)).await.unwrap();
            transactions = transactions.checked_add(1).unwrap();
        }
        transactions
    }

    async fn expires(&self) -> Vec<Option<u64>> {
        let messages = self.store.read(|rows| rows.page(THREAD, None, 500)).await.unwrap().messages;
        messages.into_iter().rev().map(|message| message.expires_ms).collect()
    }

    async fn delete_expired(&self, now_ms: u64) -> usize {
        self.store.write(move |tx| tx.delete_expired(now_ms, 10)).await.unwrap()
    }

    async fn count(&self, of: &'static str) -> u32 {
        let sql = format!("SELECT count(*) FROM {of}");
        self.store.read(move |rows| Ok(rows.connection.query_row(&sql, [], |row| row.get(0))?)).await.unwrap()
    }

    async fn timer(&self) -> u32 {
        self.store.read(|rows| rows.timer(THREAD)).await.unwrap().seconds()
    }

    /// A content of ours sets the timer.
    async fn set_timer(&self, seconds: u32) -> MessageId {
        let work = self.store.write(move |tx| -> Result<_> {
            let new = outgoing(Body::Timer(timer(seconds)));
            let content_id = new.content_id;
            let ours = Origin { thread: THREAD, author: US, content_id, sent_ms: 1, order: POSITION_PENDING };
            tx.set_timer(&ours, timer(seconds))?;
            Ok(tx.enqueue(new)?.unwrap().id)
        });
        work.await.unwrap()
    }

    async fn apply_timer(&self, order: i64, sets: Option<u32>, own: u32) {
        let work =
            self.store.write(move |tx| tx.apply_timer(&origin(PEER, order), sets.map(timer), timer(own)));
        work.await.unwrap();
    }
}

#[tokio::test]
async fn a_timer_runs_from_when_the_message_was_read() {
    let fixture = Fixture::new().await;
    let mut ids = Vec::new();
    for seq in [10, 20, 30, 40, 50, 60] {
        ids.push(fixture.receive_timed("hello", seq).await);
    }
    fixture.receive(incoming("stays", 70)).await;
    assert_eq!(fixture.start_all(SOON).await, 0);
    fixture.read_up_to(ids[4]).await;
    // Five messages, two in each transaction.
    assert_eq!(fixture.start_all(SOON).await, 3);
    let (started, not) = (Some(SOON + 60_000), None);
    assert_eq!(fixture.expires().await, [started, started, started, started, started, not, not]);
    // Reading again does not start it again. A late message is started when it is read.
    let late = fixture.receive_timed("late", 15).await;
    fixture.read_up_to(ids[4]).await;
    fixture.start_all(SOON + 1).await;
    let again = Some(SOON + 60_001);
    assert_eq!(fixture.expires().await, [started, again, started, started, started, started, not, not]);
    assert_eq!(fixture.store.read(|rows| rows.next_expiry()).await.unwrap(), started);
    assert!(fixture.store.read(move |rows| rows.message(late)).await.unwrap().is_some());
    // A message that was deleted here and restored counts as read.
    let last = ids[5];
    fixture.store.write(move |tx| tx.hide(THREAD, last, 1)).await.unwrap();
    fixture.store.write(move |tx| tx.restore(THREAD, last, 2)).await.unwrap();
    fixture.start_all(SOON + 2).await;
    assert_eq!(fixture.expires().await[6], Some(SOON + 60_002));
}

#[tokio::test]
async fn a_message_disappears_with_all_that_belongs_to_it() {
    let fixture = Fixture::new().await;
    let id = fixture.receive_timed("secret", 1).await;
    let target = fixture.store.read(move |rows| Ok(rows.content_of(THREAD, id)?.unwrap())).await.unwrap();
    let target = Target { author: target.0, id: target.1 };
    let limits = crate::config::ChangeLimits::default();
    let work = fixture.store.write(move |tx| {
        tx.feed_index(10)?;
        tx.react(id, &origin(US, 2), "👍")?;
        tx.edit(id, &origin(PEER, 3), ("secret words", &crate::Markup::default()), limits)?;
        tx.pin(id, &origin(PEER, 4), true)
    });
    work.await.unwrap();
    assert_eq!(fixture.store.read(|rows| rows.search("words", 10)).await.unwrap().len(), 1);
    fixture.read_up_to(id).await;
    fixture.start_all(SOON).await;
    let mut events = fixture.events.subscribe();
    assert_eq!(fixture.delete_expired(SOON + 59_999).await, 0);
    assert_eq!(fixture.delete_expired(SOON + 60_000).await, 1);
    assert!(matches!(drain(&mut events)[..], [Event::MessageRemoved { id: removed, .. }] if removed == id));
    for table in ["message", "reaction", "edit", "pin"] {
        assert_eq!(fixture.count(table).await, 0, "{table}");
    }
    // Nothing is left in the index, and a change of it does not wait.
    let left = "search WHERE search MATCH 'secret* OR words*'";
    assert_eq!(fixture.count(left).await, 0);
    assert_eq!(fixture.store.read(move |rows| rows.find(THREAD, target)).await.unwrap(), Found::Gone);
    assert!(fixture.store.read(move |rows| rows.was_applied(PEER, target.id)).await.unwrap());
}

#[tokio::test]
async fn a_message_of_ours_runs_from_when_the_relay_accepted_it() {
    let fixture = Fixture::new().await;
    fixture.store.write(|tx| tx.set_first_timer(THREAD, timer(60))).await.unwrap();
    let id = fixture.enqueue("ours").await;
    assert_eq!(fixture.expires().await, [None]);
    let entry = fixture.entry(id).await;
    let accepted = Settlement::Accepted { epoch: 1, server_seq: 1, server_ms: SOON };
    let work = fixture.store.write(move |tx| {
        tx.settle(entry, None, accepted)?;
        Ok(tx.has_started_timers())
    });
    assert!(work.await.unwrap());
    assert_eq!(fixture.expires().await, [Some(SOON + 60_000)]);
    // It is kept in the outbox until the other side has it, but not beyond its time.
    assert_eq!(fixture.count("outgoing").await, 1);
    assert_eq!(fixture.delete_expired(SOON + 60_000).await, 1);
    assert_eq!(fixture.count("outgoing").await + fixture.count("lane").await, 0);
}

#[tokio::test]
async fn a_message_that_failed_keeps_its_timer_when_it_is_sent_again() {
    let fixture = Fixture::new().await;
    fixture.store.write(|tx| tx.set_first_timer(THREAD, timer(60))).await.unwrap();
    let id = fixture.enqueue("ours").await;
    let entry = fixture.entry(id).await;
    let failed = Settlement::Failed(crate::FailReason::Refused);
    fixture.store.write(move |tx| tx.settle(entry, None, failed)).await.unwrap();
    fixture.store.write(move |tx| tx.retry(id, 5)).await.unwrap();
    let queued = fixture.store.read(|rows| rows.entries(THREAD, None, (10, 1000))).await.unwrap();
    assert!(matches!(&queued[..], [crate::store::Entry::ToSeal(entry)] if entry.timer == timer(60)));
}

#[tokio::test]
async fn the_timer_of_a_thread_is_the_one_that_was_set_last() {
    let fixture = Fixture::new().await;
    // Of the first message, as nobody has set one.
    fixture.apply_timer(10, None, 30).await;
    fixture.apply_timer(11, None, 40).await;
    assert_eq!(fixture.timer().await, 30);
    fixture.apply_timer(13, Some(60), 0).await;
    fixture.apply_timer(12, Some(50), 0).await;
    assert_eq!(fixture.timer().await, 60);
    let ours = fixture.set_timer(70).await;
    fixture.apply_timer(position(15), Some(80), 0).await;
    // The relay has put ours before theirs, which is not known yet.
    assert_eq!(fixture.timer().await, 70);
    assert_eq!(fixture.store.read(move |rows| rows.message(ours)).await.unwrap().unwrap().timer_s, 0);
    accept(&fixture, ours, 14).await;
    assert_eq!(fixture.timer().await, 80);
    let ours = fixture.set_timer(0).await;
    fixture.apply_timer(position(16), Some(90), 0).await;
    accept(&fixture, ours, 17).await;
    assert_eq!(fixture.timer().await, 0);
    // It was set to never: the timer of a message changes nothing.
    fixture.apply_timer(position(18), None, 30).await;
    assert_eq!(fixture.timer().await, 0);
    // One that is not sent has no effect any longer.
    let (failed, cancelled) = (fixture.set_timer(5).await, fixture.set_timer(6).await);
    assert_eq!(fixture.timer().await, 6);
    assert!(fixture.store.write(move |tx| tx.cancel(cancelled)).await.unwrap());
    let entry = fixture.entry(failed).await;
    let settlement = Settlement::Failed(crate::FailReason::Refused);
    fixture.store.write(move |tx| tx.settle(entry, None, settlement)).await.unwrap();
    assert_eq!(fixture.timer().await, 0);
}

fn position(server_seq: u64) -> i64 {
    crate::store::order_of(1, server_seq).unwrap()
}

async fn accept(fixture: &Fixture, id: MessageId, server_seq: u64) {
    let entry = fixture.entry(id).await;
    let accepted = Settlement::Accepted { epoch: 1, server_seq, server_ms: SOON };
    fixture.store.write(move |tx| tx.settle(entry, None, accepted)).await.unwrap();
}

#[tokio::test]
async fn an_edit_of_a_message_that_disappeared_has_no_effect() {
    let fixture = Fixture::new().await;
    let id = fixture.receive_timed("secret", 1).await;
    let (_, content_id, _) =
        fixture.store.read(move |rows| rows.content_of(THREAD, id)).await.unwrap().unwrap();
    fixture.read_up_to(id).await;
    fixture.start_all(SOON).await;
    fixture.delete_expired(SOON + 60_000).await;
    let edit = Body::Edit(Edit {
        message: content_id,
        text: "more secrets".to_owned(),
        markup: crate::Markup::default(),
    });
    let target = edit.target(PEER).unwrap();
    assert_eq!(fixture.store.read(move |rows| rows.find(THREAD, target)).await.unwrap(), Found::Gone);
    // Nor does a second copy of the message itself.
    let copy = NewIncoming { what: Arrived::Content(content_id, Body::text("secret")), ..incoming("", 1) };
    assert!(matches!(copy.what, Arrived::Content(id, _) if id == content_id));
    assert!(fixture.store.read(move |rows| rows.was_applied(PEER, content_id)).await.unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    /// Whatever arrives and is read in whatever order, exactly the messages that were read have a running timer.
    #[test]
    fn exactly_what_was_read_disappears(
        steps in proptest::collection::vec((any::<bool>(), 1_u64..40, any::<bool>()), 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            let mut ids = Vec::new();
            for (is_arrival, place, is_timed) in steps {
                if is_arrival || ids.is_empty() {
                    let new = NewIncoming { timer: timer(if is_timed { 9 } else { 0 }), ..incoming("x", place) };
                    ids.push(fixture.store.write(move |tx| tx.insert_incoming(&new)).await.unwrap());
                } else {
                    let chosen = usize::try_from(place).unwrap().checked_rem(ids.len()).unwrap();
                    let id = ids[chosen];
                    fixture.read_up_to(id).await;
                    fixture.start_all(SOON).await;
                }
            }
            let messages = fixture.store.read(|rows| rows.page(THREAD, None, 500)).await.unwrap().messages;
            for message in messages {
                let is_read = matches!(message.direction, crate::Direction::Incoming { read: true });
                assert_eq!(message.expires_ms.is_some(), is_read && message.timer_s > 0, "{message:?}");
            }
        });
    }
}
