//! What a view has shown is not reported as new later, whoever wrote it.

use std::sync::mpsc;

use super::messages::incoming;
use super::*;
use crate::id::MessageId;
use crate::message::{Message, Position};
use crate::view::arrivals::Arrivals;
use crate::view::timeline::{Change, Timeline};

impl Fixture {
    fn timeline(&self) -> Timeline {
        Timeline::over(&self.store, &self.events, THREAD, 5)
    }

    fn arrivals(&self) -> Arrivals {
        Arrivals::over(&self.store, &self.events, THREAD)
    }

    /// Commits a message of which this process does not know, as if another one had written it.
    async fn written_elsewhere(&self, text: &str) -> MessageId {
        let new = outgoing(Body::text(text.to_owned()));
        let work = self.store.write(move |tx| {
            let id = tx.enqueue(new)?.unwrap().id;
            tx.events.clear();
            Ok(id)
        });
        work.await.unwrap()
    }

    /// Commits a message, and publishes its event only when the sender that it returns is dropped.
    async fn committed_and_not_published(&self, text: &str) -> mpsc::Sender<()> {
        let (publish, held) = mpsc::channel::<()>();
        let (tell, committed) = tokio::sync::oneshot::channel();
        let (store, new) = (self.store.clone(), outgoing(Body::text(text.to_owned())));
        tokio::spawn(async move {
            let work = store.write(move |tx| {
                tx.enqueue(new)?;
                tx.after_commit(move || {
                    tell.send(()).unwrap();
                    let _ = held.recv();
                });
                Ok(())
            });
            work.await
        });
        committed.await.unwrap();
        // The writer is busy, so that others read.
        let store = self.store.clone();
        tokio::spawn(async move { store.write(|_| Ok(())).await });
        tokio::task::yield_now().await;
        publish
    }
}

fn ids(messages: &[Message]) -> Vec<MessageId> {
    messages.iter().map(|message| message.id).collect()
}

async fn new_in(arrivals: &mut Arrivals) -> Vec<MessageId> {
    ids(&arrivals.next_batch(10).await.unwrap().unwrap())
}

#[tokio::test]
async fn a_message_of_another_process_that_was_shown_is_not_new() {
    let fixture = Fixture::new().await;
    let mut before = fixture.arrivals();
    let theirs = fixture.written_elsewhere("theirs").await;
    assert_eq!(ids(&fixture.timeline().snapshot().await.unwrap().messages), [theirs]);
    let mut after = fixture.arrivals();
    let ours = fixture.enqueue("ours").await;
    assert_eq!(new_in(&mut after).await, [ours]);
    assert_eq!(new_in(&mut before).await, [theirs, ours]);

    // The same for every other way to read it, also by one of the readers.
    let theirs = fixture.written_elsewhere("theirs").await;
    let list = fixture.store.read(|rows| rows.page(THREAD, None, 1)).await.unwrap();
    assert_eq!(ids(&list.messages), [theirs]);
    let mut after = fixture.arrivals();
    fixture.events.publish_elsewhere(theirs);
    let ours = fixture.enqueue("ours").await;
    assert_eq!(new_in(&mut after).await, [ours]);
}

#[tokio::test]
async fn a_message_that_is_shown_before_its_event_is_not_added_again() {
    let fixture = Fixture::new().await;
    let mut view = fixture.timeline();
    view.snapshot().await.unwrap();
    let publish = fixture.committed_and_not_published("early").await;
    let shown = view.snapshot().await.unwrap().messages;
    assert_eq!(shown.len(), 1);
    let mut arrivals = fixture.arrivals();
    drop(publish);
    let later = fixture.enqueue("later").await;
    assert_eq!(new_in(&mut arrivals).await, [later]);
    let told = Change::Changed { message: shown[0].clone(), was: shown[0].position };
    assert_eq!(view.next().await.unwrap().unwrap(), told);
    let added = view.next().await.unwrap().unwrap();
    assert!(matches!(&added, Change::Added(message) if message.id == later), "{added:?}");
}

#[tokio::test]
async fn a_message_that_was_removed_since_the_snapshot_can_be_added_again() {
    let fixture = Fixture::new().await;
    fixture.receive(incoming("theirs", 5)).await;
    let mut view = fixture.timeline();
    let shown = view.snapshot().await.unwrap().messages.remove(0);
    let Message { id, position, .. } = shown;
    assert!(position > Position::FIRST);
    fixture.store.write(move |tx| tx.hide(THREAD, id, 1000)).await.unwrap();
    fixture.store.write(move |tx| tx.restore(THREAD, id, 1001)).await.unwrap();
    assert_eq!(view.next().await.unwrap().unwrap(), Change::Removed { id, position });
    let added = view.next().await.unwrap().unwrap();
    assert!(matches!(&added, Change::Added(message) if message.id == id), "{added:?}");
}
