//! Tests of receipts: what the authors of posts are told, and what receipts change about our messages.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::messages::incoming;
use super::reactions::origin;
use super::*;
use crate::config::ChangeLimits;
use crate::content::{Counts, Number, Run};
use crate::id::MessageId;
use crate::message::{Delivery, Direction};
use crate::store::{
    HeardPost, HeardRun, MarkKind, MarkOf, NewIncoming, POSITION_PENDING, PrivacySetting, Tx,
};

const RUN: Run = Run([7; 8]);
const THEIRS: HeardRun = HeardRun { thread: THREAD, user: PEER, device: DeviceId::PRIMARY, run: RUN };
const DELIVERED: PrivacySetting = PrivacySetting::DeliveryReceipts;
const READ: PrivacySetting = PrivacySetting::ReadReceipts;

impl Tx<'_> {
    /// Posts arrive in one batch: their numbers, and whether each is a message. The relay has put them in the order of their numbers.
    fn arrive(&mut self, posts: &[(u64, bool)]) -> crate::Result<()> {
        for (count, _) in posts.iter().filter(|(_, is_shown)| *is_shown) {
            let number = Some(Number { run: RUN, count: *count });
            self.insert_incoming(&NewIncoming { number, ..incoming("text", *count) })?;
        }
        let is_told = self.sends_receipts(THREAD, ReceiptKind::Delivered)?;
        let heard =
            |(count, is_shown): &(u64, bool)| HeardPost { count: *count, is_new: true, is_shown: *is_shown };
        let posts: Vec<_> = posts.iter().map(heard).collect();
        self.hear(THEIRS, &posts, 1, is_told).map(drop)
    }

    /// The person reads up to a message. What cannot be recorded in the same transaction follows later.
    fn read(&mut self, up_to: MessageId, limit: usize) -> crate::Result<()> {
        let read = self.mark_read(THREAD, up_to, AFTER_ALL, limit)?.to_confirm;
        self.note_read(&read).map(drop)
    }

    /// Records everything that follows later.
    fn note_due(&mut self, limit: usize) -> crate::Result<()> {
        while let Some(due) = self.take_due_receipts(limit)? {
            self.note_read(&due)?;
        }
        Ok(())
    }

    /// The incoming message with this number.
    fn incoming_message(&self, count: u64) -> crate::Result<MessageId> {
        let sql = "SELECT id FROM message WHERE count = ?1 AND state >= 10";
        Ok(MessageId(self.connection.query_row(sql, [count.cast_signed()], |row| row.get(0))?))
    }
}

impl Fixture {
    async fn posts_arrive(&self, posts: impl IntoIterator<Item = (u64, bool)>) {
        let posts: Vec<_> = posts.into_iter().collect();
        self.store.write(move |tx| tx.arrive(&posts)).await.unwrap();
    }

    async fn read_to(&self, count: u64) {
        let work = self.store.write(move |tx| {
            let message = tx.incoming_message(count)?;
            tx.read(message, 256)?;
            tx.note_due(256)
        });
        work.await.unwrap();
    }

    /// The person reads up to this number, and the process ends before most of it is recorded.
    async fn read_unrecorded(&self, count: u64) {
        let work = self.store.write(move |tx| {
            let message = tx.incoming_message(count)?;
            tx.read(message, 1)
        });
        work.await.unwrap();
    }

    async fn record(&self) {
        while self.record_some().await {}
    }

    /// Takes one step. Returns whether there was one.
    async fn record_some(&self) -> bool {
        let step = self.store.write(|tx| {
            let Some(due) = tx.take_due_receipts(2)? else { return Ok(false) };
            tx.note_read(&due).map(|_| true)
        });
        step.await.unwrap()
    }

    async fn switch(&self, setting: PrivacySetting, is_on: bool) {
        self.store.write(move |tx| tx.set_privacy(Some(THREAD), setting, is_on)).await.unwrap();
    }

    /// What a receipt would say now.
    async fn says(&self, kind: ReceiptKind) -> Option<Counts> {
        let read = self.store.read(move |rows| {
            let body = Body::Receipt(Receipt { kind, marks: Vec::new() });
            if rows.may_mail(THREAD, PEER, &body)? { rows.receipt(THREAD, PEER, kind) } else { Ok(None) }
        });
        let receipt = read.await.unwrap()?;
        assert_eq!((receipt.kind, receipt.marks.len()), (kind, 1));
        assert_eq!((receipt.marks[0].device, receipt.marks[0].run), (DeviceId::PRIMARY, RUN));
        Some(receipt.marks[0].counts.clone())
    }
}

