//! Tests of the numbers of posts: ours, those of others, and which of ours have come to the others.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::messages::incoming;
use super::reactions::origin;
use super::*;
use crate::content::{Counts, Number, Post, Run};
use crate::id::MessageId;
use crate::message::{Delivery, Direction, Position};
use crate::store::{Entry, HeardPost, HeardRun, MarkKind, MarkOf, NewIncoming, Parcel, Settlement, Tx};

const RUN: Run = Run([7; 8]);
const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// A new message with this number.
fn post(count: u64) -> HeardPost {
    HeardPost { count, is_new: true, is_shown: true }
}

fn parcel() -> Parcel {
    Parcel { client_msg_id: fresh_id(), bytes: "sealed".into() }
}

impl Fixture {
    /// Gives a number to an entry of the outbox, as sealing does.
    async fn seal_as(&self, entry: OutgoingId, number: Number, now_ms: u64) {
        let work = self.store.write(move |tx| {
            tx.set_own_number(THREAD, number)?;
            tx.set_sealed(entry, parcel(), Some(number), now_ms).map(drop)
        });
        work.await.unwrap();
    }

    async fn settle_as(&self, entry: OutgoingId, settlement: Settlement) {
        self.store.write(move |tx| tx.settle(entry, None, settlement)).await.unwrap();
    }

    /// Sends a text with this number, which the relay accepts.
    async fn send_numbered(&self, count: u64, now_ms: u64) -> (MessageId, OutgoingId) {
        let message = self.enqueue(&format!("text {count}")).await;
        let entry = self.entry(message).await;
        self.seal_as(entry, Number { run: RUN, count }, now_ms).await;
        let accepted = Settlement::Accepted { epoch: 1, server_seq: count, server_ms: now_ms };
        self.settle_as(entry, accepted).await;
        (message, entry)
    }

    /// The entries that are to be sealed: their numbers, and whether they are null contents.
    async fn to_seal(&self) -> Vec<(Option<u64>, bool)> {
        let entries = self.store.read(|rows| rows.entries(THREAD, None, (500, 1 << 20))).await.unwrap();
        let to_seal = entries.into_iter().filter_map(|entry| match entry {
            Entry::ToSeal(outgoing) => {
                Some((outgoing.number.map(|number| number.count), outgoing.body == Body::Null))
            }
            Entry::Sealed { .. } => None,
        });
        to_seal.collect()
    }

    async fn tell(&self, kind: MarkKind, counts: Counts, told_ms: u64) {
        let of = MarkOf { thread: THREAD, user: PEER, device: DeviceId::PRIMARY, kind, run: RUN };
        self.store.write(move |tx| tx.set_mark(of, &counts, told_ms).map(drop)).await.unwrap();
    }

    async fn kept(&self) -> i64 {
        let kept = self.store.read(|rows| {
            let sql = "SELECT count(*) FROM outgoing WHERE state = 3";
            Ok(rows.connection.query_row(sql, [], |row| row.get(0))?)
        });
        kept.await.unwrap()
    }
}

#[tokio::test]
async fn the_number_of_a_cancelled_post_goes_to_a_null_content() {
    let fixture = Fixture::new().await;
    let message = fixture.enqueue("refused, then cancelled").await;
    let entry = fixture.entry(message).await;
    fixture.seal_as(entry, Number { run: RUN, count: 1 }, 1_000).await;
    let work = fixture.store.write(move |tx| {
        let parcel = tx.entries(THREAD, None, (1, 1 << 20))?;
        let [Entry::Sealed { parcel, .. }] = parcel.as_slice() else { panic!("it is sealed") };
        tx.settle(entry, Some(parcel.get().client_msg_id), Settlement::Requeue { refused: true })
    });
    work.await.unwrap();
    assert_eq!(fixture.to_seal().await, [(Some(1), false)], "it keeps its number");
    assert!(fixture.store.write(move |tx| tx.cancel(message)).await.unwrap());
    assert_eq!(fixture.to_seal().await, [(Some(1), true)]);

    // One that was never sealed has no number.
    let message = fixture.enqueue("cancelled").await;
    assert!(fixture.store.write(move |tx| tx.cancel(message)).await.unwrap());
    assert_eq!(fixture.to_seal().await, [(Some(1), true)]);
}

#[tokio::test]
async fn a_failed_message_keeps_its_number_until_it_is_removed() {
    let fixture = Fixture::new().await;
    let message = fixture.enqueue("given up").await;
    let entry = fixture.entry(message).await;
    fixture.seal_as(entry, Number { run: RUN, count: 1 }, 1_000).await;
    fixture.store.write(move |tx| tx.give_up(message)).await.unwrap();
    assert_eq!(fixture.to_seal().await, [], "it may have arrived");
    fixture.store.write(move |tx| tx.retry(message, 2_000)).await.unwrap();
    assert_eq!(fixture.to_seal().await, [(Some(1), false)]);
    fixture.store.write(move |tx| tx.give_up(message)).await.unwrap();
    assert!(fixture.store.write(move |tx| tx.cancel(message)).await.unwrap());
    assert_eq!(fixture.to_seal().await, [(Some(1), true)]);
}

