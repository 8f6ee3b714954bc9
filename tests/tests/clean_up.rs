//! Deleting chats and old messages on one device, and what is said about a message, with a real relay.

#![cfg(test)]

use sealpost_core::{Delivery, Event, Folder, ThreadId};
use sealpost_testkit::{Pair, eventually, texts, when, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_is_deleted_on_one_device_and_returns_with_the_next_message() {
    let pair = Pair::new().await;
    pair.say("one").await;
    let (sent, _) = pair.say("two").await;
    let details = pair.hers.details(sent).await.unwrap();
    assert!(details.stored_ms.is_some() && details.delivered_ms.is_some() && details.read_ms.is_none());
    let report = pair.ben.client.storage_report().await.unwrap();
    assert_eq!((report.threads.len(), report.threads[0].messages), (1, 2));
    let page = pair.ben.client.thread_page(None, 1).await.unwrap().threads;
    let unknown = ThreadId::from_bytes([0; 16]);
    assert_eq!(pair.ben.client.summaries(&[unknown, report.threads[0].thread]).await.unwrap(), page);
    pair.his.delete().await.unwrap();
    assert_eq!(pair.ben.client.folder_page(Folder::Chats, None, 10).await.unwrap().threads, []);
    assert_eq!(texts(&pair.his).await, [""; 0]);
    assert_eq!(pair.ben.client.search("two", 5).await.unwrap(), []);
    // She still has everything, and the conversation continues.
    assert_eq!(texts(&pair.hers).await, ["one", "two"]);
    pair.say("three").await;
    let listed = pair.ben.client.folder_page(Folder::Chats, None, 10).await.unwrap().threads;
    assert_eq!((listed.len(), listed[0].unread), (1, 1));
    let answer = pair.his.send_text("four").await.unwrap();
    pair.ben.message_reaches(&pair.his, answer.id, Delivery::Delivered).await;
    when("the answer", &pair.hers, |message| message.text() == Some("four")).await;
    assert_eq!(pair.hers.delete_older(u64::MAX).await.unwrap(), 4);
    assert_eq!(texts(&pair.hers).await, [""; 0]);
    assert_eq!(texts(&pair.his).await, ["three", "four"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_messages_of_all_chats_are_deleted_on_one_device_with_progress() {
    let pair = Pair::new().await;
    let cyd = pair.world.party("cyd").await;
    let (cyds, of_cyd) = (cyd.thread_with(&pair.ben).await, pair.ben.thread_with(&cyd).await);
    let note = pair.ben.client.note_to_self().await.unwrap();
    note.send_text("a note").await.unwrap();
    cyds.send_text("one").await.unwrap();
    when("the text", &of_cyd, |message| message.text() == Some("one")).await;
    pair.say("two").await;
    assert_eq!(pair.ben.client.delete_older(0).await.unwrap(), 0);
    let mut events = pair.ben.client.events();
    assert_eq!(pair.ben.client.delete_older(u64::MAX).await.unwrap(), 3);
    let told = async {
        loop {
            if let Ok(Event::CleaningUp { deleted, threads_left: 0 }) = events.next().await.unwrap() {
                return deleted;
            }
        }
    };
    assert_eq!(within("the end", told).await, 3);
    for thread in [&note, &pair.his, &of_cyd] {
        assert_eq!(texts(thread).await, [""; 0]);
    }
    // The chats stay in the list, the others have everything, and conversations continue.
    let chats = async || pair.ben.client.folder_page(Folder::Chats, None, 10).await.unwrap().threads;
    assert_eq!(chats().await.len(), 3);
    assert_eq!((texts(&pair.hers).await, texts(&cyds).await), (vec!["two".into()], vec!["one".into()]));
    pair.say("three").await;
    eventually("the text", async || (chats().await[0].unread == 1).then_some(())).await;
}
