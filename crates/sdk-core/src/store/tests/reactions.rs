//! Tests of reactions, and of contents that wait for their message.

use proptest::prelude::*;

use super::messages::incoming;
use super::*;
use crate::content::Target;
use crate::id::MessageId;
use crate::message::Message;
use crate::store::waiting::{MAX_OF_AUTHOR, MAX_WAITING};
use crate::store::{Arrived, Found, Origin, WaitsFor};

pub(super) fn origin(author: UserId, order: i64) -> Origin {
    Origin { thread: THREAD, author, content_id: fresh_id(), sent_ms: 1000, order }
}

pub(super) fn person(number: u32) -> UserId {
    let mut id = [0xee; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    UserId::from_bytes(id)
}

impl Fixture {
    /// Receives a message, and returns its id here and the one that its author has assigned.
    pub(super) async fn received(&self, text: &str, server_seq: u64) -> (MessageId, Target) {
        let new = incoming(text, server_seq);
        let Arrived::Content(id, _) = new.what else { panic!() };
        let inserted = self.store.write(move |tx| tx.insert_incoming(&new)).await.unwrap();
        (inserted, Target { author: PEER, id })
    }

    async fn message(&self, id: MessageId) -> Message {
        self.store.read(move |rows| rows.message(id)).await.unwrap().unwrap()
    }

    async fn counts(&self, id: MessageId) -> Vec<(String, u32, bool)> {
        let shown = self.message(id).await.reactions.into_iter();
        shown.map(|reaction| (reaction.emoji, reaction.count, reaction.is_ours)).collect()
    }
}

#[tokio::test]
async fn a_person_has_one_reaction_and_can_remove_it() {
    let fixture = Fixture::new().await;
    let (id, _) = fixture.received("hello", 1).await;
    let mut events = fixture.events.subscribe();
    let react = async |author, order, emoji: &'static str| {
        let work = fixture.store.write(move |tx| tx.react(id, &origin(author, order), emoji));
        work.await.unwrap();
    };
    react(PEER, 2, "👍").await;
    react(US, 3, "👍").await;
    assert_eq!(fixture.counts(id).await, [("👍".to_owned(), 2, true)]);
    react(US, 4, "🎈").await;
    react(person(7), 5, "🎈").await;
    assert_eq!(fixture.counts(id).await, [("🎈".to_owned(), 2, true), ("👍".to_owned(), 1, false)]);
    let of = fixture.store.read(move |rows| rows.reactions((THREAD, id), Some(US), 1)).await.unwrap();
    assert_eq!((of[0].author, of[0].emoji.as_str()), (PEER, "👍"));
    let elsewhere = ThreadId::from_bytes([9; 16]);
    let none = fixture.store.read(move |rows| rows.reactions((elsewhere, id), None, 1)).await.unwrap();
    assert!(none.is_empty());

    drain(&mut events);
    react(US, 6, "").await;
    react(US, 7, "").await;
    assert_eq!(fixture.counts(id).await, [("🎈".to_owned(), 1, false), ("👍".to_owned(), 1, false)]);
    let told = drain(&mut events);
    assert!(matches!(&told[..], [Event::MessageChanged { message, .. }] if message.id == id), "{told:?}");
    // Deleting a message deletes its reactions.
    fixture.store.write(move |tx| tx.delete_message(THREAD, id)).await.unwrap();
    let left = fixture.store.read(|rows| {
        Ok(rows.connection.query_row("SELECT count(*) FROM reaction", [], |row| row.get::<_, i64>(0))?)
    });
    assert_eq!(left.await.unwrap(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    /// In whatever order they arrive, the reaction counts that is last in the thread.
    #[test]
    fn the_last_reaction_of_each_person_counts_in_any_order(
        contents in proptest::collection::vec((0_u32..4, 0_usize..4), 1..30)
            .prop_flat_map(|list| Just(list.into_iter().enumerate().collect::<Vec<_>>()).prop_shuffle()),
    ) {
        const EMOJI: [&str; 4] = ["", "👍", "🎈", "❤️"];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            let (id, _) = fixture.received("hello", 1).await;
            let mut last = std::collections::BTreeMap::new();
            for (place, (author, emoji)) in contents {
                let order = i64::try_from(place).unwrap().saturating_add(10);
                let from = origin(person(author), order);
                fixture.store.write(move |tx| tx.react(id, &from, EMOJI[emoji])).await.unwrap();
                let known = last.entry(author).or_insert((order, emoji));
                *known = (*known).max((order, emoji));
            }
            let mut expected = std::collections::BTreeMap::<_, u32>::new();
            for (_, emoji) in last.values().filter(|(_, emoji)| *emoji > 0) {
                let count = expected.entry(EMOJI[*emoji].to_owned()).or_default();
                *count = count.saturating_add(1);
            }
            let shown = fixture.counts(id).await;
            assert!(shown.is_sorted_by_key(|(_, count, _)| std::cmp::Reverse(*count)));
            let shown: std::collections::BTreeMap<_, _> =
                shown.into_iter().map(|(emoji, count, _)| (emoji, count)).collect();
            assert_eq!(shown, expected);
            let total: u32 = expected.values().sum();
            let stored = fixture.store.read(move |rows| {
                let sql = "SELECT reactions FROM message WHERE id = ?1";
                Ok(rows.connection.query_row(sql, [id.0], |row| row.get::<_, u32>(0))?)
            });
            assert_eq!(stored.await.unwrap(), total);
        });
    }
}

