//! Tests of pinned messages, and of our changes that the relay accepts or refuses.

use proptest::prelude::*;

use super::reactions::origin;
use super::*;
use crate::content::{MAX_PINNED, Pin, Target};
use crate::error::Result;
use crate::event::ChangeKind;
use crate::id::MessageId;
use crate::message::FailReason;
use crate::store::{Origin, POSITION_PENDING, Settlement};

impl Fixture {
    async fn pin(&self, message: MessageId, order: i64, is_pinned: bool) {
        self.store.write(move |tx| tx.pin(message, &origin(PEER, order), is_pinned)).await.unwrap();
    }

    /// Pins or unpins a message as the person on this device does, and returns the queued content.
    async fn pin_ours(&self, (message, target): (MessageId, Target), is_pinned: bool) -> OutgoingId {
        let work = self.store.write(move |tx| -> Result<_> {
            let new = outgoing(Body::Pin(Pin { target, is_pinned }));
            let (content_id, sent_ms) = (new.content_id, new.sent_ms);
            let ours = Origin { thread: THREAD, author: US, content_id, sent_ms, order: POSITION_PENDING };
            tx.pin(message, &ours, is_pinned)?;
            tx.enqueue(new)?;
            Ok(OutgoingId(tx.connection.query_row("SELECT max(id) FROM outgoing", [], |row| row.get(0))?))
        });
        work.await.unwrap()
    }

    async fn settle_entry(&self, entry: OutgoingId, settlement: Settlement) {
        self.store.write(move |tx| tx.settle(entry, None, settlement)).await.unwrap();
    }

    async fn accept_entry(&self, entry: OutgoingId, server_seq: u64) {
        self.settle_entry(entry, Settlement::Accepted { epoch: 0, server_seq, server_ms: 1 }).await;
    }

    async fn pinned(&self) -> Vec<MessageId> {
        let pinned = self.store.read(|rows| rows.pinned(THREAD)).await.unwrap();
        pinned.into_iter().map(|message| message.id).collect()
    }
}

#[tokio::test]
async fn the_message_that_was_pinned_last_comes_first() {
    let fixture = Fixture::new().await;
    let mut ids = Vec::new();
    for seq in 1..=3 {
        ids.push(fixture.received("hello", seq).await.0);
    }
    let mut events = fixture.events.subscribe();
    for (place, order) in [(0, 10), (2, 11), (1, 12)] {
        fixture.pin(ids[place], order, true).await;
    }
    assert_eq!(fixture.pinned().await, [ids[1], ids[2], ids[0]]);
    fixture.pin(ids[2], 13, false).await;
    // An earlier content, and one that says the same, change nothing.
    fixture.pin(ids[2], 12, true).await;
    fixture.pin(ids[0], 14, true).await;
    assert_eq!(fixture.pinned().await, [ids[0], ids[1]]);
    assert_eq!(drain(&mut events), vec![Event::PinsChanged(THREAD); 4]);
    let hidden = ids[1];
    fixture.store.write(move |tx| tx.hide(THREAD, hidden, 1)).await.unwrap();
    assert_eq!(fixture.pinned().await, [ids[0]]);
    let (deleted, by_author) = (ids[0], origin(PEER, 15));
    let limits = crate::config::ChangeLimits::default();
    fixture.store.write(move |tx| tx.delete_for_everyone(deleted, &by_author, limits)).await.unwrap();
    assert!(fixture.pinned().await.is_empty());
}

#[tokio::test]
async fn a_thread_has_a_limited_number_of_pinned_messages() {
    let fixture = Fixture::new().await;
    let mut ids = Vec::new();
    for seq in 1..=40 {
        let (id, _) = fixture.received("hello", seq).await;
        fixture.pin(id, i64::try_from(seq).unwrap().saturating_add(100), true).await;
        ids.push(id);
        let full = usize::try_from(seq).unwrap() >= MAX_PINNED;
        let other = MessageId(id.0.saturating_add(1));
        let may_pin = fixture.store.read(move |rows| rows.may_pin(THREAD, other)).await.unwrap();
        assert_eq!(may_pin, !full, "{seq}");
    }
    let newest: Vec<_> = ids.into_iter().rev().take(MAX_PINNED).collect();
    assert_eq!(fixture.pinned().await, newest);
}