/// Messages with these numbers.
fn messages(counts: std::ops::RangeInclusive<u64>) -> impl Iterator<Item = (u64, bool)> {
    counts.map(|count| (count, true))
}

#[tokio::test]
async fn one_receipt_says_all_that_has_come_and_was_read() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.says(ReceiptKind::Delivered).await, None);
    // Every third post shows nothing.
    fixture.posts_arrive((1..=2_000).map(|count| (count, count % 3 != 0))).await;
    assert_eq!(fixture.says(ReceiptKind::Delivered).await, Some(Counts::up_to(2_000)));
    assert_eq!(fixture.says(ReceiptKind::Read).await, None);
    fixture.read_to(1_000).await;
    assert_eq!(fixture.says(ReceiptKind::Read).await, Some(Counts::up_to(1_000)));
    fixture.read_to(2_000).await;
    assert_eq!(fixture.says(ReceiptKind::Read).await, Some(Counts::up_to(2_000)));
}

#[tokio::test]
async fn what_came_late_or_was_deleted_unread_is_not_read() {
    let fixture = Fixture::new().await;
    fixture.posts_arrive(messages(1..=4).chain(messages(6..=9))).await;
    // Before the person has read anything: it is behind, but they see it.
    fixture.posts_arrive([(5, true)]).await;
    fixture.read_to(5).await;
    assert_eq!(fixture.says(ReceiptKind::Read).await, Some(Counts::up_to(5)));
    let work = fixture.store.write(|tx| {
        let message = tx.incoming_message(7)?;
        tx.hide(THREAD, message, 1_000)
    });
    assert!(work.await.unwrap());
    fixture.read_to(9).await;
    let without_7 = Counts::up_to(9).without([(7, 7)]);
    assert_eq!(fixture.says(ReceiptKind::Read).await, Some(without_7.clone()));
    // Afterwards, and at a place that was read already.
    fixture.posts_arrive(messages(12..=12)).await;
    fixture.read_to(12).await;
    fixture.posts_arrive([(10, true), (11, false)]).await;
    let but_10 = Counts::up_to(12).without([(7, 7), (10, 10)]);
    assert_eq!(fixture.says(ReceiptKind::Read).await, Some(but_10));
    fixture.read_to(10).await;
    assert_eq!(fixture.says(ReceiptKind::Read).await, Some(Counts::up_to(12).without([(7, 7)])));
    assert_eq!(fixture.says(ReceiptKind::Delivered).await, Some(Counts::up_to(12)));
}

#[tokio::test]
async fn what_came_or_was_read_while_receipts_were_off_is_never_told() {
    let fixture = Fixture::new().await;
    fixture.posts_arrive(messages(1..=2)).await;
    fixture.read_to(2).await;
    for setting in [DELIVERED, READ] {
        fixture.switch(setting, false).await;
    }
    fixture.posts_arrive([(3, true), (4, false), (5, true)]).await;
    fixture.read_to(5).await;
    assert_eq!(
        (fixture.says(ReceiptKind::Delivered).await, fixture.says(ReceiptKind::Read).await),
        (None, None)
    );
    for setting in [DELIVERED, READ] {
        fixture.switch(setting, true).await;
    }
    assert_eq!(fixture.says(ReceiptKind::Delivered).await, Some(Counts::up_to(2)));
    assert_eq!(fixture.says(ReceiptKind::Read).await, Some(Counts::up_to(2)));
    fixture.posts_arrive(messages(6..=6)).await;
    fixture.read_to(6).await;
    assert_eq!(fixture.says(ReceiptKind::Delivered).await, Some(Counts::up_to(6).without([(3, 5)])));
    assert_eq!(fixture.says(ReceiptKind::Read).await, Some(Counts::up_to(6).without([(3, 3), (5, 5)])));
}

