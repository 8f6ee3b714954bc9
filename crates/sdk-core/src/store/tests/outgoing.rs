//! Tests of the outbox, from queueing a message to settling the relay's answer.

use super::*;
use crate::content::{Counts, Number, ReceiptKind, Run};
use crate::error::{Error, Offline, Result};
use crate::id::MessageId;
use crate::message::{Delivery, Direction, FailReason};
use crate::store::{Entry, MarkKind, MarkOf, Parcel, Settlement, Tx};

impl Fixture {
    pub(super) async fn seal(&self, id: MessageId) -> ClientMsgId {
        let (entry, client_msg_id) = (self.entry(id).await, fresh_id());
        let parcel = Parcel { client_msg_id, bytes: format!("sealed {}", id.0).into() };
        self.store.write(move |tx| tx.set_sealed(entry, parcel, None, 1000).map(drop)).await.unwrap();
        client_msg_id
    }

    /// Settles an entry in its present state.
    pub(super) async fn settle(&self, id: MessageId, settlement: Settlement) {
        let (entry, submitted) = (self.entry(id).await, self.sealed(id).await);
        self.store.write(move |tx| tx.settle(entry, submitted, settlement)).await.unwrap();
    }

    /// The parcel of a message that is to be submitted.
    async fn sealed(&self, id: MessageId) -> Option<ClientMsgId> {
        let entry = self.entry(id).await;
        let entries = self.store.read(|rows| rows.entries(THREAD, None, (500, 1 << 20))).await.unwrap();
        entries.into_iter().find_map(|other| match other {
            Entry::Sealed { id, parcel, .. } if id == entry => Some(parcel.get().client_msg_id),
            _ => None,
        })
    }

    pub(super) async fn accept(&self, id: MessageId, server_seq: u64) {
        self.settle(id, Settlement::Accepted { epoch: 1, server_seq, server_ms: 2000 }).await;
    }

    /// The entries of the thread's lane: the message, and whether it is sealed.
    async fn lane(&self) -> Vec<(i64, bool)> {
        let read = self.store.read(|rows| {
            let entries = rows.entries(THREAD, None, (10, 1 << 20))?;
            let message = |entry: OutgoingId| -> Result<Option<i64>> {
                let sql = "SELECT message_id FROM outgoing WHERE id = ?1";
                Ok(rows.connection.query_row(sql, [entry.0], |row| row.get(0))?)
            };
            let mut shown = Vec::new();
            for entry in entries {
                shown.push(match entry {
                    Entry::ToSeal(outgoing) => (message(outgoing.id)?.unwrap_or(0), false),
                    Entry::Sealed { id, .. } => (message(id)?.unwrap_or(0), true),
                });
            }
            Ok(shown)
        });
        read.await.unwrap()
    }

    async fn delivery(&self, id: MessageId) -> Delivery {
        match self.store.read(move |rows| rows.message(id)).await.unwrap().unwrap().direction {
            Direction::Outgoing(delivery) => delivery,
            Direction::Incoming { .. } => panic!("not ours"),
        }
    }

    /// A receipt for one of our messages arrives. If it was sealed without a number, it gets one.
    pub(super) async fn receipt(&self, id: MessageId, kind: ReceiptKind) {
        self.store.write(move |tx| tx.receive_receipt(id, kind)).await.unwrap();
    }
}

impl Tx<'_> {
    pub(super) fn receive_receipt(&mut self, id: MessageId, kind: ReceiptKind) -> Result<()> {
        let number = Number { run: Run([9; 8]), count: id.0.unsigned_abs() };
        let values = rusqlite::params![id.0, number.run.0.as_slice()];
        self.change("UPDATE message SET run = ?2, count = id WHERE id = ?1 AND state < 10", values)?;
        let sql = "UPDATE outgoing SET run = ?2, count = ?1 WHERE message_id = ?1";
        self.change(sql, values)?;
        let sql = "UPDATE thread SET run = ?2, counted = max(counted, ?1)";
        self.change(sql, values)?;
        let kind = match kind {
            ReceiptKind::Delivered => MarkKind::Delivered,
            ReceiptKind::Read => MarkKind::Read,
        };
        let of = MarkOf { thread: THREAD, user: PEER, device: DeviceId::PRIMARY, kind, run: number.run };
        self.confirm((of, false), &Counts::of([number.count]), (2000, 2000))
    }
}

