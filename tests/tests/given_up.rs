//! A message without an answer can be given up; the messages behind it are sent, and nothing is shown twice.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sealpost_core::{Delivery, Error, FailReason};
use sealpost_testkit::{Interceptor, Proxy, World, eventually, texts};
use sealpost_wire::Frame;
use sealpost_wire::frame::Body;

/// Loses the sends of a client, or the answers to them.
#[derive(Clone, Default)]
struct Lossy {
    sends: Arc<AtomicBool>,
    answers: Arc<AtomicBool>,
    /// The number of sends.
    seen: Arc<AtomicUsize>,
}

impl Lossy {
    /// Waits until this many sends were made.
    async fn sees(&self, count: usize) {
        eventually("the message was sent", async || {
            (self.seen.load(Ordering::SeqCst) >= count).then_some(())
        })
        .await;
    }
}

impl Interceptor for Lossy {
    fn up(&self, frame: Frame) -> Vec<Frame> {
        let is_send = matches!(frame.body, Some(Body::Send(_)));
        let is_lost = is_send && self.sends.load(Ordering::SeqCst);
        self.seen.fetch_add(usize::from(is_send), Ordering::SeqCst);
        if is_lost { Vec::new() } else { vec![frame] }
    }

    fn down(&self, frame: Frame) -> Vec<Frame> {
        let lost = matches!(frame.body, Some(Body::SendAck(_))) && self.answers.load(Ordering::SeqCst);
        if lost { Vec::new() } else { vec![frame] }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unanswered_message_can_be_given_up_and_is_shown_once() {
    const DELIVERED: Delivery = Delivery::Delivered;
    let world = World::start().await;
    let lossy = Lossy::default();
    let proxy = Proxy::start(world.addr(), lossy.clone()).await;
    let ada = world.disk("ada").through(&proxy.url()).open_or_register().await;
    let ben = world.party("ben").await;
    let (hers, his) = (ada.thread_with(&ben).await, ben.thread_with(&ada).await);
    let hello = hers.send_text("hello").await.unwrap();
    ada.message_reaches(&hers, hello.id, DELIVERED).await;

    // The message is delivered, but the answer is lost.
    lossy.answers.store(true, Ordering::SeqCst);
    let ben = ben.close().await;
    let seen = lossy.seen.load(Ordering::SeqCst);
    let stuck = hers.send_text("stuck").await.unwrap();
    lossy.sees(seen + 1).await;
    let behind = hers.send_text("behind").await.unwrap();
    assert_eq!(hers.cancel(stuck.id).await, Ok(false));
    hers.give_up(stuck.id).await.unwrap();
    let given_up = Delivery::Failed(FailReason::GivenUp);
    ada.message_reaches(&hers, stuck.id, given_up).await;
    assert_eq!(hers.give_up(stuck.id).await, Err(Error::WrongState));
    lossy.answers.store(false, Ordering::SeqCst);
    // She retries before she learns that it arrived.
    hers.retry(stuck.id).await.unwrap();
    let ben = ben.open().await;
    for id in [behind.id, stuck.id] {
        ada.message_reaches(&hers, id, DELIVERED).await;
    }
    let his = ben.client.thread(his.id()).await.unwrap();
    let mut shown = texts(&his).await;
    shown.sort_unstable();
    assert_eq!(shown, ["behind", "hello", "stuck"]);

    // A message that was never sent, as far as she knows, can be given up too.
    lossy.sends.store(true, Ordering::SeqCst);
    let seen = lossy.seen.load(Ordering::SeqCst);
    let lost = hers.send_text("lost").await.unwrap();
    lossy.sees(seen + 1).await;
    hers.give_up(lost.id).await.unwrap();
    lossy.sends.store(false, Ordering::SeqCst);
    let last = hers.send_text("last").await.unwrap();
    ada.message_reaches(&hers, last.id, DELIVERED).await;
    assert_eq!(texts(&his).await.last().unwrap(), "last");
    assert!(!texts(&his).await.contains(&"lost".to_owned()));
}
