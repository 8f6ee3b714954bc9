//! Tests of the search index: what is found, which messages the index covers, and that no deleted words remain in it.

use crate::message::Search;
use proptest::prelude::*;
use rusqlite::types::Value;

use super::messages::incoming;
use super::*;
use crate::id::MessageId;
use crate::message::{SearchOrder, Undecryptable};
use crate::store::{Arrived, INDEX_BATCH, INDEX_MERGE, NewIncoming, Rows, Tx};

async fn feed(fixture: &Fixture, limit: u32) -> usize {
    fixture.store.write(move |tx| tx.feed_index(limit)).await.unwrap()
}

async fn feed_all(fixture: &Fixture) {
    while feed(fixture, 100).await > 0 {}
    assert_eq!(fixture.store.read(|rows| rows.index_is_behind()).await, Ok(false));
}

/// The texts that are found, in the order of the results.
async fn found(fixture: &Fixture, words: &str, limit: u32) -> Vec<String> {
    let words = words.to_owned();
    let messages = fixture.store.read(move |rows| rows.search(&words, limit)).await.unwrap();
    messages.into_iter().map(|message| format!("{:?}", TextOf(message.body))).collect()
}

/// Empties the index, as a migration does. The messages remain.
async fn empty_index(fixture: &Fixture) {
    let work = fixture.store.write(|tx| {
        tx.connection.execute("INSERT INTO search (search) VALUES ('delete-all')", [])?;
        let sql = "UPDATE account SET indexed_up_to = (SELECT max(id) FROM message)";
        tx.connection.execute(sql, [])?;
        tx.connection.execute("UPDATE account SET indexed_after = indexed_up_to", [])?;
        Ok(())
    });
    work.await.unwrap();
}

/// All bytes in the tables of the index.
fn index_bytes(rows: &Rows<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for table in ["SELECT block FROM search_data", "SELECT term FROM search_idx"] {
        let mut statement = rows.connection.prepare(table).unwrap();
        let blocks = statement.query_map([], |row| row.get::<_, Value>(0)).unwrap();
        for block in blocks {
            match block.unwrap() {
                Value::Blob(block) => bytes.extend(block),
                Value::Text(text) => bytes.extend(text.into_bytes()),
                _ => {}
            }
            bytes.push(b'|');
        }
    }
    bytes
}

/// Whether these letters occur in the bytes of the index.
async fn index_holds(fixture: &Fixture, letters: &'static str) -> bool {
    let bytes = fixture.store.read(|rows| Ok(index_bytes(rows))).await.unwrap();
    bytes.windows(letters.len()).any(|window| window == letters.as_bytes())
}

/// Lets FTS5 check its own index.
async fn check_integrity(fixture: &Fixture) {
    let work = fixture.store.write(|tx| {
        Ok(tx.connection.execute("INSERT INTO search (search) VALUES ('integrity-check')", [])?)
    });
    work.await.unwrap();
}

#[tokio::test]
async fn words_are_found_by_their_beginning_and_the_newest_first() {
    let fixture = Fixture::new().await;
    for (place, text) in (1..).zip([
        "Crème brûlée",
        "Привет, мир",
        "say \"hello\" AND go",
        "a NOT b",
        "明天去北京",
        "hello 🎉",
    ]) {
        fixture.receive(incoming(text, place)).await;
    }
    let undecryptable = Arrived::Undecryptable(Undecryptable::Malformed);
    fixture.receive(NewIncoming { what: undecryptable, ..incoming("", 9) }).await;
    assert_eq!(feed(&fixture, 3).await, 3);
    assert_eq!(feed(&fixture, 100).await, 4);
    assert_eq!(feed(&fixture, 100).await, 0);
    for (words, texts) in [
        ("creme bru", &["Crème brûlée"][..]),
        ("прив", &["Привет, мир"]),
        ("hel", &["hello 🎉", "say \"hello\" AND go"]),
        ("\"hello\"", &["hello 🎉", "say \"hello\" AND go"]),
        ("AND", &["say \"hello\" AND go"]),
        ("a NOT b", &["a NOT b"]),
        ("北京", &["明天去北京"]),
        ("京", &["明天去北京"]),
        ("🎉", &["hello 🎉"]),
        ("* ( \" ^ -", &[]),
        ("absent", &[]),
    ] {
        assert_eq!(found(&fixture, words, 10).await, texts, "{words}");
    }
    assert_eq!(found(&fixture, "hel", 1).await, ["hello 🎉"]);
    assert_eq!(found(&fixture, "hel", 0).await, [""; 0]);
    check_integrity(&fixture).await;
}

