//! Message requests and blocked people, with real clients and a real relay.

#![cfg(test)]

use sealpost_core::{
    Client, Delivery, Direction, Error, Event, Folder, Message, Thread, ThreadId, ThreadSummary, WaitReason,
};
use sealpost_testkit::{
    Party, World, eventually, history, newest, open_database, other, texts, when, within,
};

async fn list(client: &Client, folder: Folder) -> Vec<ThreadSummary> {
    client.folder_page(folder, None, 50).await.unwrap().threads
}

async fn ids(client: &Client, folder: Folder) -> Vec<ThreadId> {
    list(client, folder).await.into_iter().map(|thread| thread.id).collect()
}

/// The only request, once it is there.
async fn request(client: &Client) -> Thread {
    let id = eventually("a request", async || ids(client, Folder::Requests).await.pop()).await;
    client.thread(id).await.unwrap()
}

/// The states of her messages, the newest first.
async fn states(thread: &Thread) -> Vec<Delivery> {
    let states = history(thread).await.into_iter().rev().filter_map(|message| match message.direction {
        Direction::Outgoing(delivery) => Some(delivery),
        Direction::Incoming { .. } => None,
    });
    states.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_answered_only_after_the_person_has_accepted() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.disk("ben").asking().register().await);
    let hers = ada.thread_with(&ben).await;
    for text in ["one", "two"] {
        hers.send_text(text).await.unwrap();
    }
    let his = request(&ben.client).await;
    ben.texts_when(&his, 2).await;
    assert_eq!(ids(&ben.client, Folder::Chats).await, []);
    assert_eq!(ben.client.unread_totals().await.unwrap().threads, 0);
    // He reads them, and she is not told.
    his.mark_read(newest(&his).await.id).await.unwrap();
    his.set_archived(true).await.unwrap_err();
    his.accept_request().await.unwrap();
    assert_eq!(ids(&ben.client, Folder::Chats).await, [his.id()]);
    assert_eq!(ids(&ben.client, Folder::Requests).await, []);
    // What he sends is behind what he would have sent before.
    his.send_text("hi").await.unwrap();
    when("his answer", &hers, |message| message.text() == Some("hi")).await;
    assert_eq!(states(&hers).await, [Delivery::Sent; 2]);
    // From now on, she is told.
    let sent = hers.send_text("three").await.unwrap();
    ada.message_reaches(&hers, sent.id, Delivery::Delivered).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_accepts_a_request() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.disk("ben").asking().register().await);
    let hers = ada.thread_with(&ben).await;
    // More than the relay stores for somebody who has not accepted.
    for n in 0..18 {
        hers.send_text(&format!("line {n}")).await.unwrap();
    }
    let his = request(&ben.client).await;
    ben.texts_when(&his, 16).await;
    // What changes nothing is no answer.
    his.set_timer(0).await.unwrap();
    assert!(his.summary().await.unwrap().is_request);
    his.send_text("go on").await.unwrap();
    ben.texts_when(&his, 19).await;
    assert!(!his.summary().await.unwrap().is_request);
}

/// Waits until the relay refuses a message as if the thread was full and not accepted.
async fn is_refused(thread: &Thread, message: &Message) {
    eventually("a refusal", async || {
        let waiting = thread.waiting(message.id).await.unwrap()?;
        (waiting.reason == WaitReason::NotAccepted).then_some(())
    })
    .await;
}

