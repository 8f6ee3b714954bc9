//! The promises of `Store`, each a function over any engine.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use sealpost_relay::address::Address;
use sealpost_relay::keys::CheckedKeys;
use sealpost_relay::store::{
    Append, Appended, Created, FamilyId, IdempotencyKey, InboxKey, KeysRefused, MailboxState, NewAccount,
    NewFamily, NewThread, Origin, PageLimit, Rotated, Rotation, Row, Selector, Store, Stored, Swept, Take,
    ThreadRow, TokenHash,
};
use sealpost_wire::id::{DeviceId, ThreadId, UserId};
use sealpost_wire::{DeviceMismatch, KeyCounts};

use crate::world::*;

const WEEK_MS: u64 = 7 * 24 * 3_600_000;

pub(crate) async fn appends_get_places_without_a_gap(store: &dyn Store) {
    let pair = pair(store).await;
    let answers = join_all((1..=100).map(|n| store.append(append(&pair, n)))).await;
    let places: Vec<_> = answers.into_iter().map(|answer| seq(&answer.unwrap())).collect();
    assert_eq!(places, (1..=100).collect::<Vec<_>>());
    let row = store.thread(pair.thread, pair.b.user).await.unwrap().unwrap();
    assert_eq!(row, ThreadRow { roster_version: 1, members: vec![pair.a.user, pair.b.user], last_seq: 100 });
}

pub(crate) async fn a_message_is_stored_once(store: &dyn Store) {
    let pair = pair(store).await;
    let first = store.append(append(&pair, 1)).await.unwrap();
    assert_eq!(first, Appended::Stored(Stored { server_seq: 1, hlc: NOW_MS << 16 }));
    store.append(append(&pair, 2)).await.unwrap();
    for again in join_all((0..50).map(|_| store.append(append(&pair, 1)))).await {
        assert_eq!(again, Ok(duplicate_of(&first)));
    }
    let other_body = Append { body_hash: [2; 32], ..append(&pair, 1) };
    assert_eq!(store.append(other_body).await, Ok(Appended::MsgIdReuse));
    // The name belongs to its sender: another may use it for something else.
    let theirs = Append { sender: pair.b, copies: vec![copy(pair.a, b"x")], ..append(&pair, 1) };
    assert_eq!(seq(&store.append(theirs).await.unwrap()), 3);
    assert_eq!(store.inbox_arrivals(pair.b, 0, ALL).await.unwrap().rows.len(), 2);
}

pub(crate) async fn a_refused_append_changes_nothing(store: &dyn Store) {
    let pair = pair(store).await;
    let stranger = register(store, 3, 0..0).await;
    let nowhere = ThreadId::from_bytes([0xee; 16]);
    let unknown = address(0x44);
    let refused = [
        (Append { thread: nowhere, ..append(&pair, 1) }, Appended::NotMember),
        (Append { sender: stranger, ..append(&pair, 1) }, Appended::NotMember),
        (Append { sender: unknown, ..append(&pair, 1) }, Appended::NotMember),
        (Append { roster_version: 2, ..append(&pair, 1) }, Appended::StaleRoster { current: 1 }),
        (Append { roster_version: 0, ..append(&pair, 1) }, Appended::StaleRoster { current: 1 }),
    ];
    for (append, expected) in refused {
        assert_eq!(store.append(append).await, Ok(expected));
    }
    assert_eq!(seq(&store.append(append(&pair, 1)).await.unwrap()), 1);
    assert_eq!(store.inbox_arrivals(pair.b, 0, ALL).await.unwrap().rows.len(), 1);
}