#[tokio::test]
async fn nothing_that_is_typed_or_pasted_is_an_error() {
    let fixture = Fixture::new().await;
    fixture.receive(incoming("hello", 1)).await;
    feed_all(&fixture).await;
    for words in [
        "hello\0",
        "\0hello",
        "say \"he\0llo\"",
        "\0",
        "{hello",
        "hello AND",
        "NEAR(a",
        "-",
        "^",
        "text : a",
        "\u{fffe}",
    ] {
        found(&fixture, words, 10).await;
    }
    assert_eq!(found(&fixture, "hello\0", 10).await, ["hello"]);
    found(&fixture, &"word ".repeat(10_000), 10).await;
    found(&fixture, &"京都".repeat(10_000), 10).await;
}

#[tokio::test]
async fn words_with_the_same_indexed_letters_are_distinguished() {
    let fixture = Fixture::new().await;
    fixture.receive(incoming("international", 1)).await;
    fixture.receive(incoming("internationally", 2)).await;
    fixture.receive(incoming("京都大学 学京", 3)).await;
    feed_all(&fixture).await;
    assert_eq!(found(&fixture, "internationall", 10).await, ["internationally"]);
    assert_eq!(found(&fixture, "internatio", 10).await.len(), 2);
    assert_eq!(found(&fixture, "大学京", 10).await, [""; 0]);
}

#[tokio::test]
async fn a_rebuilt_index_starts_with_the_newest_messages_and_new_ones_have_priority() {
    let fixture = Fixture::new().await;
    for place in 1..=6 {
        fixture.receive(incoming(&format!("old number{place}"), place)).await;
    }
    feed_all(&fixture).await;
    empty_index(&fixture).await;
    assert_eq!(found(&fixture, "old", 10).await, [""; 0]);
    assert_eq!(fixture.store.read(|rows| rows.index_is_behind()).await, Ok(true));
    assert_eq!(feed(&fixture, 2).await, 2);
    assert_eq!(found(&fixture, "old", 10).await, ["old number6", "old number5"]);
    fixture.receive(incoming("new", 7)).await;
    assert_eq!(feed(&fixture, 2).await, 1);
    assert_eq!(found(&fixture, "new", 10).await, ["new"]);
    // A message that is deleted before it was indexed causes no error.
    fixture.store.write(|tx| tx.delete_message(THREAD, MessageId(1))).await.unwrap();
    feed_all(&fixture).await;
    assert_eq!(found(&fixture, "number", 10).await.len(), 5);
    check_integrity(&fixture).await;
}

#[tokio::test]
async fn a_batch_has_a_limited_size() {
    let fixture = Fixture::new().await;
    let long = "word ".repeat(2000);
    for place in 1..=6 {
        fixture.receive(incoming(&format!("{long}{place}"), place)).await;
    }
    assert_eq!(feed(&fixture, 100).await, 2);
    empty_index(&fixture).await;
    assert_eq!(feed(&fixture, 100).await, 2);
    feed_all(&fixture).await;
    assert_eq!(found(&fixture, "word", 10).await.len(), 6);
}

