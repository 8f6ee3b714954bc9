//! A relay that says false things about devices.

#![cfg(test)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sealpost_core::{Delivery, ThreadId, UserId, WaitReason};
use sealpost_e2e::open_database;
use sealpost_testkit::{Interceptor, Proxy, World, eventually};
use sealpost_wire::frame::Body;
use sealpost_wire::{DeviceMismatch, Error, Frame, reason};

/// Refuses what is sent in one thread, because of devices that it says are others than they are.
#[derive(Clone, Default)]
struct Refuse {
    because_of: Arc<Mutex<Option<(ThreadId, DeviceMismatch)>>>,
    refused: Arc<AtomicUsize>,
}

impl Interceptor for Refuse {
    fn down(&self, frame: Frame) -> Vec<Frame> {
        let Some((thread, mismatch)) = self.because_of.lock().unwrap().clone() else { return vec![frame] };
        if !matches!(&frame.body, Some(Body::SendAck(ack)) if ack.thread_id == thread.as_bytes()[..]) {
            return vec![frame];
        }
        self.refused.fetch_add(1, Ordering::SeqCst);
        let (code, reason) = match mismatch.stale.is_empty() {
            true => (409, reason::MISMATCHED_DEVICES),
            false => (410, reason::STALE_DEVICES),
        };
        let error = Error { code, reason: reason.to_owned(), mismatches: vec![mismatch], ..Error::default() };
        vec![Frame { body: Some(Body::Error(error)), ..frame }]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_names_other_devices_for_ever_makes_one_thread_wait_with_a_reason() {
    let of = |user: UserId| DeviceMismatch { user_id: user.as_bytes().to_vec().into(), ..Default::default() };
    waits_for_ever(|ben, _| DeviceMismatch { missing: vec![9], ..of(ben) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_says_for_ever_that_a_device_was_set_up_again_makes_one_thread_wait_with_a_reason() {
    let of = |user: UserId| DeviceMismatch { user_id: user.as_bytes().to_vec().into(), ..Default::default() };
    waits_for_ever(|ben, _| DeviceMismatch { stale: vec![1], ..of(ben) }).await;
    // One of our own.
    waits_for_ever(|_, ada| DeviceMismatch { stale: vec![2], ..of(ada) }).await;
}

/// The relay refuses what Ada sends to Ben for a reason that is made of their ids.
async fn waits_for_ever(because_of: impl FnOnce(UserId, UserId) -> DeviceMismatch) {
    let world = World::start().await;
    let relay = Refuse::default();
    let proxy = Proxy::start(world.addr(), relay.clone()).await;
    let ada = world.disk("ada").through(&proxy.url()).open_or_register().await;
    let (ben, cam) = (world.party("ben").await, world.party("cam").await);
    let tablet = world.companion(&ada, "tablet").await;
    let (with_ben, with_cam) = (ada.thread_with(&ben).await, ada.thread_with(&cam).await);
    let mismatch = because_of(ben.client.user_id(), ada.client.user_id());
    *relay.because_of.lock().unwrap() = Some((with_ben.id(), mismatch));
    let sent = with_ben.send_text("to ben").await.unwrap();
    let waiting = eventually("the message waits", async || {
        let waiting = with_ben.waiting(sent.id).await.unwrap()?;
        (waiting.reason == WaitReason::NoKeys).then_some(waiting)
    });
    assert!(waiting.await.attempts > 0);
    // The real relay may have refused it before, because of the tablet.
    let refused = relay.refused.load(Ordering::SeqCst);
    assert!((3..=8).contains(&refused), "{refused}");
    // The other thread goes on.
    let to_cam = with_cam.send_text("to cam").await.unwrap();
    ada.message_reaches(&with_cam, to_cam.id, Delivery::Delivered).await;
    // When the relay is right again, the message is sent, and shown once.
    *relay.because_of.lock().unwrap() = None;
    ada.message_reaches(&with_ben, sent.id, Delivery::Delivered).await;
    for device in [&ben, &tablet] {
        let thread = device.thread_with_user(if device.client.user_id() == ben.client.user_id() {
            ada.client.user_id()
        } else {
            ben.client.user_id()
        });
        let thread = thread.await;
        assert_eq!(device.texts_when(&thread, 1).await, ["to ben"]);
    }
}

/// Counts the messages that the relay refuses because a device was set up again. Mail, which it also refuses, is not counted.
#[derive(Clone, Default)]
struct CountsStale {
    count: Arc<AtomicUsize>,
    messages: Arc<Mutex<Vec<u64>>>,
}

impl Interceptor for CountsStale {
    fn up(&self, frame: Frame) -> Vec<Frame> {
        if matches!(&frame.body, Some(Body::Send(_))) {
            self.messages.lock().unwrap().push(frame.id);
        } else {
            // The numbers of frames begin anew with each connection.
            self.messages.lock().unwrap().retain(|message| *message != frame.id);
        }
        vec![frame]
    }

    fn down(&self, frame: Frame) -> Vec<Frame> {
        if matches!(&frame.body, Some(Body::Error(error)) if error.code == 410)
            && self.messages.lock().unwrap().contains(&frame.id)
        {
            self.count.fetch_add(1, Ordering::SeqCst);
        }
        vec![frame]
    }
}

/// A device whose registration has another number than its session says gets what follows, ours as well as those of others.
#[tokio::test(flavor = "multi_thread")]
async fn devices_that_were_set_up_again_are_met_again() {
    let (world, stale) = (World::start().await, CountsStale::default());
    let proxy = Proxy::start(world.addr(), stale.clone()).await;
    let ada = world.disk("ada").through(&proxy.url()).open_or_register().await;
    let (ben, tablet) = (world.party("ben").await, world.companion(&ada, "tablet").await);
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    hers.send_text("one").await.unwrap();
    ben.texts_when(&his, 1).await;
    let on_tablet = tablet.thread_with(&ben).await;
    tablet.texts_when(&on_tablet, 1).await;
    drop((his, on_tablet));
    let users = [ben.client.user_id(), ada.client.user_id()];
    for (count, (device, of)) in [(ben, users[0]), (tablet, users[1])].into_iter().enumerate() {
        let number = device.client.device_id().get();
        let disk = device.close().await;
        let relay = rusqlite::Connection::open(world.relay_dir().join("relay.db")).unwrap();
        relay.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
        let sql = "UPDATE device SET registration_id = 9000 WHERE user_id = ?1 AND device_id = ?2";
        assert_eq!(relay.execute(sql, rusqlite::params![of.as_bytes(), number]).unwrap(), 1);
        let database = open_database(disk.database(), &disk.key());
        database.execute("UPDATE account SET registration_id = 9000", []).unwrap();
        drop(database);
        let device = disk.open().await;
        let text = format!("to the one with number {number}");
        let before = stale.count.load(Ordering::SeqCst);
        let sent = hers.send_text(&text).await.unwrap();
        ada.message_reaches(&hers, sent.id, Delivery::Sent).await;
        let refusals = stale.count.load(Ordering::SeqCst) - before;
        // Once more if a first message of the device, sealed before it was set up again, has just come.
        assert!((1..=2).contains(&refusals), "the relay has refused it {refusals} times");
        let thread = device.client.thread(hers.id()).await.unwrap();
        let texts = device.texts_when(&thread, 2 + count).await;
        assert_eq!(texts.iter().filter(|shown| **shown == text).count(), 1);
        drop(thread);
        device.close().await;
    }
}

/// Delivers what Ben sends to Ada in her own name, as if another device of hers had sent it.
#[derive(Clone, Default)]
struct InOurName {
    ours: Arc<Mutex<Option<UserId>>>,
    is_off: Arc<AtomicBool>,
    changed: Arc<AtomicUsize>,
}

impl Interceptor for InOurName {
    fn down(&self, mut frame: Frame) -> Vec<Frame> {
        let ours = *self.ours.lock().unwrap();
        if let (Some(Body::Deliver(deliver)), Some(ours)) = (&mut frame.body, ours)
            && !self.is_off.load(Ordering::SeqCst)
        {
            let count = self.changed.fetch_add(1, Ordering::SeqCst);
            deliver.sender_user_id = ours.as_bytes().to_vec().into();
            // This device itself, and one that is on no list.
            deliver.sender_device_id = if count.is_multiple_of(2) { 1 } else { 2 };
        }
        vec![frame]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_others_have_sent_is_shown_as_ours() {
    let world = World::start().await;
    let relay = InOurName::default();
    let proxy = Proxy::start(world.addr(), relay.clone()).await;
    let ada = world.disk("ada").through(&proxy.url()).open_or_register().await;
    *relay.ours.lock().unwrap() = Some(ada.client.user_id());
    let ben = world.party("ben").await;
    let his = ben.thread_with(&ada).await;
    his.send_text("one").await.unwrap();
    his.send_text("two").await.unwrap();
    eventually("both were delivered", async || {
        (relay.changed.load(Ordering::SeqCst) >= 2 && world.rows_in_mailboxes() == 0).then_some(())
    })
    .await;
    assert!(ada.client.threads().await.unwrap().is_empty(), "no thread begins with it");
    relay.is_off.store(true, Ordering::SeqCst);
    his.send_text("three").await.unwrap();
    let thread =
        eventually("the thread begins", async || ada.client.threads().await.unwrap().into_iter().next())
            .await;
    assert_eq!(ada.texts_when(&thread, 1).await, ["three"]);
}
