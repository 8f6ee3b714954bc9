//! Tests of notifications: which are due, whatever happens between showing and taking back.

use super::messages::incoming;
use super::reactions::origin;
use super::*;
use crate::config::ChangeLimits;
use crate::content::Markup;
use crate::id::MessageId;
use crate::message::{Notice, NoticeAction};
use crate::store::Tx;

impl Fixture {
    async fn apply(&self, work: impl FnOnce(&mut Tx<'_>) -> crate::Result<()> + Send + 'static) {
        self.store.write(work).await.unwrap();
    }

    async fn arrives(&self, text: &str, server_seq: u64) -> MessageId {
        let new = incoming(text, server_seq);
        self.store.write(move |tx| tx.insert_incoming(&new)).await.unwrap()
    }

    /// Does what is due, and returns it.
    async fn notices(&self) -> Vec<(&'static str, MessageId)> {
        let work = self.store.write(|tx| {
            let due = tx.due_notices(100, 1_000)?;
            tx.confirm_notices(&due)?;
            Ok(due.notices)
        });
        let told = work.await.unwrap().into_iter().map(|Notice { message, action, .. }| match action {
            NoticeAction::Show(_) => ("show", message),
            NoticeAction::Request => ("request", message),
            NoticeAction::Update(_) => ("update", message),
            NoticeAction::Withdraw => ("withdraw", message),
        });
        told.collect()
    }
}

#[tokio::test]
async fn a_request_is_told_once_for_its_first_message() {
    let fixture = Fixture::new().await;
    fixture.apply(|tx| tx.set_request(THREAD)).await;
    let first = fixture.arrives("one", 1).await;
    let second = fixture.arrives("two", 2).await;
    assert_eq!(fixture.notices().await, [("request", first)]);
    fixture.arrives("three", 3).await;
    assert_eq!(fixture.notices().await, []);
    // A stranger cannot be announced again by deleting what was announced.
    let deletes = move |tx: &mut Tx<'_>| {
        tx.delete_for_everyone(first, &origin(PEER, 4), ChangeLimits::default()).map(drop)
    };
    fixture.apply(deletes).await;
    assert_eq!(fixture.notices().await, [("withdraw", first)]);
    fixture.arrives("four", 5).await;
    assert_eq!(fixture.notices().await, []);
    // What was written before the request was accepted is not shown afterwards.
    fixture.apply(|tx| tx.accept_request(THREAD).map(drop)).await;
    assert_eq!(fixture.notices().await, []);
    let fifth = fixture.arrives("five", 6).await;
    assert_eq!(fixture.notices().await, [("show", fifth)]);
    assert!(second < fifth);
}

