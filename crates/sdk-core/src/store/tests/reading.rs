//! Tests of read marks: which messages are read, how many are unread, and that each is confirmed once.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tokio::runtime::Builder;

use super::*;
use crate::content::{Number, Run};
use crate::id::MessageId;
use crate::message::{Direction, Message, MessageBody, Undecryptable};
use crate::store::{Arrived, NewIncoming, Numbered};

/// A message with a number that no other one has.
fn incoming(text: &str, place: u64) -> NewIncoming {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = Number { run: Run([7; 8]), count: NEXT.fetch_add(1, Ordering::Relaxed) };
    NewIncoming { number: Some(number), ..messages::incoming(text, place) }
}

fn counts(numbered: Vec<Numbered>) -> Vec<u64> {
    numbered.into_iter().map(|(_, count)| count).collect()
}

/// A fixture with this many unread messages, in the order in which they arrived.
async fn unread(count: u64) -> Fixture {
    let fixture = Fixture::new().await;
    fixture.receive_all(1..=count).await;
    fixture
}

/// A place after those of all late messages.
const LAST: u64 = 1_000_000;

/// A fixture whose newest message has been read, and with this many late messages.
async fn late(count: u64) -> Fixture {
    let fixture = unread(0).await;
    fixture.receive(incoming("last", LAST)).await;
    let last = fixture.newest().await;
    assert_eq!(fixture.mark(last, 256).await.0.len(), 1);
    fixture.receive_all(1..=count).await;
    fixture
}

impl Fixture {
    /// Receives a message at each of these places, in one transaction.
    async fn receive_all(&self, mut places: impl Iterator<Item = u64> + Send + 'static) {
        let work = self.store.write(move |tx| {
            places.try_for_each(|place| tx.insert_incoming(&incoming("text", place)).map(drop))
        });
        work.await.unwrap();
    }

    async fn newest(&self) -> MessageId {
        self.all_messages().await[0].id
    }

    async fn moment(&self) -> Moment {
        self.store.read(|rows| rows.moment(THREAD)).await.unwrap()
    }

    async fn all_messages(&self) -> Vec<Message> {
        self.store.read(|rows| rows.page(THREAD, None, 100_000)).await.unwrap().messages
    }

    /// The number of unread messages in the list of threads.
    async fn listed_unread(&self) -> u64 {
        self.store.read(|rows| rows.thread_page(Folder::Chats, None, 1)).await.unwrap().0[0].unread
    }

    /// Marks messages as read, with at most `limit` receipts in a transaction. Returns what is to be confirmed, and how many rows
    /// were changed.
    async fn mark(&self, up_to: MessageId, limit: usize) -> (Vec<u64>, u64) {
        self.mark_until(up_to, AFTER_ALL, limit).await
    }

    /// Like [`Fixture::mark`], of the messages that have arrived until a moment.
    async fn mark_until(&self, up_to: MessageId, until: Moment, limit: usize) -> (Vec<u64>, u64) {
        let work = self.store.write(move |tx| {
            let before = tx.connection.total_changes();
            let marked = tx.mark_read(THREAD, up_to, until, limit)?;
            assert_eq!(marked.more_due, tx.are_any_receipts_due()?);
            Ok((counts(marked.to_confirm.messages), tx.connection.total_changes().abs_diff(before)))
        });
        work.await.unwrap()
    }

    /// The next contents whose receipts are due.
    async fn next_due(&self, limit: usize) -> Vec<u64> {
        let taken = self.store.write(move |tx| tx.take_due_receipts(limit)).await.unwrap();
        taken.map(|due| counts(due.messages)).unwrap_or_default()
    }

    /// The contents whose receipts are still due, in steps of `limit`.
    async fn due(&self, limit: usize) -> Vec<u64> {
        let mut due = Vec::new();
        for _ in 0..1000 {
            let work = self.store.write(move |tx| {
                let before = tx.connection.total_changes();
                let taken = tx.take_due_receipts(limit)?;
                Ok((taken, tx.connection.total_changes().abs_diff(before)))
            });
            let (taken, changed) = work.await.unwrap();
            let Some(taken) = taken else { return due };
            let contents = counts(taken.messages);
            // The rows of late messages, and the one that says where to continue.
            assert!(
                taken.thread == THREAD
                    && contents.len() <= limit
                    && changed.saturating_sub(1) <= limit as u64
            );
            due.extend(contents);
        }
        panic!("receipts are due without end")
    }
}

fn is_unread(message: &Message) -> bool {
    message.direction == Direction::Incoming { read: false }
}

