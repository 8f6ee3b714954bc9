//! Suspending and resuming, futures that are dropped at any point, clients that are dropped, and live views.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::collections::HashSet;
use std::fs;
use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use sealpost_core::{
    Change, Client, ConnectionState, Delivery, Direction, Error, Event, Message, MessageBody, MessageList,
    Opened, Thread, Timeline,
};
use sealpost_testkit::{Party, World, eventually, history, is_under_way, texts};
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(60);

/// How many descriptors of this process are open on a file, or on one that belongs to it.
fn open_descriptors(database: &Path) -> usize {
    let name = database.to_str().unwrap();
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| {
        let target = fs::read_link(entry.unwrap().path()).ok()?;
        target.to_str().map(|target| target.starts_with(name))
    });
    descriptors.filter(|is_ours| *is_ours).count()
}

/// Waits until both sides show the same messages, and checks that none is shown twice.
async fn same_conversation(ada: (&Party, &Thread), ben: (&Party, &Thread)) -> Vec<String> {
    for (party, thread) in [ada, ben] {
        eventually(&format!("everything of {} arrives", party.name()), async || {
            (!history(thread).await.iter().any(is_under_way)).then_some(())
        })
        .await;
    }
    let (hers, his) = (texts(ada.1).await, texts(ben.1).await);
    assert_eq!(hers, his);
    assert_eq!(hers.iter().collect::<HashSet<_>>().len(), hers.len(), "a message is shown twice: {hers:?}");
    hers
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_without_a_relay_and_showing_a_page_writes_nothing_and_needs_one_connection() {
    let mut world = World::start().await;
    let disk = world.disk("ada");
    let (ada, ben) = (disk.clone().open_or_register().await, world.party("ben").await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    hers.send_text("the only one").await.unwrap();
    same_conversation((&ada, &hers), (&ben, &his)).await;
    eventually("it is indexed", async || {
        let found = ada.client.search("only", 1).await.unwrap();
        (!found.is_empty()).then_some(())
    })
    .await;
    drop((hers, his));
    ada.close().await;
    ben.close().await;
    world.stop_relay().await;
    let ada = disk.clone().open().await;
    let mut events = ada.client.events();
    let thread = ada.client.threads().await.unwrap().pop().unwrap();
    let mut view = thread.subscribe();
    assert!(matches!(view.next().await, Some(Ok(Change::Snapshot(page))) if page.messages.len() == 1));
    assert_eq!(texts(&thread).await, ["the only one"]);
    // The database, its log, the index of the log, and two lock files.
    assert_eq!(open_descriptors(disk.database()), 5);
    ada.client.reconnect();
    for state in [ConnectionState::Connecting, ConnectionState::Offline] {
        while timeout(TIMEOUT, events.next()).await.unwrap() != Some(Ok(Event::Connection(state))) {}
    }
    // The search index is looked at a moment after the start.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let log = fs::metadata(format!("{}-wal", disk.database().display())).unwrap();
    assert_eq!(log.len(), 0, "something was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn suspending_under_load_closes_the_file_and_loses_nothing() {
    let world = World::start().await;
    let disk = world.disk("ada");
    let (ada, ben) = (disk.clone().open_or_register().await, world.party("ben").await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    let mut written = Vec::new();
    for round in 0..5 {
        for line in 0..10 {
            for (name, thread) in [("ada", &hers), ("ben", &his)] {
                let text = format!("{name} {round} {line}");
                thread.send_text(&text).await.unwrap();
                written.push(text);
            }
        }
        // This happens while both clients are busy.
        ada.client.suspend().await.unwrap();
        assert_eq!(open_descriptors(disk.database()), 0, "round {round}");
        assert!(matches!(hers.send_text("too late").await, Err(Error::Misuse(_))));
        // Another client can open the file now.
        let other = disk.clone().open().await;
        assert_eq!(other.client.resume().await, Ok(()));
        assert_eq!(ada.client.resume().await, Err(Error::Storage(sealpost_core::Storage::InUse)));
        other.close().await;
        ada.client.resume().await.unwrap();
    }
    let all = same_conversation((&ada, &hers), (&ben, &his)).await;
    assert_eq!(all.iter().collect::<HashSet<_>>(), written.iter().collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_dropped_ends_its_tasks_and_its_views() {
    let world = World::start().await;
    let disk = world.disk("ada");
    let (ada, ben) = (disk.clone().open_or_register().await, world.party("ben").await);
    let hers = ada.thread_with(&ben).await;
    hers.send_text("hello").await.unwrap();
    ada.live().await;
    let (mut events, mut view) = (ada.client.events(), hers.subscribe());
    assert!(matches!(view.next().await, Some(Ok(Change::Snapshot(_)))));
    assert!(open_descriptors(disk.database()) > 0);
    drop((hers, ada));
    assert_eq!(open_descriptors(disk.database()), 0);
    while events.next().await.is_some() {}
    while view.next().await.is_some() {}
    // Queued messages are sent by the next client.
    let (ada, ben_user) = (disk.open().await, ben.client.user_id());
    let hers = ada.client.direct_thread(ben_user).await.unwrap();
    let his = ben.thread_with(&ada).await;
    assert_eq!(same_conversation((&ada, &hers), (&ben, &his)).await, ["hello"]);
}

/// A deterministic generator of pseudorandom numbers.
struct Dice(u64);

impl Dice {
    /// A number below `bound` (xorshift64*; Vigna, 2016).
    fn roll(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

/// Polls a future up to `polls` times and then drops it. Returns its result if it completed.
async fn interrupted<T>(polls: u64, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    for _ in 0..polls {
        let polled = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
        if let Poll::Ready(value) = polled {
            return Some(value);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// Whether a text was queued. An earlier suspension that was not awaited may have prevented it.
fn was_taken(answer: Option<Result<Message, Error>>) -> bool {
    match answer {
        None | Some(Err(Error::Misuse(_))) => false,
        Some(sent) => sent.is_ok() || panic!("{sent:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn futures_may_be_dropped_at_any_point() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    hers.send_text("the first").await.unwrap();
    ben.texts_when(&his, 1).await;
    let mut view = hers.subscribe();
    let mut dice = Dice(20_261_122);
    let mut kept = vec!["the first".to_owned()];
    for step in 0..600 {
        let polls = dice.roll(6);
        let newest = history(&his).await.last().map(|message| message.id);
        match dice.roll(12) {
            0..=3 => {
                let text = format!("ada {step}");
                if was_taken(interrupted(polls, hers.send_text(&text)).await) {
                    kept.push(text);
                }
            }
            4 | 5 => {
                let text = format!("ben {step}");
                if was_taken(interrupted(polls, his.send_text(&text)).await) {
                    kept.push(text);
                }
            }
            6 => {
                interrupted(polls, his.mark_read(newest.unwrap())).await;
            }
            7 => {
                interrupted(polls, ada.client.threads()).await;
            }
            8 => {
                interrupted(polls, hers.history(None)).await;
            }
            9 => {
                interrupted(polls, view.next()).await;
            }
            10 => {
                interrupted(polls, ada.client.suspend()).await;
            }
            _ => {
                interrupted(polls, ada.client.direct_thread(ben.client.user_id())).await;
            }
        }
        ada.client.resume().await.unwrap();
    }
    eventually("a resumed client", async || {
        ada.client.resume().await.unwrap();
        hers.send_text("the last").await.ok()
    })
    .await;
    let all = same_conversation((&ada, &hers), (&ben, &his)).await;
    // A dropped call has taken effect completely or not at all, and completed calls have taken effect.
    assert!(
        all.iter()
            .all(|text| text.starts_with("ada ") || text.starts_with("ben ") || text.starts_with("the "))
    );
    assert!(kept.iter().all(|text| all.contains(text)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_registration_can_be_repeated() {
    let world = World::start().await;
    let mut dice = Dice(7);
    for name in 0..6 {
        let disk = world.disk(&format!("ada {name}"));
        let Opened::Unregistered(new) = Client::open(disk.config()).await.unwrap() else { panic!() };
        let _ = interrupted(1 + dice.roll(400), new.register(&[])).await;
        let (one, other) = tokio::join!(new.register(&[]), new.register(&[]));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(one.user_id(), other.user_id());
        let user = one.user_id();
        one.suspend().await.unwrap();
        drop((new, one, other));
        let again = disk.open().await;
        assert_eq!(again.client.user_id(), user);
    }
}

/// The contents of a view that applies every change to its last snapshot.
#[derive(Default)]
struct Model {
    list: Option<MessageList>,
    snapshots: usize,
}

impl Model {
    /// Applies changes until the model has the expected contents.
    async fn watch(&mut self, view: &mut Timeline, what: &str, is_as_wanted: impl Fn(&Self) -> bool) {
        while !is_as_wanted(self) {
            let change = timeout(TIMEOUT, view.next()).await;
            self.apply(change.unwrap_or_else(|_| panic!("not shown: {what}")).unwrap().unwrap());
        }
    }

    fn apply(&mut self, change: Change) {
        self.snapshots += usize::from(matches!(change, Change::Snapshot(_)));
        match (&mut self.list, change) {
            (Some(list), change) => list.apply(change),
            (none, Change::Snapshot(page)) => *none = Some(MessageList::new(page)),
            (None, change) => panic!("a change before the snapshot: {change:?}"),
        }
    }

    fn messages(&self) -> &[Message] {
        self.list.as_ref().map_or(&[], MessageList::messages)
    }

    fn shows(&self, text: &str) -> bool {
        self.messages().iter().any(|message| message.body == MessageBody::Text(text.to_owned()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_sends_a_snapshot_then_changes_and_a_new_snapshot_after_falling_behind() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    his.send_text("before").await.unwrap();
    ada.texts_when(&hers, 1).await;
    let mut view = hers.subscribe();
    let mut model = Model::default();
    let sent = hers.send_text("after").await.unwrap();
    let is_delivered = |model: &Model| {
        let shown = model.messages().iter().find(|message| message.id == sent.id);
        shown.is_some_and(|shown| shown.direction == Direction::Outgoing(Delivery::Delivered))
    };
    model.watch(&mut view, "the delivery", is_delivered).await;
    assert!(model.shows("before"));
    assert_eq!(model.snapshots, 1);
    // More changes than are buffered for a slow listener, as each message is added, sent, and delivered.
    for line in 0..600 {
        hers.send_text(&format!("line {line}")).await.unwrap();
    }
    same_conversation((&ada, &hers), (&ben, &his)).await;
    model.watch(&mut view, "a new snapshot", |model| model.snapshots == 2).await;
    let newest = hers.history(None).await.unwrap().messages;
    assert_eq!(model.messages()[..newest.len()], newest);
}
