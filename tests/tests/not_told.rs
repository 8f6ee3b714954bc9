//! What does not leave a device after the person has blocked somebody or switched something off, with real clients and a real relay.

#![cfg(test)]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rusqlite::Connection;
use sealpost_core::{
    Delivery, Direction, Error, Message, PrivacySetting, Profile, Thread, UserId, WaitReason,
};
use sealpost_testkit::{
    Interceptor, Party, PartyDisk, Proxy, World, eventually, history, newest, open_database, other, when,
};
use sealpost_wire::Frame;
use sealpost_wire::frame::Body;

/// Remembers for whom a client sends mail that is kept, and how many posts it sends.
#[derive(Clone, Default)]
struct Leaving {
    mail: Arc<Mutex<Vec<UserId>>>,
    posts: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Leaving {
    fn mail_to(&self, party: &Party) -> usize {
        let user = party.client.user_id();
        self.mail.lock().unwrap().iter().filter(|to| **to == user).count()
    }

    fn posts(&self) -> usize {
        self.posts.lock().unwrap().len()
    }
}

impl Interceptor for Leaving {
    fn up(&self, frame: Frame) -> Vec<Frame> {
        match &frame.body {
            Some(Body::Mail(mail)) if !mail.client_msg_id.is_empty() => {
                let users = mail.copies.iter().map(|copy| UserId::from_slice(&copy.user_id).unwrap());
                self.mail.lock().unwrap().extend(users);
            }
            Some(Body::Send(send)) => self.posts.lock().unwrap().push(send.client_msg_id.to_vec()),
            _ => {}
        }
        vec![frame]
    }
}

/// The file of a client that may be open.
struct File {
    path: PathBuf,
    key: [u8; 32],
}

impl File {
    fn of(disk: &PartyDisk) -> Self {
        Self { path: disk.database().to_owned(), key: disk.key() }
    }

    fn open(&self) -> Connection {
        open_database(&self.path, &self.key)
    }

