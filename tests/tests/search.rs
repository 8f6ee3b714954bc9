//! Search end to end: text in any script, and searching while others write.

#![cfg(test)]

use std::time::Duration;

use sealpost_core::{Client, MessageBody};
use sealpost_testkit::{World, eventually};
use tokio::time::sleep;

async fn finds(client: &Client, words: &str, text: &str) -> bool {
    let found = client.search(words, 50).await.unwrap();
    found.iter().any(|message| message.body == MessageBody::Text(text.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn visible_text_is_found_in_any_script() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let hers = ada.thread_with(&ben).await;
    let cases = [
        ("明天我们去北京开会", "北京"),
        ("พรุ่งนี้ไปเชียงใหม่", "เชียงใหม่"),
        ("한강 산책", "\u{1112}\u{1161}\u{11ab}강"),
        ("كَتَبَ مُحَمَّد الرسالة", "محمد"),
        ("שלום רב", "שָׁלוֹם"),
        ("Işık açık", "ışık"),
        ("Treffpunkt Hauptstraße", "hauptstrasse"),
        ("party tonight 🎉", "🎉"),
        ("ＨＥＬＬＯ there", "hello\0"),
    ];
    for (text, _) in cases {
        hers.send_text(text).await.unwrap();
    }
    for client in [&ada.client, &ben.client] {
        for (text, words) in cases {
            eventually(words, async || finds(client, words, text).await.then_some(())).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_becomes_searchable_while_others_keep_arriving() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let hers = ada.thread_with(&ben).await;
    hers.send_text("needle").await.unwrap();
    // The writer never stops long enough for the index to catch up undisturbed.
    for n in 0..1000 {
        if finds(&ben.client, "needle", "needle").await {
            return;
        }
        hers.send_text(&format!("straw {n}")).await.unwrap();
        sleep(Duration::from_millis(20)).await;
    }
    panic!("1,000 messages later it is not found");
}
