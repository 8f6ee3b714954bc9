//! Tests of what others are told.

use super::*;
use crate::store::PrivacySetting::{self, DeliveryReceipts, Presence, ReadReceipts, Typing};

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
