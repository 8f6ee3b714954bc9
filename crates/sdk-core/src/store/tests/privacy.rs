//! Tests of what others are told.

use super::mail::mail;
use super::*;
use crate::content::{Call, CallId, CallStep, Profile, ReceiptKind, Revised};
use crate::store::PrivacySetting::{self, DeliveryReceipts, Presence, ReadReceipts, Typing};
use crate::store::{NewMail, News};

async fn tells(fixture: &Fixture, setting: PrivacySetting) -> bool {
    fixture.store.read(move |rows| rows.tells(THREAD, setting)).await.unwrap()
}

async fn set(fixture: &Fixture, thread: Option<ThreadId>, setting: PrivacySetting, is_on: bool) {
    fixture.store.write(move |tx| tx.set_privacy(thread, setting, is_on)).await.unwrap();
}

#[tokio::test]
async fn each_setting_is_on_only_if_it_is_on_for_all_and_for_the_thread() {
    let fixture = Fixture::new().await;
    for setting in [DeliveryReceipts, ReadReceipts, Typing, Presence] {
        let others = [DeliveryReceipts, ReadReceipts, Typing].into_iter().filter(|other| *other != setting);
        assert_eq!(
            tells(&fixture, setting).await,
            setting != Presence,
            "presence is chosen for each contact"
        );
        set(&fixture, Some(THREAD), setting, true).await;
        assert!(tells(&fixture, setting).await);
        set(&fixture, None, setting, false).await;
        assert!(!tells(&fixture, setting).await, "what is off for all is off everywhere");
        for other in others {
            assert!(tells(&fixture, other).await, "{other:?} is another setting");
        }
        set(&fixture, None, setting, true).await;
        assert!(tells(&fixture, setting).await);
        set(&fixture, Some(THREAD), setting, false).await;
        assert!(!tells(&fixture, setting).await);
        set(&fixture, Some(THREAD), setting, true).await;
    }
    fixture.store.write(|tx| tx.set_request(THREAD)).await.unwrap();
    assert!(!tells(&fixture, Typing).await, "a stranger is told nothing");
}

#[tokio::test]
async fn presence_is_shared_in_the_chosen_threads_unless_it_is_off_for_all() {
    let fixture = Fixture::new().await;
    let shared = async || fixture.store.read(|rows| rows.shares_presence()).await.unwrap();
    assert_eq!(shared().await, []);
    set(&fixture, Some(THREAD), Presence, true).await;
    assert_eq!(shared().await, [THREAD]);
    set(&fixture, None, Presence, false).await;
    assert_eq!(shared().await, []);
}

#[tokio::test]
async fn a_person_was_last_seen_at_the_latest_time_that_they_told() {
    let fixture = Fixture::new().await;
    for at_ms in [5, 9, 7] {
        fixture.store.write(move |tx| tx.set_last_seen(PEER, at_ms)).await.unwrap();
    }
    assert_eq!(fixture.store.read(|rows| rows.last_seen(PEER)).await.unwrap(), Some(9));
    assert_eq!(fixture.store.read(|rows| rows.last_seen(US)).await.unwrap(), None);
}

fn receipt(kind: ReceiptKind) -> Body {
    Body::Receipt(Receipt { kind, marks: Vec::new() })
}

#[tokio::test]
async fn each_content_depends_on_its_setting_and_all_on_the_thread() {
    let fixture = Fixture::new().await;
    let call = Call { id: CallId([1; 16]), step: CallStep::HangUp };
    let contents = [
        (receipt(ReceiptKind::Delivered), Some(DeliveryReceipts)),
        (receipt(ReceiptKind::Read), Some(ReadReceipts)),
        (Body::Typing { is_typing: true }, Some(Typing)),
        (Body::Presence { is_here: true }, Some(Presence)),
        (Body::Call(call), None),
        (Body::Profile(Revised { profile: Profile::default(), revision: 1 }), None),
        (Body::Null, None),
    ];
    set(&fixture, Some(THREAD), Presence, true).await;
    for (body, setting) in contents {
        let may = async || {
            let body = body.clone();
            let read = fixture
                .store
                .read(move |rows| Ok((rows.may_tell(THREAD, &body)?, rows.may_mail(THREAD, PEER, &body)?)));
            read.await.unwrap()
        };
        assert_eq!(may().await, (true, true), "{body:?}");
        for other in [DeliveryReceipts, ReadReceipts, Typing, Presence] {
            set(&fixture, None, other, false).await;
            let expected = setting != Some(other);
            assert_eq!(may().await, (expected, expected), "{body:?} without {other:?}");
            set(&fixture, None, other, true).await;
        }
        fixture.store.write(|tx| tx.set_blocked(PEER, true, 5)).await.unwrap();
        assert_eq!(may().await, (false, false), "{body:?} to somebody who is blocked");
        fixture.store.write(|tx| tx.set_blocked(PEER, false, 6)).await.unwrap();
        fixture.store.write(|tx| tx.set_request(THREAD)).await.unwrap();
        assert_eq!(may().await, (false, false), "{body:?} in a request");
        fixture.store.write(|tx| tx.accept_request(THREAD)).await.unwrap();
    }
}

#[tokio::test]
async fn receipts_that_wait_are_dropped_when_their_kind_is_switched_off() {
    let fixture = Fixture::new().await;
    let elsewhere = ThreadId::from_bytes([9; 16]);
    let queue = async || {
        for thread in [THREAD, elsewhere] {
            for kind in [ReceiptKind::Delivered, ReceiptKind::Read] {
                let new = NewMail { thread, body: receipt(kind), ..mail(PEER, None, 1, 0) };
                fixture.queue_mail(new).await;
            }
        }
        let profile = Body::Profile(Revised { profile: Profile::default(), revision: 1 });
        fixture.queue_mail(NewMail { body: profile, ..mail(PEER, Some(News::Profile.slot()), 1, 0) }).await;
        fixture.seal_mail(&fixture.due_mail(0).await[1]).await;
    };
    let left = async || {
        let due = fixture.due_mail(0).await.into_iter();
        let left = due.map(|mail| (mail.thread == THREAD, PrivacySetting::of(&mail.body)));
        left.collect::<Vec<_>>()
    };
    queue().await;
    set(&fixture, Some(THREAD), ReadReceipts, false).await;
    let (delivered, read) = (Some(DeliveryReceipts), Some(ReadReceipts));
    assert_eq!(left().await, [(true, delivered), (false, delivered), (false, read), (true, None)]);
    set(&fixture, None, Typing, false).await;
    set(&fixture, None, DeliveryReceipts, false).await;
    assert_eq!(left().await, [(false, read), (true, None)]);
    set(&fixture, None, ReadReceipts, true).await;
    assert_eq!(left().await.len(), 2, "nothing is dropped by switching it on");
}
