//! What an app shows as notifications and takes back, with a real relay and after restarts.

#![cfg(test)]

use sealpost_core::{Client, Notice, NoticeAction, Notices};
use sealpost_testkit::{Pair, newest, within};

/// The next notice, as what is to be done and the text.
async fn next(notices: &mut Notices) -> (&'static str, String) {
    let mut batch = within("a notice", notices.next_batch(1)).await.unwrap().unwrap();
    match batch.remove(0) {
        Notice { action: NoticeAction::Show(message), .. } => ("show", message.text().unwrap().to_owned()),
        Notice { action: NoticeAction::Update(message), .. } => {
            ("update", message.text().unwrap().to_owned())
        }
        _ => ("withdraw", String::new()),
    }
}

async fn confirmed(client: &Client, notices: &mut Notices, expected: (&'static str, &str)) {
    assert_eq!(next(notices).await, (expected.0, expected.1.to_owned()), "{client:?}");
    notices.confirm().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_is_shown_once_and_taken_back_when_it_is_read() {
    let pair = Pair::new().await;
    let (sent, _) = pair.say("hello").await;
    let ben = &pair.ben.client;
    let mut notices = ben.notices();
    // What is not confirmed is told again, also by a new process.
    assert_eq!(next(&mut notices).await, ("show", "hello".to_owned()));
    drop(notices);
    let id = pair.his.id();
    let Pair { world: _world, ada: _ada, ben, hers, his } = pair;
    drop(his);
    let ben = ben.close().await.open().await;
    let mut notices = ben.client.notices();
    confirmed(&ben.client, &mut notices, ("show", "hello")).await;
    hers.edit(sent, "hello again").await.unwrap();
    confirmed(&ben.client, &mut notices, ("update", "hello again")).await;
    drop(notices);
    let ben = ben.close().await.open().await;
    let his = ben.client.thread(id).await.unwrap();
    his.mark_read(newest(&his).await.id).await.unwrap();
    let mut notices = ben.client.notices();
    confirmed(&ben.client, &mut notices, ("withdraw", "")).await;
    hers.send_text("next").await.unwrap();
    confirmed(&ben.client, &mut notices, ("show", "next")).await;
}