#[tokio::test]
async fn a_request_is_told_even_if_its_first_messages_go_before() {
    type Go = fn(&mut Tx<'_>, MessageId) -> crate::Result<()>;
    let ways: [(&str, Go); 3] = [
        ("deleted for everyone", |tx, id| {
            tx.delete_for_everyone(id, &origin(PEER, 4), ChangeLimits::default()).map(drop)
        }),
        ("hidden", |tx, id| tx.hide(THREAD, id, 1).map(drop)),
        ("blocked for a while", |tx, _| {
            tx.set_blocked(PEER, true, 1)?;
            let examined = tx.due_notices(100, 1_000)?;
            tx.confirm_notices(&examined)?;
            tx.set_blocked(PEER, false, 2).map(drop)
        }),
    ];
    for (name, go) in ways {
        let fixture = Fixture::new().await;
        fixture.apply(|tx| tx.set_request(THREAD)).await;
        let first = fixture.arrives("one", 1).await;
        fixture.apply(move |tx| go(tx, first)).await;
        assert_eq!(fixture.notices().await, [], "{name}");
        let second = fixture.arrives("two", 5).await;
        fixture.arrives("three", 6).await;
        assert_eq!(fixture.notices().await, [("request", second)], "{name}");
        fixture.arrives("four", 7).await;
        assert_eq!(fixture.notices().await, [], "{name}");
        // The person has deleted the request. It is another one if the stranger writes again.
        fixture.apply(|tx| tx.delete_thread(THREAD)).await;
        assert_eq!(fixture.notices().await, [("withdraw", second)], "{name}");
        let again = fixture.arrives("again", 8).await;
        assert_eq!(fixture.notices().await, [("request", again)], "{name}");
    }
}

#[tokio::test]
async fn a_request_that_is_deleted_while_it_is_being_announced_is_announced_when_it_comes_again() {
    for is_cleared in [false, true] {
        let fixture = Fixture::new().await;
        fixture.apply(|tx| tx.set_request(THREAD)).await;
        let first = fixture.arrives("one", 1).await;
        let due = fixture.store.write(|tx| tx.due_notices(100, 1_000)).await.unwrap();
        assert!(
            matches!(due.notices[..], [Notice { message, action: NoticeAction::Request, .. }] if message == first)
        );
        fixture.apply(|tx| tx.delete_thread(THREAD)).await;
        if is_cleared {
            fixture
                .apply(|tx| {
                    while tx.clear_some(THREAD, 100, 1_000)? {}
                    Ok(())
                })
                .await;
        }
        fixture.apply(move |tx| tx.confirm_notices(&due)).await;
        assert_eq!(fixture.notices().await, [("withdraw", first)]);
        let again = fixture.arrives("again", 8).await;
        assert_eq!(fixture.notices().await, [("request", again)]);
        fixture.arrives("and again", 9).await;
        assert_eq!(fixture.notices().await, []);
    }
}

#[tokio::test]
async fn a_request_that_is_dealt_with_is_taken_back() {
    type Deal = fn(&mut Tx<'_>, MessageId) -> crate::Result<()>;
    let deals: [(&str, Deal); 5] = [
        ("accepted", |tx, _| tx.accept_request(THREAD).map(drop)),
        ("blocked", |tx, _| tx.set_blocked(PEER, true, 1).map(drop)),
        ("deleted", |tx, _| tx.delete_thread(THREAD)),
        ("read", |tx, id| tx.mark_read(THREAD, id, AFTER_ALL, 9).map(drop)),
        ("hidden", |tx, id| tx.hide(THREAD, id, 1).map(drop)),
    ];
    for (name, deal) in deals {
        let fixture = Fixture::new().await;
        fixture.apply(|tx| tx.set_request(THREAD)).await;
        let first = fixture.arrives("one", 1).await;
        assert_eq!(fixture.notices().await, [("request", first)], "{name}");
        fixture.apply(move |tx| deal(tx, first)).await;
        assert_eq!(fixture.notices().await, [("withdraw", first)], "{name}");
        assert_eq!(fixture.notices().await, [], "{name}");
    }
}

#[tokio::test]
async fn a_chat_that_is_muted_archived_blocked_or_edited_is_told_accordingly() {
    let fixture = Fixture::new().await;
    let first = fixture.arrives("one", 1).await;
    assert_eq!(fixture.notices().await, [("show", first)]);
    // What is archived or muted stays shown, and is updated.
    fixture.apply(|tx| tx.set_archived(THREAD, true)).await;
    fixture.apply(|tx| tx.set_muted_until(THREAD, u64::MAX)).await;
    let edits = move |tx: &mut Tx<'_>| {
        tx.edit(first, &origin(PEER, 2), ("eins", &Markup::default()), ChangeLimits::default()).map(drop)
    };
    fixture.apply(edits).await;
    assert_eq!(fixture.notices().await, [("update", first)]);
    // Nothing new is shown of a muted chat, also not later.
    fixture.arrives("two", 3).await;
    assert_eq!(fixture.notices().await, []);
    fixture.apply(|tx| tx.set_muted_until(THREAD, 0)).await;
    assert_eq!(fixture.notices().await, []);
    let third = fixture.arrives("three", 4).await;
    assert_eq!(fixture.notices().await, [("show", third)]);
    fixture.apply(|tx| tx.set_blocked(PEER, true, 1).map(drop)).await;
    assert_eq!(fixture.notices().await, [("withdraw", first), ("withdraw", third)]);
    fixture.apply(|tx| tx.set_blocked(PEER, false, 1).map(drop)).await;
    assert_eq!(fixture.notices().await, []);
}
