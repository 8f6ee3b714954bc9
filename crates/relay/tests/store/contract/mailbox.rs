//! The guarantees of `Mailboxes`.

use futures_util::future::join_all;
use sealpost_relay::address::Address;
use sealpost_relay::store::{
    Append, Appended, Created, FamilyId, InboxKey, MailboxState, NewAccount, NewFamily, NewThread, PageLimit,
    Row, Store,
};
use sealpost_wire::id::{DeviceId, ThreadId, UserId};

use crate::world::*;

pub(crate) async fn pages_are_available_in_both_orders(store: &dyn Store) {
    let pair = pair(store).await;
    let other = register(store, 3, 0..0).await;
    let early = thread(store, other, pair.b, 1).await;
    for n in 1..=3 {
        store.append(append(&pair, n)).await.unwrap();
        store.append(Append { sender: other, thread: early, ..append(&pair, n) }).await.unwrap();
    }
    let key = |thread, server_seq| InboxKey { thread, server_seq };
    let late = pair.thread;
    let arrived = store.inbox_arrivals(pair.b, 0, ALL).await.unwrap().rows;
    let keys: Vec<_> = arrived.iter().map(|row| row.key).collect();
    assert_eq!(keys, [key(late, 1), key(early, 1), key(late, 2), key(early, 2), key(late, 3), key(early, 3)]);
    assert!(arrived.is_sorted_by(|a, b| a.arrival < b.arrival));
    let rest = store.inbox_arrivals(pair.b, arrived[3].arrival, ALL).await.unwrap().rows;
    assert_eq!(rest.iter().map(|row| row.key).collect::<Vec<_>>(), keys[4..]);

    let in_order = async |after| {
        let page = store.inbox_after(pair.b, after, ALL).await.unwrap();
        page.rows.into_iter().map(|row| row.key).collect::<Vec<_>>()
    };
    let ordered: Vec<_> =
        [early, late].into_iter().flat_map(|t| (1..=3).map(move |seq| key(t, seq))).collect();
    assert_eq!(in_order(None).await, ordered);
    assert_eq!(in_order(Some(key(early, 2))).await, ordered[2..]);
    // The cursor need not exist.
    assert_eq!(in_order(Some(key(early, 99))).await, ordered[3..]);
    assert_eq!(store.inbox_after(pair.a, None, ALL).await.unwrap().rows.len(), 0);
}

pub(crate) async fn pages_end_at_their_limits(store: &dyn Store) {
    let pair = pair(store).await;
    for n in 1..=4 {
        store.append(Append { copies: vec![copy(pair.b, &[7; 100])], ..append(&pair, n) }).await.unwrap();
    }
    let page = async |rows, bytes| {
        let page = store.inbox_arrivals(pair.b, 0, PageLimit { rows, bytes, now_ms: NOW_MS }).await.unwrap();
        (page.rows.len(), page.more)
    };
    assert_eq!(page(4, 1_000).await, (4, false));
    assert_eq!(page(3, 1_000).await, (3, true));
    assert_eq!(page(9, 299).await, (2, true));
    assert_eq!(page(9, 400).await, (4, false));
    assert_eq!(page(1, 1).await, (1, true), "a page has at least one row");
}

pub(crate) async fn an_acknowledgement_removes_own_rows_only(store: &dyn Store) {
    let pair = pair(store).await;
    for n in 1..=3 {
        store.append(append(&pair, n)).await.unwrap();
    }
    let key = |server_seq| InboxKey { thread: pair.thread, server_seq };
    assert_eq!(store.inbox_ack(pair.a, vec![key(1)]).await, Ok(0));
    assert_eq!(store.inbox_ack(pair.b, vec![key(1), key(1), key(3), key(8)]).await, Ok(2));
    assert_eq!(store.inbox_ack(pair.b, vec![key(1)]).await, Ok(0));
    let rows = store.inbox_arrivals(pair.b, 0, ALL).await.unwrap().rows;
    assert_eq!(rows.iter().map(|row| row.key).collect::<Vec<_>>(), [key(2)]);
    assert_eq!(seq(&store.append(append(&pair, 4)).await.unwrap()), 4, "its sequence number is not reused");
}

pub(crate) async fn an_overfull_mailbox_is_trimmed_from_the_oldest(store: &dyn Store) {
    let pair = pair(store).await;
    assert_eq!(store.mailbox(pair.b).await, Ok(MailboxState::default()));
    // 64 rows of 1 MiB fill it exactly, including the overhead of each.
    let big = vec![7; (1 << 20) - 256];
    let answers =
        (1..=64).map(|n| store.append(Append { copies: vec![copy(pair.b, &big)], ..append(&pair, n) }));
    join_all(answers.collect::<Vec<_>>()).await;
    assert_eq!(store.mailbox(pair.b).await.unwrap().trimmed, 0);
    store.append(append(&pair, 65)).await.unwrap();
    assert_eq!(store.mailbox(pair.b).await.unwrap().trimmed, 1);
    let limit = PageLimit { rows: 1, bytes: 1, now_ms: NOW_MS };
    let oldest = store.inbox_arrivals(pair.b, 0, limit).await.unwrap().rows[0].clone();
    assert_eq!(oldest.key.server_seq, 2);
    let page = store.inbox_after(pair.b, None, limit).await.unwrap();
    assert_eq!((page.trimmed, page.rows[0].key), (1, oldest.key));
    store.mark_pushed(pair.b, oldest.arrival).await.unwrap();
    store.mark_pushed(pair.b, 0).await.unwrap();
    let state = MailboxState { trimmed: 1, pushed: oldest.arrival, ..MailboxState::default() };
    assert_eq!(store.mailbox(pair.b).await, Ok(state));
    // Acknowledged rows free their space.
    store.inbox_ack(pair.b, vec![oldest.key]).await.unwrap();
    store.append(append(&pair, 66)).await.unwrap();
    assert_eq!(store.mailbox(pair.b).await.unwrap().trimmed, 1);
}

