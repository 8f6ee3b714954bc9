//! Push notifications: waiting messages are received, and the file is closed again.

#![cfg(test)]

use std::future::{pending, ready};
use std::time::Duration;

use sealpost_core::{Delivery, Error, MessageBody, Storage, fetch_for_push};
use sealpost_testkit::{World, eventually, texts};

#[tokio::test(flavor = "multi_thread")]
async fn waiting_messages_are_fetched_once() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let (hers, ada_user) = (ada.thread_with(&ben).await, ada.client.user_id());
    let ben = ben.close().await;
    for text in ["one", "two", "three"] {
        let sent = hers.send_text(text).await.unwrap();
        ada.message_reaches(&hers, sent.id, Delivery::Sent).await;
    }

    let fetched = fetch_for_push(ben.config(), pending()).await.unwrap();
    let fetched_texts: Vec<_> = fetched.messages.iter().map(|message| message.body.clone()).collect();
    assert_eq!(fetched_texts, ["one", "two", "three"].map(|text| MessageBody::Text(text.to_owned())));
    assert!(fetched.complete);

    let again = fetch_for_push(ben.config(), pending()).await.unwrap();
    assert_eq!((again.messages, again.complete), (Vec::new(), true));

    // The app finds them, and sends receipts.
    let ben = ben.open().await;
    let his = ben.client.direct_thread(ada_user).await.unwrap();
    assert_eq!(texts(&his).await, ["one", "two", "three"]);
    for message in hers.history(None).await.unwrap().messages {
        ada.message_reaches(&hers, message.id, Delivery::Delivered).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_unreachable_relay_the_fetch_returns_at_the_time_limit() {
    let world = World::start().await;
    let disk = world.party("ada").await.close().await.through("http://127.0.0.1:1");
    let fetched = fetch_for_push(disk.config(), ready(())).await.unwrap();
    assert!(fetched.messages.is_empty() && !fetched.complete);
    // The file is closed again.
    fetch_for_push(disk.config(), ready(())).await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_opens_the_database_once() {
    let world = World::start().await;
    let disk = world.party("ada").await.close().await.through("http://127.0.0.1:1");
    let count = || {
        let open = std::fs::read_dir("/proc/self/fd").unwrap();
        let targets = open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        targets.filter(|target| target == disk.database()).count()
    };
    // It accesses the database while it tries to connect.
    let while_it_tries = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(count(), 1);
    };
    fetch_for_push(disk.config(), while_it_tries).await.unwrap();
    assert_eq!(count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_client_and_an_empty_database_are_different_errors() {
    let world = World::start().await;
    let ada = world.party("ada").await;
    let disk = world.disk("ada");
    assert_eq!(fetch_for_push(disk.config(), pending()).await, Err(Error::Storage(Storage::InUse)));
    ada.live().await;
    let nobody = world.disk("nobody");
    assert_eq!(fetch_for_push(nobody.config(), pending()).await, Err(Error::Unauthorized));
    let free = async || fetch_for_push(nobody.config(), pending()).await.err() == Some(Error::Unauthorized);
    eventually("the file is free", async || free().await.then_some(())).await;
}