#[tokio::test]
async fn marking_any_number_of_messages_as_read_changes_the_same_few_rows() {
    let mut changed = BTreeSet::new();
    for count in [1, 256, 10_000] {
        let fixture = unread(count).await;
        assert_eq!(fixture.listed_unread().await, count);
        let newest = fixture.all_messages().await[0].id;
        let (confirmed, rows) = fixture.mark(newest, 256).await;
        // One row of the thread, and one that says that receipts are due.
        assert!(rows <= 2, "{rows} rows for {count}");
        changed.insert(rows);
        assert_eq!(fixture.listed_unread().await, 0);
        assert!(!fixture.all_messages().await.iter().any(is_unread));
        let confirmed: BTreeSet<_> = confirmed.into_iter().chain(fixture.due(256).await).collect();
        assert_eq!(confirmed.len() as u64, count);
        assert_eq!(fixture.mark(newest, 256).await, (Vec::new(), 0), "a second time changes nothing");
    }
    assert_eq!(changed, BTreeSet::from([1, 2]));
}

#[tokio::test]
async fn a_mark_in_the_middle_of_thousands_leaves_the_others_unread() {
    let fixture = unread(6000).await;
    for (at, left) in [(5000, 1000), (1500, 4500), (600, 5400)] {
        // The unread messages are counted first by those that remain and then by those that were read. A mark never goes back.
        let fresh = unread(6000).await;
        let id = fresh.all_messages().await[6000 - at].id;
        fresh.mark(id, 256).await;
        assert_eq!(fresh.listed_unread().await, left);
        fixture.mark(id, 256).await;
        assert_eq!(fixture.listed_unread().await, 1000);
    }
    assert_eq!(fixture.due(256).await.len(), 5000);
}

#[tokio::test]
async fn a_message_that_arrives_before_the_mark_is_unread_until_it_is_marked_itself() {
    let fixture = Fixture::new().await;
    for (text, place) in [("one", 1), ("four", 4)] {
        fixture.receive(incoming(text, place)).await;
    }
    let four = fixture.all_messages().await[0].id;
    fixture.mark(four, 256).await;
    for (text, place) in [("two", 2), ("three", 3)] {
        fixture.receive(incoming(text, place)).await;
    }
    assert_eq!(fixture.listed_unread().await, 2);
    let [four, three, two, one] = &fixture.all_messages().await[..] else { panic!() };
    assert_eq!([four, three, two, one].map(is_unread), [false, true, true, false]);
    assert_eq!(fixture.mark(one.id, 256).await, (Vec::new(), 0));
    fixture.mark(two.id, 256).await;
    assert_eq!((fixture.due(256).await.len(), fixture.listed_unread().await), (1, 1));
    fixture.mark(four.id, 256).await;
    assert_eq!((fixture.due(256).await.len(), fixture.listed_unread().await), (1, 0));
    assert_eq!(fixture.mark(four.id, 256).await, (Vec::new(), 0));
}

#[tokio::test]
async fn marking_any_number_of_late_messages_as_read_changes_the_same_few_rows() {
    let mut changed = BTreeSet::new();
    for count in [10, 10_000] {
        let fixture = late(count).await;
        assert_eq!(fixture.listed_unread().await, count);
        let all = fixture.all_messages().await;
        let unread = async || fixture.all_messages().await.into_iter().filter(is_unread).count() as u64;
        for (up_to, left) in [(count / 2, count - count / 2), (LAST, 0)] {
            let up_to = all.iter().find(|message| message.server_seq == Some(up_to)).unwrap().id;
            let (confirmed, rows) = fixture.mark(up_to, 256).await;
            assert!(confirmed.is_empty());
            changed.insert(rows);
            assert_eq!((unread().await, fixture.listed_unread().await), (left, left));
            assert_eq!(fixture.mark(up_to, 256).await, (Vec::new(), 0), "a second time changes nothing");
            let confirmed: BTreeSet<_> = fixture.due(256).await.into_iter().collect();
            assert_eq!(confirmed.len() as u64, count / 2);
            assert_eq!((unread().await, fixture.listed_unread().await), (left, left));
            assert_eq!(fixture.mark(up_to, 256).await, (Vec::new(), 0));
        }
    }
    assert_eq!(changed, BTreeSet::from([2]), "the thread, and the mark");
}

#[tokio::test]
async fn late_messages_that_arrive_while_receipts_are_due_stay_unread_and_are_confirmed_later() {
    let fixture = late(1000).await;
    let last = fixture.all_messages().await[0].id;
    fixture.mark(last, 256).await;
    let mut confirmed = fixture.next_due(256).await;
    assert_eq!(confirmed.len(), 256);
    // At the same places, before and behind those that were confirmed.
    fixture.receive_all([1, 2, 900].into_iter()).await;
    assert_eq!(fixture.listed_unread().await, 3);
    let (_, rows) = fixture.mark(last, 256).await;
    assert_eq!((rows, fixture.listed_unread().await), (2, 0));
    confirmed.extend(fixture.due(256).await);
    assert_eq!(confirmed.len(), 1003);
    assert_eq!(confirmed.into_iter().collect::<BTreeSet<_>>().len(), 1003, "each once");
}