#[tokio::test]
async fn entries_are_sent_in_order_one_after_another() {
    let fixture = Fixture::new().await;
    let (a, b) = (fixture.enqueue("a").await, fixture.enqueue("b").await);
    assert_eq!(fixture.lane().await, [(a.0, false), (b.0, false)]);
    fixture.seal(a).await;
    assert_eq!(fixture.lane().await, [(a.0, true), (b.0, false)]);
    fixture.accept(a, 1).await;
    assert_eq!(fixture.lane().await, [(b.0, false)]);
    assert_eq!(fixture.delivery(a).await, Delivery::Sent);
}

#[tokio::test]
async fn a_message_is_sealed_once() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("once").await;
    fixture.seal(id).await;
    let entry = fixture.entry(id).await;
    let other = Parcel { client_msg_id: fresh_id(), bytes: "other bytes".into() };
    let again = fixture.store.write(move |tx| tx.set_sealed(entry, other, None, 1000).map(drop)).await;
    assert!(matches!(again, Err(Error::Bug(_))));
    assert_eq!(fixture.lane().await, [(id.0, true)]);
}

#[tokio::test]
async fn the_oldest_entry_of_a_thread_decides_when_it_is_due() {
    let fixture = Fixture::new().await;
    let a = fixture.enqueue("a").await;
    fixture.enqueue("b").await;
    fixture.settle(a, Settlement::Later { due_ms: 5000 }).await;
    let due = |now| fixture.store.read(move |rows| Ok((rows.due_lanes(now, 10)?.len(), rows.next_due(now)?)));
    assert_eq!(due(4999).await.unwrap(), (0, Some(5000)));
    assert_eq!(due(5000).await.unwrap(), (1, None));
    fixture.store.write(|tx| tx.hurry_lanes()).await.unwrap();
    assert_eq!(due(0).await.unwrap(), (1, None));
}

#[tokio::test]
async fn unanswered_messages_come_after_all_others() {
    let fixture = Fixture::new().await;
    let (a, b) = (fixture.enqueue("a").await, fixture.enqueue("b").await);
    assert_eq!(fixture.texts().await, ["b", "a"]);
    fixture.accept(b, 1).await;
    assert_eq!(fixture.texts().await, ["a", "b"]);
    fixture.accept(a, 2).await;
    assert_eq!(fixture.texts().await, ["a", "b"]);
}

#[tokio::test]
async fn a_failed_message_can_be_retried_or_cancelled() {
    let fixture = Fixture::new().await;
    let (a, b) = (fixture.enqueue("a").await, fixture.enqueue("b").await);
    for id in [a, b] {
        fixture.settle(id, Settlement::Failed(FailReason::BadKeys)).await;
        assert_eq!(fixture.delivery(id).await, Delivery::Failed(FailReason::BadKeys));
    }
    assert_eq!(fixture.lane().await, []);
    fixture.store.write(move |tx| tx.retry(a, 2000)).await.unwrap();
    assert_eq!(fixture.lane().await, [(a.0, false)]);
    assert_eq!(fixture.delivery(a).await, Delivery::Queued);
    assert_eq!(fixture.store.write(move |tx| tx.retry(a, 1)).await, Err(Error::NotFound));
    assert_eq!(fixture.store.write(move |tx| tx.cancel(b)).await, Ok(true));
    assert_eq!(fixture.texts().await, ["a"]);
}

