//! Search end to end: text in any script, and searching while others write.

#![cfg(test)]

use std::time::Duration;

use sealpost_core::{Client, MessageBody, Search, SearchOrder};
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
async fn messages_are_found_by_thread_sender_and_time_with_the_words_marked() {
    let world = World::start().await;
    let (ada, ben, cyd) = (world.party("ada").await, world.party("ben").await, world.party("cyd").await);
    let (hers, other) = (ada.thread_with(&ben).await, ada.thread_with(&cyd).await);
    hers.send_text("the café is open, and the cafés are full").await.unwrap();
    other.send_text("which café?").await.unwrap();
    ben.thread_with(&ada).await.send_text("my café is closed").await.unwrap();
    let all = async || {
        let found = ada.client.find(Search::new("cafe"), 10).await.unwrap().hits;
        (found.len() == 3).then_some(found)
    };
    let all = eventually("all three are found", all).await;
    let search = |set: &dyn Fn(&mut Search)| {
        let mut search = Search::new("cafe");
        set(&mut search);
        search
    };
    let of_ben = search(&|search| search.sender = Some(ben.client.user_id()));
    let of_thread = search(&|search| {
        search.thread = Some(other.id());
        search.order = SearchOrder::Best;
    });
    let sent = all.iter().map(|hit| hit.message.sent_ms).max().unwrap();
    let later = search(&|search| search.from_ms = Some(sent + 1));
    let until = search(&|search| search.until_ms = Some(sent + 1));
    for (search, texts) in [
        (of_ben, vec!["my café is closed"]),
        (of_thread, vec!["which café?"]),
        (later, vec![]),
        (until, all.iter().filter_map(|hit| hit.message.text()).collect()),
    ] {
        let found = ada.client.find(search, 10).await.unwrap().hits;
        assert_eq!(found.iter().filter_map(|hit| hit.message.text()).collect::<Vec<_>>(), texts);
    }
    let hit = all.iter().find(|hit| hit.message.thread == hers.id() && hit.marks.len() == 2).unwrap();
    let text = hit.message.text().unwrap();
    let marked: Vec<_> = hit.marks.iter().map(|mark| &text[mark.start as usize..mark.end as usize]).collect();
    assert_eq!(marked, ["café", "café"]);
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