#[tokio::test]
async fn messages_that_arrive_after_the_person_looked_stay_unread() {
    let fixture = unread(2).await;
    let (newest, looked) = (fixture.newest().await, fixture.moment().await);
    fixture.receive(incoming("late", 1)).await;
    let (confirmed, _) = fixture.mark_until(newest, looked, 256).await;
    assert_eq!((confirmed.len(), fixture.listed_unread().await), (2, 1));
    let unread: Vec<_> = fixture.texts_where(is_unread).await;
    assert_eq!(unread, ["late"]);
    // The same for what arrives before the mark in the meantime.
    let looked = fixture.moment().await;
    fixture.receive(incoming("later", 1)).await;
    fixture.mark_until(newest, looked, 256).await;
    assert_eq!((fixture.due(256).await.len(), fixture.listed_unread().await), (1, 1));
    let unread: Vec<_> = fixture.texts_where(is_unread).await;
    assert_eq!(unread, ["later"]);
}

#[tokio::test]
async fn of_two_calls_that_overtake_each_other_each_message_is_confirmed_once() {
    let fixture = Fixture::new().await;
    fixture.receive(incoming("first", 10)).await;
    let (first, earlier) = (fixture.newest().await, fixture.moment().await);
    fixture.receive_all([5, 3].into_iter()).await;
    let second = fixture.all_messages().await[1].id;
    // The call that began later comes first, and reads both new messages.
    assert_eq!(fixture.mark(second, 256).await.0.len(), 2);
    assert_eq!(fixture.mark_until(first, earlier, 256).await.0.len(), 1);
    assert!(!fixture.all_messages().await.iter().any(is_unread));
    assert_eq!((fixture.listed_unread().await, fixture.due(256).await.len()), (0, 0));
}

#[tokio::test]
async fn a_mark_at_our_own_message_does_not_cover_later_arrivals() {
    let fixture = unread(1).await;
    let ours = fixture.enqueue("waiting").await;
    fixture.mark(ours, 256).await;
    fixture.receive(incoming("new", 2)).await;
    assert_eq!(fixture.listed_unread().await, 1);
    let changed = fixture.store.write(|tx| {
        let sql = "SELECT state FROM message WHERE server_seq = 2";
        Ok(tx.connection.query_row(sql, [], |row| row.get::<_, i64>(0))?)
    });
    assert_eq!(changed.await, Ok(10), "it is not late");
}

#[tokio::test]
async fn a_list_is_read_again_after_more_was_marked_than_is_reported() {
    for (fixture, reported) in
        [(unread(3).await, 3), (unread(5).await, 0), (late(3).await, 3), (late(5).await, 0)]
    {
        let newest = fixture.all_messages().await[0].id;
        let mut events = fixture.events.subscribe();
        fixture.mark(newest, 4).await;
        let mut changed = 0;
        while let Some(Some(Ok(event))) = futures_util::FutureExt::now_or_never(events.next()) {
            assert!(matches!(event, Event::MessageChanged { message, .. } if !is_unread(&message)));
            changed += 1;
        }
        assert_eq!(changed, reported);
    }
}

impl Fixture {
    async fn texts_where(&self, of: fn(&Message) -> bool) -> Vec<String> {
        let messages = self.all_messages().await.into_iter().filter(of);
        messages.map(|message| format!("{:?}", TextOf(message.body))).collect()
    }
}

/// What happens to a thread. A number picks a message.
#[derive(Debug, Clone)]
enum Step {
    Came(u64),
    CameDamaged(u64),
    FilledIn(usize, u64),
    Written,
    Removed(usize),
    /// A call of `mark_read` begins.
    Looked,
    /// Marks what had arrived when the call began.
    Read(usize),
    Confirmed,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..30_u64).prop_map(Step::Came),
        2 => (1..30_u64).prop_map(Step::CameDamaged),
        2 => (0..32_usize, 1..30_u64).prop_map(|(pick, place)| Step::FilledIn(pick, place)),
        1 => Just(Step::Written),
        1 => (0..32_usize).prop_map(Step::Removed),
        2 => Just(Step::Looked),
        4 => (0..32_usize).prop_map(Step::Read),
        2 => Just(Step::Confirmed),
    ]
}

/// A small limit, so that some marks read more messages than one receipt confirms.
const LIMIT: usize = 3;

