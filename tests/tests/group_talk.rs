//! People talk in a group; somebody is added and removed in mid-talk, and each has exactly what they may have.

#![cfg(test)]

use sealpost_core::{Delivery, Direction, GroupDetails, GroupPermissions, MessageBody, Thread, ThreadId};
use sealpost_e2e::{has_members, know_each_other};
use sealpost_testkit::{Party, World, eventually, history};

/// The thread with this id on a device, once it is there.
async fn thread_on(device: &Party, id: ThreadId) -> Thread {
    eventually("the thread is there", async || device.client.thread(id).await.ok()).await
}

/// The texts of a group on a device, the oldest first; others as they are.
async fn texts(device: &Party, id: ThreadId) -> Vec<String> {
    let Ok(thread) = device.client.thread(id).await else { return Vec::new() };
    let all = history(&thread).await.into_iter();
    all.map(|message| match message.body {
        MessageBody::Text(text) => text,
        other => format!("{other:?}"),
    })
    .collect()
}

async fn has(device: &Party, id: ThreadId, expected: &[&str]) {
    eventually("the texts are there", async || (texts(device, id).await == expected).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_people_talk_while_one_is_added_and_one_is_removed() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let (cam, dee) = (world.party("cam").await, world.party("dee").await);
    for other in [&ben, &cam, &dee] {
        know_each_other(&ada, other).await;
    }
    let invited = [ben.client.user_id(), cam.client.user_id()];
    let details = GroupDetails::default();
    let group = ada.client.create_group(details, GroupPermissions::default(), &invited).await.unwrap();
    let id = group.id();
    for device in [&ada, &ben, &cam] {
        has_members(device, id, 3).await;
    }
    thread_on(&ada, id).await.send_text("one").await.unwrap();
    for device in [&ada, &ben, &cam] {
        has(device, id, &["one"]).await;
    }
    let second = thread_on(&ben, id).await.send_text("two").await.unwrap();
    for device in [&ada, &ben, &cam] {
        has(device, id, &["one", "two"]).await;
    }
    let all = thread_on(&ben, id).await;
    eventually("both have it", async || {
        let message = ben.client.message(second.id).await.unwrap();
        (message.direction == Direction::Outgoing(Delivery::Delivered)).then_some(())
    })
    .await;
    assert_eq!(all.receipts(second.id).await.unwrap().delivered(), 2);
    // Dee is added, and reads nothing older.
    group.invite(&[dee.client.user_id()]).await.unwrap();
    for device in [&ada, &ben, &cam, &dee] {
        has_members(device, id, 4).await;
    }
    thread_on(&cam, id).await.send_text("three").await.unwrap();
    has(&dee, id, &["three"]).await;
    for device in [&ada, &ben, &cam] {
        has(device, id, &["one", "two", "three"]).await;
    }
    // Cam is removed, and reads nothing later.
    group.remove(&[cam.client.user_id()]).await.unwrap();
    for device in [&ada, &ben, &dee] {
        has_members(device, id, 3).await;
    }
    thread_on(&dee, id).await.send_text("four").await.unwrap();
    has(&ada, id, &["one", "two", "three", "four"]).await;
    thread_on(&ada, id).await.send_text("five").await.unwrap();
    has(&dee, id, &["three", "four", "five"]).await;
    for device in [&ada, &ben] {
        has(device, id, &["one", "two", "three", "four", "five"]).await;
    }
    assert_eq!(texts(&cam, id).await, ["one", "two", "three"]);
}