#[tokio::test]
async fn a_message_that_may_have_been_submitted_cannot_be_cancelled() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("a").await;
    fixture.seal(id).await;
    assert_eq!(fixture.store.write(move |tx| tx.cancel(id)).await, Ok(false));
    fixture.accept(id, 1).await;
    assert_eq!(fixture.store.write(move |tx| tx.cancel(id)).await, Ok(false));
    assert_eq!(fixture.store.write(|tx| tx.cancel(MessageId(99))).await, Err(Error::NotFound));
}

#[tokio::test]
async fn receipts_never_move_a_state_back() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("a").await;
    fixture.seal(id).await;
    // A receipt can arrive before the relay's answer. The answer to the parcel is then still outstanding.
    fixture.receipt(id, ReceiptKind::Delivered).await;
    assert_eq!(fixture.lane().await, [(id.0, true)]);
    fixture.accept(id, 1).await;
    assert_eq!(fixture.delivery(id).await, Delivery::Delivered);
    fixture.receipt(id, ReceiptKind::Read).await;
    fixture.receipt(id, ReceiptKind::Delivered).await;
    assert_eq!(fixture.delivery(id).await, Delivery::Read);
}

#[tokio::test]
async fn receipts_are_sent_like_messages_and_are_not_visible() {
    let fixture = Fixture::new().await;
    let mut events = fixture.events.subscribe();
    let body = receipt();
    let new = outgoing(body.clone());
    assert_eq!(fixture.store.write(move |tx| tx.enqueue(new)).await, Ok(None));
    let mut entries = fixture.store.read(|rows| rows.entries(THREAD, None, (10, 1 << 20))).await.unwrap();
    let Some(Entry::ToSeal(receipt)) = entries.pop() else { panic!("{entries:?}") };
    assert_eq!(receipt.body, body);
    assert!(fixture.texts().await.is_empty());
    let parcel = Parcel { client_msg_id: fresh_id(), bytes: "sealed".into() };
    let name = parcel.client_msg_id;
    let work = fixture.store.write(move |tx| {
        tx.set_sealed(receipt.id, parcel, None, 1000).map(drop)?;
        tx.settle(receipt.id, Some(name), Settlement::Accepted { epoch: 1, server_seq: 1, server_ms: 2000 })
    });
    work.await.unwrap();
    assert_eq!(fixture.lane().await, []);
    assert_eq!(fixture.store.read(|rows| rows.due_lanes(0, 10)).await.unwrap(), []);
    assert_eq!(drain(&mut events), []);
}

#[tokio::test]
async fn after_a_restore_of_the_relay_only_unproven_entries_are_submitted_again() {
    let fixture = Fixture::new().await;
    let (a, b, c) = (fixture.enqueue("a").await, fixture.enqueue("b").await, fixture.enqueue("c").await);
    for (id, place) in [(a, 1), (b, 2), (c, 3)] {
        fixture.seal(id).await;
        fixture.accept(id, place).await;
    }
    fixture.receipt(b, ReceiptKind::Delivered).await;
    // The entry is older than the relay remembers ids, so it would be refused.
    assert_eq!(fixture.store.write(|tx| tx.resubmit_unproven(1001)).await, Ok(0));
    assert_eq!(fixture.store.write(|tx| tx.resubmit_unproven(1000)).await, Ok(2));
    assert_eq!(fixture.lane().await, [(a.0, true), (c.0, true)]);
}

#[tokio::test]
async fn an_answer_from_before_a_restore_of_the_relay_does_not_count() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("lost").await;
    fixture.seal(id).await;
    let (entry, ours) = (fixture.entry(id).await, fixture.sealed(id).await);
    // The answer has arrived but is not stored yet. Another process notices that the relay was restored, and queues what it
    // may have lost.
    let work = fixture.store.write(|tx| {
        tx.set_epoch(2)?;
        tx.resubmit_unproven(1000)
    });
    assert_eq!(work.await, Ok(0));
    let settle = |epoch| {
        let accepted = Settlement::Accepted { epoch, server_seq: 1, server_ms: 2000 };
        fixture.store.write(move |tx| tx.settle(entry, ours, accepted))
    };
    assert_eq!(settle(1).await, Err(Error::Offline(Offline::Unreachable)));
    assert_eq!(fixture.lane().await, [(id.0, true)]);
    assert_eq!(fixture.delivery(id).await, Delivery::Queued);
    settle(2).await.unwrap();
    assert_eq!(fixture.lane().await, []);
    assert_eq!(fixture.delivery(id).await, Delivery::Sent);
}