#[tokio::test]
async fn what_was_read_while_receipts_were_off_is_not_told_if_it_is_recorded_later() {
    type Switch = fn(&mut Tx<'_>, bool) -> crate::Result<()>;
    let switches: [(&str, Switch); 4] = [
        ("here", |tx, is_on| tx.set_privacy(Some(THREAD), READ, is_on)),
        ("everywhere", |tx, is_on| tx.set_privacy(None, READ, is_on)),
        ("blocked", |tx, is_on| tx.set_blocked(PEER, !is_on, 5).map(drop)),
        ("request", |tx, is_on| match is_on {
            true => tx.accept_request(THREAD).map(drop),
            false => tx.set_request(THREAD),
        }),
    ];
    for (name, switch) in switches {
        let set = async |fixture: &Fixture, is_on| {
            fixture.store.write(move |tx| switch(tx, is_on)).await.unwrap();
        };
        let fixture = Fixture::new().await;
        fixture.posts_arrive(messages(1..=5)).await;
        fixture.read_unrecorded(5).await;
        set(&fixture, false).await;
        fixture.posts_arrive(messages(6..=10)).await;
        fixture.read_unrecorded(8).await;
        fixture.read_unrecorded(10).await;
        // What is deleted before it is recorded is not told either.
        let work = fixture.store.write(|tx| {
            let (hidden, deleted) = (tx.incoming_message(7)?, tx.incoming_message(8)?);
            tx.hide(THREAD, hidden, 1_000)?;
            tx.delete_for_everyone(deleted, &origin(PEER, 99), ChangeLimits::default())
        });
        assert!(work.await.unwrap());
        set(&fixture, true).await;
        fixture.posts_arrive(messages(11..=15)).await;
        fixture.read_unrecorded(15).await;
        fixture.record().await;
        let told = Counts::up_to(15).without([(6, 10)]);
        assert_eq!(fixture.says(ReceiptKind::Read).await, Some(told), "{name}");

        // The same of late messages.
        let fixture = Fixture::new().await;
        fixture.posts_arrive(messages(9..=10)).await;
        fixture.read_to(10).await;
        set(&fixture, false).await;
        fixture.posts_arrive(messages(1..=4)).await;
        fixture.read_unrecorded(4).await;
        set(&fixture, true).await;
        fixture.posts_arrive(messages(5..=8)).await;
        fixture.read_unrecorded(8).await;
        fixture.posts_arrive(messages(11..=11)).await;
        fixture.read_unrecorded(11).await;
        let says = fixture.says(ReceiptKind::Read).await.unwrap();
        assert!((1..=4).all(|count| !says.contains(count)), "{name}: before it is recorded");
        fixture.record().await;
        assert_eq!(
            fixture.says(ReceiptKind::Read).await,
            Some(Counts::up_to(11).without([(1, 4)])),
            "{name}"
        );
    }
}

/// Late messages that are not behind others of their device: a later one reads them, unless it is recorded before that they are not told.
#[tokio::test]
async fn late_messages_of_another_device_that_were_read_while_receipts_were_off_are_not_told() {
    let device = DeviceId::new(2).unwrap();
    let other = HeardRun { device, run: Run([8; 8]), ..THEIRS };
    let arrive = move |tx: &mut Tx<'_>, count: u64, place: u64| {
        let number = Some(Number { run: other.run, count });
        tx.insert_incoming(&NewIncoming { number, device, ..incoming("text", place) })?;
        tx.hear(other, &[HeardPost { count, is_new: true, is_shown: true }], 1, true).map(drop)
    };
    let fixture = Fixture::new().await;
    fixture.posts_arrive(messages(9..=10)).await;
    fixture.read_to(10).await;
    fixture.store.write(move |tx| (1..=4).try_for_each(|n| arrive(tx, n, n))).await.unwrap();
    fixture.switch(READ, false).await;
    fixture.read_unrecorded(4).await;
    fixture.switch(READ, true).await;
    fixture.store.write(move |tx| arrive(tx, 5, 20)).await.unwrap();
    fixture.read_unrecorded(5).await;
    let says = async || {
        let read = fixture.store.read(|rows| rows.receipt(THREAD, PEER, ReceiptKind::Read)).await.unwrap();
        let marks = read.unwrap().marks;
        marks.into_iter().find(|mark| mark.run == other.run).map(|mark| mark.counts)
    };
    let early = says().await.unwrap_or_else(Counts::none);
    assert!((1..=4).all(|count| !early.contains(count)), "before it is recorded");
    fixture.record().await;
    assert_eq!(says().await, Some(Counts::up_to(5).without([(1, 4)])));
}