/// Two people who know each other.
async fn acquainted(world: &World) -> (Party, Party, Thread, Thread) {
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    let sent = hers.send_text("hello").await.unwrap();
    ada.message_reaches(&hers, sent.id, Delivery::Delivered).await;
    (ada, ben, hers, his)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_reaches_the_relay_even_if_the_app_ends_before() {
    let mut world = World::start().await;
    let (ada, ben, hers, his) = acquainted(&world).await;
    world.stop_relay().await;
    let contact = other(&his).await;
    contact.block().await.unwrap();
    assert_eq!(his.send_text("to nobody").await, Err(Error::WrongState));
    let id = his.id();
    drop((his, contact));
    let ben = ben.close().await;
    world.start_relay().await;
    let ben = ben.open().await;
    let his = ben.client.thread(id).await.unwrap();
    // The relay may store what she sends until it is told.
    let mut attempts = 0;
    let refused = loop {
        let sent = hers.send_text("are you there?").await.unwrap();
        attempts += 1;
        let is_over = eventually("an answer", async || match hers.waiting(sent.id).await.unwrap() {
            None => Some(false),
            Some(waiting) => (waiting.reason == WaitReason::NotAccepted).then_some(true),
        });
        if is_over.await {
            break sent;
        }
    };
    is_refused(&hers, &refused).await;
    assert!(states(&hers).await[1..].iter().all(|state| *state != Delivery::Queued), "{attempts}");
    // It survives a restart of the relay, which forgets connections, and of the client.
    assert!(ben.client.blocked().await.unwrap()[0].is_blocked().await.unwrap());
    assert!(list(&ben.client, Folder::Chats).await[0].is_blocked);
    assert_eq!(texts(&his).await, ["hello"]);
    let contact = other(&his).await;
    contact.unblock().await.unwrap();
    ada.message_reaches(&hers, refused.id, Delivery::Delivered).await;
    // What was sent before was discarded, and she got no receipt for it.
    assert_eq!(texts(&his).await, ["hello", "are you there?"]);
    let expected = vec![Delivery::Sent; attempts - 1];
    assert_eq!(states(&hers).await[1..attempts], expected);
    his.send_text("yes").await.unwrap();
    when("his answer", &hers, |message| message.text() == Some("yes")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_whom_the_relay_does_not_block_any_more_is_blocked_on_the_device() {
    let mut world = World::start().await;
    let (ada, ben, hers, his) = acquainted(&world).await;
    let user = ben.client.user_id();
    world.stop_relay().await;
    let relay = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    // As many as a user may block.
    let many = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1024)
        INSERT INTO block (user_id, blocked_user) SELECT ?1, randomblob(16) FROM n";
    assert_eq!(relay.execute(many, [user.as_bytes()]).unwrap(), 1024);
    let blocks = || relay.query_row("SELECT count(*) FROM block", [], |row| row.get::<_, u32>(0)).unwrap();
    world.start_relay().await;
    ben.live().await;
    other(&his).await.block().await.unwrap();
    let is_told = async || {
        let database = open_database(world.disk("ben").database(), &world.disk("ben").key());
        let sql = "SELECT count(*) FROM contact WHERE block_due = 1";
        (database.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap() == 0).then_some(())
    };
    eventually("the relay has answered", is_told).await;
    assert_eq!(blocks(), 1024);
    // The relay stores what she sends, and his device discards it.
    let sent = hers.send_text("are you there?").await.unwrap();
    ada.message_reaches(&hers, sent.id, Delivery::Sent).await;
    eventually("it is discarded", async || (world.rows_in_mailboxes() == 0).then_some(())).await;
    assert_eq!(texts(&his).await, ["hello"]);
    // The end of another block is told as ever.
    other(&his).await.unblock().await.unwrap();
    eventually("the relay has answered", is_told).await;
    let sent = hers.send_text("and now?").await.unwrap();
    ada.message_reaches(&hers, sent.id, Delivery::Delivered).await;
    assert_eq!(texts(&his).await, ["hello", "and now?"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_request_is_in_no_list_and_returns_when_it_is_unblocked() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.disk("ben").asking().register().await);
    let hers = ada.thread_with(&ben).await;
    hers.send_text("buy this").await.unwrap();
    let his = request(&ben.client).await;
    let contact = other(&his).await;
    let mut events = ben.client.events();
    let report = contact.report().await.unwrap();
    assert_eq!((report.user, report.messages[0].text()), (ada.client.user_id(), Some("buy this")));
    let told = within("the report", events.next()).await.unwrap().unwrap();
    assert_eq!(told, Event::Reported(Box::new(report)));
    contact.block().await.unwrap();
    assert_eq!(ids(&ben.client, Folder::Requests).await, []);
    assert_eq!(ids(&ben.client, Folder::Chats).await, []);
    contact.unblock().await.unwrap();
    assert_eq!(ids(&ben.client, Folder::Requests).await, [his.id()]);
    let oneself = ben.client.contact(ben.client.user_id());
    assert!(matches!(oneself.block().await, Err(Error::Misuse(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_was_refused_leaves_when_somebody_who_has_unblocked_us_writes() {
    let world = World::start().await;
    let (ada, ben, hers, his) = acquainted(&world).await;
    let sent = his.send_text("read this").await.unwrap();
    ben.message_reaches(&his, sent.id, Delivery::Delivered).await;
    let to_read = when("the text", &hers, |message| message.text() == Some("read this")).await;
    let contact = other(&his).await;
    contact.block().await.unwrap();
    let sql = "SELECT count(*) FROM block";
    let relay = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
    let blocks = || relay.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap();
    eventually("the relay knows", async || (blocks() == 1).then_some(())).await;
    hers.mark_read(to_read.id).await.unwrap();
    // The relay refuses it. As after many attempts, the next one would be in an hour.
    let disk = world.disk("ada");
    let database = open_database(disk.database(), &disk.key());
    let put_off = "UPDATE mail SET due = due + 3600000, attempts = 12 WHERE attempts > 0 AND bytes IS NULL";
    eventually("a refusal", async || (database.execute(put_off, []).unwrap() == 1).then_some(())).await;
    contact.unblock().await.unwrap();
    eventually("the relay knows", async || (blocks() == 0).then_some(())).await;
    his.send_text("hello again").await.unwrap();
    ben.message_reaches(&his, sent.id, Delivery::Read).await;
    drop((ada, hers));
}
