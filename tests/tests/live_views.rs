//! Live views send a snapshot and then changes.

#![cfg(test)]

use std::future::pending;
use std::time::Duration;

use sealpost_core::{
    Arrivals, Change, ConnectionState, Delivery, Error, Event, Feed, Message, MessageBody, MessageList, Page,
    Timeline, Update, WaitReason, Waiting, fetch_for_push,
};
use sealpost_testkit::{Pair, World, eventually, within};
use tokio::time::timeout;

/// All updates of the next batches, up to the one that contains the awaited update.
async fn until(feed: &mut Feed, awaited: impl Fn(&Update) -> bool) -> Vec<Update> {
    let mut all = Vec::new();
    while !all.iter().any(&awaited) {
        all.extend(within("a batch of the feed", feed.next_batch(16)).await.unwrap().unwrap());
    }
    all
}

/// The text of an added message.
fn added(update: &Update) -> Option<String> {
    match update {
        Update::Event(Event::MessageAdded(message)) => Some(text(message).to_owned()),
        _ => None,
    }
}

fn text(message: &Message) -> &str {
    match &message.body {
        MessageBody::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_begins_with_a_snapshot_and_sends_another_after_a_suspension() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let mut feed = ada.client.subscribe();
    let Some(Ok(Update::Snapshot(empty))) = within("an update", feed.next()).await else {
        panic!("no snapshot")
    };
    assert!(empty.threads.is_empty());

    let his = ben.thread_with(&ada).await;
    his.send_text("hello").await.unwrap();
    let updates = until(&mut feed, |update| added(update).as_deref() == Some("hello")).await;
    assert!(updates.contains(&Update::Event(Event::ThreadAdded(his.id()))));

    ada.client.suspend().await.unwrap();
    until(&mut feed, |update| *update == Update::Event(Event::Connection(ConnectionState::Suspended))).await;
    ada.client.resume().await.unwrap();
    let again = until(&mut feed, |update| matches!(update, Update::Snapshot(_))).await;
    let overview = again.iter().find_map(|update| match update {
        Update::Snapshot(overview) => Some(overview),
        Update::Event(_) => None,
    });
    let overview = overview.unwrap();
    assert_eq!(overview.threads.iter().map(|thread| thread.id).collect::<Vec<_>>(), [his.id()]);
    assert_eq!(overview.threads[0].others, [ben.client.user_id()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_contains_all_pending_changes_and_a_refresh_sends_a_snapshot() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let hers = ada.thread_with(&ben).await;
    let mut view: Timeline = hers.subscribe();
    assert_eq!(
        within("a batch of the timeline", view.next_batch(10)).await,
        Some(Ok(vec![Change::Snapshot(Page {
            messages: Vec::new(),
            older: None,
            newer: None,
            first_waiting: None,
        })]))
    );
    for number in 0..20 {
        hers.send_text(&number.to_string()).await.unwrap();
    }
    let mut added = 0;
    while added < 20 {
        let batch = within("a batch of the timeline", view.next_batch(10)).await.unwrap().unwrap();
        assert!((1..=10).contains(&batch.len()));
        added += batch.iter().filter(|change| matches!(change, Change::Added(_))).count();
    }
    view.refresh();
    let batch = within("a batch of the timeline", view.next_batch(10)).await.unwrap().unwrap();
    let [Change::Snapshot(Page { messages, .. }), ..] = &batch[..] else { panic!("{batch:?}") };
    assert_eq!(messages.len(), 20);
    assert_eq!(text(&messages[0]), "19");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_due_snapshot_waits_until_the_client_is_resumed() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let hers = ada.thread_with(&ben).await;
    let (mut feed, mut view) = (ada.client.subscribe(), hers.subscribe());
    hers.send_text("before").await.unwrap();
    for _ in 0..2 {
        ada.client.suspend().await.unwrap();
        assert!(timeout(Duration::ZERO, view.next()).await.is_err(), "nothing is sent while suspended");
        assert!(timeout(Duration::ZERO, feed.next()).await.is_err(), "nothing is sent while suspended");
        assert!(matches!(view.snapshot().await, Err(Error::Misuse(_))));
        assert!(matches!(feed.snapshot().await, Err(Error::Misuse(_))));
        let waiting = tokio::spawn(async move { (within("a change", view.next()).await, view) });
        ada.client.resume().await.unwrap();
        let (change, resumed) = waiting.await.unwrap();
        let Some(Ok(Change::Snapshot(Page { messages, .. }))) = change else { panic!("{change:?}") };
        assert_eq!(messages.iter().map(text).collect::<Vec<_>>(), ["before"]);
        assert!(matches!(within("an update", feed.next()).await, Some(Ok(Update::Snapshot(_)))));
        view = resumed;
        view.refresh();
        feed.refresh();
    }
    assert_eq!(view.snapshot().await.unwrap().messages.len(), 1);
    hers.send_text("after").await.unwrap();
    let Some(Ok(Change::Added(added))) = within("a change", view.next()).await else {
        panic!("no change after the snapshot")
    };
    assert_eq!(text(&added), "after");

    drop((hers, ada));
    assert_eq!(within("the end of the timeline", view.next()).await, None);
    assert!(matches!(view.snapshot().await, Err(Error::Misuse(_))));
}

/// The texts of the next batches, until there are `count`.
async fn arriving(arrivals: &mut Arrivals, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        let batch = within("a batch of arrivals", arrivals.next_batch(16)).await.unwrap().unwrap();
        texts.extend(batch.iter().map(|message| text(message).to_owned()));
    }
    texts
}

#[tokio::test(flavor = "multi_thread")]
async fn arrivals_are_reported_once_including_late_messages() {
    let mut world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    hers.send_text("old").await.unwrap();
    let mut arrivals = hers.arrivals();
    // These arrive before the first call.
    hers.send_text("new").await.unwrap();
    hers.send_text("then").await.unwrap();
    assert_eq!(arriving(&mut arrivals, 2).await, ["new", "then"]);

    // More messages than fit into the buffer of a listener, and more than one page of the mailbox.
    world.stop_relay().await;
    let written: Vec<_> = (0..1100).map(|number| number.to_string()).collect();
    for text in &written {
        hers.send_text(text).await.unwrap();
    }
    assert_eq!(arriving(&mut arrivals, written.len()).await, written);
    ada.client.suspend().await.unwrap();
    let mut from_here_on = hers.arrivals();
    world.start_relay().await;
    ben.client.reconnect();
    let late = his.send_text("late").await.unwrap();
    ben.message_reaches(&his, late.id, Delivery::Sent).await;
    let fetched = fetch_for_push(world.disk("ada").config(), pending()).await.unwrap();
    assert_eq!(fetched.messages.iter().map(text).collect::<Vec<_>>(), ["late"]);
    ada.client.resume().await.unwrap();
    assert_eq!(arriving(&mut arrivals, 1).await, ["late"]);
    assert_eq!(arriving(&mut from_here_on, 1).await, ["late"]);
    arrivals.repeat();
    assert_eq!(arriving(&mut arrivals, 1).await, ["late"], "it was not reported before");
    hers.send_text("the last").await.unwrap();
    assert_eq!(arriving(&mut arrivals, 1).await, ["the last"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_views_are_streams_too() {
    use futures_util::{StreamExt, TryStreamExt as _};

    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let hers = ada.thread_with(&ben).await;
    let (events, feed, view, arrivals) =
        (ada.client.events(), ada.client.subscribe(), hers.subscribe(), hers.arrivals());
    hers.send_text("one").await.unwrap();
    hers.send_text("two").await.unwrap();
    let told = events.try_filter_map(async |event| {
        Ok(if let Event::MessageAdded(message) = event { Some(text(&message).to_owned()) } else { None })
    });
    let arrived = arrivals.map_ok(|message| text(&message).to_owned()).take(2).try_collect::<Vec<_>>();
    assert_eq!(within("two events", told.take(2).try_collect::<Vec<_>>()).await.unwrap(), ["one", "two"]);
    assert_eq!(within("two arrivals", arrived).await.unwrap(), ["one", "two"]);
    let snapshots = feed.try_filter(|update| std::future::ready(matches!(update, Update::Snapshot(_))));
    assert!(within("a snapshot", std::pin::pin!(snapshots).next()).await.is_some());
    let mut view = view;
    let first = within("a snapshot", StreamExt::next(&mut view)).await;
    assert!(matches!(first, Some(Ok(Change::Snapshot(Page { messages, .. }))) if messages.len() == 2));
    // The stream and the methods of the view can be used alternately.
    view.refresh();
    assert_eq!(view.snapshot().await.unwrap().messages.len(), 2);
    drop((hers, ada));
    assert!(within("the end", view.try_collect::<Vec<_>>()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_says_what_the_oldest_queued_message_is_waiting_for() {
    let mut pair = Pair::new().await;
    pair.say("before").await;
    pair.world.stop_relay().await;
    let hers = &pair.hers;
    let (one, two) = (hers.send_text("one").await.unwrap(), hers.send_text("two").await.unwrap());
    let offline = Waiting { reason: WaitReason::NotConnected, attempts: 0, next_ms: None };
    let first = async |page: Page| {
        let first = page.first_waiting.filter(|first| first.waiting.reason == offline.reason);
        first.map(|first| (first.message, first.waiting, first.of(two.id)))
    };
    let expected = Some((one.id, offline, offline));
    eventually("she is offline", async || {
        (first(hers.history(None).await.unwrap()).await == expected).then_some(())
    })
    .await;
    // Also one that does not contain the message.
    let older = hers.history(Some(one.position)).await.unwrap();
    assert_eq!(older.messages.len(), 1);
    let after = hers.history_after(older.messages[0].position, 1).await.unwrap();
    let around = hers.history_around(two.id, 1).await.unwrap();
    let links = hers.links(None, 1).await.unwrap();
    let mut view = hers.subscribe();
    let snapshot = view.snapshot().await.unwrap();
    let (mut list, mut told) = (MessageList::new(snapshot.clone()), vec![snapshot.first_waiting]);
    for page in [older, after, around, links, snapshot] {
        assert_eq!(first(page).await, expected);
    }
    assert_eq!(
        list.messages().iter().filter_map(|message| list.waiting(message)).collect::<Vec<_>>(),
        [offline; 2]
    );
    pair.world.start_relay().await;
    within("everything is sent", async {
        while list.messages().iter().any(|message| list.waiting(message).is_some()) {
            let change = view.next().await.unwrap().unwrap();
            if let Change::Waiting(waiting) = &change {
                told.push(*waiting);
            }
            list.apply(change);
        }
    })
    .await;
    assert!(told.windows(2).all(|two| two[0] != two[1]), "nothing is told twice: {told:?}");
    pair.ada.message_reaches(hers, two.id, Delivery::Sent).await;
    eventually("nothing waits", async || {
        hers.history(None).await.unwrap().first_waiting.is_none().then_some(())
    })
    .await;
}
