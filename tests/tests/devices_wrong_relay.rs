//! A relay that says false things about devices.

#![cfg(test)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sealpost_core::{Delivery, ThreadId, UserId, WaitReason};
use sealpost_testkit::{Interceptor, Proxy, World, eventually, texts};
use sealpost_wire::frame::Body;
use sealpost_wire::{DeviceMismatch, Error, Frame, reason};

/// Refuses what is sent in one thread, because of a device that its other member does not have.
#[derive(Clone, Default)]
struct Refuse {
    of: Arc<Mutex<Option<(ThreadId, UserId)>>>,
    refused: Arc<AtomicUsize>,
}

impl Interceptor for Refuse {
    fn down(&self, frame: Frame) -> Vec<Frame> {
        let Some((thread, user)) = *self.of.lock().unwrap() else { return vec![frame] };
        if !matches!(&frame.body, Some(Body::SendAck(ack)) if ack.thread_id == thread.as_bytes()[..]) {
            return vec![frame];
        }
        self.refused.fetch_add(1, Ordering::SeqCst);
        let user_id = user.as_bytes().to_vec().into();
        let mismatches = vec![DeviceMismatch { user_id, missing: vec![9], ..DeviceMismatch::default() }];
        let reason = reason::MISMATCHED_DEVICES.to_owned();
        let error = Error { code: 409, reason, mismatches, ..Error::default() };
        vec![Frame { body: Some(Body::Error(error)), ..frame }]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_names_other_devices_for_ever_makes_one_thread_wait_with_a_reason() {
    let world = World::start().await;
    let relay = Refuse::default();
    let proxy = Proxy::start(world.addr(), relay.clone()).await;
    let ada = world.disk("ada").through(&proxy.url()).open_or_register().await;
    let (ben, cam) = (world.party("ben").await, world.party("cam").await);
    let (with_ben, with_cam) = (ada.thread_with(&ben).await, ada.thread_with(&cam).await);
    *relay.of.lock().unwrap() = Some((with_ben.id(), ben.client.user_id()));
    let sent = with_ben.send_text("to ben").await.unwrap();
    let waiting = eventually("the message waits", async || {
        let waiting = with_ben.waiting(sent.id).await.unwrap()?;
        (waiting.reason == WaitReason::NoKeys).then_some(waiting)
    });
    assert!(waiting.await.attempts > 0);
    assert!(relay.refused.load(Ordering::SeqCst) >= 4);
    // The other thread goes on.
    let to_cam = with_cam.send_text("to cam").await.unwrap();
    ada.message_reaches(&with_cam, to_cam.id, Delivery::Delivered).await;
    // When the relay is right again, the message is sent, and shown once.
    *relay.of.lock().unwrap() = None;
    ada.message_reaches(&with_ben, sent.id, Delivery::Delivered).await;
    assert_eq!(texts(&ben.thread_with(&ada).await).await, ["to ben"]);
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
