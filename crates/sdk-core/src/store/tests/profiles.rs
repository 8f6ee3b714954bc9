//! Tests of profiles.

use super::*;
use crate::content::{Profile, Revised};
use crate::store::News;

fn profile(name: &str) -> Profile {
    Profile { name: name.to_owned(), ..Profile::default() }
}

#[tokio::test]
async fn the_profile_with_the_highest_revision_counts_in_any_order() {
    let fixture = Fixture::new().await;
    let mut events = fixture.events.subscribe();
    for (name, revision, counts) in [("b", 7, true), ("a", 6, false), ("again", 7, false), ("c", 8, true)] {
        let new = Revised { profile: profile(name), revision };
        let set = fixture.store.write(move |tx| tx.set_profile(PEER, &new)).await.unwrap();
        assert_eq!(set, counts, "{name}");
    }
    assert_eq!(drain(&mut events), vec![Event::ProfileChanged(PEER); 2]);
    let shown = fixture.store.read(|rows| rows.profile(PEER)).await.unwrap().unwrap();
    assert_eq!(shown.profile, profile("c"));
}

#[tokio::test]
async fn our_profile_is_due_in_accepted_threads_with_messages_until_it_was_queued() {
    let fixture = Fixture::new().await;
    let set = async |name: &'static str, now_ms| {
        fixture.store.write(move |tx| tx.set_our_profile(US, profile(name), now_ms)).await.unwrap();
    };
    let due =
        async || fixture.store.read(|rows| rows.threads_for_news(News::Profile, 9)).await.unwrap().len();
    set("a", 500).await;
    assert_eq!(due().await, 0, "the thread is empty");
    fixture.enqueue("hello").await;
    assert_eq!(due().await, 0, "the relay does not know that we accept it");
    fixture.store.write(|tx| tx.set_accepted(THREAD)).await.unwrap();
    assert_eq!(due().await, 1);
    fixture.store.write(|tx| tx.set_news_queued(THREAD, News::Profile)).await.unwrap();
    set("a", 600).await;
    assert_eq!(due().await, 0, "it is the same");
    // The clock was set back, and the revision grows nevertheless.
    set("b", 100).await;
    assert_eq!(due().await, 1);
    let ours = fixture.store.read(|rows| rows.profile(US)).await.unwrap().unwrap();
    assert_eq!((ours.profile, ours.revision), (profile("b"), 501));
}