pub(crate) async fn devices_must_be_named_exactly(store: &dyn Store) {
    let pair = pair(store).await;
    let stranger = register(store, 3, 0..0).await;
    let of =
        |address: Address| DeviceMismatch { user_id: address.user.to_wire(), ..DeviceMismatch::default() };
    let with = |copies| Append { copies, ..append(&pair, 1) };
    let missing = DeviceMismatch { missing: vec![1], ..of(pair.b) };
    assert_eq!(store.append(with(vec![])).await, Ok(Appended::MismatchedDevices(vec![missing.clone()])));
    // To oneself, and to somebody who is not in the thread.
    let extra = |address| DeviceMismatch { extra: vec![1], ..of(address) };
    let copies = vec![copy(pair.a, b"x"), copy(stranger, b"x")];
    assert_eq!(
        store.append(with(copies)).await,
        Ok(Appended::MismatchedDevices(vec![extra(pair.a), missing, extra(stranger)]))
    );
    let mut stale = copy(pair.b, b"x");
    stale.registration_id = 76;
    let stale_device = DeviceMismatch { stale: vec![1], ..of(pair.b) };
    assert_eq!(store.append(with(vec![stale])).await, Ok(Appended::StaleDevices(vec![stale_device])));
    assert_eq!(seq(&store.append(append(&pair, 1)).await.unwrap()), 1);
}

pub(crate) async fn pages_hold_rows_in_both_orders(store: &dyn Store) {
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
    assert_eq!(page(1, 1).await, (1, true), "one row always");
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
    assert_eq!(seq(&store.append(append(&pair, 4)).await.unwrap()), 4, "its place is not used again");
}

pub(crate) async fn rows_expire_and_are_swept(store: &dyn Store) {
    let pair = pair(store).await;
    for n in 1..=3 {
        let mut expiring = copy(pair.b, b"x");
        expiring.expires_ms = NOW_MS + n * 1_000;
        store.append(Append { copies: vec![expiring], ..append(&pair, n) }).await.unwrap();
    }
    let at = |now_ms| PageLimit { now_ms, ..ALL };
    let left = async |now_ms| store.inbox_arrivals(pair.b, 0, at(now_ms)).await.unwrap().rows.len();
    assert_eq!(left(NOW_MS + 999).await, 3);
    assert_eq!(left(NOW_MS + 1_000).await, 2, "also before the sweep");
    assert_eq!(store.sweep(NOW_MS + 2_000, 1).await.unwrap().inbox, 1, "no more than the budget");
    assert!(store.sweep(NOW_MS + 2_000, 1).await.unwrap().is_full(1));
    assert_eq!(store.sweep(NOW_MS + 2_000, 10).await, Ok(Swept::default()));
    assert_eq!(left(NOW_MS).await, 1);
}

pub(crate) async fn ids_are_forgotten_an_hour_after_they_are_refused(store: &dyn Store) {
    let pair = pair(store).await;
    let first = store.append(append(&pair, 1)).await.unwrap();
    let forgotten_ms = NOW_MS + 1 + WEEK_MS + 3_600_000;
    assert_eq!(store.sweep(forgotten_ms, 10).await.unwrap().dedupe, 0);
    assert_eq!(store.append(append(&pair, 1)).await, Ok(duplicate_of(&first)));
    assert_eq!(store.sweep(forgotten_ms + 1, 10).await.unwrap().dedupe, 1);
}

pub(crate) async fn an_overfull_mailbox_is_trimmed_from_the_oldest(store: &dyn Store) {
    let pair = pair(store).await;
    assert_eq!(store.mailbox(pair.b).await, Ok(MailboxState::default()));
    // 64 rows of 1 MiB fill it exactly, with what each counts besides its ciphertext.
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
    let state = MailboxState { trimmed: 1, told: 0, pushed: oldest.arrival };
    assert_eq!(store.mailbox(pair.b).await, Ok(state));
    // Acknowledged room is room again.
    store.inbox_ack(pair.b, vec![oldest.key]).await.unwrap();
    store.append(append(&pair, 66)).await.unwrap();
    assert_eq!(store.mailbox(pair.b).await.unwrap().trimmed, 1);
}

