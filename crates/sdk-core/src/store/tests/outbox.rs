//! From the first keystroke to the relay's answer.

use bytes::Bytes;

use super::*;
use crate::content::ReceiptKind;
use crate::error::{Error, Offline};
use crate::id::MessageId;
use crate::message::{Delivery, Direction, FailReason};
use crate::store::{Durable, Entry, Settlement};

impl Fixture {
    async fn seal(&self, id: MessageId) {
        self.store
            .write(move |tx| tx.set_sealed(id, format!("sealed {}", id.0).into()).map(|_| ()))
            .await
            .unwrap();
    }

    /// Settles an entry as it is now.
    async fn settle(&self, id: MessageId, settlement: Settlement) {
        let submitted = self.sealed(id).await;
        self.store.write(move |tx| tx.settle(id, submitted.as_ref(), settlement)).await.unwrap();
    }

    async fn sealed(&self, id: MessageId) -> Option<Durable<Bytes>> {
        let entries = self.store.read(|rows| rows.outbox(THREAD, 500)).await.unwrap();
        entries.into_iter().find_map(|entry| match entry {
            Entry::Sealed { id: sealed, send, .. } if sealed == id => Some(send),
            _ => None,
        })
    }

    async fn accept(&self, id: MessageId, server_seq: u64) {
        self.settle(id, Settlement::Accepted { epoch: 1, server_seq }).await;
    }

    /// The outbox of the thread: ids, and whether sealed.
    async fn outbox(&self) -> Vec<(i64, bool)> {
        let entries = self.store.read(|rows| rows.outbox(THREAD, 10)).await.unwrap();
        let shown = entries.iter().map(|entry| match entry {
            Entry::ToSeal(outgoing) => (outgoing.id.0, false),
            Entry::Sealed { id, send, .. } => {
                assert_eq!(send.get(), &format!("sealed {}", id.0));
                (id.0, true)
            }
        });
        shown.collect()
    }

    async fn delivery(&self, id: MessageId) -> Delivery {
        match self.store.read(move |rows| rows.message(id)).await.unwrap().unwrap().direction {
            Direction::Outgoing(delivery) => delivery,
            Direction::Incoming { .. } => panic!("not ours"),
        }
    }

    async fn receipt(&self, id: MessageId, kind: ReceiptKind) {
        let work = self.store.write(move |tx| {
            let of = tx.connection.query_row(
                "SELECT client_msg_id FROM message WHERE id = ?1",
                [id.0],
                |row| row.get::<_, [u8; 16]>(0),
            )?;
            tx.advance_delivery(THREAD, US, ClientMsgId::from_bytes(of), kind)
        });
        work.await.unwrap();
    }
}

#[tokio::test]
async fn entries_leave_in_order_and_one_after_the_other() {
    let fixture = Fixture::new().await;
    let (a, b) = (fixture.enqueue("a").await, fixture.enqueue("b").await);
    assert_eq!(fixture.outbox().await, [(a.0, false), (b.0, false)]);
    fixture.seal(a).await;
    assert_eq!(fixture.outbox().await, [(a.0, true), (b.0, false)]);
    fixture.accept(a, 1).await;
    assert_eq!(fixture.outbox().await, [(b.0, false)]);
    assert_eq!(fixture.delivery(a).await, Delivery::Sent);
}

#[tokio::test]
async fn a_message_is_sealed_once() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("once").await;
    fixture.seal(id).await;
    let again = fixture.store.write(move |tx| tx.set_sealed(id, "other bytes".into()).map(|_| ())).await;
    assert!(matches!(again, Err(Error::Bug(_))));
    assert_eq!(fixture.outbox().await, [(id.0, true)]);
}

