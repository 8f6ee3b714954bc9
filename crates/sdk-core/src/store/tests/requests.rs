//! Tests of message requests and of blocked people.

use super::messages::incoming;
use super::*;
use crate::store::{DueBlock, Tx};

async fn write<T: Send + 'static>(
    fixture: &Fixture,
    work: impl FnOnce(&mut Tx<'_>) -> crate::Result<T> + Send + 'static,
) -> T {
    fixture.store.write(work).await.unwrap()
}

async fn folder(fixture: &Fixture) -> Option<Folder> {
    fixture.store.read(|rows| rows.folder(THREAD)).await.unwrap()
}

async fn may_answer(fixture: &Fixture) -> bool {
    fixture.store.read(|rows| rows.may_answer(THREAD)).await.unwrap()
}

#[tokio::test]
async fn nobody_is_answered_in_a_request_or_if_they_are_blocked() {
    let fixture = Fixture::new().await;
    assert!(may_answer(&fixture).await);
    write(&fixture, |tx| tx.set_request(THREAD)).await;
    assert!(!may_answer(&fixture).await);
    assert_eq!(folder(&fixture).await, Some(Folder::Requests));
    assert_eq!(fixture.store.read(|rows| rows.threads_to_accept(None, 9)).await.unwrap(), []);
    let mut events = fixture.events.subscribe();
    assert!(write(&fixture, |tx| tx.accept_request(THREAD)).await);
    assert!(!write(&fixture, |tx| tx.accept_request(THREAD)).await);
    assert_eq!(drain(&mut events), [Event::ThreadChanged(THREAD)]);
    assert_eq!(fixture.store.read(|rows| rows.threads_to_accept(None, 9)).await.unwrap(), [THREAD]);
    assert!(may_answer(&fixture).await);
    write(&fixture, |tx| tx.set_blocked(PEER, true, 5)).await;
    assert!(!may_answer(&fixture).await);
    assert_eq!(fixture.store.read(|rows| rows.blocked()).await.unwrap(), [PEER]);
    write(&fixture, |tx| tx.set_blocked(PEER, false, 6)).await;
    assert!(may_answer(&fixture).await);
    // Nor in a thread that is not here.
    assert!(!fixture.store.read(|rows| rows.may_answer(ThreadId::from_bytes([9; 16]))).await.unwrap());
}

#[tokio::test]
async fn the_relay_is_told_of_the_last_decision() {
    let fixture = Fixture::new().await;
    let due = async || fixture.store.read(|rows| rows.due_blocks(None, 9)).await.unwrap();
    assert_eq!(due().await, []);
    assert!(write(&fixture, |tx| tx.set_blocked(PEER, true, 5)).await);
    assert!(!write(&fixture, |tx| tx.set_blocked(PEER, true, 6)).await);
    let block = DueBlock { user: PEER, is_blocked: true };
    assert_eq!(due().await, [block]);
    // While the relay is told, the person changes their mind.
    write(&fixture, |tx| tx.set_blocked(PEER, false, 7)).await;
    write(&fixture, move |tx| tx.set_block_told(block)).await;
    let end = DueBlock { is_blocked: false, ..block };
    assert_eq!(due().await, [end]);
    write(&fixture, move |tx| tx.set_block_told(end)).await;
    assert_eq!(due().await, []);
    // A relay that was restored from a backup is told again, also that a block has ended.
    write(&fixture, |tx| tx.tell_blocks_again()).await;
    assert_eq!(due().await, [end]);
}

#[tokio::test]
async fn a_blocked_request_leaves_the_list_until_it_is_unblocked() {
    let fixture = Fixture::new().await;
    fixture.receive(incoming("hello", 1)).await;
    write(&fixture, |tx| tx.set_request(THREAD)).await;
    write(&fixture, |tx| tx.set_blocked(PEER, true, 5)).await;
    assert_eq!(folder(&fixture).await, None);
    write(&fixture, |tx| tx.set_blocked(PEER, false, 6)).await;
    assert_eq!(folder(&fixture).await, Some(Folder::Requests));
    // A chat stays where it is.
    write(&fixture, |tx| tx.accept_request(THREAD)).await;
    write(&fixture, |tx| tx.set_blocked(PEER, true, 7)).await;
    assert_eq!(folder(&fixture).await, Some(Folder::Chats));
}