/// The number of rows that one transaction changes, including those of the index, each of which has at most the size of a
/// page.
async fn changed_by(
    fixture: &Fixture,
    work: impl FnOnce(&mut Tx<'_>) -> crate::Result<bool> + Send + 'static,
) -> (bool, u64) {
    let work = fixture.store.write(|tx| {
        let before = tx.connection.total_changes();
        let more = work(tx)?;
        Ok((more, tx.connection.total_changes().abs_diff(before)))
    });
    work.await.unwrap()
}

#[tokio::test]
async fn a_transaction_of_the_indexer_writes_at_most_a_few_hundred_rows_of_the_index() {
    let fixture = Fixture::new().await;
    let work = fixture.store.write(|tx| {
        for place in 1..=6_000_u64 {
            // Each message has a few frequent words, and some that occur in no other message.
            let (a, b) = (place % 7, place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20);
            tx.insert_incoming(&incoming(&format!("often{a} message {b:x} {:x} line", b >> 9), place))?;
        }
        Ok(())
    });
    work.await.unwrap();
    let (mut fed, mut merged) = (Vec::new(), Vec::new());
    loop {
        // This is what the indexer does.
        let (more, rows) = changed_by(&fixture, |tx| Ok(tx.feed_index(INDEX_BATCH)? > 0)).await;
        if !more {
            break;
        }
        fed.push(rows);
        let mut more = true;
        for _ in 0..4 {
            if more {
                let (there_is_more, rows) = changed_by(&fixture, |tx| tx.merge_index(INDEX_MERGE)).await;
                more = there_is_more;
                merged.push(rows);
            }
        }
    }
    // The number does not depend on the size of the index.
    for (what, rows, limit) in [("feeding", &fed, 300), ("merging", &merged, 250)] {
        let most = rows.iter().max().unwrap();
        assert!(*most <= limit, "{what}: {most} rows");
    }
    check_integrity(&fixture).await;
}

#[tokio::test]
async fn a_cancelled_message_is_removed_from_the_results_and_the_file() {
    let fixture = Fixture::new().await;
    let id = fixture.enqueue("zqregret wordthatislonger 悔恨").await;
    fixture.enqueue("kept").await;
    feed_all(&fixture).await;
    assert_eq!(found(&fixture, "zqregret", 10).await.len(), 1);
    assert!(index_holds(&fixture, "zqregret").await && index_holds(&fixture, "悔恨").await);
    assert_eq!(fixture.store.write(move |tx| tx.cancel(id)).await, Ok(true));
    assert_eq!(found(&fixture, "zqregret", 10).await, [""; 0]);
    for letters in ["zq", "wordth", "悔", "恨"] {
        assert!(!index_holds(&fixture, letters).await, "{letters}");
    }
    assert_eq!(found(&fixture, "kept", 10).await, ["kept"]);
    check_integrity(&fixture).await;
}

#[tokio::test]
async fn deleted_words_do_not_remain_in_the_file() {
    let fixture = Fixture::new().await;
    let secret = |n: u64| format!("{}zq{n:03}", ["b", "f", "k", "p", "u"][n as usize % 5]);
    for place in 1..=600 {
        fixture
            .receive(incoming(
                &format!("line {place} of many {} {}", secret(place), secret(place * 7 % 600)),
                place,
            ))
            .await;
    }
    while feed(&fixture, 50).await > 0 {}
    for merging in [false, true] {
        while merging && fixture.store.write(|tx| tx.merge_index(16)).await.unwrap() {}
    }
    assert!(index_holds(&fixture, "zq").await);
    let work =
        fixture.store.write(|tx| (1..=600).try_for_each(|id| tx.delete_message(THREAD, MessageId(id))));
    work.await.unwrap();
    assert!(!index_holds(&fixture, "zq").await);
    assert_eq!(found(&fixture, "line", 10).await, [""; 0]);
    check_integrity(&fixture).await;
}

#[derive(Debug, Clone)]
enum Step {
    Receive(String),
    Delete(prop::sample::Index),
    Feed(u32),
    Merge,
    Empty,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => "[abc]{1,3}( [abc]{1,12}){0,3}( [京都大]{1,4})?".prop_map(Step::Receive),
        2 => any::<prop::sample::Index>().prop_map(Step::Delete),
        3 => (1_u32..5).prop_map(Step::Feed),
        1 => Just(Step::Merge),
        1 => Just(Step::Empty),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn after_any_changes_an_up_to_date_index_finds_every_message(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            let mut there: Vec<(MessageId, String)> = Vec::new();
            for (place, step) in (1..).zip(steps) {
                match step {
                    Step::Receive(text) => {
                        let new = incoming(&text, place);
                        let id = fixture.store.write(move |tx| tx.insert_incoming(&new)).await.unwrap();
                        there.push((id, text));
                    }
                    Step::Delete(at) if !there.is_empty() => {
                        let (id, _) = there.remove(at.index(there.len()));
                        fixture.store.write(move |tx| tx.delete_message(THREAD, id)).await.unwrap();
                    }
                    Step::Delete(_) => {}
                    Step::Feed(limit) => drop(feed(&fixture, limit).await),
                    Step::Merge => drop(fixture.store.write(|tx| tx.merge_index(16)).await.unwrap()),
                    Step::Empty => {
                        if !there.is_empty() {
                            empty_index(&fixture).await;
                        }
                    }
                }
            }
            feed_all(&fixture).await;
            check_integrity(&fixture).await;
            for words in ["a", "ab", "cab", "aaaaaaaaaaa", "a b", "京", "京都", "大京都"] {
                let matches = |text: &str| words.split(' ').all(|wanted| {
                    text.split(' ').any(|word| if wanted.is_ascii() { word.starts_with(wanted) } else { word.contains(wanted) })
                });
                let expected: Vec<_> =
                    there.iter().rev().map(|(_, text)| text.clone()).filter(|text| matches(text)).collect();
                assert_eq!(found(&fixture, words, 100).await, expected, "{words}");
            }
        });
    }
}

