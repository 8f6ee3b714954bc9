//! Tests of edits and deletions: in whatever order they arrive, all devices show the same.

use proptest::prelude::*;
use std::time::Duration;

use super::messages::incoming;
use super::reactions::origin;
use super::*;
use crate::config::ChangeLimits;
use crate::content::Markup;
use crate::id::MessageId;
use crate::message::{Message, MessageBody};

const DAY_MS: u64 = 24 * 3_600_000;

fn plain() -> Markup {
    Markup::default()
}

impl Fixture {
    async fn shown(&self, id: MessageId) -> Option<Message> {
        self.store.read(move |rows| rows.message(id)).await.unwrap()
    }

    /// Applies an edit of the peer at this position.
    async fn edit(&self, id: MessageId, order: i64, text: &str) -> bool {
        let (from, text) = (origin(PEER, order), text.to_owned());
        let work = self.store.write(move |tx| tx.edit(id, &from, (&text, &plain()), ChangeLimits::default()));
        work.await.unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    /// The first ten edits in the order of the thread count, and the last of them is shown, whatever arrives first.
    #[test]
    fn contradictory_edits_settle_by_their_place_in_the_thread(
        edits in (1_usize..14).prop_flat_map(|count| Just((0..count).collect::<Vec<_>>()).prop_shuffle()),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            let (id, _) = fixture.received("original", 1).await;
            let count = edits.len();
            for edit in edits {
                fixture.edit(id, i64::try_from(edit).unwrap().saturating_add(10), &format!("edit {edit}")).await;
            }
            let last = count.min(10).saturating_sub(1);
            let shown = fixture.shown(id).await.unwrap();
            assert_eq!(shown.text().unwrap(), format!("edit {last}"));
            assert!(shown.edited_ms.is_some());
            let versions = fixture.store.read(move |rows| rows.versions(THREAD, id)).await.unwrap().unwrap();
            let texts: Vec<_> = versions.into_iter().map(|version| version.text).collect();
            let expected: Vec<_> =
                std::iter::once("original".to_owned()).chain((0..=last).map(|n| format!("edit {n}"))).collect();
            assert_eq!(texts, expected);
        });
    }
}

#[tokio::test]
async fn terms_of_edited_and_deleted_messages_leave_the_index() {
    let fixture = Fixture::new().await;
    let (id, _) = fixture.received("alpha", 1).await;
    let found =
        async |word: &'static str| fixture.store.read(move |rows| rows.search(word, 5)).await.unwrap().len();
    fixture.store.write(|tx| tx.feed_index(10)).await.unwrap();
    assert_eq!(found("alpha").await, 1);
    assert!(fixture.edit(id, 5, "beta").await);
    assert_eq!((found("alpha").await, found("beta").await), (0, 1));
    let in_index = async |word: &'static str| {
        let work = fixture.store.read(move |rows| {
            let sql = "SELECT count(*) FROM search WHERE search MATCH ?1";
            Ok(rows.connection.query_row(sql, [word], |row| row.get::<_, u32>(0))?)
        });
        work.await.unwrap()
    };
    assert_eq!((in_index("alpha").await, in_index("beta").await), (0, 1));
    let work =
        fixture.store.write(move |tx| tx.delete_for_everyone(id, &origin(PEER, 6), ChangeLimits::default()));
    assert!(work.await.unwrap());
    assert_eq!((found("beta").await, in_index("beta").await), (0, 0));
    // An edit that arrives behind the deletion has no effect.
    assert!(!fixture.edit(id, 7, "gamma").await);
    let shown = fixture.shown(id).await.unwrap();
    assert_eq!((shown.body, shown.edited_ms), (MessageBody::Deleted, None));
    // Neither does one that arrives before it is indexed.
    let (late, _) = fixture.received("delta", 2).await;
    assert!(fixture.edit(late, 8, "epsilon").await);
    fixture.store.write(|tx| tx.feed_index(10)).await.unwrap();
    assert_eq!((in_index("delta").await, in_index("epsilon").await), (0, 1));
}