#[tokio::test]
async fn what_is_not_told_is_recorded_before_what_is_told_with_it() {
    let told = async |fixture: &Fixture, untold: std::ops::RangeInclusive<u64>| {
        let mut steps = 0;
        while fixture.record_some().await {
            steps += 1;
            let says = fixture.says(ReceiptKind::Read).await.unwrap_or_else(Counts::none);
            assert!(untold.clone().all(|count| !says.contains(count)), "after {steps} steps: {says:?}");
        }
        assert!(steps > 1);
        fixture.says(ReceiptKind::Read).await.unwrap()
    };
    // A late message behind others, which were read with receipts off.
    let fixture = Fixture::new().await;
    fixture.posts_arrive(messages(1..=6).chain([(8, true)])).await;
    fixture.switch(READ, false).await;
    fixture.read_unrecorded(8).await;
    fixture.switch(READ, true).await;
    fixture.posts_arrive([(7, true)]).await;
    fixture.read_unrecorded(8).await;
    assert_eq!(told(&fixture, 1..=6).await, Counts::of([7]));
    // A late message before another one, which was read with receipts on.
    let fixture = Fixture::new().await;
    fixture.posts_arrive(messages(9..=10)).await;
    fixture.read_unrecorded(10).await;
    fixture.posts_arrive(messages(3..=6)).await;
    fixture.read_unrecorded(6).await;
    fixture.switch(READ, false).await;
    fixture.posts_arrive(messages(1..=2)).await;
    fixture.read_unrecorded(6).await;
    fixture.switch(READ, true).await;
    assert_eq!(told(&fixture, 1..=2).await, Counts::of([3, 4, 5, 6, 9, 10]));
}

#[tokio::test]
async fn a_stranger_and_somebody_who_is_blocked_are_told_nothing() {
    let fixture = Fixture::new().await;
    fixture.store.write(|tx| tx.set_request(THREAD)).await.unwrap();
    fixture.posts_arrive(messages(1..=2)).await;
    assert_eq!(fixture.says(ReceiptKind::Delivered).await, None);
    fixture.store.write(|tx| tx.accept_request(THREAD)).await.unwrap();
    // That it came is not told afterwards; that it is read now is.
    assert_eq!(fixture.says(ReceiptKind::Delivered).await, None);
    fixture.read_to(2).await;
    assert_eq!(fixture.says(ReceiptKind::Read).await, Some(Counts::up_to(2)));
    fixture.store.write(|tx| tx.set_blocked(PEER, true, 5)).await.unwrap();
    assert_eq!(fixture.says(ReceiptKind::Read).await, None);
}

#[tokio::test]
async fn a_receipt_names_the_newest_runs_and_stays_within_its_limits() {
    let fixture = Fixture::new().await;
    for device in 1..=3_u32 {
        for n in 0..10_u8 {
            let run = HeardRun { device: DeviceId::new(device).unwrap(), run: Run([n; 8]), ..THEIRS };
            // Every other one of 200 has come.
            let posts: Vec<_> =
                (1..=100).map(|n| HeardPost { count: 2 * n, is_new: true, is_shown: true }).collect();
            let position = i64::from(n) + 100 * i64::from(device);
            fixture.store.write(move |tx| tx.hear(run, &posts, position, true)).await.unwrap();
        }
    }
    let receipt =
        fixture.store.read(|rows| rows.receipt(THREAD, PEER, ReceiptKind::Delivered)).await.unwrap();
    let marks = receipt.clone().unwrap().marks;
    assert_eq!(marks.len(), 16);
    assert_eq!((marks[0].device.get(), marks[0].run, marks[0].counts.highest()), (3, Run([9; 8]), 200));
    assert_eq!((marks[15].device.get(), marks[15].run), (2, Run([4; 8])));
    let body = Body::Receipt(receipt.unwrap());
    assert_eq!(Body::from_bytes(&body.to_bytes()), Ok(body));
}

