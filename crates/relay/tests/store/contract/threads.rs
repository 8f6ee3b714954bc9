//! The guarantees of `Threads`.

use futures_util::future::join_all;
use sealpost_relay::address::Address;
use sealpost_relay::store::{Append, Appended, Created, InboxKey, NewMail, NewThread, Posted, Store};
use sealpost_wire::id::{ThreadId, UserId};
use sealpost_wire::limits::MAX_BLOCKS;
use sealpost_wire::note::note_to_self;

use crate::world::*;

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

pub(crate) async fn an_unaccepted_thread_delivers_few_messages(store: &dyn Store) {
    let (a, b) = (register(store, 1, 0..0).await, register(store, 2, 0..0).await);
    let pair = Pair { a, b, thread: request(store, a, b, 9).await };
    for n in 1..=16 {
        assert_eq!(seq(&store.append(append(&pair, n)).await.unwrap()), n);
    }
    assert_eq!(store.append(append(&pair, 17)).await, Ok(Appended::NotAccepted));
    // Acknowledged messages count too, and a repetition is answered as usual.
    let keys = (1..=16).map(|server_seq| InboxKey { thread: pair.thread, server_seq }).collect();
    assert_eq!(store.inbox_ack(b, keys).await, Ok(16));
    assert_eq!(store.append(append(&pair, 17)).await, Ok(Appended::NotAccepted));
    assert!(matches!(store.append(append(&pair, 16)).await, Ok(Appended::Duplicate(_))));
    // A member can accept only for themselves.
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

pub(crate) async fn who_writes_in_a_thread_has_accepted_it(store: &dyn Store) {
    let (a, b) = (register(store, 1, 0..0).await, register(store, 2, 0..0).await);
    let pair = Pair { a, b, thread: request(store, a, b, 9).await };
    for n in 1..=16 {
        assert!(matches!(store.append(append(&pair, n)).await, Ok(Appended::Stored(_))));
    }
    let back = |n| Append { sender: b, copies: vec![copy(a, b"x")], ..append(&pair, n) };
    assert_eq!(store.append(append(&pair, 17)).await, Ok(Appended::NotAccepted));
    assert!(matches!(store.append(back(100)).await, Ok(Appended::Stored(_))));
    // The one who has opened it has accepted it, too.
    for n in 101..=120 {
        assert!(matches!(store.append(back(n)).await, Ok(Appended::Stored(_))));
    }
    // Its rows are no rows of a stranger any more.
    let big = vec![7; (1 << 20) - 256];
    for n in 17..=26 {
        let append = Append { copies: vec![copy(b, &big)], ..append(&pair, n) };
        assert!(matches!(store.append(append).await, Ok(Appended::Stored(_))), "{n}");
    }
    let stranger = register(store, 3, 0..0).await;
    let other = Pair { a: stranger, b, thread: request(store, stranger, b, 8).await };
    assert!(matches!(store.append(append(&other, 1)).await, Ok(Appended::Stored(_))));
}

pub(crate) async fn an_unaccepted_thread_delivers_few_bytes(store: &dyn Store) {
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
    // The other user accepts the thread by opening it too.
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
    // Accepted threads can use the rest, and messages of strangers do not trim a full mailbox.
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

pub(crate) async fn nothing_of_a_blocked_sender_is_stored(store: &dyn Store) {
    let pair = pair(store).await;
    let before = store.append(append(&pair, 1)).await.unwrap();
    assert_eq!(store.block(pair.b.user, pair.a.user).await, Ok(true));
    assert_eq!(store.block(pair.b.user, pair.a.user).await, Ok(true), "it may be repeated");
    assert_eq!(store.append(append(&pair, 2)).await, Ok(Appended::NotAccepted));
    assert_eq!(
        store.append(append(&pair, 1)).await,
        Ok(duplicate_of(&before)),
        "what was stored stays stored"
    );
    let mail = |sender, to| NewMail {
        sender,
        client_msg_id: append(&pair, 3).client_msg_id,
        thread: pair.thread,
        body_hash: [1; 32],
        copies: vec![copy(to, b"x")],
        now_ms: NOW_MS,
    };
    assert_eq!(store.post_mail(mail(pair.a, pair.b)).await, Ok(Posted::NotAccepted));
    let audience = store.audience(pair.thread, pair.a.user, Vec::new()).await.unwrap().unwrap();
    assert!(audience.not_accepted.contains(&pair.b.user));
    assert_eq!(store.mailbox(pair.b).await.unwrap().last_mail, 0);
    assert_eq!(store.inbox_arrivals(pair.b, 0, ALL).await.unwrap().rows.len(), 1);
    // The other direction is not blocked, and neither is another user.
    let theirs = Append { sender: pair.b, copies: vec![copy(pair.a, b"x")], ..append(&pair, 4) };
    assert_eq!(seq(&store.append(theirs).await.unwrap()), 2);
    assert_eq!(store.post_mail(mail(pair.b, pair.a)).await, Ok(Posted::Stored));
    let friend = register(store, 3, 0..0).await;
    let friends = thread(store, friend, pair.b, 4).await;
    let from_friend = Append { sender: friend, thread: friends, ..append(&pair, 1) };
    assert_eq!(seq(&store.append(from_friend).await.unwrap()), 1);
    // Opening or accepting the thread again does not end it.
    let again = NewThread {
        id: ThreadId::from_bytes([7; 16]),
        creator: pair.b.user,
        peer: pair.a.user,
        now_ms: NOW_MS,
    };
    assert_eq!(store.create_thread(again).await, Ok(Created::Existing(pair.thread)));
    assert_eq!(store.append(append(&pair, 2)).await, Ok(Appended::NotAccepted));
    assert_eq!(store.unblock(pair.b.user, pair.a.user).await, Ok(()));
    assert_eq!(seq(&store.append(append(&pair, 2)).await.unwrap()), 3, "no position was used");
    // A thread that is opened later is blocked from its beginning.
    let late = register(store, 5, 0..0).await;
    assert_eq!(store.block(pair.b.user, late.user).await, Ok(true));
    let opened = request(store, late, pair.b, 8).await;
    let first = Append { sender: late, thread: opened, ..append(&pair, 1) };
    assert_eq!(store.append(first).await, Ok(Appended::NotAccepted));
}

pub(crate) async fn the_number_of_blocks_is_bounded(store: &dyn Store) {
    let user = register(store, 1, 0..0).await.user;
    let other = |n: u64| {
        let mut id = [9; 16];
        id[..8].copy_from_slice(&n.to_be_bytes());
        UserId::from_bytes(id)
    };
    let answers: Vec<_> = (0..MAX_BLOCKS).map(|n| store.block(user, other(n))).collect();
    for answer in answers {
        assert_eq!(answer.await, Ok(true));
    }
    assert_eq!(store.block(user, other(MAX_BLOCKS)).await, Ok(false));
    assert_eq!(store.block(user, other(0)).await, Ok(true), "known ones may be repeated");
    assert_eq!(store.unblock(user, other(0)).await, Ok(()));
    assert_eq!(store.block(user, other(MAX_BLOCKS)).await, Ok(true));
}

pub(crate) async fn a_note_to_self_belongs_to_one_account(store: &dyn Store) {
    let (a, b, c) =
        (register(store, 1, 0..0).await, register(store, 2, 0..0).await, register(store, 3, 0..0).await);
    let note = note_to_self(a.user);
    let new = |id, creator, peer| NewThread { id, creator, peer, now_ms: NOW_MS };
    // Two others name a thread of theirs like it.
    assert_eq!(store.create_thread(new(note, b.user, c.user)).await, Ok(Created::New));
    let of_others = Append { sender: b, thread: note, copies: vec![copy(c, b"x")], ..append_to(note, b, 1) };
    assert_eq!(seq(&store.append(of_others.clone()).await.unwrap()), 1);
    assert_eq!(store.create_thread(new(note, a.user, a.user)).await, Ok(Created::New));
    assert_eq!(store.create_thread(new(note, a.user, a.user)).await, Ok(Created::Existing(note)));
    let members = store.thread(note, a.user).await.unwrap().map(|thread| thread.members);
    assert_eq!(members, Some(vec![a.user]));
    assert_eq!(store.thread(note, b.user).await, Ok(None));
    assert_eq!(
        store.append(Append { client_msg_id: append_to(note, b, 2).client_msg_id, ..of_others }).await,
        Ok(Appended::NotMember)
    );
    // They get another thread, and cannot take the id again.
    assert_eq!(store.create_thread(new(note, b.user, c.user)).await, Ok(Created::IdTaken));
    let other = ThreadId::from_bytes([8; 16]);
    assert_eq!(store.create_thread(new(other, b.user, c.user)).await, Ok(Created::New));
    // There is nobody else to write to, and the positions go on.
    let alone = Append { copies: Vec::new(), ..append_to(note, a, 3) };
    assert_eq!(seq(&store.append(alone).await.unwrap()), 2);
    let to_other = Append { copies: vec![copy(b, b"x")], ..append_to(note, a, 4) };
    assert!(matches!(store.append(to_other).await, Ok(Appended::MismatchedDevices(_))));
}

fn append_to(thread: ThreadId, sender: Address, n: u64) -> Append {
    Append { sender, ..append(&Pair { a: sender, b: sender, thread }, n) }
}
