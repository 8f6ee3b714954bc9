//! A client obeys a relay that asks it to wait, and loses nothing.

#![cfg(test)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use rusqlite::{Connection, OpenFlags};
use sealpost_core::{Change, Delivery, GroupDetails, GroupPermissions, MessageList, WaitReason, Waiting};
use sealpost_relay::limits::{Name, Rate};
use sealpost_testkit::{Interceptor, Proxy, World, eventually, texts};
use sealpost_wire::frame::Body;
use sealpost_wire::{Frame, reason};

/// Counts refusals and `Hello` frames.
#[derive(Clone, Default)]
struct Watch {
    refused: Arc<AtomicUsize>,
    hellos: Arc<AtomicUsize>,
}

impl Interceptor for Watch {
    fn up(&self, frame: Frame) -> Vec<Frame> {
        if matches!(frame.body, Some(Body::Hello(_))) {
            self.hellos.fetch_add(1, Ordering::SeqCst);
        }
        vec![frame]
    }

    fn down(&self, frame: Frame) -> Vec<Frame> {
        if matches!(&frame.body, Some(Body::Error(error)) if error.reason == reason::RATE_LIMITED) {
            self.refused.fetch_add(1, Ordering::SeqCst);
        }
        vec![frame]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_acknowledgement_is_repeated_on_the_same_connection() {
    let world = World::start_with(|mut config| {
        // The limit is one row in two and a half seconds, which is too long to be slowed only.
        config.limits.set(Name::AckRows, Some(Rate::new(1, 1, Duration::from_millis(2_500))));
        config
    })
    .await;
    let watch = Watch::default();
    let proxy = Proxy::start(world.addr(), watch.clone()).await;
    let (ada, ben) =
        (world.party("ada").await, world.disk("ben").through(&proxy.url()).open_or_register().await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    for (line, count) in [("one", 1), ("two", 2), ("three", 3)] {
        hers.send_text(line).await.unwrap();
        ben.texts_when(&his, count).await;
    }
    let relay = world.relay_dir().join("relay.db");
    let waiting = || {
        let db = Connection::open_with_flags(&relay, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        db.query_row("SELECT count(*) FROM inbox", [], |row| row.get::<_, u32>(0)).unwrap()
    };
    eventually("the mailboxes are empty", async || (waiting() == 0).then_some(())).await;
    assert!(watch.refused.load(Ordering::SeqCst) > 0, "nothing was refused");
    assert_eq!(watch.hellos.load(Ordering::SeqCst), 1, "the connection stays open");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_above_the_limit_of_a_recipient_is_sent_later() {
    let world = World::start_with(|mut config| {
        // After each message, the limit is exceeded for two and a half seconds.
        config.limits.set(Name::PairBytes, Some(Rate::new(1, 1, Duration::from_millis(2_500))));
        config
    })
    .await;
    let watch = Watch::default();
    let proxy = Proxy::start(world.addr(), watch.clone()).await;
    let (ada, ben) =
        (world.disk("ada").through(&proxy.url()).open_or_register().await, world.party("ben").await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    // Bytes are charged when a message is stored, so messages in flight at the same time would all be accepted.
    let one = hers.send_text("one").await.unwrap();
    ada.message_reaches(&hers, one.id, Delivery::Delivered).await;
    let (two, three) = (hers.send_text("two").await.unwrap(), hers.send_text("three").await.unwrap());
    // She can be told why, how often it was tried, and when it is tried again; and be told whenever that changes.
    let [told_of_two, told_of_three] = [two.id, three.id].map(|id| {
        let waits = hers.waits(id);
        tokio::spawn(async move { waits.map(Result::unwrap).collect::<Vec<_>>().await })
    });
    // A view of the thread tells it together with the messages.
    let mut view = hers.subscribe();
    let shown = tokio::spawn(async move {
        let snapshot = view.snapshot().await.unwrap();
        let mut list = MessageList::new(snapshot.clone());
        let (mut told, mut of_messages) = (vec![snapshot.first_waiting], Vec::new());
        loop {
            let all = list.messages().iter();
            of_messages.extend(all.filter_map(|message| Some((message.id, list.waiting(message)?))));
            if told.len() > 1 && told.last() == Some(&None) {
                break;
            }
            let change = view.next().await.unwrap().unwrap();
            if let Change::Waiting(waiting) = &change {
                told.push(*waiting);
            }
            list.apply(change);
        }
        (told, of_messages)
    });
    let waits = async |id, reason| {
        eventually("the message waits for its next attempt", async || {
            hers.waiting(id).await.unwrap().filter(|waiting| waiting.reason == reason)
        })
        .await
    };
    assert_eq!(waits(three.id, WaitReason::Behind).await.attempts, 0);
    let waiting = waits(two.id, WaitReason::RelayBusy).await;
    assert!(waiting.attempts > 0 && waiting.next_ms.is_some(), "{waiting:?}");
    let texts = ben.texts_when(&his, 3).await;
    assert_eq!(texts, ["one", "two", "three"]);
    ada.message_reaches(&hers, three.id, Delivery::Sent).await;
    assert_eq!(hers.waiting(three.id).await, Ok(None));
    let (told_of_two, told_of_three) = (told_of_two.await.unwrap(), told_of_three.await.unwrap());
    for told in [&told_of_two, &told_of_three] {
        assert!(told.windows(2).all(|two| two[0] != two[1]), "nothing is told twice: {told:?}");
    }
    let put_off = |told: &&Waiting| told.reason == WaitReason::RelayBusy && told.next_ms.is_some();
    assert!(told_of_two.iter().find(put_off).is_some_and(|told| told.attempts > 0), "{told_of_two:?}");
    assert!(told_of_three.iter().any(|told| told.reason == WaitReason::Behind), "{told_of_three:?}");
    let (told, of_messages) = shown.await.unwrap();
    assert!(told.windows(2).all(|two| two[0] != two[1]), "nothing is told twice: {told:?}");
    let was_shown = |id, found: &dyn Fn(&Waiting) -> bool| {
        assert!(of_messages.iter().any(|(of, waiting)| *of == id && found(waiting)), "{of_messages:?}");
    };
    was_shown(two.id, &|waiting| waiting.attempts > 0 && put_off(&waiting));
    was_shown(three.id, &|waiting| waiting.reason == WaitReason::Behind && waiting.next_ms.is_some());
    assert!(of_messages.iter().all(|(of, _)| *of != one.id));
    assert!(watch.refused.load(Ordering::SeqCst) > 0, "nothing was refused");
    assert_eq!(watch.hellos.load(Ordering::SeqCst), 1, "the connection stays open");
}

/// In a group of strangers, the first message needs a session with each.
#[tokio::test(flavor = "multi_thread")]
async fn fellow_members_are_met_although_no_more_strangers_are() {
    let world = World::start_with(|mut config| {
        // One stranger an hour.
        config.limits.set(Name::Takes, Some(Rate::new(1, 1, Duration::from_secs(3_600))));
        config
    })
    .await;
    let ada = world.party("ada").await;
    let others = [world.party("ben").await, world.party("cam").await, world.party("dee").await];
    let invited: Vec<_> = others.iter().map(|other| other.client.user_id()).collect();
    let group = eventually("a group", async || {
        let (details, permissions) = (GroupDetails::default(), GroupPermissions::default());
        ada.client.create_group(details, permissions, &invited).await.ok()
    })
    .await;
    for other in &others {
        let theirs = eventually("an invitation", async || other.client.group(group.id()).await.ok()).await;
        theirs.accept().await.unwrap();
    }
    eventually("four members", async || {
        let members = group.members().await.ok()?;
        (members.len() == 4).then_some(())
    })
    .await;
    group.thread().await.unwrap().send_text("hello").await.unwrap();
    for other in &others {
        let thread = other.client.thread(group.id()).await.unwrap();
        eventually("they can read it", async || (texts(&thread).await == ["hello"]).then_some(())).await;
    }
}