    fn count(&self, sql: &str) -> i64 {
        self.open().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// How much mail waits to be sent.
    fn mail(&self) -> i64 {
        self.count("SELECT count(*) FROM mail")
    }

    async fn mail_becomes(&self, expected: i64) {
        eventually("the mail", async || (self.mail() == expected).then_some(())).await;
    }
}

fn profile(name: &str) -> Profile {
    Profile { name: name.to_owned(), ..Profile::default() }
}

async fn shows(party: &Party, of: &Party, name: &str) {
    let contact = party.client.contact(of.client.user_id());
    eventually(name, async || (contact.profile().await.unwrap()? == profile(name)).then_some(())).await;
}

fn delivery(message: &Message) -> Delivery {
    match message.direction {
        Direction::Outgoing(delivery) => delivery,
        Direction::Incoming { .. } => panic!("it is not ours"),
    }
}

/// Two people who know each other. What the first one sends is watched.
struct Watched {
    ada: Party,
    ben: Party,
    hers: Thread,
    his: Thread,
    file: File,
    leaving: Leaving,
    _proxy: Proxy,
}

async fn acquainted(world: &World) -> Watched {
    let leaving = Leaving::default();
    let proxy = Proxy::start(world.addr(), leaving.clone()).await;
    let disk = world.disk("ada").through(&proxy.url());
    let file = File::of(&disk);
    let (ada, ben) = (disk.register().await, world.party("ben").await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    let sent = hers.send_text("hello").await.unwrap();
    ada.message_reaches(&hers, sent.id, Delivery::Delivered).await;
    Watched { ada, ben, hers, his, file, leaving, _proxy: proxy }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_changes_during_a_block_is_sent_after_it_once() {
    let world = World::start().await;
    let Watched { ada, ben, file, leaving, _proxy, .. } = acquainted(&world).await;
    let cyd = world.party("cyd").await;
    let sent = ada.thread_with(&cyd).await.send_text("hello").await.unwrap();
    ada.message_reaches(&ada.thread_with(&cyd).await, sent.id, Delivery::Delivered).await;
    let contact = ada.client.contact(ben.client.user_id());
    contact.block().await.unwrap();
    for name in ["Ada", "Ada L."] {
        ada.client.set_profile(profile(name)).await.unwrap();
    }
    shows(&cyd, &ada, "Ada L.").await;
    file.mail_becomes(0).await;
    assert_eq!(leaving.mail_to(&ben), 0);
    contact.unblock().await.unwrap();
    shows(&ben, &ada, "Ada L.").await;
    file.mail_becomes(0).await;
    assert_eq!(leaving.mail_to(&ben), 1, "only the newest");
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_that_wait_are_dropped_by_a_switch_and_by_a_block() {
    let mut world = World::start().await;
    let Watched { ada, ben, hers, his, file, leaving, _proxy } = acquainted(&world).await;
    let contact = other(&hers).await;
    for (n, text) in ["one", "two"].into_iter().enumerate() {
        let sent = his.send_text(text).await.unwrap();
        ben.message_reaches(&his, sent.id, Delivery::Delivered).await;
        file.mail_becomes(0).await;
        let before = leaving.mail_to(&ben);
        world.stop_relay().await;
        hers.mark_read(newest(&hers).await.id).await.unwrap();
        assert_eq!(file.mail(), 1);
        if n == 0 {
            ada.client.set_privacy(PrivacySetting::ReadReceipts, false).await.unwrap();
        } else {
            contact.block().await.unwrap();
        }
        assert_eq!(file.mail(), 0);
        ada.client.set_privacy(PrivacySetting::ReadReceipts, true).await.unwrap();
        world.start_relay().await;
        ada.live().await;
        assert_eq!(leaving.mail_to(&ben), before);
    }
    let states: Vec<_> = history(&his).await[1..].iter().map(delivery).collect();
    assert_eq!(states, [Delivery::Delivered; 2]);
    // Nor is a message that had failed sent again.
    contact.unblock().await.unwrap();
    world.stop_relay().await;
    let failed = hers.send_text("given up").await.unwrap();
    hers.give_up(failed.id).await.unwrap();
    contact.block().await.unwrap();
    assert_eq!(hers.retry(failed.id).await, Err(Error::WrongState));
    contact.unblock().await.unwrap();
    hers.retry(failed.id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_somebody_who_is_blocked_leaves_only_after_the_block() {
    let mut world = World::start().await;
    let Watched { ada, ben, hers, his, file, leaving, _proxy } = acquainted(&world).await;
    let sent = his.send_text("read offline").await.unwrap();
    ben.message_reaches(&his, sent.id, Delivery::Delivered).await;
    file.mail_becomes(0).await;
    let before = (leaving.mail_to(&ben), leaving.posts());
    world.stop_relay().await;
    hers.mark_read(newest(&hers).await.id).await.unwrap();
    let written = hers.send_text("written offline").await.unwrap();
    drop(hers);
    let disk = ada.close().await;
    assert_eq!(file.mail(), 1);
    // As if another process had blocked him after all of this was queued.
    let blocked = "INSERT INTO outgoing (lane, content_id, sent, class, body, state)
            SELECT thread_id, zeroblob(16), 1, 1, x'ea0100', 1 FROM thread;
        UPDATE contact SET blocked = 1, block_due = 1";
    file.open().execute_batch(blocked).unwrap();
    world.start_relay().await;
    let ada = disk.open().await;
    ada.live().await;
    file.mail_becomes(0).await;
    let hers = ada.thread_with(&ben).await;
    let reason = async || hers.waiting(written.id).await.unwrap().map(|waiting| waiting.reason);
    eventually("the message waits", async || (reason().await == Some(WaitReason::Blocked)).then_some(()))
        .await;
    assert_eq!((leaving.mail_to(&ben), leaving.posts()), before);
    assert_eq!(delivery(&newest(&his).await), Delivery::Delivered);
    assert_eq!(file.count("SELECT count(*) FROM outgoing WHERE state < 3"), 2);
    ada.client.contact(ben.client.user_id()).unblock().await.unwrap();
    when("what was written", &his, |message| message.text() == Some("written offline")).await;
    eventually("the null content", async || {
        (file.count("SELECT count(*) FROM outgoing WHERE state < 3") == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_waits_until_a_changed_identity_is_accepted() {
    let mut world = World::start().await;
    let Watched { ada, ben, hers, his, file, leaving: _, _proxy } = acquainted(&world).await;
    world.stop_relay().await;
    ada.client.set_profile(profile("Ada")).await.unwrap();
    file.mail_becomes(1).await;
    drop(hers);
    let disk = ada.close().await;
    file.open().execute_batch("UPDATE contact SET trust = 2").unwrap();
    world.start_relay().await;
    let ada = disk.open().await;
    ada.live().await;
    // It was queued before the change, and is not lost.
    file.mail_becomes(0).await;
    assert_eq!(file.count("SELECT profile_due FROM thread"), 1);
    his.send_text("are you there?").await.unwrap();
    let hers = ada.thread_with(&ben).await;
    when("his message", &hers, |message| message.text() == Some("are you there?")).await;
    assert_eq!(ben.client.contact(ada.client.user_id()).profile().await.unwrap(), None);
    ada.client.contact(ben.client.user_id()).accept().await.unwrap();
    shows(&ben, &ada, "Ada").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_was_refused_is_sent_when_there_is_another_device() {
    let world = World::start().await;
    let Watched { ada, ben, hers, file, leaving, _proxy, .. } = acquainted(&world).await;
    ada.client.set_profile(profile("Ada")).await.unwrap();
    shows(&ben, &ada, "Ada").await;
    file.mail_becomes(0).await;
    let (thread, sent) = (hers.id(), leaving.mail_to(&ben));
    drop(hers);
    let disk = ada.close().await;
    // She has another profile, which was refused, and has not seen his device yet.
    file.open()
        .execute_batch("UPDATE thread SET profile_due = 2; DELETE FROM device; DELETE FROM session;")
        .unwrap();
    let ada = disk.open().await;
    // Whatever is due when she comes is sent to Cyd, and then to nobody.
    let cyd = world.party("cyd").await;
    ada.thread_with(&cyd).await.send_text("hello").await.unwrap();
    shows(&cyd, &ada, "Ada").await;
    file.mail_becomes(0).await;
    assert_eq!(leaving.mail_to(&ben), sent);
    let hers = ada.client.thread(thread).await.unwrap();
    hers.send_text("are you there?").await.unwrap();
    eventually("the profile is sent", async || (leaving.mail_to(&ben) > sent).then_some(())).await;
}
