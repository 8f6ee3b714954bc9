//! Tests for envelopes that were opened and envelopes that could not be opened. They are recognised by their bytes.

use super::messages::incoming;
use super::*;
use crate::error::Storage;
use crate::id::MessageId;
use crate::message::Undecryptable;
use crate::store::{Arrived, CiphertextId, EnvelopeName, NewIncoming};

fn name(id: ClientMsgId) -> EnvelopeName {
    EnvelopeName { thread: THREAD, sender: PEER, id }
}

fn damaged(server_seq: u64) -> NewIncoming {
    NewIncoming { what: Arrived::Undecryptable(Undecryptable::NotDecryptable), ..incoming("", server_seq) }
}

#[tokio::test]
async fn an_opened_envelope_is_recognised_by_its_bytes() {
    let fixture = Fixture::new().await;
    let (ours, other) = (CiphertextId::of(b"a ciphertext"), CiphertextId::of(b"another"));
    let work = fixture.store.write(move |tx| {
        tx.set_opened(ours, 50)?;
        tx.set_opened(ours, 60)
    });
    work.await.unwrap();
    let known = async |id| fixture.store.read(move |rows| rows.was_opened(id)).await.unwrap();
    assert!(known(ours).await);
    assert!(!known(other).await);
    fixture.store.write(|tx| tx.forget_opened(51)).await.unwrap();
    assert!(!known(ours).await);
}

#[tokio::test]
async fn one_message_represents_an_unreadable_envelope_however_often_it_arrives() {
    let fixture = Fixture::new().await;
    let id = fresh_id();
    for ciphertext in ["damaged", "damaged", "also bad"] {
        let work = fixture
            .store
            .write(move |tx| tx.park(name(id), CiphertextId::of(ciphertext.as_bytes()), &damaged(4), 50));
        work.await.unwrap();
    }
    assert_eq!(fixture.texts().await, ["Undecryptable(NotDecryptable)"]);
}

#[tokio::test]
async fn the_intact_message_replaces_a_damaged_copy_and_can_be_found() {
    let fixture = Fixture::new().await;
    let id = fresh_id();
    fixture.store.write(move |tx| tx.park(name(id), CiphertextId::of(b"x"), &damaged(4), 50)).await.unwrap();
    fixture.store.write(|tx| tx.feed_index(10)).await.unwrap();
    let mut events = fixture.events.subscribe();
    let work = fixture.store.write(move |tx| {
        let placeholder = tx.unpark(name(id))?.unwrap();
        tx.fill_in(placeholder, &incoming("true", 4))?;
        tx.unpark(name(id))
    });
    assert_eq!(work.await, Ok(None));
    assert_eq!(fixture.texts().await, ["true"]);
    assert!(matches!(drain(&mut events).as_slice(), [Event::MessageChanged { .. }]));
    assert_eq!(fixture.store.read(|rows| rows.search("true", 5)).await.unwrap().len(), 1);
    let removed = fixture.store.write(|tx| tx.remove_placeholder(THREAD, MessageId(1))).await;
    assert!(removed.is_err(), "it is a message now");
}

#[tokio::test]
async fn a_rolled_back_part_leaves_no_row_and_no_event() {
    let fixture = Fixture::new().await;
    let mut events = fixture.events.subscribe();
    let work = fixture.store.write(|tx| {
        let part = tx.begin_part()?;
        tx.insert_incoming(&incoming("kept", 1))?;
        tx.keep_part(part)?;
        let part = tx.begin_part()?;
        tx.insert_incoming(&incoming("undone", 2))?;
        tx.undo_part(part)?;
        let part = tx.begin_part()?;
        tx.insert_incoming(&incoming("kept as well", 3))?;
        tx.keep_part(part)
    });
    work.await.unwrap();
    assert_eq!(fixture.texts().await, ["kept as well", "kept"]);
    assert_eq!(drain(&mut events).len(), 2);
    // The same is true for a whole transaction with all its savepoints.
    let work = fixture.store.write(|tx| {
        let part = tx.begin_part()?;
        tx.insert_incoming(&incoming("undone", 4))?;
        tx.keep_part(part)?;
        Err::<(), _>(crate::Error::Storage(Storage::Io))
    });
    assert!(work.await.is_err());
    assert_eq!(fixture.texts().await.len(), 2);
}
