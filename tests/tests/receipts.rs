//! The numbers of contents, and what devices tell each other about them: two clients and a real relay.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use sealpost_core::{Delivery, Direction, Event, MessageId, PrivacySetting, Thread};
use sealpost_relay::Config;
use sealpost_testkit::{
    Interceptor, ManualClock, Party, PartyDisk, Proxy, World, eventually, history, open_database, within,
};
use sealpost_wire::Frame;
use sealpost_wire::frame::Body;

/// The posts of a thread that one side has received from the other: for each run, up to which number, and how many bytes
/// its exceptions take.
fn heard(disk: &PartyDisk) -> Vec<(Vec<u8>, i64, i64)> {
    let database = open_database(disk.database(), &disk.key());
    let mut statement =
        database.prepare("SELECT run, up_to, length(excepted) FROM heard ORDER BY position").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Our run in the only thread, and how many posts of it there are.
fn counted(disk: &PartyDisk) -> (Vec<u8>, i64) {
    let database = open_database(disk.database(), &disk.key());
    let sql = "SELECT run, counted FROM thread";
    database.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

/// How many contents are kept because the other side may not have them.
fn kept(disk: &PartyDisk) -> i64 {
    let database = open_database(disk.database(), &disk.key());
    database.query_row("SELECT count(*) FROM outgoing WHERE state = 3", [], |row| row.get(0)).unwrap()
}

async fn pair(world: &World) -> (Party, Party, Thread, Thread) {
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    (ada, ben, hers, his)
}

/// Waits until a text has arrived.
async fn arrives(thread: &Thread, text: &str) -> MessageId {
    let found = async || history(thread).await.into_iter().find(|message| message.text() == Some(text));
    eventually(text, found).await.id
}

#[tokio::test(flavor = "multi_thread")]
async fn every_post_of_a_device_has_the_next_number() {
    let world = World::start().await;
    let (ada, ben, hers, his) = pair(&world).await;
    let first = hers.send_text("one").await.unwrap();
    let received = arrives(&his, "one").await;
    ada.message_reaches(&hers, first.id, Delivery::Delivered).await;
    hers.edit(first.id, "one, edited").await.unwrap();
    his.react(received, "👍").await.unwrap();
    for n in 0..40 {
        hers.send_text(&format!("line {n}")).await.unwrap();
    }
    hers.delete_for_everyone(first.id).await.unwrap();
    hers.send_text("last").await.unwrap();
    arrives(&his, "last").await;
    his.send_text("answer").await.unwrap();
    arrives(&hers, "answer").await;
    drop((hers, his));
    let disks = [ada.close().await, ben.close().await];
    let (run, count) = counted(&disks[0]);
    // A text, an edit, forty texts, a deletion, a text. Receipts are not posts.
    assert_eq!(count, 44);
    assert_eq!(heard(&disks[1]), [(run, 44, 0)]);
    let (run, count) = counted(&disks[1]);
    assert_eq!(count, 2);
    assert_eq!(heard(&disks[0]), [(run, 2, 0)]);
    // His answer says that everything has come, also what gets no receipt.
    assert_eq!(kept(&disks[0]), 0);
}

fn files(database: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}

fn copy(from: &Path, to: &Path) {
    for (from, to) in files(from).into_iter().zip(files(to)) {
        let _ = std::fs::remove_file(&to);
        if from.exists() {
            std::fs::copy(from, to).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_begins_a_new_run() {
    let world = World::start().await;
    let (ada, ben, hers, his) = pair(&world).await;
    let thread = hers.id();
    hers.send_text("before").await.unwrap();
    arrives(&his, "before").await;
    drop(hers);
    let disk = ada.close().await;
    let saved = world.dir().join("saved.db");
    copy(disk.database(), &saved);
    let ada = disk.open().await;
    let hers = ada.client.thread(thread).await.unwrap();
    hers.send_text("after the copy").await.unwrap();
    arrives(&his, "after the copy").await;
    drop(hers);
    let disk = ada.close().await;
    let (first, _) = counted(&disk);
    copy(&saved, disk.database());

    let ada = disk.open().await;
    ada.live().await;
    let hers = ada.client.thread(thread).await.unwrap();
    hers.send_text("restored").await.unwrap();
    arrives(&his, "restored").await;
    drop((hers, his));
    let disks = [ada.close().await, ben.close().await];
    let (run, _) = counted(&disks[0]);
    assert_ne!(run, first);
    let heard = heard(&disks[1]);
    // Two texts; then a null content, which starts a session, and a text.
    assert_eq!(heard, [(first, 2, 0), (run, 2, 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_another_message_had_is_told() {
    let world = World::start().await;
    let (ada, ben, hers, his) = pair(&world).await;
    let thread = hers.id();
    let sent = hers.send_text("one").await.unwrap();
    ada.message_reaches(&hers, sent.id, Delivery::Delivered).await;
    drop(hers);
    let disk = ada.close().await;
    // As if this were a copy, and nothing had noticed it.
    let database = open_database(disk.database(), &disk.key());
    database.execute_batch("UPDATE thread SET counted = 0").unwrap();
    let mut events = ben.client.events();
    let ada = disk.open().await;
    ada.client.thread(thread).await.unwrap().send_text("two").await.unwrap();
    let told = async { while events.next().await.unwrap().unwrap() != Event::OrderContradicted(thread) {} };
    within("the event", told).await;
    arrives(&his, "two").await;
}

/// Counts the mail that a client submits. It can keep the mail from the relay, and lose mail on the way to the client.
#[derive(Clone, Default)]
struct Post {
    submitted: Arc<Mutex<Vec<Vec<u8>>>>,
    is_blocked: Arc<AtomicBool>,
    /// The next mail to the client is lost for ever.
    loses_next: Arc<AtomicBool>,
    lost: Arc<Mutex<Vec<u64>>>,
    /// When the first post came to the client.
    delivered: Arc<Mutex<Option<Instant>>>,
}

impl Post {
    /// How many pieces of mail have left, not counting repetitions.
    fn submitted(&self) -> usize {
        self.submitted.lock().unwrap().len()
    }

    /// How many pauses between two receipts there can have been since the first post came.
    fn pauses(&self) -> usize {
        let since = self.delivered.lock().unwrap().expect("a post has come").elapsed();
        usize::try_from(since.as_secs() / 2).unwrap()
    }
}

impl Interceptor for Post {
    fn up(&self, frame: Frame) -> Vec<Frame> {
        let Some(Body::Mail(mail)) = &frame.body else { return vec![frame] };
        if self.is_blocked.load(Ordering::SeqCst) {
            return Vec::new();
        }
        let mut submitted = self.submitted.lock().unwrap();
        if !submitted.iter().any(|id| *id == mail.client_msg_id[..]) {
            submitted.push(mail.client_msg_id.to_vec());
        }
        vec![frame]
    }

    fn down(&self, frame: Frame) -> Vec<Frame> {
        if matches!(&frame.body, Some(Body::Deliver(_))) {
            self.delivered.lock().unwrap().get_or_insert_with(Instant::now);
        }
        let Some(Body::DeliverMail(mail)) = &frame.body else { return vec![frame] };
        let mut lost = self.lost.lock().unwrap();
        if self.loses_next.swap(false, Ordering::SeqCst) {
            lost.push(mail.mail_seq);
        }
        if lost.contains(&mail.mail_seq) { Vec::new() } else { vec![frame] }
    }
}

/// Two people who have accepted their thread, and Ben's mail.
async fn watched(world: &World) -> (Party, Party, Thread, Thread, (Post, Proxy)) {
    let post = Post::default();
    let proxy = Proxy::start(world.addr(), post.clone()).await;
    let (ada, ben) = (world.party("ada").await, world.disk("ben").through(&proxy.url()).register().await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    (ada, ben, hers, his, (post, proxy))
}

/// The states of her messages, the oldest first.
async fn states(thread: &Thread) -> Vec<Delivery> {
    let states = history(thread).await.into_iter().filter_map(|message| match message.direction {
        Direction::Outgoing(delivery) => Some(delivery),
        Direction::Incoming { .. } => None,
    });
    states.collect()
}

/// Waits until her messages have these states.
async fn become_all(thread: &Thread, expected: &[Delivery]) {
    let mut last = Vec::new();
    for _ in 0..600 {
        last = states(thread).await;
        if last == expected {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{last:?} instead of {expected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_receipt_confirms_a_backlog_and_one_confirms_that_it_was_read() {
    const LINES: usize = 1_000;
    let world = World::start().await;
    let (ada, ben, hers, his, (post, _proxy)) = watched(&world).await;
    drop(his);
    let disk = ben.close().await;
    let mut sent = Vec::new();
    for n in 0..LINES {
        sent.push(hers.send_text(&format!("line {n}")).await.unwrap().id);
    }
    ada.message_reaches(&hers, sent[LINES - 1], Delivery::Sent).await;
    let before = post.submitted();
    *post.delivered.lock().unwrap() = None;
    let ben = disk.open().await;
    let his = ben.thread_with(&ada).await;
    ada.message_reaches(&hers, sent[LINES - 1], Delivery::Delivered).await;
    become_all(&hers, &[Delivery::Delivered; LINES]).await;
    let delivered = post.submitted() - before;
    // One, unless the machine takes more than two seconds for them.
    let pauses = post.pauses();
    assert!((1..=1 + pauses).contains(&delivered), "{delivered} receipts, {pauses} pauses");
    his.mark_read(arrives(&his, "line 999").await).await.unwrap();
    become_all(&hers, &[Delivery::Read; LINES]).await;
    assert_eq!(post.submitted() - before, delivered + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_come_one_by_one_get_a_receipt_of_each_kind_every_two_seconds() {
    const LINES: usize = 40;
    let world = World::start().await;
    let (_ada, _ben, hers, his, (post, _proxy)) = watched(&world).await;
    let before = post.submitted();
    for n in 0..LINES {
        let text = format!("line {n}");
        hers.send_text(&text).await.unwrap();
        his.mark_read(arrives(&his, &text).await).await.unwrap();
    }
    become_all(&hers, &[Delivery::Read; LINES]).await;
    let (left, pauses) = (post.submitted() - before, post.pauses());
    assert!(left <= 2 * (1 + pauses), "{left} receipts, {pauses} pauses");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_forward_brings_no_receipts_closer_together() {
    const HOUR: std::time::Duration = std::time::Duration::from_secs(3_600);
    let world = World::start().await;
    let (post, clock) = (Post::default(), ManualClock::at(1_800_000_000_000));
    let proxy = Proxy::start(world.addr(), post.clone()).await;
    let (ada, cleo) = (world.party("ada").await, world.party("cleo").await);
    let ben = world.disk("ben").through(&proxy.url()).with_clock(&clock).register().await;
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    let (cleos, bens) = (cleo.thread_with(&ben).await, ben.thread_with(&cleo).await);
    hers.send_text("one").await.unwrap();
    become_all(&hers, &[Delivery::Delivered]).await;
    let before = post.submitted();
    hers.send_text("two").await.unwrap();
    arrives(&his, "two").await;
    clock.advance(HOUR);
    // The receipt for this one wakes the task, which finds that the one for Ada is due by the clock.
    cleos.send_text("now").await.unwrap();
    arrives(&bens, "now").await;
    become_all(&cleos, &[Delivery::Delivered]).await;
    become_all(&hers, &[Delivery::Delivered; 2]).await;
    let left = post.submitted() - before;
    assert!(left <= 1 + post.pauses(), "{left} receipts after the first one, {} pauses", post.pauses());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_deleted_before_it_was_read_is_not_read() {
    let world = World::start().await;
    let (_ada, _ben, hers, his) = pair(&world).await;
    for text in ["one", "two", "three"] {
        hers.send_text(text).await.unwrap();
        arrives(&his, text).await;
    }
    his.delete_for_me(arrives(&his, "two").await).await.unwrap();
    his.mark_read(arrives(&his, "three").await).await.unwrap();
    become_all(&hers, &[Delivery::Read, Delivery::Delivered, Delivery::Read]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_or_was_read_while_receipts_were_off_is_not_told_later() {
    let world = World::start().await;
    let (_ada, ben, hers, his, (post, _proxy)) = watched(&world).await;
    let (delivered, read) = (PrivacySetting::DeliveryReceipts, PrivacySetting::ReadReceipts);
    his.set_privacy(delivered, false).await.unwrap();
    ben.client.set_privacy(read, false).await.unwrap();
    let before = post.submitted();
    hers.send_text("one").await.unwrap();
    his.mark_read(arrives(&his, "one").await).await.unwrap();
    his.set_privacy(delivered, true).await.unwrap();
    hers.send_text("two").await.unwrap();
    become_all(&hers, &[Delivery::Sent, Delivery::Delivered]).await;
    ben.client.set_privacy(read, true).await.unwrap();
    his.mark_read(arrives(&his, "two").await).await.unwrap();
    become_all(&hers, &[Delivery::Sent, Delivery::Read]).await;
    assert_eq!(post.submitted() - before, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_outlives_the_process_and_a_later_one_covers_one_that_was_lost() {
    let world = World::start().await;
    let (_ada, ben, hers, his, (post, _proxy)) = watched(&world).await;
    post.is_blocked.store(true, Ordering::SeqCst);
    hers.send_text("one").await.unwrap();
    arrives(&his, "one").await;
    drop(his);
    let disk = ben.close().await;
    become_all(&hers, &[Delivery::Sent]).await;
    post.is_blocked.store(false, Ordering::SeqCst);
    let ben = disk.open().await;
    become_all(&hers, &[Delivery::Delivered]).await;
    let his = ben.client.thread(hers.id()).await.unwrap();
    drop((hers, his));

    // On the way to her this time.
    let world = World::start().await;
    let hers_post = Post::default();
    let proxy = Proxy::start(world.addr(), hers_post.clone()).await;
    let ada = world.disk("ada").through(&proxy.url()).register().await;
    let ben = world.party("ben").await;
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    hers_post.loses_next.store(true, Ordering::SeqCst);
    hers.send_text("one").await.unwrap();
    eventually("it is lost", async || (!hers_post.lost.lock().unwrap().is_empty()).then_some(())).await;
    become_all(&hers, &[Delivery::Sent]).await;
    hers.send_text("two").await.unwrap();
    arrives(&his, "two").await;
    become_all(&hers, &[Delivery::Delivered; 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_name_the_runs_from_before_and_after_a_restore() {
    let world = World::start().await;
    let (ada, ben, hers, his) = pair(&world).await;
    let thread = hers.id();
    hers.send_text("one").await.unwrap();
    become_all(&hers, &[Delivery::Delivered]).await;
    // Ben is away when the copy is made, so it does not know that the second one arrives.
    drop(his);
    let bens_disk = ben.close().await;
    let second = hers.send_text("two").await.unwrap().id;
    ada.message_reaches(&hers, second, Delivery::Sent).await;
    drop(hers);
    let disk = ada.close().await;
    let saved = world.dir().join("saved.db");
    copy(disk.database(), &saved);
    let (ada, ben) = (disk.open().await, bens_disk.open().await);
    let hers = ada.client.thread(thread).await.unwrap();
    become_all(&hers, &[Delivery::Delivered; 2]).await;
    drop(hers);
    let disk = ada.close().await;
    copy(&saved, disk.database());

    let ada = disk.open().await;
    ada.live().await;
    let hers = ada.client.thread(thread).await.unwrap();
    assert_eq!(states(&hers).await, [Delivery::Delivered, Delivery::Sent]);
    hers.send_text("three").await.unwrap();
    become_all(&hers, &[Delivery::Delivered; 3]).await;
    let his = ben.client.thread(thread).await.unwrap();
    his.mark_read(arrives(&his, "three").await).await.unwrap();
    become_all(&hers, &[Delivery::Read; 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_nobody_fetches_for_30_days_expires() {
    const START_MS: u64 = 1_800_000_000_000;
    const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 3_600);
    let clock = ManualClock::at(START_MS);
    let relays = clock.clone();
    let world = World::start_with(move |config| Config { clock: Arc::new(relays.clone()), ..config }).await;
    let ada = world.disk("ada").with_clock(&clock).register().await;
    let ben = world.disk("ben").with_clock(&clock).register().await;
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    hers.send_text("fetched").await.unwrap();
    become_all(&hers, &[Delivery::Delivered]).await;
    drop(his);
    ben.close().await;
    let lost = hers.send_text("not fetched").await.unwrap();
    ada.message_reaches(&hers, lost.id, Delivery::Sent).await;
    let thread = hers.id();
    drop(hers);
    let disk = ada.close().await;
    clock.advance(29 * DAY);
    let ada = disk.open().await;
    ada.live().await;
    let hers = ada.client.thread(thread).await.unwrap();
    let later = hers.send_text("later").await.unwrap();
    ada.message_reaches(&hers, later.id, Delivery::Sent).await;
    assert_eq!(states(&hers).await, [Delivery::Delivered, Delivery::Sent, Delivery::Sent]);
    drop(hers);
    let disk = ada.close().await;
    clock.advance(2 * DAY);
    let ada = disk.open().await;
    let hers = ada.client.thread(thread).await.unwrap();
    become_all(&hers, &[Delivery::Delivered, Delivery::Expired, Delivery::Sent]).await;
    ada.close().await;
}