#[tokio::test]
async fn a_message_with_a_receipt_does_not_fail() {
    let fixture = Fixture::new().await;
    let (seen, given_up) = (fixture.enqueue("seen").await, fixture.enqueue("given up").await);
    for id in [seen, given_up] {
        fixture.seal(id).await;
    }
    fixture.receipt(seen, ReceiptKind::Delivered).await;
    fixture.settle(seen, Settlement::Failed(FailReason::TooOld)).await;
    assert_eq!(fixture.delivery(seen).await, Delivery::Delivered);
    fixture.settle(given_up, Settlement::Failed(FailReason::TooOld)).await;
    fixture.receipt(given_up, ReceiptKind::Delivered).await;
    assert_eq!(fixture.delivery(given_up).await, Delivery::Delivered);
    assert_eq!(fixture.lane().await, []);
}

#[tokio::test]
async fn a_message_that_was_accepted_is_sealed_again_if_its_copy_is_too_old() {
    let fixture = Fixture::new().await;
    let ids = [fixture.enqueue("a").await, fixture.enqueue("b").await, fixture.enqueue("c").await];
    let [sent, delivered, queued] = ids;
    let mut parcels = Vec::new();
    for (id, place) in ids.into_iter().zip(1..) {
        parcels.push(fixture.seal(id).await);
        fixture.accept(id, place).await;
    }
    assert_eq!(fixture.store.write(|tx| tx.resubmit_unproven(1000)).await, Ok(3));
    // The person sends one again that was refused.
    fixture.settle(queued, Settlement::Failed(FailReason::Refused)).await;
    fixture.store.write(move |tx| tx.retry(queued, 2000)).await.unwrap();
    fixture.seal(queued).await;
    let content_ids = async |fixture: &Fixture| {
        let sql = "SELECT content_id FROM outgoing ORDER BY id LIMIT 2";
        let work = fixture.store.read(move |rows| {
            let mut statement = rows.connection.prepare(sql)?;
            let rows = statement.query_map([], |row| row.get(0))?;
            Ok(rows.collect::<rusqlite::Result<Vec<Vec<u8>>>>()?)
        });
        work.await.unwrap()
    };
    let before = content_ids(&fixture).await;
    for id in ids {
        fixture.settle(id, Settlement::Failed(FailReason::TooOld)).await;
    }
    assert_eq!(fixture.delivery(sent).await, Delivery::Sent);
    assert_eq!(fixture.delivery(queued).await, Delivery::Failed(FailReason::TooOld));
    // The relay may have lost the first copy. The next one has the same content id.
    assert_eq!(fixture.lane().await, [(sent.0, false), (delivered.0, false)]);
    assert_eq!((before.len(), content_ids(&fixture).await), (2, before));
    assert_ne!(fixture.seal(sent).await, parcels[0]);
    fixture.accept(sent, 9).await;
    assert_eq!(fixture.delivery(sent).await, Delivery::Sent);
    fixture.receipt(delivered, ReceiptKind::Delivered).await;
    assert_eq!(fixture.delivery(delivered).await, Delivery::Delivered);
}

#[tokio::test]
async fn a_postponed_entry_does_not_count_as_refused() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("patient").await;
    for _ in 0..20 {
        fixture.settle(id, Settlement::Later { due_ms: 0 }).await;
    }
    fixture.seal(id).await;
    fixture.settle(id, Settlement::Requeue { refused: true }).await;
    let entries = fixture.store.read(|rows| rows.entries(THREAD, None, (10, 1 << 20))).await.unwrap();
    assert!(matches!(entries.as_slice(), [Entry::ToSeal(outgoing)] if outgoing.refusals == 1));
}

