//! Tests of threads: which sequence numbers are accounted for, and the order of the list.

use proptest::prelude::*;

use super::messages::incoming;
use super::*;
use crate::message::MessageBody;
use crate::store::{Gap, NewIncoming, Parcel, Settlement, ThreadCursor};

async fn account_for(fixture: &Fixture, epoch: u64, places: &'static [u64]) {
    let work = fixture
        .store
        .write(move |tx| places.iter().try_for_each(|place| tx.account_for(THREAD, epoch, *place)));
    work.await.unwrap();
}

async fn gap(fixture: &Fixture) -> Option<(u64, u64)> {
    let gaps = fixture.store.read(|rows| rows.gaps()).await.unwrap();
    gaps.first().map(|gap| (gap.first, gap.last))
}

#[tokio::test]
async fn a_gap_is_the_range_between_known_numbers() {
    let fixture = Fixture::new().await;
    account_for(&fixture, 1, &[1, 2, 5, 6, 9]).await;
    assert_eq!(gap(&fixture).await, Some((3, 4)));
    account_for(&fixture, 1, &[4, 3]).await;
    assert_eq!(gap(&fixture).await, Some((7, 8)));
    account_for(&fixture, 1, &[7, 8]).await;
    assert_eq!(gap(&fixture).await, None);
}

#[tokio::test]
async fn the_first_message_of_a_thread_can_be_missing() {
    let fixture = Fixture::new().await;
    account_for(&fixture, 3, &[2]).await;
    assert_eq!(gap(&fixture).await, Some((1, 1)));
}

#[tokio::test]
async fn missing_messages_are_given_up_and_reported() {
    let fixture = Fixture::new().await;
    account_for(&fixture, 1, &[1, 4, 5]).await;
    let mut events = fixture.events.subscribe();
    let gap_2_to_3 = Gap { thread: THREAD, first: 2, last: 3 };
    fixture.store.write(move |tx| tx.give_up_on(gap_2_to_3)).await.unwrap();
    assert_eq!(gap(&fixture).await, None);
    assert_eq!(drain(&mut events), [Event::MessagesMissing { thread: THREAD, first: 2, last: 3 }]);
    // Giving up the same gap again changes nothing.
    fixture.store.write(move |tx| tx.give_up_on(gap_2_to_3)).await.unwrap();
    account_for(&fixture, 1, &[6, 8]).await;
    assert_eq!(gap(&fixture).await, Some((7, 7)));
}

#[tokio::test]
async fn a_gap_is_not_given_up_while_one_of_ours_may_fill_it() {
    let fixture = Fixture::new().await;
    account_for(&fixture, 1, &[2]).await;
    let id = fixture.enqueue("unknown").await;
    let entry = fixture.entry(id).await;
    let parcel = Parcel { client_msg_id: fresh_id(), bytes: "bytes".into() };
    fixture.store.write(move |tx| tx.set_sealed(entry, parcel, None, 1000).map(drop)).await.unwrap();
    let work = fixture.store.write(|tx| tx.give_up_on(Gap { thread: THREAD, first: 1, last: 1 }));
    work.await.unwrap();
    assert_eq!(gap(&fixture).await, Some((1, 1)));
}

#[tokio::test]
async fn sequence_numbers_of_another_epoch_are_different_positions() {
    let fixture = Fixture::new().await;
    account_for(&fixture, 1, &[1, 2, 3, 7]).await;
    // The relay was restored from a backup that ended at number 2, and assigns 3 again.
    account_for(&fixture, 2, &[3]).await;
    assert_eq!(gap(&fixture).await, None);
    // A late number of the old epoch does not affect the new one.
    account_for(&fixture, 1, &[9]).await;
    account_for(&fixture, 2, &[4]).await;
    assert_eq!(gap(&fixture).await, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn the_gap_is_the_first_missing_number_in_any_order_of_arrival(
        order in Just((1..=12_u64).collect::<Vec<_>>()).prop_shuffle(),
        taken in 1..12_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            let places = order[..taken].to_vec();
            let missing = (1..=12).find(|place| !places.contains(place)).unwrap();
            let beyond = places.iter().copied().filter(|place| *place > missing).min();
            let accounted = places.clone();
            let work = fixture
                .store
                .write(move |tx| accounted.iter().try_for_each(|place| tx.account_for(THREAD, 1, *place)));
            work.await.unwrap();
            assert_eq!(gap(&fixture).await, beyond.map(|beyond| (missing, beyond.saturating_sub(1))));
        });
    }
}