#[tokio::test]
async fn ten_thousand_reactions_are_counted_and_paged() {
    let fixture = Fixture::new().await;
    let (id, _) = fixture.received("popular", 1).await;
    // 40 different emoji, the first ones more often.
    let emoji =
        |n: u32| char::from_u32(0x1f600 + n % 40 * u32::from(n.is_multiple_of(3))).unwrap().to_string();
    let work = fixture.store.write(move |tx| {
        (0..10_000).try_for_each(|n| tx.react(id, &origin(person(n), i64::from(n) + 2), &emoji(n)))
    });
    work.await.unwrap();
    let shown = fixture.counts(id).await;
    assert_eq!(shown.len(), 20);
    assert!(shown[0].1 > 6_000 && shown.is_sorted_by_key(|(_, count, _)| std::cmp::Reverse(*count)));
    let (mut after, mut seen) = (None, 0);
    loop {
        let page = fixture.store.read(move |rows| rows.reactions((THREAD, id), after, 500)).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.is_sorted_by_key(|reaction| reaction.author) && page.len() <= 500);
        after = Some(last.author);
        seen += page.len();
    }
    assert_eq!(seen, 10_000);
}

#[tokio::test]
async fn contents_wait_for_their_message_in_their_order() {
    let fixture = Fixture::new().await;
    let target = Target { author: PEER, id: fresh_id() };
    let other = Target { author: US, id: target.id };
    let work = fixture.store.write(move |tx| {
        assert_eq!(tx.find(THREAD, target)?, Found::Missing);
        for (order, target) in [(5, target), (3, target), (4, other)] {
            tx.keep_waiting(&origin(PEER, order), WaitsFor::Message(target), &[7], 1)?;
        }
        let orders =
            |taken: Vec<(Origin, Vec<u8>)>| taken.iter().map(|(origin, _)| origin.order).collect::<Vec<_>>();
        assert_eq!(orders(tx.take_waiting(target)?), [3, 5]);
        assert_eq!(orders(tx.take_waiting(target)?), [0; 0]);
        assert_eq!(orders(tx.take_waiting(other)?), [4]);
        assert!(tx.set_applied(PEER, target.id, 1)?);
        assert!(!tx.set_applied(PEER, target.id, 2)?);
        assert_eq!(tx.find(THREAD, target)?, Found::Gone);
        // After a month, the relay can deliver neither again.
        tx.keep_waiting(&origin(PEER, 6), WaitsFor::Message(other), &[7], 1)?;
        tx.forget_opened(2)?;
        assert!(tx.take_waiting(other)?.is_empty());
        assert_eq!(tx.find(THREAD, target)?, Found::Missing);
        Ok(())
    });
    work.await.unwrap();
}