pub(crate) async fn trimmed_rows_count_as_reported_once_the_device_acknowledges(store: &dyn Store) {
    let pair = pair(store).await;
    let big = vec![7; (1 << 20) - 256];
    let send = async |n| store.append(Append { copies: vec![copy(pair.b, &big)], ..append(&pair, n) }).await;
    for n in 1..=66 {
        send(n).await.unwrap();
    }
    let state = async || {
        let MailboxState { trimmed, reported, .. } = store.mailbox(pair.b).await.unwrap();
        (trimmed, reported)
    };
    assert_eq!(state().await, (2, 0));
    store.mark_reported(pair.b, 2).await.unwrap();
    store.mark_reported(pair.b, 1).await.unwrap();
    assert_eq!(state().await, (2, 2));
    send(67).await.unwrap();
    assert_eq!(state().await, (3, 2), "rows trimmed since are not reported yet");
    store.mark_reported(pair.b, u64::MAX).await.unwrap();
    assert_eq!(state().await, (3, 3), "the number is limited to the rows that were trimmed");
    store.mark_reported(pair.a, 3).await.unwrap();
    assert_eq!(store.mailbox(pair.a).await, Ok(MailboxState::default()));
}

fn rows_of(rows: &[Row], thread: ThreadId) -> Vec<u64> {
    rows.iter().filter(|row| row.key.thread == thread).map(|row| row.key.server_seq).collect()
}

pub(crate) async fn a_full_mailbox_loses_rows_of_the_thread_that_fills_it(store: &dyn Store) {
    let pair = pair(store).await;
    let friend = register(store, 3, 0..0).await;
    let theirs = thread(store, friend, pair.b, 1).await;
    let from_friend = |n| Append { sender: friend, thread: theirs, ..append(&pair, n) };
    for n in 1..=50 {
        store.append(from_friend(n)).await.unwrap();
    }
    let big = vec![7; 65_000];
    let flood = |n| store.append(Append { copies: vec![copy(pair.b, &big)], ..append(&pair, n) });
    for answer in join_all((1..=1_060).map(flood).collect::<Vec<_>>()).await {
        assert!(matches!(answer, Ok(Appended::Stored(_))));
    }
    // The same if another user writes into the full mailbox.
    for n in 51..=60 {
        store.append(from_friend(n)).await.unwrap();
    }
    let rows = store.inbox_arrivals(pair.b, 0, PageLimit { rows: 10_000, ..ALL }).await.unwrap().rows;
    assert_eq!(rows_of(&rows, theirs), (1..=60).collect::<Vec<_>>());
    let left = rows_of(&rows, pair.thread);
    assert_eq!(
        left,
        (1_060 - left.len() as u64 + 1..=1_060).collect::<Vec<_>>(),
        "its oldest rows were trimmed"
    );
    let bytes: usize = rows.iter().map(|row| row.message.envelope.ciphertext.len() + 256).sum();
    assert!((63 << 20..=64 << 20).contains(&bytes), "{bytes}");
    assert!(store.mailbox(pair.b).await.unwrap().trimmed > 0);
}

pub(crate) async fn a_mailbox_of_many_threads_loses_rows_of_one_of_them_at_a_time(store: &dyn Store) {
    let b = register(store, 2, 0..0).await;
    // No thread occupies much, but together they fill it.
    let big = vec![7; 65_000 - 256];
    let pairs = (0..=1_100_u16).map(|n| {
        let [high, low] = n.to_be_bytes();
        let name = [[0xff, high, low, 0]; 4].concat().try_into().unwrap();
        let a = Address { user: UserId::from_bytes(name), device: DeviceId::PRIMARY };
        Pair { a, b, thread: ThreadId::from_bytes(name) }
    });
    let threads: Vec<_> = pairs.collect();
    let accounts = threads.iter().map(|pair| {
        let family = NewFamily { id: FamilyId(*pair.a.user.as_bytes()), ..new_account(0, 0..0).family };
        store.create_account(NewAccount { address: pair.a, family, ..new_account(0, 0..0) })
    });
    assert!(join_all(accounts.collect::<Vec<_>>()).await.iter().all(Result::is_ok));
    let created = threads.iter().map(|pair| {
        let (id, creator, peer) = (pair.thread, pair.a.user, b.user);
        store.create_thread(NewThread { id, creator, peer, now_ms: NOW_MS })
    });
    assert!(join_all(created.collect::<Vec<_>>()).await.iter().all(|created| *created == Ok(Created::New)));
    let accepted = threads.iter().map(|pair| store.accept_thread(pair.thread, b.user));
    assert!(join_all(accepted.collect::<Vec<_>>()).await.iter().all(|accepted| *accepted == Ok(true)));
    let sends =
        threads.iter().map(|pair| store.append(Append { copies: vec![copy(b, &big)], ..append(pair, 1) }));
    for answer in join_all(sends.collect::<Vec<_>>()).await {
        assert!(matches!(answer, Ok(Appended::Stored(_))));
    }
    let rows = store.inbox_arrivals(b, 0, PageLimit { rows: 10_000, ..ALL }).await.unwrap().rows;
    assert_eq!(rows.len(), (64 << 20) / 65_000);
    assert!(store.mailbox(b).await.unwrap().trimmed > 0);
}