#[tokio::test]
async fn changes_by_others_and_after_their_time_have_no_effect() {
    let fixture = Fixture::new().await;
    let (id, _) = fixture.received("original", 1).await;
    let limits = ChangeLimits::default();
    let work = fixture.store.write(move |tx| {
        let at = |author, sent_ms| crate::store::Origin { sent_ms, ..origin(author, 9) };
        assert!(!tx.edit(id, &at(US, 1000), ("of another", &plain()), limits)?);
        assert!(!tx.edit(id, &at(PEER, 1001 + DAY_MS), ("late", &plain()), limits)?);
        assert!(!tx.edit(MessageId(999), &at(PEER, 1000), ("nothing", &plain()), limits)?);
        assert!(!tx.delete_for_everyone(id, &at(US, 1000), limits)?);
        assert!(!tx.delete_for_everyone(id, &at(PEER, 1001 + 2 * DAY_MS), limits)?);
        let elsewhere = crate::store::Origin { thread: ThreadId::from_bytes([9; 16]), ..at(PEER, 1000) };
        assert!(!tx.edit(id, &elsewhere, ("in another thread", &plain()), limits)?);
        assert!(!tx.delete_for_everyone(id, &elsewhere, limits)?);
        let none = ChangeLimits { max_edits: 0, ..limits };
        assert!(!tx.edit(id, &at(PEER, 1000), ("never", &plain()), none)?);
        let short = ChangeLimits { edit_for: Duration::from_secs(1), ..limits };
        assert!(!tx.edit(id, &at(PEER, 2001), ("late", &plain()), short)?);
        // A time before that of the message, or an enormous one.
        assert!(tx.edit(id, &at(PEER, 0), ("early", &plain()), limits)?);
        assert!(!tx.edit(id, &at(PEER, u64::MAX >> 1), ("very late", &plain()), limits)?);
        assert!(tx.edit(id, &at(PEER, 1000 + DAY_MS), ("just in time", &plain()), limits)?);
        Ok(())
    });
    work.await.unwrap();
    assert_eq!(fixture.shown(id).await.unwrap().text(), Some("just in time"));
}

#[tokio::test]
async fn what_was_deleted_on_this_device_does_not_come_back() {
    let fixture = Fixture::new().await;
    let new = incoming("hello", 1);
    let copy = new.clone();
    let id = fixture.store.write(move |tx| tx.insert_incoming(&new)).await.unwrap();
    let ours = fixture.enqueue("ours").await;
    let mut events = fixture.events.subscribe();
    let work = fixture.store.write(move |tx| {
        tx.feed_index(10)?;
        assert!(tx.hide(THREAD, id, 50_000)? && tx.hide(THREAD, ours, 50_000)?);
        assert!(!tx.hide(THREAD, id, 50_000)?, "it is hidden already");
        assert!(!tx.hide(ThreadId::from_bytes([9; 16]), ours, 50_000)?);
        assert_eq!(tx.purge_hidden(79_999, 10)?, 0);
        assert!(tx.search("hello", 5)?.is_empty());
        assert_eq!(tx.purge_hidden(80_000, 10)?, 2);
        assert!(!tx.has_hidden()? && !tx.restore(THREAD, id, 50_001)?);
        let crate::store::Arrived::Content(content_id, _) = copy.what else { panic!() };
        assert!(tx.was_applied(PEER, content_id)?);
        // Our own is still sent.
        assert_eq!(tx.entries(THREAD, None, (5, 1000))?.len(), 1);
        Ok(())
    });
    work.await.unwrap();
    let told = drain(&mut events);
    assert!(matches!(told[..], [Event::MessageRemoved { .. }, Event::MessageRemoved { .. }]), "{told:?}");
    assert_eq!(fixture.texts().await, [""; 0]);
}