#[tokio::test]
async fn what_waits_is_bounded_and_an_author_displaces_only_their_own() {
    let fixture = Fixture::new().await;
    let target = Target { author: PEER, id: fresh_id() };
    let count = |tx: &crate::store::Tx<'_>, author: UserId| -> crate::Result<(u32, i64)> {
        let sql = "SELECT count(*), coalesce(sum(length(body)), 0) FROM waiting_content WHERE author = ?1";
        Ok(tx.connection.query_row(sql, [author.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?)
    };
    let work = fixture.store.write(move |tx| {
        let keep = |tx: &mut crate::store::Tx<'_>, author, order, length| {
            tx.keep_waiting(&origin(author, order), WaitsFor::Message(target), &vec![0; length], 1)
        };
        keep(tx, person(1), 1, 10)?;
        for n in 0..i64::from(MAX_OF_AUTHOR) + 50 {
            keep(tx, person(2), n, 10)?;
        }
        assert_eq!(count(tx, person(1))?, (1, 10));
        assert_eq!(count(tx, person(2))?, (MAX_OF_AUTHOR, i64::from(MAX_OF_AUTHOR) * 10));
        for n in 0..60 {
            keep(tx, person(3), n, 40_000)?;
        }
        assert!(count(tx, person(3))?.1 <= 1 << 20);
        // Many authors together.
        for n in 10..10 + MAX_WAITING / MAX_OF_AUTHOR + 4 {
            for order in 0..i64::from(MAX_OF_AUTHOR) {
                keep(tx, person(n), order, 1)?;
            }
        }
        let all: u32 =
            tx.connection.query_row("SELECT count(*) FROM waiting_content", [], |row| row.get(0))?;
        assert_eq!(all, MAX_WAITING);
        assert_eq!(count(tx, person(1))?, (1, 10), "who keeps little loses nothing");
        Ok(())
    });
    work.await.unwrap();
}

#[tokio::test]
async fn the_queries_for_changes_of_messages_use_their_indexes() {
    let fixture = Fixture::new().await;
    let plans = [
        (
            "SELECT coalesce(pending, emoji), count(*) FROM reaction
             WHERE message_id = 1 AND coalesce(pending, emoji) > '' GROUP BY 1",
            "reaction_emoji (message_id=? AND <expr>>?)",
        ),
        (
            "SELECT author, coalesce(pending, emoji), sent FROM reaction
             WHERE message_id = 1 AND author > x'00' AND coalesce(pending, emoji) > '' ORDER BY author LIMIT 5",
            "PRIMARY KEY (message_id=? AND author>?)",
        ),
        ("DELETE FROM waiting_content WHERE target_author = x'00' AND target_id = x'00'", "waiting_target"),
        ("SELECT min(id) FROM waiting_content WHERE author = x'00'", "waiting_author"),
        ("DELETE FROM waiting_content WHERE at < 5 AND version IS NULL", "waiting_at"),
        ("SELECT 1 FROM waiting_content WHERE version > 'a'", "waiting_version"),
        ("SELECT 1 FROM message WHERE kind = 3 AND version < 'a'", "message_version"),
        (
            "SELECT id FROM message WHERE kind = 3 AND (version < 'a' OR version > 'a') LIMIT 5",
            "message_version",
        ),
        ("SELECT 1 FROM applied_content WHERE author = x'00' AND content_id = x'00'", "PRIMARY KEY"),
        ("DELETE FROM applied_content WHERE at < 5", "applied_at"),
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