#[tokio::test]
async fn a_search_is_limited_to_a_thread_a_sender_or_a_time_and_continues_where_it_ended() {
    const OTHER: ThreadId = ThreadId::from_bytes([4; 16]);
    let fixture = Fixture::new().await;
    let work = fixture.store.write(|tx| {
        tx.put_thread(Thread { id: OTHER, peer: Some(UserId::from_bytes([12; 16])), roster_version: 1 }, 1)?;
        for n in 1..=10 {
            let thread = if n % 2 == 0 { OTHER } else { THREAD };
            tx.insert_incoming(&NewIncoming { thread, sent_ms: n * 100, ..incoming("Caf\u{e9} word", n) })?;
        }
        tx.enqueue(outgoing(Body::text("word of ours")))?;
        while tx.feed_index(100)? > 0 {}
        Ok(())
    });
    work.await.unwrap();
    let found = async |search: Search, limit| {
        let hits = fixture.store.read(move |rows| rows.find_messages(&search, limit)).await.unwrap();
        let sent: Vec<_> = hits.hits.iter().map(|hit| hit.message.sent_ms).collect();
        (sent, hits.next)
    };
    let all = Search::new("word");
    let in_other = Search { thread: Some(OTHER), ..all.clone() };
    let (first, next) = found(in_other.clone(), 3).await;
    assert_eq!(first, [1000, 800, 600]);
    assert_eq!(found(Search { before: next, ..in_other.clone() }, 3).await, (vec![400, 200], None));
    assert_eq!(found(Search { sender: Some(US), ..all.clone() }, 9).await, (vec![1000], None));
    let time = Search { from_ms: Some(300), until_ms: Some(600), ..all.clone() };
    assert_eq!(found(time.clone(), 9).await, (vec![500, 400, 300], None));
    let nothing = Search { sender: Some(UserId::from_bytes([99; 16])), ..time };
    assert_eq!(found(nothing, 9).await, (vec![], None));
    let hits = fixture.store.read(move |rows| rows.find_messages(&Search::new("wor cafe"), 1)).await.unwrap();
    let marks: Vec<_> =
        hits.hits[0].marks.iter().map(|mark| (mark.start, mark.end, mark.utf16_start)).collect();
    assert_eq!(marks, [(0, 5, 0), (6, 9, 5)]);
}

#[tokio::test]
async fn the_best_of_the_newest_matches_contain_whole_words() {
    let fixture = Fixture::new().await;
    let work = fixture.store.write(|tx| {
        for (n, text) in (1..).zip(["art", "party", "arts", "artful"]) {
            tx.insert_incoming(&incoming(text, n))?;
        }
        while tx.feed_index(100)? > 0 {}
        Ok(())
    });
    work.await.unwrap();
    let search = Search { order: SearchOrder::Best, ..Search::new("art") };
    let hits = fixture.store.read(move |rows| rows.find_messages(&search, 2)).await.unwrap().hits;
    let texts: Vec<_> = hits.iter().filter_map(|hit| hit.message.text()).collect();
    assert_eq!(texts, ["art", "artful"]);
}

#[tokio::test]
async fn a_match_in_a_quiet_chat_is_found_behind_thousands_in_a_busy_one() {
    const QUIET: ThreadId = ThreadId::from_bytes([4; 16]);
    let fixture = Fixture::new().await;
    let work = fixture.store.write(|tx| {
        tx.put_thread(Thread { id: QUIET, peer: Some(UserId::from_bytes([12; 16])), roster_version: 1 }, 1)?;
        tx.insert_incoming(&NewIncoming { thread: QUIET, ..incoming("a quiet word", 1) })?;
        for n in 2..=6_001 {
            tx.insert_incoming(&incoming("word", n))?;
        }
        while tx.feed_index(500)? > 0 {}
        Ok(())
    });
    work.await.unwrap();
    let found = async |order, before| {
        let search = Search { thread: Some(QUIET), order, before, ..Search::new("word") };
        let hits = fixture.store.read(move |rows| rows.find_messages(&search, 200)).await.unwrap();
        (hits.hits.len(), hits.next)
    };
    let (none, next) = found(SearchOrder::Newest, None).await;
    assert!(none == 0 && next.is_some(), "it can be continued");
    assert_eq!(found(SearchOrder::Newest, next).await, (1, None));
    assert_eq!(found(SearchOrder::Best, None).await, (1, None));
}

#[tokio::test]
async fn a_search_that_cannot_be_continued_goes_on_behind_what_does_not_match() {
    let fixture = Fixture::new().await;
    let work = fixture.store.write(|tx| {
        // The index has pairs of characters, and so does not know that these are apart.
        let misses = |n: &u64| *n != 1 && *n != 4_602;
        for n in 1..=5_202 {
            let text = if misses(&n) { "京都 都大" } else { "京都大" };
            tx.insert_incoming(&incoming(text, n))?;
        }
        while tx.feed_index(500)? > 0 {}
        Ok(())
    });
    work.await.unwrap();
    assert_eq!(found(&fixture, "京都大", 2).await.len(), 1, "behind 600, but not behind 5,000");
    let best = async |before| {
        let search = Search { order: SearchOrder::Best, before, ..Search::new("京都大") };
        let hits = fixture.store.read(move |rows| rows.find_messages(&search, 5)).await.unwrap();
        (hits.hits.len(), hits.next)
    };
    let (first, next) = best(None).await;
    assert!(first == 1 && next.is_some(), "there may be more");
    assert_eq!(best(next).await, (1, None));
}
