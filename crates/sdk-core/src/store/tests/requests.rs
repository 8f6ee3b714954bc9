//! Tests of message requests and of blocked people.

use super::mail::mail;
use super::messages::incoming;
use super::*;
use crate::content::{Counts, Number, Run};
use crate::store::{DueBlock, Entry, MarkKind, MarkOf, News, Settlement, Tx};

const DAY_MS: u64 = 24 * 3_600 * 1_000;

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

#[tokio::test]
async fn a_block_drops_all_mail_to_this_user_and_makes_the_profile_due_again() {
    let other = UserId::from_bytes([4; 16]);
    let fixture = Fixture::new().await;
    write(&fixture, |tx| tx.set_news_queued(THREAD, News::Profile)).await;
    fixture.queue_mail(mail(PEER, None, 1, 0)).await;
    // Sealed mail may have been submitted. Nobody submits it again.
    fixture.seal_mail(&fixture.due_mail(0).await[0]).await;
    fixture.queue_mail(mail(PEER, Some(News::Profile.slot()), 2, 0)).await;
    fixture.queue_mail(mail(other, None, 3, 0)).await;
    write(&fixture, |tx| tx.set_blocked(PEER, true, 5)).await;
    let left: Vec<_> = fixture.due_mail(0).await.into_iter().map(|mail| mail.to).collect();
    assert_eq!(left, [other]);
    assert!(fixture.store.read(|rows| rows.is_news_due(THREAD, News::Profile)).await.unwrap());
}

/// The contents of the lane, from the oldest: whether each is null.
async fn lane(fixture: &Fixture) -> Vec<bool> {
    let entries = fixture.store.read(|rows| rows.entries(THREAD, None, (10, 1 << 20))).await.unwrap();
    let nulls = entries.into_iter().map(|entry| match entry {
        Entry::ToSeal(outgoing) => outgoing.body == Body::Null,
        Entry::Sealed { .. } => false,
    });
    nulls.collect()
}

/// Whether the lane is due.
async fn is_due(fixture: &Fixture) -> bool {
    !fixture.store.read(|rows| rows.due_lanes(9 * DAY_MS, 9)).await.unwrap().is_empty()
}

#[tokio::test]
async fn what_waits_for_somebody_who_is_blocked_is_kept_and_goes_on_after_the_block() {
    let fixture = Fixture::new().await;
    write(&fixture, |tx| tx.set_own_number(THREAD, Number { run: Run([7; 8]), count: 2 })).await;
    for count in [1, 2] {
        let message = fixture.enqueue("accepted by the relay").await;
        let (entry, parcel) = (fixture.entry(message).await, fresh_id());
        let number = Number { run: Run([7; 8]), count };
        let accepted = Settlement::Accepted { epoch: 1, server_seq: count, server_ms: DAY_MS };
        write(&fixture, move |tx| {
            let parcel = crate::store::Parcel { client_msg_id: parcel, bytes: "sealed".into() };
            tx.set_sealed(entry, parcel, Some(number), DAY_MS).map(drop)?;
            tx.settle(entry, Some(fresh_id()), accepted)
        })
        .await;
    }
    let of = MarkOf {
        thread: THREAD,
        user: PEER,
        device: DeviceId::PRIMARY,
        kind: MarkKind::Seen,
        run: Run([7; 8]),
    };
    write(&fixture, move |tx| tx.set_mark(of, &Counts::of([2]), 2 * DAY_MS).map(drop)).await;
    // The relay has lost the first, which is queued again.
    assert_eq!(write(&fixture, |tx| tx.send_lost_again(3 * DAY_MS, 0)).await, 1);
    fixture.enqueue("never sent").await;
    write(&fixture, |tx| tx.set_blocked(PEER, true, 5)).await;
    write(&fixture, |tx| tx.hold_lane(THREAD)).await;
    assert_eq!(lane(&fixture).await, [false, false]);
    assert!(!is_due(&fixture).await);
    // Only what has waited before the block waits.
    write(&fixture, |tx| tx.renew_session(THREAD, 1, fresh_id())).await;
    assert_eq!(lane(&fixture).await, [false, false]);
    write(&fixture, |tx| tx.set_blocked(PEER, false, 6)).await;
    assert!(is_due(&fixture).await);
    assert_eq!(lane(&fixture).await, [false, false]);
}

#[tokio::test]
async fn a_block_ends_for_the_lanes_of_this_user_only() {
    let (fixture, other) = (Fixture::new().await, UserId::from_bytes([4; 16]));
    fixture.enqueue("hello").await;
    write(&fixture, |tx| tx.hold_lane(THREAD)).await;
    write(&fixture, move |tx| tx.set_blocked(other, true, 5)).await;
    write(&fixture, move |tx| tx.set_blocked(other, false, 6)).await;
    assert!(!is_due(&fixture).await);
    write(&fixture, |tx| tx.set_blocked(PEER, true, 5)).await;
    write(&fixture, |tx| tx.set_blocked(PEER, false, 6)).await;
    assert!(is_due(&fixture).await);
}
