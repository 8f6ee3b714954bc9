//! Tests of deletions that meet something else on its way: an answer of the relay, a receipt, a change, or the intact message.

use super::messages::incoming;
use super::reactions::origin;
use super::*;
use crate::config::ChangeLimits;
use crate::content::{Edit, EmojiSequence, Reaction, ReceiptKind, Target};
use crate::error::Error;
use crate::id::MessageId;
use crate::message::{FailReason, Undecryptable};
use crate::store::{Arrived, Found, NewIncoming, Settlement};

impl Fixture {
    async fn hide(&self, id: MessageId) {
        assert!(self.store.write(move |tx| tx.hide(THREAD, id, 50_000)).await.unwrap());
    }

    async fn delete_ours(&self, id: MessageId) {
        let limits = ChangeLimits::default();
        let work = self.store.write(move |tx| tx.delete_for_everyone(id, &origin(US, 9), limits));
        assert!(work.await.unwrap());
    }

    /// The number of rows of the outbox that contain these bytes.
    async fn outbox_with(&self, text: &'static str) -> u32 {
        let work = self.store.read(move |rows| {
            let sql = "SELECT count(*) FROM outgoing WHERE instr(body, CAST(?1 AS BLOB)) > 0";
            Ok(rows.connection.query_row(sql, [text], |row| row.get(0))?)
        });
        work.await.unwrap()
    }

    async fn unread(&self) -> u32 {
        let work = self
            .store
            .read(|rows| Ok(rows.connection.query_row("SELECT unread FROM thread", [], |row| row.get(0))?));
        work.await.unwrap()
    }
}

#[tokio::test]
async fn the_intact_message_is_shown_although_its_placeholder_was_deleted_here() {
    let fixture = Fixture::new().await;
    let placeholder =
        NewIncoming { what: Arrived::Undecryptable(Undecryptable::Malformed), ..incoming("", 1) };
    let id = fixture.store.write(move |tx| tx.insert_incoming(&placeholder)).await.unwrap();
    fixture.hide(id).await;
    let mut events = fixture.events.subscribe();
    fixture.store.write(move |tx| tx.fill_in(id, &incoming("intact", 1))).await.unwrap();
    assert!(matches!(drain(&mut events)[..], [Event::MessageAdded(_)]));
    assert_eq!(fixture.store.write(|tx| tx.purge_hidden(90_000, 10)).await.unwrap(), 0);
    assert_eq!((fixture.texts().await, fixture.unread().await), (vec!["intact".to_owned()], 1));

    // A placeholder whose content shows nothing can be removed although it is hidden.
    let placeholder =
        NewIncoming { what: Arrived::Undecryptable(Undecryptable::Malformed), ..incoming("", 2) };
    let id = fixture.store.write(move |tx| tx.insert_incoming(&placeholder)).await.unwrap();
    fixture.hide(id).await;
    fixture.store.write(move |tx| tx.remove_placeholder(THREAD, id)).await.unwrap();
    assert_eq!(fixture.unread().await, 1);
}

#[tokio::test]
async fn a_message_that_was_deleted_here_is_still_settled() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("hidden").await;
    fixture.seal(id).await;
    fixture.hide(id).await;
    let mut events = fixture.events.subscribe();
    fixture.accept(id, 1).await;
    assert_eq!(fixture.outbox_with("hidden").await, 1, "the relay can still lose it");
    fixture.receipt(id, ReceiptKind::Delivered).await;
    assert_eq!(fixture.outbox_with("hidden").await, 0);
    assert!(drain(&mut events).is_empty(), "nobody sees it");
    fixture.store.write(move |tx| tx.restore(THREAD, id, 50_001)).await.unwrap();
    let shown = fixture.store.read(move |rows| rows.message(id)).await.unwrap().unwrap();
    assert_eq!(shown.direction, crate::Direction::Outgoing(crate::Delivery::Delivered));
}

#[tokio::test]
async fn nothing_of_a_message_that_was_deleted_for_everyone_is_sent_again() {
    let fixture = Fixture::new().await;
    // Deleted after the relay's answer, and before it.
    for deleted_first in [false, true] {
        let id = fixture.enqueue("secret").await;
        fixture.seal(id).await;
        if deleted_first {
            fixture.delete_ours(id).await;
        }
        fixture.accept(id, 1 + u64::from(deleted_first)).await;
        if !deleted_first {
            fixture.delete_ours(id).await;
        }
        assert_eq!(fixture.outbox_with("secret").await, 0, "deleted first: {deleted_first}");
    }
    // It failed after it was deleted.
    let id = fixture.enqueue("refused").await;
    fixture.seal(id).await;
    fixture.delete_ours(id).await;
    fixture.settle(id, Settlement::Failed(FailReason::Refused)).await;
    assert_eq!(fixture.store.write(move |tx| tx.retry(id, 2000)).await, Err(Error::NotFound));
}

#[tokio::test]
async fn the_changes_of_a_cancelled_message_are_not_sent() {
    let fixture = Fixture::new().await;
    let (id, other) = (fixture.enqueue("first").await, fixture.enqueue("other").await);
    let ids =
        fixture.store.read(move |rows| Ok((rows.content_of(THREAD, id)?, rows.content_of(THREAD, other)?)));
    let (Some((_, first, _)), Some((_, second, _))) = ids.await.unwrap() else { panic!() };
    let emoji = EmojiSequence::new("👍".to_owned());
    for message in [first, second] {
        let target = Target { author: US, id: message };
        let edit = outgoing(Body::Edit(Edit {
            message,
            text: "edited".to_owned(),
            markup: crate::Markup::default(),
        }));
        let reaction = outgoing(Body::Reaction(Reaction { target, emoji: emoji.clone() }));
        fixture.store.write(move |tx| tx.enqueue(edit).and_then(|_| tx.enqueue(reaction))).await.unwrap();
    }
    assert_eq!((fixture.outbox_with("edited").await, fixture.outbox_with("👍").await), (2, 2));
    assert!(fixture.store.write(move |tx| tx.cancel(id)).await.unwrap());
    assert_eq!((fixture.outbox_with("edited").await, fixture.outbox_with("👍").await), (1, 1));
    assert_eq!((fixture.outbox_with("first").await, fixture.outbox_with("other").await), (0, 1));
}

#[tokio::test]
async fn a_reaction_does_not_reach_a_message_that_was_deleted_for_everyone() {
    let fixture = Fixture::new().await;
    let (id, target) = fixture.received("original", 1).await;
    let work = fixture.store.write(move |tx| {
        assert_eq!(tx.find(THREAD, target)?, Found::Here(id));
        assert!(tx.delete_for_everyone(id, &origin(PEER, 5), ChangeLimits::default())?);
        tx.find(THREAD, target)
    });
    assert_eq!(work.await.unwrap(), Found::Gone);
}