async fn play(steps: Vec<Step>) {
    let fixture = Fixture::new().await;
    // The contents that were read, and those that were confirmed.
    let (mut read, mut confirmed) = (BTreeSet::new(), BTreeSet::new());
    let confirm = |confirmed: &mut BTreeSet<_>, contents: Vec<u64>| {
        for content in contents {
            assert!(confirmed.insert(content), "confirmed twice");
        }
    };
    let mut contents = std::collections::BTreeMap::new();
    // When each incoming message or its content arrived, and the moment of the last look.
    let (mut arrived, mut looked) = (std::collections::BTreeMap::new(), None);
    for (now, step) in steps.into_iter().enumerate() {
        let all = fixture.all_messages().await;
        let picked = |pick: usize| all.iter().cycle().nth(pick).cloned();
        let is_damaged = |message: &Message| matches!(message.body, MessageBody::Undecryptable(_));
        match step {
            Step::Came(place) => {
                let new = incoming("text", place);
                let content = new.number.unwrap().count;
                let id = fixture.store.write(move |tx| tx.insert_incoming(&new)).await.unwrap();
                contents.insert(id, content);
                arrived.insert(id, now);
            }
            Step::CameDamaged(place) => {
                let what = Arrived::Undecryptable(Undecryptable::NotDecryptable);
                let new = NewIncoming { what, number: None, ..incoming("", place) };
                let id = fixture.store.write(move |tx| tx.insert_incoming(&new)).await.unwrap();
                arrived.insert(id, now);
            }
            Step::FilledIn(pick, place) => {
                let Some(message) = picked(pick).filter(is_damaged) else { continue };
                let new = incoming("whole", place);
                contents.insert(message.id, new.number.unwrap().count);
                arrived.insert(message.id, now);
                fixture.store.write(move |tx| tx.fill_in(message.id, &new)).await.unwrap();
                read.remove(&message.id);
            }
            Step::Written => drop(fixture.enqueue("ours").await),
            Step::Removed(pick) => {
                let Some(message) = picked(pick).filter(is_damaged) else { continue };
                fixture.store.write(move |tx| tx.remove_placeholder(THREAD, message.id)).await.unwrap();
                read.remove(&message.id);
            }
            Step::Read(pick) => {
                let Some(up_to) = picked(pick) else { continue };
                let (since, until) = looked.take().unwrap_or((now, AFTER_ALL));
                confirm(&mut confirmed, fixture.mark_until(up_to.id, until, LIMIT).await.0);
                let reached = all.iter().filter(|message| message.position <= up_to.position);
                read.extend(
                    reached
                        .map(|message| message.id)
                        .filter(|id| arrived.get(id).is_some_and(|arrived| *arrived < since)),
                );
            }
            Step::Looked => looked = Some((now, fixture.moment().await)),
            // Not all of them, so that other things happen in between.
            Step::Confirmed => confirm(&mut confirmed, fixture.next_due(LIMIT).await),
        }
        let all = fixture.all_messages().await;
        let unread: Vec<_> = all.iter().filter(|message| is_unread(message)).collect();
        for message in &all {
            if let Direction::Incoming { read: is_read } = message.direction {
                assert_eq!(is_read, read.contains(&message.id), "{message:?}");
            }
        }
        assert_eq!(fixture.listed_unread().await, unread.len() as u64);
    }
    confirm(&mut confirmed, fixture.due(LIMIT).await);
    let expected: BTreeSet<_> = read.iter().filter_map(|id| contents.get(id).copied()).collect();
    assert_eq!(confirmed, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn after_any_changes_marked_messages_are_read_and_confirmed_once(steps in prop::collection::vec(step(), 1..50)) {
        Builder::new_current_thread().enable_all().build().unwrap().block_on(play(steps));
    }
}

#[tokio::test]
async fn a_row_that_an_earlier_version_has_left_at_the_mark_does_not_prevent_reading() {
    let fixture = unread(2).await;
    let ids: Vec<_> = fixture.all_messages().await.iter().map(|message| message.id).collect();
    let [second, first] = ids[..] else { panic!() };
    fixture.mark(first, 9).await;
    let work = fixture.store.write(move |tx| {
        tx.change(
            "INSERT INTO read_receipt_due SELECT thread_id, read_position, read_id, 1 FROM thread",
            [],
        )?;
        tx.set_privacy(Some(THREAD), crate::store::PrivacySetting::ReadReceipts, false)?;
        let read = tx.mark_read(THREAD, second, AFTER_ALL, 9)?;
        let due = tx.take_due_receipts(9)?.unwrap();
        assert!(read.more_due && tx.take_due_receipts(9)?.is_none());
        Ok((due.is_told, due.messages.len()))
    });
    assert_eq!(work.await.unwrap(), (false, 1));
}