pub(crate) async fn a_device_knows_of_trimmed_rows_when_it_says_so(store: &dyn Store) {
    let pair = pair(store).await;
    let big = vec![7; (1 << 20) - 256];
    let send = async |n| store.append(Append { copies: vec![copy(pair.b, &big)], ..append(&pair, n) }).await;
    for n in 1..=66 {
        send(n).await.unwrap();
    }
    let state = async || {
        let MailboxState { trimmed, told, .. } = store.mailbox(pair.b).await.unwrap();
        (trimmed, told)
    };
    assert_eq!(state().await, (2, 0));
    store.mark_told(pair.b, 2).await.unwrap();
    store.mark_told(pair.b, 1).await.unwrap();
    assert_eq!(state().await, (2, 2));
    send(67).await.unwrap();
    assert_eq!(state().await, (3, 2), "what was trimmed since is not told");
    store.mark_told(pair.b, u64::MAX).await.unwrap();
    assert_eq!(state().await, (3, 3), "nobody knows what has not happened");
    store.mark_told(pair.a, 3).await.unwrap();
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
    // Also when it is somebody else who writes into the full mailbox.
    for n in 51..=60 {
        store.append(from_friend(n)).await.unwrap();
    }
    let rows = store.inbox_arrivals(pair.b, 0, PageLimit { rows: 10_000, ..ALL }).await.unwrap().rows;
    assert_eq!(rows_of(&rows, theirs), (1..=60).collect::<Vec<_>>());
    let left = rows_of(&rows, pair.thread);
    assert_eq!(left, (1_060 - left.len() as u64 + 1..=1_060).collect::<Vec<_>>(), "its oldest went");
    let bytes: usize = rows.iter().map(|row| row.message.envelope.ciphertext.len() + 256).sum();
    assert!((63 << 20..=64 << 20).contains(&bytes), "{bytes}");
    assert!(store.mailbox(pair.b).await.unwrap().trimmed > 0);
}