#[tokio::test]
async fn the_oldest_entry_of_a_thread_decides_when_it_is_due() {
    let fixture = Fixture::new().await;
    let a = fixture.enqueue("a").await;
    fixture.enqueue("b").await;
    fixture.settle(a, Settlement::Later { due_ms: 5000 }).await;
    let due = |now| fixture.store.read(move |rows| Ok((rows.due_threads(now)?.len(), rows.next_due(now)?)));
    assert_eq!(due(4999).await.unwrap(), (0, Some(5000)));
    assert_eq!(due(5000).await.unwrap(), (1, None));
    fixture.store.write(|tx| tx.hurry_outbox()).await.unwrap();
    assert_eq!(due(0).await.unwrap(), (1, None));
}

#[tokio::test]
async fn unanswered_messages_stand_behind_all_others() {
    let fixture = Fixture::new().await;
    let (a, b) = (fixture.enqueue("a").await, fixture.enqueue("b").await);
    assert_eq!(fixture.texts().await, ["b", "a"]);
    fixture.accept(b, 1).await;
    assert_eq!(fixture.texts().await, ["a", "b"]);
    fixture.accept(a, 2).await;
    assert_eq!(fixture.texts().await, ["a", "b"]);
}

#[tokio::test]
async fn a_failed_message_can_be_tried_again_or_taken_back() {
    let fixture = Fixture::new().await;
    let (a, b) = (fixture.enqueue("a").await, fixture.enqueue("b").await);
    for id in [a, b] {
        fixture.settle(id, Settlement::Failed(FailReason::BadKeys)).await;
        assert_eq!(fixture.delivery(id).await, Delivery::Failed(FailReason::BadKeys));
    }
    assert_eq!(fixture.outbox().await, []);
    let fresh = fresh_id();
    fixture.store.write(move |tx| tx.retry(a, fresh, 2000)).await.unwrap();
    assert_eq!(fixture.outbox().await, [(a.0, false)]);
    assert_eq!(fixture.delivery(a).await, Delivery::Queued);
    assert_eq!(fixture.store.write(move |tx| tx.retry(a, fresh_id(), 1)).await, Err(Error::NotFound));
    assert_eq!(fixture.store.write(move |tx| tx.cancel(b)).await, Ok(true));
    assert_eq!(fixture.texts().await, ["a"]);
}

#[tokio::test]
async fn what_may_have_left_cannot_be_taken_back() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("a").await;
    fixture.seal(id).await;
    assert_eq!(fixture.store.write(move |tx| tx.cancel(id)).await, Ok(false));
    fixture.accept(id, 1).await;
    assert_eq!(fixture.store.write(move |tx| tx.cancel(id)).await, Ok(false));
    assert_eq!(fixture.store.write(|tx| tx.cancel(MessageId(99))).await, Err(Error::NotFound));
}

#[tokio::test]
async fn receipts_only_go_forward() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("a").await;
    fixture.seal(id).await;
    // The other side can be faster than the relay's answer to us: the bytes are still to be answered.
    fixture.receipt(id, ReceiptKind::Delivered).await;
    assert_eq!(fixture.outbox().await, [(id.0, true)]);
    fixture.accept(id, 1).await;
    assert_eq!(fixture.delivery(id).await, Delivery::Delivered);
    fixture.receipt(id, ReceiptKind::Read).await;
    fixture.receipt(id, ReceiptKind::Delivered).await;
    assert_eq!(fixture.delivery(id).await, Delivery::Read);
}

#[tokio::test]
async fn our_receipts_are_sent_like_messages_and_seen_by_nobody() {
    let fixture = Fixture::new().await;
    let mut events = fixture.events.subscribe();
    let body = Body::Receipt { kind: ReceiptKind::Read, messages: vec![fresh_id(), fresh_id()] };
    let new = outgoing(body.clone());
    let id = fixture.store.write(move |tx| tx.enqueue(new)).await.unwrap();
    let entries = fixture.store.read(|rows| rows.outbox(THREAD, 10)).await.unwrap();
    assert!(matches!(entries.as_slice(), [Entry::ToSeal(outgoing)] if outgoing.body == body));
    assert!(fixture.texts().await.is_empty());
    fixture.seal(id).await;
    fixture.accept(id, 1).await;
    assert_eq!(fixture.outbox().await, []);
    assert_eq!(drain(&mut events), []);
}