/// What happens on the side that receives.
#[derive(Debug, Clone)]
enum Step {
    /// The next posts arrive in one batch, except for these, which arrive later; each is a message or shows nothing.
    Arrive(Vec<(bool, bool)>),
    /// Those that are missing arrive.
    CatchUp,
    /// The person reads up to one of the messages. It may be recorded later.
    Read(usize, bool),
    Record,
    Switch(bool, bool),
    /// The person deletes one of the messages.
    Hide(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let posts = proptest::collection::vec((prop::bool::weighted(0.8), any::<bool>()), 1..12);
    let step = prop_oneof![
        5 => posts.prop_map(Step::Arrive),
        1 => Just(Step::CatchUp),
        5 => (0..64_usize, any::<bool>()).prop_map(|(pick, is_recorded)| Step::Read(pick, is_recorded)),
        1 => Just(Step::Record),
        3 => (any::<bool>(), any::<bool>()).prop_map(|(kind, is_on)| Step::Switch(kind, is_on)),
        1 => (0..64_usize).prop_map(Step::Hide),
    ];
    proptest::collection::vec(step, 1..30)
}

/// What is true on the side that receives.
#[derive(Default)]
struct Model {
    sent: u64,
    missing: Vec<(u64, bool)>,
    /// The posts that have come, whether each is a message, and what happened to it.
    came: BTreeMap<u64, Came>,
    is_off: [bool; 2],
}

#[derive(Debug, Clone, Copy)]
struct Came {
    is_shown: bool,
    is_told: bool,
    is_read: bool,
    is_read_told: bool,
    /// Whether it may not be recorded yet that it was read.
    is_pending: bool,
}

async fn play(steps: Vec<Step>) {
    let fixture = Fixture::new().await;
    let mut model = Model::default();
    for step in steps {
        let shown: Vec<_> =
            model.came.iter().filter(|(_, came)| came.is_shown).map(|(count, _)| *count).collect();
        let picked = |pick: usize| shown.iter().cycle().nth(pick).copied().filter(|_| !shown.is_empty());
        match step {
            Step::Arrive(posts) => {
                let numbered = (model.sent.saturating_add(1)..).zip(posts);
                let (now, later): (Vec<_>, Vec<_>) = numbered.partition(|(_, (is_now, _))| *is_now);
                model.sent = later.iter().chain(&now).map(|(count, _)| *count).max().unwrap();
                model.missing.extend(later.into_iter().map(|(count, (_, is_shown))| (count, is_shown)));
                let now: Vec<_> = now.into_iter().map(|(count, (_, is_shown))| (count, is_shown)).collect();
                model.arrive(&now);
                fixture.posts_arrive(now).await;
            }
            Step::CatchUp => {
                let missing = std::mem::take(&mut model.missing);
                model.arrive(&missing);
                fixture.posts_arrive(missing).await;
            }
            Step::Read(pick, is_recorded) => {
                let Some(up_to) = picked(pick) else { continue };
                let is_told = !model.is_off[1];
                for came in model.came.range_mut(..=up_to).map(|(_, came)| came) {
                    if came.is_shown && !came.is_read {
                        (came.is_read, came.is_read_told, came.is_pending) = (true, is_told, true);
                    }
                }
                if is_recorded {
                    fixture.read_to(up_to).await;
                    model.record();
                } else {
                    fixture.read_unrecorded(up_to).await;
                }
            }
            Step::Record => {
                // A receipt may leave after each step.
                while fixture.record_some().await {
                    says_what_is_true(&fixture, &model).await;
                }
                model.record();
            }
            Step::Switch(is_read, is_on) => {
                model.is_off[usize::from(is_read)] = !is_on;
                fixture.switch(if is_read { READ } else { DELIVERED }, is_on).await;
            }
            Step::Hide(pick) => {
                let Some(count) = picked(pick) else { continue };
                let came = model.came.get_mut(&count).unwrap();
                // It is not read any more.
                if !came.is_read {
                    (came.is_read, came.is_read_told) = (true, false);
                }
                // Of what was read before, it may be said or not.
                if came.is_pending && came.is_read_told {
                    came.is_shown = false;
                }
                let work = fixture.store.write(move |tx| {
                    let message = tx.incoming_message(count)?;
                    tx.hide(THREAD, message, 1_000)
                });
                work.await.unwrap();
            }
        }
        says_what_is_true(&fixture, &model).await;
    }
}

async fn says_what_is_true(fixture: &Fixture, model: &Model) {
    for (kind, is_off) in [ReceiptKind::Delivered, ReceiptKind::Read].into_iter().zip(model.is_off) {
        let says = fixture.says(kind).await;
        assert!(!is_off || says.is_none());
        if is_off {
            continue;
        }
        let says = says.unwrap_or_else(Counts::none);
        for (count, came) in &model.came {
            let (is_said, is_true) = match kind {
                ReceiptKind::Delivered => (says.contains(*count), came.is_told),
                ReceiptKind::Read => (says.contains(*count), came.is_read_told),
            };
            // What shows nothing may be said to be read with what follows it.
            let is_free = kind == ReceiptKind::Read && !came.is_shown;
            let is_pending = kind == ReceiptKind::Read && came.is_pending && !is_said;
            assert!(is_free || is_pending || is_said == is_true, "{kind:?} {count}: {is_said}, {came:?}");
        }
        assert!(
            (1..=model.sent.saturating_add(2))
                .all(|count| !says.contains(count) || model.came.contains_key(&count))
        );
    }
}

impl Model {
    /// What was read while receipts were on is not told either if it is recorded only while they are off. It may have been recorded
    /// before.
    fn record(&mut self) {
        for came in self.came.values_mut().filter(|came| came.is_pending) {
            came.is_pending = false;
            if came.is_read_told && self.is_off[1] {
                came.is_shown = false;
            }
        }
    }