pub(crate) async fn a_mailbox_of_many_threads_loses_rows_of_one_of_them_at_a_time(store: &dyn Store) {
    let b = register(store, 2, 0..0).await;
    // No thread holds much, and together they fill it.
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

pub(crate) async fn a_thread_that_is_not_accepted_brings_little(store: &dyn Store) {
    let (a, b) = (register(store, 1, 0..0).await, register(store, 2, 0..0).await);
    let pair = Pair { a, b, thread: request(store, a, b, 9).await };
    for n in 1..=16 {
        assert_eq!(seq(&store.append(append(&pair, n)).await.unwrap()), n);
    }
    assert_eq!(store.append(append(&pair, 17)).await, Ok(Appended::NotAccepted));
    // What was acknowledged counts all the same, and a repetition is answered as ever.
    let keys = (1..=16).map(|server_seq| InboxKey { thread: pair.thread, server_seq }).collect();
    assert_eq!(store.inbox_ack(b, keys).await, Ok(16));
    assert_eq!(store.append(append(&pair, 17)).await, Ok(Appended::NotAccepted));
    assert!(matches!(store.append(append(&pair, 16)).await, Ok(Appended::Duplicate(_))));
    // The one who opened it accepted it by that.
    let back = |n| Append { sender: b, copies: vec![copy(a, b"x")], ..append(&pair, n) };
    for n in 100..=120 {
        assert!(matches!(store.append(back(n)).await, Ok(Appended::Stored(_))));
    }
    // Only a member accepts, and only for themselves.
    let other = register(store, 3, 0..0).await;
    assert_eq!(store.accept_thread(pair.thread, other.user).await, Ok(false));
    assert_eq!(store.accept_thread(ThreadId::from_bytes([8; 16]), b.user).await, Ok(false));
    assert_eq!(store.accept_thread(pair.thread, a.user).await, Ok(true));
    assert_eq!(store.append(append(&pair, 17)).await, Ok(Appended::NotAccepted));
    assert_eq!(store.accept_thread(pair.thread, b.user).await, Ok(true));
    assert_eq!(store.accept_thread(pair.thread, b.user).await, Ok(true), "again");
    for n in 17..=40 {
        assert!(matches!(store.append(append(&pair, n)).await, Ok(Appended::Stored(_))), "{n}");
    }
    assert_eq!(store.mailbox(b).await.unwrap().trimmed, 0);
}

pub(crate) async fn a_thread_that_is_not_accepted_brings_few_bytes(store: &dyn Store) {
    let (a, b) = (register(store, 1, 0..0).await, register(store, 2, 0..0).await);
    let pair = Pair { a, b, thread: request(store, a, b, 9).await };
    let of_bytes = |n, bytes| Append { copies: vec![copy(b, &vec![7; bytes])], ..append(&pair, n) };
    for n in 1..=4 {
        assert!(matches!(store.append(of_bytes(n, 60_000)).await, Ok(Appended::Stored(_))));
    }
    let left = (256 << 10) - 240_000;
    assert_eq!(store.append(of_bytes(5, left + 1)).await, Ok(Appended::NotAccepted));
    assert!(matches!(store.append(of_bytes(6, left)).await, Ok(Appended::Stored(_))));
    assert_eq!(store.append(of_bytes(7, 1)).await, Ok(Appended::NotAccepted));
    // Whoever opens it from the other side accepts it.
    let new = NewThread { id: ThreadId::from_bytes([8; 16]), creator: b.user, peer: a.user, now_ms: NOW_MS };
    assert_eq!(store.create_thread(new).await, Ok(Created::Existing(pair.thread)));
    assert!(matches!(store.append(of_bytes(8, 60_000)).await, Ok(Appended::Stored(_))));
}

pub(crate) async fn strangers_together_fill_an_eighth_of_a_mailbox(store: &dyn Store) {
    let friends = pair(store).await;
    let strangers = async |number: u8| {
        let stranger = register(store, number, 0..0).await;
        Pair { a: stranger, b: friends.b, thread: request(store, stranger, friends.b, number).await }
    };
    let of_bytes =
        |pair: &Pair, n, bytes| Append { copies: vec![copy(pair.b, &vec![7; bytes])], ..append(pair, n) };
    let mut stored = 0;
    for number in 100..=140 {
        let pair = strangers(number).await;
        for n in 1..=4 {
            match store.append(of_bytes(&pair, n, 64_000 - 256)).await.unwrap() {
                Appended::Stored(_) => stored += 1,
                refused => assert_eq!(refused, Appended::NotAccepted),
            }
        }
    }
    assert_eq!(stored, (8 << 20) / 64_000);
    // Friends have the rest, and a stranger trims nothing of a full mailbox.
    let big = vec![7; (1 << 20) - 256];
    for n in 1..=56 {
        store.append(Append { copies: vec![copy(friends.b, &big)], ..append(&friends, n) }).await.unwrap();
    }
    assert_eq!(store.mailbox(friends.b).await.unwrap().trimmed, 0);
    let rows = store.inbox_arrivals(friends.b, 0, ALL).await.unwrap().rows;
    let of_strangers = rows.iter().filter(|row| row.key.thread != friends.thread).map(|row| row.key);
    store.inbox_ack(friends.b, of_strangers.take(20).collect()).await.unwrap();
    store.append(Append { copies: vec![copy(friends.b, &big)], ..append(&friends, 57) }).await.unwrap();
    let late = strangers(141).await;
    assert!(matches!(store.append(of_bytes(&late, 1, 60_000)).await, Ok(Appended::Stored(_))));
    let (filler, left) = (vec![7; 220_000], store.inbox_arrivals(friends.b, 0, ALL).await.unwrap().rows);
    let held: usize = left.iter().map(|row| row.message.envelope.ciphertext.len() + 256).sum();
    let mut room = (64 << 20) - held;
    let mut n = 58;
    while room > 60_000 {
        let bytes = filler.len().min(room - 30_000);
        store.append(of_bytes(&friends, n, bytes)).await.unwrap();
        (room, n) = (room - bytes - 256, n + 1);
    }
    assert_eq!(store.append(of_bytes(&late, 2, 60_000)).await, Ok(Appended::NotAccepted));
    assert_eq!(store.mailbox(friends.b).await.unwrap().trimmed, 0);
}

pub(crate) async fn a_revoked_device_leaves_nothing(store: &dyn Store) {
    let pair = pair(store).await;
    store.append(append(&pair, 1)).await.unwrap();
    let family = FamilyId([2; 16]);
    assert_eq!(store.is_live(pair.b, family).await, Ok(true));
    assert_eq!(store.is_live(pair.a, family).await, Ok(false), "a family is of one device");
    assert_eq!(store.revoke_device(pair.b).await, Ok(true));
    assert_eq!(store.revoke_device(pair.b).await, Ok(false));
    assert_eq!(store.is_live(pair.b, family).await, Ok(false));
    assert_eq!(store.devices(pair.b.user).await, Ok(vec![]));
    assert_eq!(store.key_counts(pair.b).await, Ok(KeyCounts::default()));
    assert_eq!(store.inbox_arrivals(pair.b, 0, ALL).await.unwrap().rows.len(), 0);
    let theirs = Append { sender: pair.b, copies: vec![copy(pair.a, b"x")], ..append(&pair, 2) };
    assert_eq!(store.append(theirs).await, Ok(Appended::SenderRevoked));
    // The one who stays may write to nobody.
    let to_nobody = Append { copies: vec![], ..append(&pair, 3) };
    assert_eq!(seq(&store.append(to_nobody).await.unwrap()), 2);
}

pub(crate) async fn a_deleted_account_leaves_only_that_it_was_there(store: &dyn Store) {
    let pair = pair(store).await;
    let stranger = register(store, 3, 0..0).await;
    let theirs = Append { sender: pair.b, copies: vec![copy(pair.a, b"x")], ..append(&pair, 1) };
    store.append(theirs.clone()).await.unwrap();
    store.append(append(&pair, 2)).await.unwrap();
    assert_eq!(store.is_deleted(pair.b.user).await, Ok(false));
    assert_eq!(store.delete_account(pair.b.user, NOW_MS).await, Ok(vec![pair.b]));
    assert_eq!(store.delete_account(pair.b.user, NOW_MS).await, Ok(vec![]), "it is gone");
    assert_eq!(store.is_deleted(pair.b.user).await, Ok(true));

    let family = FamilyId([2; 16]);
    assert_eq!(store.is_live(pair.b, family).await, Ok(false));
    assert_eq!(store.devices(pair.b.user).await, Ok(vec![]));
    assert_eq!(store.key_counts(pair.b).await, Ok(KeyCounts::default()));
    assert_eq!(store.inbox_arrivals(pair.b, 0, ALL).await.unwrap().rows.len(), 0);
    assert_eq!(store.append(theirs).await, Ok(Appended::SenderRevoked));
    let rotation = Rotation {
        family,
        presented: TokenHash([2; 32]),
        origin: Origin::Issued,
        next: TokenHash([3; 32]),
        expires_ms: NOW_MS + 1_000_000,
        now_ms: NOW_MS,
    };
    assert_eq!(store.rotate_refresh(rotation.clone()).await, Ok(Rotated::Deleted));
    let guess = Rotation { origin: Origin::Unproven, ..rotation.clone() };
    assert_eq!(store.rotate_refresh(guess).await, Ok(Rotated::Unknown));

    // Whoever writes to them learns it, but not from a thread of others; what was stored before is still answered as that.
    assert_eq!(store.append(append(&pair, 3)).await, Ok(Appended::RecipientDeleted));
    let to_nobody = Append { copies: vec![], ..append(&pair, 3) };
    assert_eq!(store.append(to_nobody).await, Ok(Appended::RecipientDeleted));
    assert!(matches!(store.append(append(&pair, 2)).await, Ok(Appended::Duplicate(_))));
    let not_theirs = Append { sender: stranger, ..append(&pair, 4) };
    assert_eq!(store.append(not_theirs).await, Ok(Appended::NotMember));
    let taken = store.take_bundles(take(1, 2, None)).await.unwrap();
    assert!(taken.deleted && taken.bundles.is_empty());
    let new = NewThread {
        id: ThreadId::from_bytes([0xdd; 16]),
        creator: stranger.user,
        peer: pair.b.user,
        now_ms: NOW_MS,
    };
    assert_eq!(store.create_thread(new).await, Ok(Created::PeerDeleted));
    // What they had sent is still delivered, and the thread can be looked at.
    assert_eq!(store.inbox_arrivals(pair.a, 0, ALL).await.unwrap().rows.len(), 1);
    assert!(store.thread(pair.thread, pair.a.user).await.unwrap().is_some());

    // Only a token that has expired could not be known.
    store.sweep(NOW_MS + WEEK_MS * 53, 1_000).await.unwrap();
    assert_eq!(store.rotate_refresh(rotation).await, Ok(Rotated::Unknown));
    assert_eq!(store.is_deleted(pair.b.user).await, Ok(true));
}

pub(crate) async fn a_refresh_token_is_exchanged_once(store: &dyn Store) {
    let (a, b) = (register(store, 1, 0..0).await, register(store, 2, 0..0).await);
    let rotation = |presented: u8, next: u8, now_ms: u64| Rotation {
        family: FamilyId([1; 16]),
        presented: TokenHash([presented; 32]),
        origin: Origin::Issued,
        next: TokenHash([next; 32]),
        expires_ms: now_ms + 1_000_000,
        now_ms,
    };
    let rotate = async |presented, next, now_ms| {
        store.rotate_refresh(rotation(presented, next, now_ms)).await.unwrap()
    };
    assert_eq!(rotate(1, 11, NOW_MS).await, Rotated::Next(a));
    assert_eq!(rotate(1, 12, NOW_MS + 60_000).await, Rotated::Next(a), "its answer was lost");
    assert_eq!(rotate(1, 12, NOW_MS + 500_000).await, Rotated::Next(a), "and again");
    assert_eq!(rotate(12, 13, NOW_MS + 60_000).await, Rotated::Next(a));
    assert_eq!(rotate(13, 14, NOW_MS + 2_000_000).await, Rotated::Unknown, "too late");
    let guess = Rotation { origin: Origin::Unproven, ..rotation(99, 15, NOW_MS + 60_000) };
    assert_eq!(store.rotate_refresh(guess).await, Ok(Rotated::Unknown), "never issued");
    assert_eq!(store.is_live(a, FamilyId([1; 16])).await, Ok(true));
    let unproven = Rotation { origin: Origin::Unproven, ..rotation(13, 13, NOW_MS + 60_000) };
    assert_eq!(store.rotate_refresh(unproven).await, Ok(Rotated::Next(a)), "the hash proves the current one");
    assert_eq!(rotate(11, 15, NOW_MS + 60_000).await, Rotated::ReuseDetected(a));
    assert_eq!(rotate(13, 14, NOW_MS + 60_000).await, Rotated::Unknown, "the family is gone");
    assert_eq!(store.is_live(a, FamilyId([1; 16])).await, Ok(false));
    assert_eq!(store.is_live(b, FamilyId([2; 16])).await, Ok(true));
    store.end_family(FamilyId([2; 16])).await.unwrap();
    assert_eq!(store.is_live(b, FamilyId([2; 16])).await, Ok(false));
}

fn take(requester: u8, target: u8, idempotency: Option<u8>) -> Take {
    Take {
        requester: address(requester),
        target: address(target).user,
        selector: Selector::All,
        idempotency: idempotency.map(|key| IdempotencyKey([key; 32])),
        last_resort_only: false,
        now_ms: NOW_MS,
    }
}

pub(crate) async fn a_repeated_registration_finds_the_account(store: &dyn Store) {
    const DAY_MS: u64 = 24 * 3_600_000;
    let request = |user: u8, key: u8, now_ms: u64| NewAccount {
        idempotency: Some(IdempotencyKey([key; 32])),
        now_ms,
        ..new_account(user, 0..5)
    };
    assert_eq!(store.create_account(request(1, 1, NOW_MS)).await, Ok(address(1)));
    assert_eq!(store.create_account(request(2, 1, NOW_MS + DAY_MS - 1)).await, Ok(address(1)));
    // The tokens of the lost answer are void, those of the repetition are good; the keys are there once.
    assert_eq!(store.is_live(address(1), FamilyId([1; 16])).await, Ok(false));
    assert_eq!(store.is_live(address(1), FamilyId([2; 16])).await, Ok(true));
    assert_eq!(store.key_counts(address(1)).await, Ok(KeyCounts { ec: 5, kem: 5 }));
    assert!(store.devices(address(2).user).await.unwrap().is_empty());
    // Another request, another identity, the next day.
    assert_eq!(store.create_account(request(3, 2, NOW_MS)).await, Ok(address(3)));
    let other = NewAccount { identity_key: public(0x05, 33, 9), ..request(4, 1, NOW_MS) };
    assert_eq!(store.create_account(other).await, Ok(address(4)));
    assert_eq!(store.create_account(request(5, 2, NOW_MS + DAY_MS)).await, Ok(address(5)));
    // A device that was revoked is not brought back.
    assert_eq!(store.revoke_device(address(5)).await, Ok(true));
    assert_eq!(store.create_account(request(6, 2, NOW_MS + DAY_MS)).await, Ok(address(6)));
    assert!(store.is_live(address(1), FamilyId([2; 16])).await.unwrap());
}

pub(crate) async fn one_time_keys_are_taken_once(store: &dyn Store) {
    let (_, b) = (register(store, 1, 0..0).await, register(store, 2, 0..30).await);
    let taken = join_all((0..40).map(|_| store.take_bundles(take(1, 2, None)))).await;
    let bundles: Vec<_> = taken.iter().map(|taken| taken.as_ref().unwrap().bundles[0].clone()).collect();
    let ec: Vec<_> = bundles.iter().filter_map(|bundle| bundle.one_time.as_ref().map(|key| key.id)).collect();
    assert_eq!(ec, (0..30).collect::<Vec<_>>());
    let kems: BTreeSet<_> = bundles.iter().map(|bundle| bundle.kem.as_ref().unwrap().id).collect();
    assert_eq!(kems.len(), 31, "30 one-time keys and the last resort");
    assert!(bundles.iter().all(|bundle| bundle.signed_pre_key.is_some()));
    let last = taken[39].as_ref().unwrap();
    assert_eq!((last.left.clone(), last.last_resort), (vec![(b, KeyCounts::default())], 1));
    assert_eq!(taken[0].as_ref().unwrap().left, [(b, KeyCounts { ec: 29, kem: 29 })]);
    assert!(store.take_bundles(take(1, 0x44, None)).await.unwrap().bundles.is_empty());
}

pub(crate) async fn a_repeated_take_gets_the_same_bundles(store: &dyn Store) {
    for user in [1, 2, 3] {
        register(store, user, 0..5).await;
    }
    let bundles = async |take| store.take_bundles(take).await.unwrap().bundles;
    let first = bundles(take(1, 2, Some(1))).await;
    assert_eq!(bundles(take(1, 2, Some(1))).await, first);
    assert_ne!(bundles(take(1, 2, Some(2))).await, first);
    assert_ne!(bundles(take(3, 2, Some(1))).await, first);
    let one = Take { selector: Selector::One(address(2).device), ..take(1, 2, Some(1)) };
    assert_ne!(bundles(one).await, first);
    let later = |ms| Take { now_ms: NOW_MS + ms, ..take(1, 2, Some(1)) };
    assert_eq!(bundles(later(59_999)).await, first);
    assert_ne!(bundles(later(60_000)).await, first);
    assert_eq!(store.sweep(NOW_MS + 60_000, 10).await.unwrap().other, 3, "the one taken again lives on");
}

pub(crate) async fn key_ids_are_used_once(store: &dyn Store) {
    let a = register(store, 1, 5..10).await;
    let put = async |ids| store.put_keys(a, CheckedKeys::parse(one_time(ids)).unwrap()).await.unwrap();
    assert_eq!(put(5..10).await, Ok(KeyCounts { ec: 5, kem: 5 }), "a lost answer");
    assert_eq!(put(8..12).await, Ok(KeyCounts { ec: 7, kem: 7 }));
    assert_eq!(put(0..1).await, Err(KeysRefused::IdUsed), "below what was seen");
    let given = store.take_bundles(take(1, 1, None)).await.unwrap().bundles.remove(0);
    assert_eq!(given.one_time.unwrap().id, 5);
    assert_eq!(put(5..6).await, Ok(KeyCounts { ec: 6, kem: 6 }), "a lost answer brings no key back");
    let given = store.take_bundles(take(1, 1, None)).await.unwrap().bundles.remove(0);
    assert_eq!(given.one_time.unwrap().id, 6);
    let mut spent = one_time(5..6);
    spent.one_time[0].public_key = public(0x05, 33, 99);
    let refused = store.put_keys(a, CheckedKeys::parse(spent).unwrap()).await.unwrap();
    assert_eq!(refused, Err(KeysRefused::IdUsed), "another key under the id of one that was given out");
    let mut other = one_time(11..13);
    other.one_time_kem[0] = kem(99);
    other.one_time_kem[0].id = 11;
    let refused = store.put_keys(a, CheckedKeys::parse(other).unwrap()).await.unwrap();
    assert_eq!(refused, Err(KeysRefused::IdUsed), "another key under the id of one that waits");
    assert_eq!(store.key_counts(a).await, Ok(KeyCounts { ec: 5, kem: 5 }), "all or nothing");
    assert_eq!(put(12..13).await, Ok(KeyCounts { ec: 6, kem: 6 }));
    let month_ms = 30 * 24 * 3_600_000;
    assert_eq!(store.sweep(NOW_MS + month_ms, 100).await.unwrap().other, 4, "two keys of each kind");
}

pub(crate) async fn a_pair_has_one_thread(store: &dyn Store) {
    let (a, b) = (register(store, 1, 0..0).await, register(store, 2, 0..0).await);
    let new =
        |id, creator, peer| NewThread { id: ThreadId::from_bytes([id; 16]), creator, peer, now_ms: NOW_MS };
    let both = [new(1, a.user, b.user), new(2, b.user, a.user)].map(|new| store.create_thread(new));
    let first = ThreadId::from_bytes([1; 16]);
    assert_eq!(join_all(both).await, [Ok(Created::New), Ok(Created::Existing(first))]);
    let unknown = address(0x44).user;
    assert_eq!(store.create_thread(new(3, a.user, unknown)).await, Ok(Created::NoSuchPeer));
    assert_eq!(store.thread(first, unknown).await, Ok(None));
    assert_eq!(store.thread(ThreadId::from_bytes([3; 16]), a.user).await, Ok(None));
}

pub(crate) async fn operations_take_effect_in_the_order_of_the_calls(store: &dyn Store) {
    let pair = pair(store).await;
    let answers: Vec<_> = (1..=1_000).map(|n| (n, store.append(append(&pair, n)))).collect();
    // Waited for in the opposite order.
    for (n, answer) in answers.into_iter().rev() {
        assert_eq!(seq(&answer.await.unwrap()), n);
    }
}