#[tokio::test]
async fn the_number_of_a_failed_message_goes_to_a_null_content_when_its_chat_is_cleaned_up() {
    type CleanUp = fn(&mut Tx<'_>, MessageId) -> crate::Result<()>;
    let clean_ups: [(&str, CleanUp); 4] = [
        ("the chat is deleted", |tx, _| {
            tx.delete_thread(THREAD)?;
            while tx.clear_some(THREAD, 10, 5_000)? {}
            Ok(())
        }),
        ("old messages are deleted", |tx, _| {
            tx.delete_older(THREAD, Position::FIRST, u64::MAX, 5_000).map(drop)
        }),
        ("old messages of all chats are deleted", |tx, _| {
            tx.begin_clean_up(u64::MAX)?;
            tx.clean_up(None, 5_000).map(drop)
        }),
        ("it was deleted on this device", |tx, id| {
            tx.hide(THREAD, id, 1)?;
            tx.purge_hidden(100_000, 10).map(drop)
        }),
    ];
    for (name, clean_up) in clean_ups {
        let fixture = Fixture::new().await;
        let message = fixture.enqueue("given up").await;
        let entry = fixture.entry(message).await;
        fixture.seal_as(entry, Number { run: RUN, count: 1 }, 1_000).await;
        fixture.store.write(move |tx| tx.give_up(message)).await.unwrap();
        fixture.send_numbered(2, 1_000).await;
        fixture.store.write(move |tx| clean_up(tx, message)).await.unwrap();
        assert_eq!(fixture.to_seal().await, [(Some(1), true)], "{name}");
    }
}

#[tokio::test]
async fn what_the_relay_has_lost_and_was_deleted_since_becomes_a_null_content() {
    type Deletion = fn(&mut Tx<'_>, MessageId) -> crate::Result<()>;
    let deletions: [(&str, Deletion); 2] = [
        ("for everyone", |tx, id| {
            let limits = crate::config::ChangeLimits::default();
            assert!(tx.delete_for_everyone(id, &origin(US, 9), limits)?);
            Ok(())
        }),
        ("disappeared", |tx, id| {
            tx.change_one("UPDATE message SET expires = 5 WHERE id = ?1", [id.0])?;
            assert_eq!(tx.delete_expired(10, 10)?, 1);
            Ok(())
        }),
    ];
    for (name, delete) in deletions {
        let fixture = Fixture::new().await;
        for count in 1..=3 {
            let (message, _) = fixture.send_numbered(count, 1_000).await;
            if count == 2 {
                fixture.store.write(move |tx| delete(tx, message)).await.unwrap();
            }
        }
        // A relay that is restored gets what it may have lost, but not what was deleted.
        let again = fixture.store.write(|tx| {
            let again = tx.resubmit_unproven(0)?;
            tx.change("UPDATE outgoing SET state = 3", [])?;
            tx.change("DELETE FROM lane", [])?;
            Ok(again)
        });
        assert_eq!(again.await.unwrap(), 2, "{name}");
        fixture.tell(MarkKind::Seen, Counts::of([1, 3]), 2_000).await;
        assert_eq!(fixture.store.write(|tx| tx.send_lost_again(DAY_MS + 1_001, 0)).await, Ok(1), "{name}");
        assert_eq!(fixture.to_seal().await, [(Some(2), true)], "{name}");
    }
}

#[tokio::test]
async fn what_the_relay_has_lost_is_submitted_again_if_its_deletion_was_refused() {
    let fixture = Fixture::new().await;
    let limits = crate::config::ChangeLimits::default();
    let delete = async |id| {
        let ours = origin(US, crate::store::POSITION_PENDING);
        let work = fixture.store.write(move |tx| tx.delete_for_everyone(id, &ours, limits));
        assert!(work.await.unwrap());
    };
    // One was accepted before it was deleted, the other was on its way.
    let (first, _) = fixture.send_numbered(1, 1_000).await;
    delete(first).await;
    let second = fixture.enqueue("on its way").await;
    let entry = fixture.entry(second).await;
    fixture.seal_as(entry, Number { run: RUN, count: 2 }, 1_000).await;
    delete(second).await;
    fixture.settle_as(entry, Settlement::Accepted { epoch: 1, server_seq: 2, server_ms: 1_000 }).await;
    let take_back = fixture.store.write(move |tx| {
        tx.take_back_deletion(THREAD, first)?;
        tx.take_back_deletion(THREAD, second)?;
        tx.resubmit_unproven(0)
    });
    assert_eq!(take_back.await.unwrap(), 2);
}

#[tokio::test]
async fn a_restored_database_gives_no_number_twice() {
    let fixture = Fixture::new().await;
    let message = fixture.enqueue("sealed before the copy was made").await;
    fixture.seal_as(fixture.entry(message).await, Number { run: RUN, count: 1 }, 1_000).await;
    let known = crate::store::Generation { number: 9, nonce: [1; 8] };
    fixture.store.write(move |tx| tx.recover_as_copy(known, 2_000, fresh_id)).await.unwrap();
    assert_eq!(fixture.to_seal().await, [(None, false)]);
    let own = fixture.store.read(|rows| rows.own_numbers(THREAD)).await.unwrap();
    assert_eq!((own.run, own.count), (None, 0));
}

#[tokio::test]
async fn what_a_device_has_seen_is_kept_no_longer() {
    let fixture = Fixture::new().await;
    for count in 1..=300 {
        fixture.send_numbered(count, 1_000).await;
    }
    assert_eq!(fixture.kept().await, 300);
    fixture.tell(MarkKind::Seen, Counts::of([1, 3]), 2_000).await;
    assert_eq!(fixture.kept().await, 298);
    // People are not told.
    let page = fixture.store.read(|rows| rows.page(THREAD, None, 500)).await.unwrap().messages;
    assert!(page.iter().all(|message| message.direction == Direction::Outgoing(Delivery::Sent)));
    // A device cannot have seen what does not exist.
    fixture.tell(MarkKind::Seen, Counts::up_to(1_000), 2_000).await;
    let of = MarkOf { thread: THREAD, user: PEER, device: DeviceId::PRIMARY, kind: MarkKind::Seen, run: RUN };
    assert_eq!(fixture.store.read(move |rows| rows.mark(of)).await.unwrap(), Counts::up_to(300));
    // Most are forgotten at once, and the others afterwards.
    assert_eq!(fixture.kept().await, 42);
    assert!(fixture.store.write(|tx| tx.forget_some_proven(40)).await.unwrap());
    assert!(!fixture.store.write(|tx| tx.forget_some_proven(40)).await.unwrap());
    assert_eq!(fixture.kept().await, 0);
    // A run that is not ours says nothing.
    let other = MarkOf { run: Run([8; 8]), ..of };
    let told = fixture.store.write(move |tx| tx.set_mark(other, &Counts::up_to(1), 1)).await.unwrap();
    assert_eq!(told, None);
}

#[tokio::test]
async fn what_a_device_has_seen_is_not_sent_again_when_its_mark_forgets_it() {
    let fixture = Fixture::new().await;
    for count in 1..=300 {
        fixture.send_numbered(count, 1_000).await;
    }
    let last = 300 + 2 * 257;
    fixture.store.write(move |tx| tx.set_own_number(THREAD, Number { run: RUN, count: last })).await.unwrap();
    fixture.tell(MarkKind::Seen, Counts::up_to(300).without([(1, 1)]), 2_000).await;
    assert_eq!(fixture.kept().await, 44, "some are forgotten in the background");
    for count in (302..=last).step_by(2) {
        fixture.tell(MarkKind::Seen, Counts::of([count]), 2_000).await;
    }
    let of = MarkOf { thread: THREAD, user: PEER, device: DeviceId::PRIMARY, kind: MarkKind::Seen, run: RUN };
    let mark = fixture.store.read(move |rows| rows.mark(of)).await.unwrap();
    assert!(!mark.contains(300) && mark.contains(last), "{mark:?}");
    assert_eq!(fixture.store.write(|tx| tx.send_lost_again(DAY_MS + 1_001, 0)).await, Ok(1));
    assert_eq!(fixture.to_seal().await, [(Some(1), false)]);
}

#[tokio::test]
async fn what_the_relay_has_lost_is_sent_again_after_a_day() {
    let fixture = Fixture::new().await;
    for count in 1..=4 {
        fixture.send_numbered(count, 10 * DAY_MS).await;
    }
    let again = |now_ms, since_ms| fixture.store.write(move |tx| tx.send_lost_again(now_ms, since_ms));
    // Nothing was heard of the device: it may be offline.
    assert_eq!(again(20 * DAY_MS, 0).await.unwrap(), 0);
    // It has told something, but before it could have received them.
    fixture.tell(MarkKind::Seen, Counts::of([1]), 10 * DAY_MS - 1).await;
    assert_eq!(again(20 * DAY_MS, 0).await.unwrap(), 0);
    fixture.tell(MarkKind::Seen, Counts::of([1, 3]), 10 * DAY_MS + 1).await;
    assert_eq!(again(11 * DAY_MS - 1, 0).await.unwrap(), 0, "within the day");
    assert_eq!(again(11 * DAY_MS, 2_000).await.unwrap(), 0, "too old");
    assert_eq!(again(11 * DAY_MS, 1_000).await.unwrap(), 2);
    // With the same numbers; the second one is not lost again at once.
    assert_eq!(fixture.to_seal().await, [(Some(2), false), (Some(4), false)]);
    assert_eq!(again(12 * DAY_MS, 0).await.unwrap(), 0);
    // They count as sent all the time, and cannot be cancelled.
    let page = fixture.store.read(|rows| rows.page(THREAD, None, 500)).await.unwrap().messages;
    assert!(page.iter().all(|message| message.direction == Direction::Outgoing(Delivery::Sent)));
    let second = page.iter().find(|message| message.text() == Some("text 2")).unwrap().id;
    assert!(!fixture.store.write(move |tx| tx.cancel(second)).await.unwrap());
}

#[tokio::test]
async fn a_message_is_not_shown_above_the_one_that_its_author_had_received() {
    let fixture = Fixture::new().await;
    let after = |server_seq| Some(Post { epoch: 1, server_seq });
    for (text, server_seq) in [("one", 1), ("two", 2), ("three", 3)] {
        fixture.receive(incoming(text, server_seq)).await;
        fixture.store.write(move |tx| tx.account_for(THREAD, 1, server_seq)).await.unwrap();
    }
    // The relay says that the answer came before the question.
    fixture.receive(NewIncoming { after: after(2), ..incoming("answer to two", 2) }).await;
    fixture.receive(NewIncoming { after: after(3), ..incoming("answer to three", 1) }).await;
    // An author cannot stay below what comes later.
    fixture.receive(NewIncoming { after: after(1 << 39), ..incoming("at the end for now", 3) }).await;
    fixture.receive(incoming("four", 5)).await;
    let mut texts = fixture.texts().await;
    texts.reverse();
    let expected = ["one", "two", "three", "answer to two", "answer to three", "at the end for now", "four"];
    assert_eq!(texts, expected);
}

#[tokio::test]
async fn a_device_that_begins_many_runs_takes_limited_room() {
    let fixture = Fixture::new().await;
    for n in 0..40_u8 {
        let run = HeardRun { thread: THREAD, user: PEER, device: DeviceId::PRIMARY, run: Run([n; 8]) };
        fixture.store.write(move |tx| tx.hear(run, &[post(1)], i64::from(n), true)).await.unwrap();
    }
    let rows = fixture.store.read(|rows| {
        let sql = "SELECT count(*), min(position) FROM heard";
        Ok(rows.connection.query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?)
    });
    assert_eq!(rows.await.unwrap(), (16, 24));
}

/// One step of what arrives from a device.
#[derive(Debug, Clone)]
enum Arrival {
    /// Posts with these numbers, of one of two runs, in one batch.
    Posts(bool, Vec<u64>),
}

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let posts = (any::<bool>(), proptest::collection::vec(1..300_u64, 1..40));
    proptest::collection::vec(posts.prop_map(|(run, counts)| Arrival::Posts(run, counts)), 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn what_has_come_is_known_in_any_order_and_never_more(arrivals in arrivals()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            let mut model = [BTreeSet::new(), BTreeSet::new()];
            let mut is_limited = [false; 2];
            for Arrival::Posts(run, counts) in arrivals {
                let key = HeardRun {
                    thread: THREAD,
                    user: PEER,
                    device: DeviceId::PRIMARY,
                    run: Run([u8::from(run); 8]),
                };
                let model = &mut model[usize::from(run)];
                let before: Counts = fixture.store.read(move |rows| rows.heard(key)).await.unwrap();
                let repeated = counts.iter().any(|count| before.contains(*count)) || {
                    let distinct: BTreeSet<_> = counts.iter().collect();
                    distinct.len() < counts.len()
                };
                let posts: Vec<_> = counts.iter().copied().map(post).collect();
                let contradicted = fixture.store.write(move |tx| tx.hear(key, &posts, 1, true)).await.unwrap();
                prop_assert_eq!(contradicted, repeated);
                model.extend(counts);
                let heard = fixture.store.read(move |rows| rows.heard(key)).await.unwrap();
                prop_assert!((1..301).all(|count| !heard.contains(count) || model.contains(&count)));
                prop_assert_eq!(heard.highest(), *model.last().unwrap());
                prop_assert!(heard.exceptions().len() <= 64);
                let is_limited = &mut is_limited[usize::from(run)];
                *is_limited |= heard.exceptions().len() == 64;
                if !*is_limited {
                    prop_assert_eq!(heard, Counts::of(model.iter().copied()));
                }
            }
            Ok(())
        })?;
    }
}