#[tokio::test]
async fn after_a_restore_of_the_relay_only_what_is_unproven_leaves_again() {
    let fixture = Fixture::new().await;
    let (a, b, c) = (fixture.enqueue("a").await, fixture.enqueue("b").await, fixture.enqueue("c").await);
    for (id, place) in [(a, 1), (b, 2), (c, 3)] {
        fixture.seal(id).await;
        fixture.accept(id, place).await;
    }
    fixture.receipt(b, ReceiptKind::Delivered).await;
    // Older than the relay remembers: it would be refused.
    assert_eq!(fixture.store.write(|tx| tx.resubmit_unproven(1001)).await, Ok(0));
    assert_eq!(fixture.store.write(|tx| tx.resubmit_unproven(1000)).await, Ok(2));
    assert_eq!(fixture.outbox().await, [(a.0, true), (c.0, true)]);
}

#[tokio::test]
async fn an_answer_from_before_a_restore_of_the_relay_is_none() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("lost").await;
    fixture.seal(id).await;
    let ours = fixture.sealed(id).await;
    // The answer is here, not yet written down. Another process finds the relay restored, and looks what it may have lost.
    let work = fixture.store.write(|tx| {
        tx.set_epoch(2)?;
        tx.resubmit_unproven(1000)
    });
    assert_eq!(work.await, Ok(0));
    let settle = |epoch| {
        let (ours, accepted) = (ours.clone(), Settlement::Accepted { epoch, server_seq: 1 });
        fixture.store.write(move |tx| tx.settle(id, ours.as_ref(), accepted))
    };
    assert_eq!(settle(1).await, Err(Error::Offline(Offline::Unreachable)));
    assert_eq!(fixture.outbox().await, [(id.0, true)]);
    assert_eq!(fixture.delivery(id).await, Delivery::Queued);
    settle(2).await.unwrap();
    assert_eq!(fixture.outbox().await, []);
    assert_eq!(fixture.delivery(id).await, Delivery::Sent);
}

#[tokio::test]
async fn what_the_other_side_has_seen_is_not_called_failed() {
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
    assert_eq!(fixture.outbox().await, []);
}

#[tokio::test]
async fn waiting_is_not_being_refused() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("patient").await;
    for _ in 0..20 {
        fixture.settle(id, Settlement::Later { due_ms: 0 }).await;
    }
    fixture.seal(id).await;
    fixture.settle(id, Settlement::Requeue).await;
    let entries = fixture.store.read(|rows| rows.outbox(THREAD, 10)).await.unwrap();
    assert!(matches!(entries.as_slice(), [Entry::ToSeal(outgoing)] if outgoing.refusals == 1));
}

#[tokio::test]
async fn an_answer_to_bytes_that_another_process_has_replaced_changes_nothing() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("once").await;
    fixture.seal(id).await;
    let ours = fixture.sealed(id).await;
    // Another process was told the same, and has sealed it anew.
    fixture.settle(id, Settlement::Requeue).await;
    let late =
        [Settlement::Requeue, Settlement::Failed(FailReason::Refused), Settlement::Later { due_ms: 9000 }];
    let tell = async || {
        for settlement in late {
            let ours = ours.clone();
            fixture.store.write(move |tx| tx.settle(id, ours.as_ref(), settlement)).await.unwrap();
        }
    };
    tell().await;
    assert_eq!(fixture.outbox().await, [(id.0, false)]);
    let work = fixture.store.write(move |tx| tx.set_sealed(id, "anew".into()).map(drop));
    work.await.unwrap();
    tell().await;
    // Nor is one failed that there was no session for, when there is one by now.
    let no_session = Settlement::Failed(FailReason::UnknownRecipient);
    fixture.store.write(move |tx| tx.settle(id, None, no_session)).await.unwrap();
    assert_eq!(fixture.sealed(id).await.unwrap().get(), &"anew");
    assert_eq!(fixture.delivery(id).await, Delivery::Queued);
    assert_eq!(fixture.store.read(|rows| rows.due_threads(0)).await.unwrap(), [THREAD]);
}