#[tokio::test]
async fn our_pin_is_shown_at_once_and_takes_its_place_when_the_relay_has_accepted_it() {
    let fixture = Fixture::new().await;
    let pinned = fixture.received("hello", 1).await;
    let (id, ours) = (pinned.0, fixture.pin_ours(pinned, true).await);
    // Theirs is behind ours in the thread, though it arrives before the relay's answer.
    fixture.pin(id, 12, false).await;
    assert_eq!(fixture.pinned().await, [id]);
    fixture.accept_entry(ours, 11).await;
    assert!(fixture.pinned().await.is_empty());
    // Before ours.
    let ours = fixture.pin_ours(pinned, true).await;
    fixture.pin(id, 13, false).await;
    fixture.accept_entry(ours, 14).await;
    assert_eq!(fixture.pinned().await, [id]);
    // Two of ours: the second one is shown until it is accepted as well.
    let (first, second) = (fixture.pin_ours(pinned, false).await, fixture.pin_ours(pinned, true).await);
    fixture.accept_entry(first, 15).await;
    assert_eq!(fixture.pinned().await, [id]);
    fixture.pin(id, 17, false).await;
    fixture.accept_entry(second, 16).await;
    assert!(fixture.pinned().await.is_empty());
}

#[tokio::test]
async fn a_change_that_is_refused_for_good_is_reported() {
    let fixture = Fixture::new().await;
    let pinned = fixture.received("hello", 1).await;
    let ours = fixture.pin_ours(pinned, true).await;
    let mut events = fixture.events.subscribe();
    fixture.settle_entry(ours, Settlement::Failed(FailReason::Refused)).await;
    assert!(fixture.pinned().await.is_empty());
    let failed = Event::ChangeFailed {
        thread: THREAD,
        message: Some(pinned.0),
        change: ChangeKind::Pin,
        reason: FailReason::Refused,
    };
    assert_eq!(drain(&mut events), [Event::PinsChanged(THREAD), failed]);
    // A receipt says nothing to the person.
    let receipt = receipt();
    let work = fixture.store.write(move |tx| {
        tx.enqueue(outgoing(receipt))?;
        Ok(OutgoingId(tx.connection.query_row("SELECT max(id) FROM outgoing", [], |row| row.get(0))?))
    });
    let receipt = work.await.unwrap();
    fixture.settle_entry(receipt, Settlement::Failed(FailReason::Refused)).await;
    assert!(drain(&mut events).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    /// Theirs arrive in any order, and ours are accepted in any order: in the end, the last one in the thread counts.
    #[test]
    fn the_last_pin_in_the_thread_counts(
        contents in proptest::collection::vec((any::<bool>(), any::<bool>()), 1..12)
            .prop_flat_map(|list| Just(list.into_iter().enumerate().collect::<Vec<_>>()).prop_shuffle()),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            let target = fixture.received("hello", 1).await;
            let mut ours = Vec::new();
            for (place, (is_ours, is_pinned)) in &contents {
                let order = place.saturating_add(10);
                if *is_ours {
                    ours.push((fixture.pin_ours(target, *is_pinned).await, order));
                    continue;
                }
                fixture.pin(target.0, i64::try_from(order).unwrap(), *is_pinned).await;
            }
            for (entry, order) in ours {
                fixture.accept_entry(entry, u64::try_from(order).unwrap()).await;
            }
            let (_, (_, is_pinned)) = contents.iter().max().unwrap();
            assert_eq!(fixture.pinned().await.len(), usize::from(*is_pinned));
        });
    }
}
