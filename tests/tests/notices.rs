//! What an app shows as notifications and takes back, with a real relay and after restarts.

#![cfg(test)]

use sealpost_core::{Client, Folder, Notice, NoticeAction, Notices, Thread};
use sealpost_testkit::{Pair, Party, World, eventually, newest, texts, within};

/// The next notice, as what is to be done and the text.
async fn next(notices: &mut Notices) -> (&'static str, String) {
    let mut batch = within("a notice", notices.next_batch(1)).await.unwrap().unwrap();
    match batch.remove(0) {
        Notice { action: NoticeAction::Show(message), .. } => ("show", message.text().unwrap().to_owned()),
        Notice { action: NoticeAction::Update(message), .. } => {
            ("update", message.text().unwrap().to_owned())
        }
        Notice { action: NoticeAction::Request, .. } => ("request", String::new()),
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

/// The request of somebody who has written two lines.
async fn request_of(world: &World, name: &str, ben: &Party) -> (Party, Thread, Thread) {
    let stranger = world.party(name).await;
    let theirs = stranger.thread_with(ben).await;
    theirs.send_text("let me in").await.unwrap();
    theirs.send_text("now").await.unwrap();
    let his = eventually("the request", async || {
        let requests = ben.client.folder_page(Folder::Requests, None, 9).await.unwrap().threads;
        let request = requests.into_iter().find(|request| request.others == [stranger.client.user_id()])?;
        let his = ben.client.thread(request.id).await.unwrap();
        (texts(&his).await.len() == 2).then_some(his)
    });
    let his = his.await;
    (stranger, theirs, his)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_announced_once_and_without_the_text() {
    let world = World::start().await;
    let ben = world.disk("ben").asking().register().await;
    let mut notices = ben.client.notices();
    let (ada, hers, his) = request_of(&world, "ada", &ben).await;
    let (cyd, cyds, of_cyd) = request_of(&world, "cyd", &ben).await;
    // The first message of each, and nothing of the second, also after a restart.
    confirmed(&ben.client, &mut notices, ("request", "")).await;
    confirmed(&ben.client, &mut notices, ("request", "")).await;
    // An edit changes nothing that is shown.
    hers.edit(ada_first(&hers).await, "let me in, please").await.unwrap();
    eventually("the edit", async || {
        texts(&his).await.contains(&"let me in, please".to_owned()).then_some(())
    })
    .await;
    // Who is accepted is shown like everybody else, from the next message on.
    his.accept_request().await.unwrap();
    confirmed(&ben.client, &mut notices, ("withdraw", "")).await;
    hers.send_text("thank you").await.unwrap();
    confirmed(&ben.client, &mut notices, ("show", "thank you")).await;
    // What was shown of somebody who is blocked is taken back.
    ben.client.contact(cyd.client.user_id()).block().await.unwrap();
    confirmed(&ben.client, &mut notices, ("withdraw", "")).await;
    ben.client.contact(ada.client.user_id()).block().await.unwrap();
    confirmed(&ben.client, &mut notices, ("withdraw", "")).await;
    drop((cyds, of_cyd));
}

/// The first message of her side of the thread.
async fn ada_first(hers: &Thread) -> sealpost_core::MessageId {
    hers.history(None).await.unwrap().messages.pop().unwrap().id
}