#[tokio::test]
async fn an_answer_to_a_parcel_that_was_replaced_changes_nothing() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("once").await;
    fixture.seal(id).await;
    let (entry, ours) = (fixture.entry(id).await, fixture.sealed(id).await);
    // Another process has received the same answer, and has sealed the entry again.
    fixture.settle(id, Settlement::Requeue { refused: true }).await;
    let late = [
        Settlement::Requeue { refused: true },
        Settlement::Failed(FailReason::Refused),
        Settlement::Later { due_ms: 9000 },
    ];
    let tell = async || {
        for settlement in late {
            fixture.store.write(move |tx| tx.settle(entry, ours, settlement)).await.unwrap();
        }
    };
    tell().await;
    assert_eq!(fixture.lane().await, [(id.0, false)]);
    let anew = fixture.seal(id).await;
    tell().await;
    // An entry that had no session does not fail if there is a session by now.
    let no_session = Settlement::Failed(FailReason::UnknownRecipient);
    fixture.store.write(move |tx| tx.settle(entry, None, no_session)).await.unwrap();
    assert_eq!(fixture.sealed(id).await, Some(anew));
    assert_eq!(fixture.delivery(id).await, Delivery::Queued);
    assert_eq!(fixture.store.read(|rows| rows.due_lanes(0, 10)).await.unwrap(), [THREAD]);
}

#[tokio::test]
async fn a_lane_exists_while_it_has_entries() {
    let fixture = Fixture::new().await;
    let (a, b) = (fixture.enqueue("a").await, fixture.enqueue("b").await);
    let lanes = async || fixture.store.read(|rows| rows.due_lanes(0, 10)).await.unwrap();
    fixture.accept(a, 1).await;
    assert_eq!(lanes().await, [THREAD]);
    fixture.settle(b, Settlement::Later { due_ms: 5000 }).await;
    assert_eq!(lanes().await, []);
    // The entries behind a cancelled one need not wait for what it waited for.
    let c = fixture.enqueue("c").await;
    assert_eq!(fixture.store.write(move |tx| tx.cancel(b)).await, Ok(true));
    assert_eq!(lanes().await, [THREAD]);
    fixture.settle(c, Settlement::Failed(FailReason::BadKeys)).await;
    assert_eq!(fixture.store.read(|rows| rows.next_due(0)).await.unwrap(), None);
    assert_eq!(lanes().await, []);
}

#[tokio::test]
async fn a_lane_whose_only_entry_is_being_submitted_has_a_row_only_when_that_does_not_succeed() {
    let fixture = Fixture::new().await;
    let lanes = async || {
        fixture.store.read(|rows| Ok((rows.due_lanes(0, 10)?, rows.unlisted_lanes(10)?))).await.unwrap()
    };
    let submit = async || {
        let new = outgoing(Body::text("x".to_owned()));
        let id = fixture.store.write(move |tx| tx.enqueue_unlisted(new)).await.unwrap().unwrap().id;
        assert_eq!(lanes().await, (vec![], vec![THREAD]));
        assert!(fixture.store.read(move |rows| rows.is_lane_busy(THREAD)).await.unwrap());
        let progress = fixture.store.read(move |rows| rows.waiting(THREAD, id)).await.unwrap().unwrap();
        assert_eq!((progress.attempts, progress.due_ms, progress.is_first), (0, 0, true));
        id
    };
    let empty = || (vec![], vec![]);
    let accepted = submit().await;
    fixture.accept(accepted, 1).await;
    assert_eq!(lanes().await, empty());
    // The process that submitted it has ended, and there is another connection.
    let lost = submit().await;
    fixture.store.write(|tx| tx.hurry_lanes()).await.unwrap();
    assert_eq!(lanes().await, (vec![THREAD], vec![]));
    fixture.accept(lost, 2).await;
    assert_eq!(lanes().await, empty());
    // Another entry follows it.
    let first = submit().await;
    let second = fixture.enqueue("y").await;
    assert_eq!(lanes().await, (vec![THREAD], vec![]));
    fixture.accept(first, 3).await;
    assert_eq!(lanes().await, (vec![THREAD], vec![]));
    fixture.accept(second, 4).await;
    assert_eq!(lanes().await, empty());
    let put_off = submit().await;
    fixture.settle(put_off, Settlement::Later { due_ms: 5000 }).await;
    assert_eq!(lanes().await, empty());
    assert_eq!(fixture.store.read(|rows| rows.next_due(0)).await.unwrap(), Some(5000));
    fixture.store.write(|tx| tx.list_lane(THREAD)).await.unwrap();
    assert_eq!(lanes().await, empty(), "it keeps its time");
    fixture.accept(put_off, 5).await;
    fixture.store.write(|tx| tx.list_lane(THREAD)).await.unwrap();
    assert_eq!(lanes().await, empty());
}

