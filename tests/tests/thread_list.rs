//! The list of threads: its order, its contents, and its pages.

#![cfg(test)]

use std::time::Duration;

use sealpost_core::{MessageBody, ThreadId};
use sealpost_testkit::{ManualClock, Party, World, eventually, history};

/// The threads of a user in order, with their numbers of unread messages.
async fn list(party: &Party) -> Vec<(ThreadId, u64)> {
    let page = party.client.thread_page(None, 50).await.unwrap();
    assert_eq!(page.next, None);
    page.threads.iter().map(|thread| (thread.id, thread.unread)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_are_ordered_by_arrival_regardless_of_the_clocks_of_senders() {
    const YEAR_MS: u64 = 365 * 24 * 3_600_000;
    let world = World::start().await;
    let ben = world.party("ben").await;
    // One user with a correct clock, one in 1970, and one years ahead; each writes after the previous message was
    // received.
    let now = ManualClock::at(1_900_000_000_000);
    let clocks = [None, Some(ManualClock::at(1000)), Some(ManualClock::at(now.now_ms() + 20 * YEAR_MS))];
    let mut order = Vec::new();
    for (number, clock) in clocks.iter().enumerate() {
        let disk = world.disk(&format!("sender {number}"));
        let sender = match clock {
            Some(clock) => disk.with_clock(clock).register().await,
            None => disk.register().await,
        };
        let thread = sender.thread_with(&ben).await;
        for text in ["one", "two"] {
            thread.send_text(text).await.unwrap();
        }
        let found = async || {
            list(&ben).await.iter().any(|(id, unread)| *id == thread.id() && *unread == 2).then_some(())
        };
        eventually("both messages", found).await;
        order.insert(0, (thread.id(), 2));
        assert_eq!(list(&ben).await, order);
        // The list has a resolution of one millisecond.
        tokio::time::sleep(Duration::from_millis(5)).await;
        sender.close().await;
    }
    let first = ben.client.thread(order[2].0).await.unwrap();
    let newest = history(&first).await.pop().unwrap();
    first.mark_read(newest.id).await.unwrap();
    assert_eq!(list(&ben).await[2].1, 0);
    // An outgoing message moves a thread too.
    first.send_text("here I am").await.unwrap();
    let page = ben.client.thread_page(None, 1).await.unwrap();
    assert_eq!(page.threads[0].id, first.id());
    assert_eq!(page.threads[0].newest.as_ref().unwrap().body, MessageBody::Text("here I am".to_owned()));
    let rest = ben.client.thread_page(page.next, 10).await.unwrap();
    assert_eq!(rest.threads.iter().map(|thread| thread.id).collect::<Vec<_>>(), [order[0].0, order[1].0]);
}