#[tokio::test]
async fn missing_messages_up_to_the_end_of_a_thread_are_reported_gap_by_gap() {
    let fixture = Fixture::new().await;
    let mut events = fixture.events.subscribe();
    let work = fixture.store.write(|tx| {
        for place in [1, 4, 6] {
            tx.account_for(THREAD, 1, place)?;
        }
        let known = tx.miss_up_to(THREAD, 1, 8)?;
        // It is reported once, and numbers of another epoch are ignored.
        Ok([known, tx.miss_up_to(THREAD, 1, 8)?, tx.miss_up_to(THREAD, 2, 99)?])
    });
    assert_eq!(work.await.unwrap(), [true; 3]);
    let missing = |first, last| Event::MessagesMissing { thread: THREAD, first, last };
    assert_eq!(drain(&mut events), [missing(2, 3), missing(5, 5), missing(7, 8)]);
    assert_eq!(fixture.store.read(|rows| rows.gaps()).await.unwrap(), []);
    // The thread continues after its last number.
    fixture.store.write(|tx| tx.account_for(THREAD, 1, 10)).await.unwrap();
    let gaps = fixture.store.read(|rows| rows.gaps()).await.unwrap();
    assert_eq!(gaps.iter().map(|gap| (gap.first, gap.last)).collect::<Vec<_>>(), [(9, 9)]);
}

#[tokio::test]
async fn the_list_of_threads_follows_the_time_of_the_relay_page_by_page() {
    let fixture = Fixture::new().await;
    let thread = |n: u8| ThreadId::from_bytes([n; 16]);
    let work = fixture.store.write(move |tx| {
        for n in 10..20 {
            tx.put_thread(
                Thread { id: thread(n), peer: Some(UserId::from_bytes([n; 16])), roster_version: 1 },
                5,
            )?;
        }
        // The thread whose message arrived last is first, whatever time its sender states.
        for (n, sent_ms, server_ms) in [(12, u64::MAX >> 1, 3000), (15, 0, 5000), (11, 9000, 4000)] {
            let new = NewIncoming { thread: thread(n), sent_ms, server_ms, ..incoming("hello", 1) };
            tx.insert_incoming(&new)?;
        }
        tx.insert_incoming(&NewIncoming { thread: thread(15), server_ms: 4500, ..incoming("late", 2) })
    });
    work.await.unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let (page, next) =
            fixture.store.read(move |rows| rows.thread_page(Folder::Chats, after, 4)).await.unwrap();
        seen.extend(page);
        after = next;
        if after.is_none() {
            break;
        }
    }
    let order: Vec<_> = seen.iter().map(|listed| listed.id.as_bytes()[0]).collect();
    // The threads without a message follow, the oldest one last.
    assert_eq!(order, [15, 11, 12, 19, 18, 17, 16, 14, 13, 10, 3]);
    let first = &seen[0];
    assert_eq!((first.unread, first.activity_ms), (2, 5000));
    assert_eq!(first.newest.as_ref().unwrap().body, MessageBody::Text("late".into()));
    let newest = first.newest.as_ref().unwrap().id;
    let work = fixture.store.write(move |tx| tx.mark_read(thread(15), newest, AFTER_ALL, 10).map(drop));
    work.await.unwrap();
    let (page, _) = fixture.store.read(|rows| rows.thread_page(Folder::Chats, None, 1)).await.unwrap();
    assert_eq!(page[0].unread, 0);
}

#[tokio::test]
async fn a_thread_written_to_with_a_wrong_clock_returns_to_its_position() {
    let fixture = Fixture::new().await;
    let new = NewOutgoing { sent_ms: 9_000_000, ..outgoing(Body::text("from the future")) };
    let id = fixture.store.write(move |tx| tx.enqueue(new)).await.unwrap().unwrap().id;
    let activity = async || {
        let (page, _) = fixture.store.read(|rows| rows.thread_page(Folder::Chats, None, 1)).await.unwrap();
        page[0].activity_ms
    };
    assert_eq!(activity().await, 9_000_000);
    let entry = fixture.entry(id).await;
    let accepted = Settlement::Accepted { epoch: 1, server_seq: 1, server_ms: 2000 };
    fixture.store.write(move |tx| tx.settle(entry, None, accepted)).await.unwrap();
    assert_eq!(activity().await, 2000);
}

#[test]
fn a_thread_cursor_survives_as_text() {
    let text = format!("8000000000000000{}{}", "f".repeat(16), "07".repeat(16));
    assert_eq!(text.parse::<ThreadCursor>().unwrap().to_string(), text);
    let (short, long) = (&text[1..], format!("{text}0"));
    for text in
        ["", "1", short, &long, &text.replace('8', "g"), &text.replace('8', "+"), &text.to_uppercase()]
    {
        assert!(text.parse::<ThreadCursor>().is_err(), "{text}");
    }
}
