//! Tests of what another device of ours has sent.

use super::messages::incoming;
use super::*;
use crate::content::{Counts, Number, Run};
use crate::id::MessageId;
use crate::message::{Delivery, Direction, Undecryptable};
use crate::store::message::Arrived;
use crate::store::{HeardPost, HeardRun, MarkKind, MarkOf, NewIncoming};

/// What our second device has sent in this thread.
const RUN: Run = Run([5; 8]);

fn second() -> DeviceId {
    DeviceId::new(2).unwrap()
}

fn ours(text: &str, count: u64) -> NewIncoming {
    let number = Some(Number { run: RUN, count });
    NewIncoming { author: US, device: second(), is_ours: true, number, ..incoming(text, count) }
}

impl Fixture {
    async fn own_arrives(&self, new: NewIncoming) -> MessageId {
        let work = self.store.write(move |tx| {
            let (number, message) = (new.number, tx.insert_incoming(&new)?);
            if let Some(Number { run, count }) = number {
                let run = HeardRun { thread: THREAD, user: US, device: second(), run };
                tx.hear(run, &[HeardPost { count, is_new: true, is_shown: true }], 1, false)?;
            }
            Ok(message)
        });
        work.await.unwrap()
    }

    async fn state(&self, message: MessageId) -> Direction {
        self.store.read(move |rows| rows.message(message)).await.unwrap().unwrap().direction
    }

    /// A device of the other person says how far it has our second device's posts.
    async fn is_told(&self, device: u32, kind: MarkKind, up_to: u64) {
        let device = DeviceId::new(device).unwrap();
        let of = MarkOf { thread: THREAD, user: PEER, device, kind, run: RUN };
        self.store.write(move |tx| tx.confirm((of, false), &Counts::up_to(up_to), (1, 1))).await.unwrap();
    }
}

#[tokio::test]
async fn what_another_device_of_ours_has_sent_is_ours_and_brings_the_thread_back() {
    let fixture = Fixture::new().await;
    fixture.store.write(|tx| tx.insert_incoming(&incoming("theirs", 1))).await.unwrap();
    fixture.store.write(|tx| tx.set_request(THREAD)).await.unwrap();
    // Something in our name that cannot be opened proves nothing.
    let unreadable = NewIncoming { what: Arrived::Undecryptable(Undecryptable::NoSession), ..ours("", 2) };
    let placeholder = fixture.own_arrives(NewIncoming { number: None, ..unreadable }).await;
    assert_eq!(fixture.state(placeholder).await, Direction::Outgoing(Delivery::Sent));
    let thread = fixture.store.read(|rows| rows.listed_thread(THREAD)).await.unwrap().unwrap();
    assert_eq!((thread.is_request, thread.unread), (true, 1));
    let message = fixture.own_arrives(ours("ours", 3)).await;
    assert_eq!(fixture.state(message).await, Direction::Outgoing(Delivery::Sent));
    let thread = fixture.store.read(|rows| rows.listed_thread(THREAD)).await.unwrap().unwrap();
    assert_eq!((thread.is_request, thread.unread), (false, 1));
}

#[tokio::test]
async fn receipts_are_for_what_any_of_our_devices_has_sent() {
    let fixture = Fixture::new().await;
    let first = fixture.own_arrives(ours("first", 1)).await;
    fixture.is_told(1, MarkKind::Delivered, 1).await;
    assert_eq!(fixture.state(first).await, Direction::Outgoing(Delivery::Delivered));
    // A later one has come, and one of their devices has both. What comes late has been read already.
    let third = fixture.own_arrives(ours("third", 3)).await;
    fixture.is_told(2, MarkKind::Read, 3).await;
    for message in [first, third] {
        assert_eq!(fixture.state(message).await, Direction::Outgoing(Delivery::Read));
    }
    let second = fixture.own_arrives(ours("second", 2)).await;
    assert_eq!(fixture.state(second).await, Direction::Outgoing(Delivery::Read));
    // What nobody has heard of is not confirmed in advance.
    fixture.is_told(2, MarkKind::Read, 9).await;
    let fourth = fixture.own_arrives(ours("fourth", 4)).await;
    assert_eq!(fixture.state(fourth).await, Direction::Outgoing(Delivery::Sent));
    fixture.is_told(1, MarkKind::Delivered, 4).await;
    assert_eq!(fixture.state(fourth).await, Direction::Outgoing(Delivery::Delivered));
}

#[tokio::test]
async fn nothing_of_another_device_is_sent_again_by_this_one() {
    let fixture = Fixture::new().await;
    fixture.own_arrives(ours("one", 1)).await;
    fixture.own_arrives(ours("three", 3)).await;
    fixture.is_told(1, MarkKind::Seen, 1).await;
    let day_ms = 48 * 3_600_000;
    assert_eq!(fixture.store.write(move |tx| tx.send_lost_again(day_ms, 0)).await.unwrap(), 0);
    assert!(!fixture.store.read(|rows| rows.has_unanswered(THREAD)).await.unwrap());
}
