//! Two clients exchange messages over a real relay, go offline, come back, and show the same conversation.

use futures_util::TryStreamExt as _;
use sealpost_core::{Delivery, Direction, Error, MessageBody};
use sealpost_testkit::{World, eventually, other, texts};

#[tokio::test(flavor = "multi_thread")]
async fn a_first_message_arrives_and_is_answered() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let hers = ada.thread_with(&ben).await;
    let hello = hers.send_text("hello").await.unwrap();
    assert_eq!(hello.direction, Direction::Outgoing(Delivery::Queued));
    ada.message_reaches(&hers, hello.id, Delivery::Delivered).await;

    let his = ben.thread_with(&ada).await;
    assert_eq!(his.id(), hers.id());
    assert_eq!(texts(&his).await, ["hello"]);
    let answer = his.send_text("hello yourself").await.unwrap();
    ben.message_reaches(&his, answer.id, Delivery::Delivered).await;
    assert_eq!(texts(&hers).await, ["hello", "hello yourself"]);
    assert_eq!(texts(&his).await, ["hello", "hello yourself"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn read_receipts_are_delivered() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let hers = ada.thread_with(&ben).await;
    let question = hers.send_text("did you read this?").await.unwrap();
    ada.message_reaches(&hers, question.id, Delivery::Delivered).await;
    let his = ben.thread_with(&ada).await;
    let newest = his.history(None).await.unwrap().messages[0].id;
    his.mark_read(newest).await.unwrap();
    ada.message_reaches(&hers, question.id, Delivery::Read).await;
    assert_eq!(his.history(None).await.unwrap().messages[0].direction, Direction::Incoming { read: true });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_was_offline_catches_up() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let hers = ada.thread_with(&ben).await;
    // He answers first, and thereby accepts the thread; otherwise the relay would limit the messages for him.
    ben.thread_with(&ada).await;
    let bens_disk = ben.close().await;
    let lines: Vec<String> = (0..700).map(|n| format!("line {n}")).collect();
    let mut last = None;
    for line in &lines {
        last = Some(hers.send_text(line).await.unwrap().id);
    }
    ada.message_reaches(&hers, last.unwrap(), Delivery::Sent).await;
    let ben = bens_disk.open().await;
    let his = ben.thread_with(&ada).await;
    assert_eq!(ben.texts_when(&his, lines.len()).await, lines);
    ada.message_reaches(&hers, last.unwrap(), Delivery::Delivered).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_written_while_the_relay_is_down_are_sent_when_it_is_back() {
    let mut world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let hers = ada.thread_with(&ben).await;
    let first = hers.send_text("before").await.unwrap();
    ada.message_reaches(&hers, first.id, Delivery::Delivered).await;
    world.stop_relay().await;
    let mut lines = vec!["before".to_owned()];
    for n in 0..20 {
        let line = format!("written in the dark, {n}");
        hers.send_text(&line).await.unwrap();
        lines.push(line);
    }
    assert_eq!(texts(&hers).await, lines);
    world.start_relay().await;
    let his = ben.thread_with(&ada).await;
    assert_eq!(ben.texts_when(&his, lines.len()).await, lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_can_write_the_first_message_at_the_same_time() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    let (a, b) = tokio::join!(hers.send_text("I was first"), his.send_text("no, I was"));
    ada.message_reaches(&hers, a.unwrap().id, Delivery::Delivered).await;
    ben.message_reaches(&his, b.unwrap().id, Delivery::Delivered).await;
    for n in 0..10 {
        let (a, b) = (hers.send_text(&format!("ada {n}")).await, his.send_text(&format!("ben {n}")).await);
        ada.message_reaches(&hers, a.unwrap().id, Delivery::Delivered).await;
        ben.message_reaches(&his, b.unwrap().id, Delivery::Delivered).await;
    }
    assert_eq!(texts(&hers).await.len(), 22);
    assert_eq!(texts(&hers).await, texts(&his).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn safety_numbers_are_the_same_on_both_sides() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let hers = ada.thread_with(&ben).await;
    assert_eq!(other(&hers).await.safety_number().await, Err(Error::NotFound));
    let hello = hers.send_text("hello").await.unwrap();
    ada.message_reaches(&hers, hello.id, Delivery::Delivered).await;
    let number = other(&hers).await.safety_number().await.unwrap();
    assert_eq!(number.len(), 60);
    let his = ben.client.contact(ada.client.user_id());
    assert_eq!(his.safety_number().await.unwrap(), number);
    assert!(his.verify(&number).await.unwrap());
    assert!(!his.verify("00000").await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_contains_each_message_once_even_if_they_are_sent_while_it_is_read() {
    let mut world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let hers = ada.thread_with(&ben).await;
    world.stop_relay().await;
    let (mut written, mut last) = (Vec::new(), None);
    for n in 0..60 {
        let message = hers.send_text(&format!("number {n}")).await.unwrap();
        written.push(message.body);
        last = Some(message.id);
    }
    let mut messages = hers.messages();
    let mut read = vec![messages.try_next().await.unwrap().unwrap().body];
    world.start_relay().await;
    ada.client.reconnect();
    ada.message_reaches(&hers, last.unwrap(), Delivery::Sent).await;
    while let Some(message) = messages.try_next().await.unwrap() {
        read.push(message.body);
    }
    read.reverse();
    assert_eq!(read, written);
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_paged_and_searched() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let hers = ada.thread_with(&ben).await;
    let mut last = None;
    for n in 0..120 {
        last = Some(hers.send_text(&format!("Überraschung number {n}")).await.unwrap().id);
    }
    // Messages move when the relay answers.
    ada.message_reaches(&hers, last.unwrap(), Delivery::Sent).await;
    let mut seen = Vec::new();
    let mut before = None;
    let mut sizes = Vec::new();
    loop {
        let page = hers.history(before).await.unwrap();
        sizes.push(page.messages.len());
        seen.extend(page.messages.into_iter().map(|message| message.body));
        before = page.older;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [50, 50, 20]);
    let newest_first: Vec<_> =
        (0..120).rev().map(|n| MessageBody::Text(format!("Überraschung number {n}"))).collect();
    assert_eq!(seen, newest_first);
    let found = eventually("the index is fed", async || {
        let found = ada.client.search("uberr 77", 10).await.unwrap();
        found.into_iter().next()
    })
    .await;
    assert_eq!(found.body, MessageBody::Text("Überraschung number 77".into()));
    assert!(ada.client.search("\"OR * ) nothing", 10).await.unwrap().is_empty());
}