    fn arrive(&mut self, posts: &[(u64, bool)]) {
        let is_told = !self.is_off[0];
        for (count, is_shown) in posts {
            let came =
                Came { is_shown: *is_shown, is_told, is_read: false, is_read_told: false, is_pending: false };
            self.came.insert(*count, came);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn receipts_say_what_is_true_and_may_be_told(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(steps));
    }
}

/// The mark of a device of the peer about our only run.
const fn ours(kind: MarkKind, device: DeviceId) -> MarkOf {
    MarkOf { thread: THREAD, user: PEER, device, kind, run: RUN }
}

impl Fixture {
    /// Our messages, sent with the numbers from 1 on.
    async fn sent(&self, number: u64) {
        let work = self.store.write(move |tx| {
            for count in 1..=number {
                let message = tx.enqueue(outgoing(Body::text(format!("{count}"))))?.unwrap();
                let sql = "UPDATE message SET state = 1, run = ?2, count = ?3, server_seq = ?3, stored = 100 * ?3 WHERE id = ?1";
                tx.change_one(sql, rusqlite::params![message.id.0, RUN.0.as_slice(), count.cast_signed()])?;
            }
            tx.change("DELETE FROM outgoing", [])?;
            tx.set_own_number(THREAD, Number { run: RUN, count: number })
        });
        work.await.unwrap();
    }

    async fn receive_mark(&self, of: MarkOf, counts: Counts, now_ms: u64) -> u64 {
        let work = self.store.write(move |tx| {
            let before = tx.connection.total_changes();
            tx.confirm((of, false), &counts, (now_ms, now_ms))?;
            Ok(tx.connection.total_changes().abs_diff(before))
        });
        work.await.unwrap()
    }