#[tokio::test]
async fn every_lane_without_a_row_is_found() {
    let fixture = Fixture::new().await;
    let names: Vec<_> = (10..30).map(|n| ThreadId::from_bytes([n; 16])).collect();
    let of_all = names.clone();
    let queued = fixture.store.write(move |tx| {
        for (n, lane) in of_all.into_iter().enumerate() {
            tx.put_thread(Thread { id: lane, peer: Some(PEER), roster_version: 1 }, 1)?;
            for _ in 0..n % 3 {
                tx.enqueue_unlisted(NewOutgoing { thread: lane, ..outgoing(Body::Null) })?;
            }
            if n % 2 == 0 {
                tx.list_lane(lane)?;
            }
        }
        Ok(())
    });
    queued.await.unwrap();
    let expected: Vec<_> = names
        .iter()
        .copied()
        .enumerate()
        .filter(|(n, _)| n % 2 == 1 && n % 3 > 0)
        .map(|(_, lane)| lane)
        .collect();
    assert_eq!(fixture.store.read(|rows| rows.unlisted_lanes(100)).await.unwrap(), expected);
    assert_eq!(fixture.store.read(|rows| rows.unlisted_lanes(2)).await.unwrap(), expected[..2]);
}

#[tokio::test]
async fn a_content_keeps_its_id_when_it_is_sealed_again_or_retried() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("once").await;
    let content_id = async || {
        let entries = fixture.store.read(|rows| rows.entries(THREAD, None, (10, 1 << 20))).await.unwrap();
        match entries.as_slice() {
            [Entry::ToSeal(outgoing)] => outgoing.content_id,
            other => panic!("{other:?}"),
        }
    };
    let first = content_id().await;
    let parcel = fixture.seal(id).await;
    fixture.settle(id, Settlement::Requeue { refused: true }).await;
    assert_eq!(content_id().await, first);
    assert_ne!(fixture.seal(id).await, parcel);
    fixture.settle(id, Settlement::Failed(FailReason::TooOld)).await;
    fixture.store.write(move |tx| tx.retry(id, 2000)).await.unwrap();
    assert_eq!(content_id().await, first);
}