    /// The numbers of our messages in this state.
    async fn in_state(&self, delivery: Delivery) -> BTreeSet<u64> {
        let page = self.store.read(|rows| rows.page(THREAD, None, 10_000)).await.unwrap().messages;
        let messages = page.into_iter().filter(|message| message.direction == Direction::Outgoing(delivery));
        messages.map(|message| message.text().unwrap().parse().unwrap()).collect()
    }
}

#[tokio::test]
async fn a_receipt_counts_for_a_message_whose_deletion_is_refused_later() {
    let fixture = Fixture::new().await;
    fixture.sent(2).await;
    let page = fixture.store.read(|rows| rows.page(THREAD, None, 9)).await.unwrap().messages;
    let [first, second] = [page[0].id, page[1].id];
    let delete = fixture.store.write(move |tx| {
        assert!(tx.delete_for_everyone(first, &origin(US, POSITION_PENDING), ChangeLimits::default())?);
        assert!(tx.delete_for_everyone(second, &origin(US, 5), ChangeLimits::default())?);
        Ok(())
    });
    delete.await.unwrap();
    fixture.receive_mark(ours(MarkKind::Read, DeviceId::PRIMARY), Counts::up_to(2), 1_000).await;
    fixture.store.write(move |tx| tx.take_back_deletion(THREAD, first)).await.unwrap();
    let delivery =
        async |id| fixture.store.read(move |rows| rows.message(id)).await.unwrap().unwrap().direction;
    assert_eq!(delivery(first).await, Direction::Outgoing(Delivery::Read));
    assert_eq!(delivery(second).await, Direction::Outgoing(Delivery::Sent), "nothing is left of it");
}

#[tokio::test]
async fn a_receipt_changes_what_is_new_in_it_and_nothing_else() {
    let fixture = Fixture::new().await;
    fixture.sent(1_000).await;
    let delivered = ours(MarkKind::Delivered, DeviceId::PRIMARY);
    assert_eq!(fixture.receive_mark(delivered, Counts::up_to(990).without([(5, 7)]), 2_000).await, 988);
    assert_eq!(fixture.in_state(Delivery::Delivered).await.len(), 987);
    // The same again, then more: one row for the mark, and one for each message that is new in it.
    assert_eq!(fixture.receive_mark(delivered, Counts::up_to(990).without([(5, 7)]), 2_000).await, 1);
    assert_eq!(fixture.receive_mark(delivered, Counts::up_to(992).without([(5, 6)]), 3_000).await, 4);
    // Another device has them, too, which is nothing new to the person.
    let second = ours(MarkKind::Delivered, DeviceId::new(2).unwrap());
    assert_eq!(fixture.receive_mark(second, Counts::up_to(993), 4_000).await, 4);
    assert_eq!(fixture.in_state(Delivery::Sent).await, (994..=1_000).collect());
    // A mark says less than an earlier one, which counts.
    fixture.receive_mark(delivered, Counts::of([1]), 5_000).await;
    assert_eq!(fixture.in_state(Delivery::Delivered).await, (1..=993).collect());
    // Reading comes before a receipt for the delivery, and is not taken back by it.
    let read = ours(MarkKind::Read, DeviceId::PRIMARY);
    fixture.receive_mark(read, Counts::of([2, 1_000]), 6_000).await;
    fixture.receive_mark(delivered, Counts::up_to(1_000), 7_000).await;
    assert_eq!(fixture.in_state(Delivery::Read).await, BTreeSet::from([2, 1_000]));
    let of_2 = fixture.store.read(|rows| {
        let sql = "SELECT id FROM message WHERE count = 2";
        let id = MessageId(rows.connection.query_row(sql, [], |row| row.get(0))?);
        rows.details(THREAD, id)
    });
    let details = of_2.await.unwrap().unwrap();
    assert_eq!((details.delivered_ms, details.read_ms), (Some(2_000), Some(6_000)));
}

#[tokio::test]
async fn a_receipt_for_what_is_not_ours_has_no_effect() {
    let fixture = Fixture::new().await;
    fixture.sent(3).await;
    let of = ours(MarkKind::Read, DeviceId::PRIMARY);
    let other = MarkOf { run: Run([8; 8]), ..of };
    assert_eq!(fixture.receive_mark(other, Counts::up_to(9), 2_000).await, 0);
    assert_eq!(fixture.in_state(Delivery::Sent).await.len(), 3);
    // Above the highest number: that is not remembered.
    fixture.receive_mark(of, Counts::up_to(9).without([(1, 2)]), 2_000).await;
    assert_eq!(fixture.in_state(Delivery::Read).await, BTreeSet::from([3]));
    assert_eq!(fixture.store.read(move |rows| rows.mark(of)).await.unwrap().highest(), 3);
    // What was received keeps its state.
    fixture.posts_arrive(messages(1..=2)).await;
    fixture.receive_mark(of, Counts::up_to(3), 2_000).await;
    let all = fixture.store.read(|rows| rows.page(THREAD, None, 9)).await.unwrap().messages;
    let is_unread = |message: &&crate::Message| message.direction == Direction::Incoming { read: false };
    assert_eq!(all.iter().filter(is_unread).count(), 2);
}

#[tokio::test]
async fn receipts_count_however_many_posts_are_never_told() {
    let fixture = Fixture::new().await;
    fixture.sent(602).await;
    let read = ours(MarkKind::Read, DeviceId::PRIMARY);
    let told: BTreeSet<_> = (1..=300).map(|n| 2 * n).collect();
    for count in &told {
        fixture.receive_mark(read, Counts::of([*count]), 2_000).await;
    }
    assert_eq!(fixture.in_state(Delivery::Read).await, told);
    let of_last = fixture.receive_mark(read, Counts::of([602]), 3_000).await;
    assert_eq!(of_last, 2, "the mark and the message");
    assert!(fixture.in_state(Delivery::Read).await.contains(&602));
    let mark = fixture.store.read(move |rows| rows.mark(read)).await.unwrap();
    assert_eq!((mark.highest(), mark.exceptions().len()), (602, 256));
    assert!(mark.ranges().into_iter().all(|(first, last)| first == last && first % 2 == 0), "{mark:?}");
    // An old one that was held back is told later.
    fixture.receive_mark(read, Counts::of([1]), 4_000).await;
    assert!(fixture.in_state(Delivery::Read).await.contains(&1));
}

#[tokio::test]
async fn a_receipt_for_very_many_messages_is_reported_at_once() {
    let fixture = Fixture::new().await;
    fixture.sent(600).await;
    let of = ours(MarkKind::Delivered, DeviceId::PRIMARY);
    for (counts, reported) in [(Counts::up_to(100), 100), (Counts::up_to(600), 0)] {
        let mut events = fixture.events.subscribe();
        fixture.receive_mark(of, counts, 2_000).await;
        let changed = drain(&mut events);
        let is_change = |event: &&Event| {
            matches!(event, Event::MessageChanged { message, .. }
            if message.direction == Direction::Outgoing(Delivery::Delivered))
        };
        assert_eq!(changed.iter().filter(is_change).count(), reported);
    }
    assert_eq!(fixture.in_state(Delivery::Delivered).await.len(), 600);
}

#[tokio::test]
async fn what_nobody_has_expires_and_a_late_proof_counts() {
    let fixture = Fixture::new().await;
    fixture.sent(9).await;
    let seen = ours(MarkKind::Seen, DeviceId::PRIMARY);
    fixture.receive_mark(seen, Counts::of([2]), 2_000).await;
    fixture.receive_mark(ours(MarkKind::Delivered, DeviceId::PRIMARY), Counts::of([4]), 2_000).await;
    let expire = async |before_ms: u64| {
        let mut steps = 0;
        while fixture.store.read(move |rows| rows.may_expire(before_ms)).await.unwrap() {
            fixture.store.write(move |tx| tx.expire_some(before_ms, 2)).await.unwrap();
            steps += 1;
        }
        steps
    };
    assert_eq!(expire(99).await, 0);
    let mut events = fixture.events.subscribe();
    // What a device has seen is there, although people are not told.
    assert_eq!(expire(500).await, 3);
    assert_eq!(fixture.in_state(Delivery::Expired).await, BTreeSet::from([1, 3, 5]));
    assert_eq!(fixture.in_state(Delivery::Sent).await, BTreeSet::from([2, 6, 7, 8, 9]));
    assert_eq!(drain(&mut events).len(), 3);
    assert_eq!(expire(500).await, 0, "each is judged once");
    assert_eq!(expire(650).await, 1);
    assert_eq!(fixture.in_state(Delivery::Expired).await, BTreeSet::from([1, 3, 5, 6]));
    // A receipt that comes late, and an answer whose author has switched receipts off.
    fixture.receive_mark(ours(MarkKind::Read, DeviceId::PRIMARY), Counts::of([1]), 3_000).await;
    fixture.receive_mark(seen, Counts::of([2, 3, 7]), 3_000).await;
    assert_eq!(fixture.in_state(Delivery::Read).await, BTreeSet::from([1]));
    assert_eq!(fixture.in_state(Delivery::Delivered).await, BTreeSet::from([3, 4]));
    assert_eq!(fixture.in_state(Delivery::Sent).await, BTreeSet::from([2, 7, 8, 9]));
    // It was sent, so it can neither be cancelled nor sent again.
    let work = fixture.store.write(|tx| {
        let sql = "SELECT id FROM message WHERE count = 5";
        let id = MessageId(tx.connection.query_row(sql, [], |row| row.get(0))?);
        Ok((tx.cancel(id), tx.retry(id, 1)))
    });
    assert_eq!(work.await.unwrap(), (Ok(false), Err(crate::Error::NotFound)));
}