#[tokio::test]
async fn an_unanswered_message_can_be_given_up_and_later_ones_are_sent() {
    let fixture = Fixture::new().await;
    let (stuck, behind) = (fixture.enqueue("stuck").await, fixture.enqueue("behind").await);
    fixture.seal(stuck).await;
    fixture.settle(stuck, Settlement::Later { due_ms: 9000 }).await;
    let (entry, parcel) = (fixture.entry(stuck).await, fixture.sealed(stuck).await);
    fixture.store.write(move |tx| tx.give_up(stuck)).await.unwrap();
    assert_eq!(fixture.delivery(stuck).await, Delivery::Failed(FailReason::GivenUp));
    assert_eq!(fixture.lane().await, [(behind.0, false)]);
    assert_eq!(fixture.store.read(|rows| rows.due_lanes(0, 10)).await.unwrap(), [THREAD]);
    assert_eq!(fixture.store.write(move |tx| tx.give_up(stuck)).await, Err(Error::NotFound));
    // A late answer changes nothing, but a receipt does.
    let late = Settlement::Accepted { epoch: 1, server_seq: 1, server_ms: 2000 };
    fixture.store.write(move |tx| tx.settle(entry, parcel, late)).await.unwrap();
    assert_eq!(fixture.delivery(stuck).await, Delivery::Failed(FailReason::GivenUp));
    fixture.receipt(stuck, ReceiptKind::Delivered).await;
    assert_eq!(fixture.delivery(stuck).await, Delivery::Delivered);
}

impl Fixture {
    /// Every row that the relay's answers can have changed.
    async fn rows(&self) -> Vec<String> {
        let read = self.store.read(|rows| {
            let dump = |sql: &str| -> Result<Vec<String>> {
                let mut statement = rows.connection.prepare(sql)?;
                let shown = statement.query_map([], |row| row.get(0))?;
                Ok(shown.collect::<rusqlite::Result<_>>()?)
            };
            let message =
                "SELECT concat_ws(' ', id, server_seq, position, state, cause) FROM message ORDER BY id";
            let outgoing = "SELECT concat_ws(' ', id, state, attempts, refusals) FROM outgoing ORDER BY id";
            let thread = "SELECT concat_ws(' ', epoch, seen_up_to, activity, unread) FROM thread";
            let ahead = "SELECT server_seq || '' FROM seen_ahead ORDER BY server_seq";
            let (lane, parcel) = (
                "SELECT due || '' FROM lane",
                "SELECT id || '' FROM outgoing WHERE bytes IS NOT NULL ORDER BY id",
            );
            let all = [message, outgoing, thread, ahead, lane, parcel].into_iter().map(dump);
            Ok(all.collect::<Result<Vec<_>>>()?.concat())
        });
        read.await.unwrap()
    }
}

#[tokio::test]
async fn settling_answers_together_has_the_same_effect_as_one_by_one() {
    let accepted =
        |epoch, server_seq| Settlement::Accepted { epoch, server_seq, server_ms: 5000 + server_seq };
    let answers = [
        vec![accepted(1, 1), accepted(1, 2), accepted(1, 3)],
        // Messages of others arrive in between, in any order, and the relay is restored from a backup.
        vec![accepted(1, 2), accepted(1, 3), accepted(1, 1), accepted(1, 7), accepted(1, 8), accepted(1, 4)],
        vec![accepted(1, 4), accepted(1, 5), accepted(2, 9), accepted(2, 10), accepted(2, 12)],
        vec![
            accepted(1, 1),
            Settlement::Failed(FailReason::Refused),
            accepted(1, 2),
            Settlement::Later { due_ms: 9000 },
            Settlement::Requeue { refused: false },
        ],
    ];
    for answers in answers {
        let mut left = Vec::new();
        for together in [false, true] {
            let fixture = Fixture::new().await;
            let mut settled = Vec::new();
            for answer in &answers {
                let id = fixture.enqueue("x").await;
                let name = fixture.seal(id).await;
                settled.push((fixture.entry(id).await, Some(name), *answer));
            }
            // One entry is answered twice.
            settled.push(settled[0]);
            if together {
                fixture.store.write(move |tx| tx.settle_all(&settled)).await.unwrap();
            } else {
                for (entry, name, answer) in settled {
                    fixture.store.write(move |tx| tx.settle(entry, name, answer)).await.unwrap();
                }
            }
            left.push(fixture.rows().await);
        }
        assert_eq!(left[0], left[1], "{answers:?}");
    }
}
