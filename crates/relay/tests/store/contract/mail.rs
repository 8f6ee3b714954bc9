//! The guarantees of `Mail`.

use futures_util::future::join_all;
use sealpost_relay::address::Address;
use sealpost_relay::store::{
    Append, Appended, Copy, MailClass, Misaddressed, NewMail, PageLimit, Posted, Store,
};
use sealpost_wire::DeviceMismatch;
use sealpost_wire::id::ClientMsgId;
use sealpost_wire::id::ToWire as _;

use crate::world::*;

/// The n-th mail from a to b.
fn mail(pair: &Pair, n: u64) -> NewMail {
    NewMail {
        sender: pair.a,
        client_msg_id: ClientMsgId::new(NOW_MS + n, &[1; 10]),
        thread: pair.thread,
        body_hash: [1; 32],
        copies: vec![copy(pair.b, b"sealed")],
        now_ms: NOW_MS,
    }
}

fn urgent(to: Address) -> Copy {
    let mut copy = copy(to, b"urgent");
    copy.envelope.urgent = true;
    copy
}

async fn numbers(store: &dyn Store, owner: Address, class: MailClass) -> Vec<u64> {
    let page = store.mail(owner, class, 0, ALL).await.unwrap();
    page.rows.into_iter().map(|row| row.mail_seq).collect()
}

pub(crate) async fn each_device_numbers_its_mail_which_takes_no_place_in_the_thread(store: &dyn Store) {
    let pair = pair(store).await;
    let answers = join_all((1..=50).map(|n| store.post_mail(mail(&pair, n)))).await;
    assert!(answers.into_iter().all(|answer| answer == Ok(Posted::Stored)));
    let back = NewMail { sender: pair.b, copies: vec![copy(pair.a, b"x")], ..mail(&pair, 51) };
    assert_eq!(store.post_mail(back).await, Ok(Posted::Stored));
    assert_eq!(numbers(store, pair.b, MailClass::Ordinary).await, (1..=50).collect::<Vec<_>>());
    assert_eq!(numbers(store, pair.a, MailClass::Ordinary).await, [1]);
    assert_eq!(store.mailbox(pair.b).await.unwrap().last_mail, 50);
    let row = store.mail(pair.a, MailClass::Ordinary, 0, ALL).await.unwrap().rows.remove(0);
    assert_eq!((row.thread, row.sender, row.came_ms), (pair.thread, pair.b, NOW_MS));
    assert_eq!(
        (row.client_msg_id, row.envelope),
        (ClientMsgId::new(NOW_MS + 51, &[1; 10]), copy(pair.a, b"x").envelope)
    );
    // The thread and its mailboxes of messages are as before.
    assert_eq!(store.thread(pair.thread, pair.a.user).await.unwrap().unwrap().last_seq, 0);
    assert_eq!(store.inbox_arrivals(pair.b, 0, ALL).await.unwrap().rows.len(), 0);
    assert_eq!(
        seq(&store.append(append(&pair, 1)).await.unwrap()),
        1,
        "the id of mail is not one of a message"
    );
}

pub(crate) async fn mail_is_stored_once_for_a_sending_device(store: &dyn Store) {
    let pair = pair(store).await;
    assert_eq!(store.post_mail(mail(&pair, 1)).await, Ok(Posted::Stored));
    for again in join_all((0..20).map(|_| store.post_mail(mail(&pair, 1)))).await {
        assert_eq!(again, Ok(Posted::Duplicate));
    }
    // A repetition is recognised even if it would be refused now.
    let late = NewMail { now_ms: NOW_MS + 2 * WEEK_MS, ..mail(&pair, 1) };
    assert_eq!(store.post_mail(late).await, Ok(Posted::Duplicate));
    let other = NewMail { body_hash: [2; 32], ..mail(&pair, 1) };
    assert_eq!(store.post_mail(other).await, Ok(Posted::MsgIdReuse));
    let theirs = NewMail { sender: pair.b, copies: vec![copy(pair.a, b"x")], ..mail(&pair, 1) };
    assert_eq!(store.post_mail(theirs).await, Ok(Posted::Stored), "the id belongs to its sender");
    assert_eq!(numbers(store, pair.b, MailClass::Ordinary).await, [1]);
    // Once the id is forgotten, it is not known whether it was used.
    let forgotten_ms = NOW_MS + 2 + WEEK_MS + 3_600_000;
    assert_eq!(store.sweep(forgotten_ms, 10).await.unwrap().dedupe, 2);
    let late = |n| NewMail { now_ms: forgotten_ms, ..mail(&pair, n) };
    assert_eq!(store.post_mail(late(1)).await, Ok(Posted::TooOld));
    assert_eq!(store.post_mail(late(2)).await, Ok(Posted::ClockSkew));
}

pub(crate) async fn refused_mail_changes_nothing(store: &dyn Store) {
    let pair = pair(store).await;
    let stranger = register(store, 3, 0..0).await;
    let asked = request(store, pair.a, stranger, 4).await;
    let extra = |address: Address| DeviceMismatch {
        user_id: address.user.to_wire(),
        extra: vec![address.device.get()],
        ..DeviceMismatch::default()
    };
    let mut registered_again = copy(pair.b, b"x");
    registered_again.registration_id = 76;
    let stale = DeviceMismatch { extra: vec![], stale: vec![1], ..extra(pair.b) };
    let to = |copies| NewMail { copies, ..mail(&pair, 1) };
    for (mail, expected) in [
        (NewMail { sender: stranger, ..mail(&pair, 1) }, Posted::NotMember),
        (NewMail { sender: address(0x44), ..mail(&pair, 1) }, Posted::NotMember),
        (
            to(vec![copy(pair.b, b"x"), copy(stranger, b"x"), copy(pair.a, b"x")]),
            Posted::Misaddressed(Misaddressed::MismatchedDevices(vec![extra(pair.a), extra(stranger)])),
        ),
        (to(vec![registered_again]), Posted::Misaddressed(Misaddressed::StaleDevices(vec![stale]))),
        (
            NewMail { thread: asked, copies: vec![copy(stranger, b"x")], ..mail(&pair, 1) },
            Posted::NotAccepted,
        ),
        (
            NewMail { client_msg_id: ClientMsgId::new(NOW_MS + 3_600_001, &[1; 10]), ..mail(&pair, 1) },
            Posted::ClockSkew,
        ),
        (
            NewMail { client_msg_id: ClientMsgId::new(NOW_MS - WEEK_MS - 1, &[1; 10]), ..mail(&pair, 1) },
            Posted::ClockSkew,
        ),
    ] {
        assert_eq!(store.post_mail(mail).await, Ok(expected));
    }
    for owner in [pair.a, pair.b, stranger] {
        assert_eq!(store.mailbox(owner).await.unwrap().last_mail, 0);
    }
    // Mail goes the other way, to the one who has accepted.
    let answer =
        NewMail { sender: stranger, thread: asked, copies: vec![copy(pair.a, b"x")], ..mail(&pair, 1) };
    assert_eq!(store.post_mail(answer).await, Ok(Posted::Stored));
    assert_eq!(store.post_mail(mail(&pair, 1)).await, Ok(Posted::Stored), "no refusal used up the id");
    assert_eq!(store.delete_account(pair.b.user, NOW_MS).await, Ok(vec![pair.b]));
    let gone = Posted::Misaddressed(Misaddressed::RecipientDeleted);
    assert_eq!(store.post_mail(mail(&pair, 2)).await, Ok(gone));
}

pub(crate) async fn mail_is_read_by_class_in_pages_and_removed_when_acknowledged(store: &dyn Store) {
    let pair = pair(store).await;
    for n in 1..=6 {
        let one = if n % 3 == 0 { urgent(pair.b) } else { copy(pair.b, b"four") };
        store.post_mail(NewMail { copies: vec![one], ..mail(&pair, n) }).await.unwrap();
    }
    assert_eq!(numbers(store, pair.b, MailClass::Urgent).await, [3, 6]);
    assert_eq!(numbers(store, pair.b, MailClass::Ordinary).await, [1, 2, 4, 5]);
    for (rows, bytes) in [(2, usize::MAX), (100, 9)] {
        let limit = PageLimit { rows, bytes, now_ms: NOW_MS };
        let page = store.mail(pair.b, MailClass::Ordinary, 1, limit).await.unwrap();
        assert_eq!((page.rows.len(), page.rows[0].mail_seq, page.more), (2, 2, true));
    }
    let rest = store.mail(pair.b, MailClass::Ordinary, 4, ALL).await.unwrap();
    assert_eq!((rest.rows.len(), rest.more), (1, false));
    assert_eq!(store.mail_ack(pair.a, vec![1, 2, 3]).await, Ok(0), "a device removes its own only");
    assert_eq!(store.mail_ack(pair.b, vec![3, 1, 3, 9, u64::MAX]).await, Ok(2));
    assert_eq!(store.mail_ack(pair.b, vec![3, 1]).await, Ok(0));
    assert_eq!(numbers(store, pair.b, MailClass::Urgent).await, [6]);
    assert_eq!(numbers(store, pair.b, MailClass::Ordinary).await, [2, 4, 5]);
    store.post_mail(mail(&pair, 7)).await.unwrap();
    assert_eq!(store.mailbox(pair.b).await.unwrap().last_mail, 7, "no number is used again");
}

pub(crate) async fn a_full_mailbox_loses_the_mail_of_a_thread_before_its_messages(store: &dyn Store) {
    let pair = pair(store).await;
    let friend = register(store, 3, 0..0).await;
    let theirs = thread(store, friend, pair.b, 1).await;
    let from_friend = NewMail { sender: friend, thread: theirs, ..mail(&pair, 1) };
    store.post_mail(from_friend).await.unwrap();
    let big = vec![7; (1 << 20) - 256];
    store.append(Append { copies: vec![copy(pair.b, &big)], ..append(&pair, 1) }).await.unwrap();
    for n in 1..=63 {
        let posted = store.post_mail(NewMail { copies: vec![copy(pair.b, &big)], ..mail(&pair, n) }).await;
        assert_eq!(posted, Ok(Posted::Stored));
    }
    // The small mail of the friend is the row too many.
    assert_eq!(store.mailbox(pair.b).await.unwrap().trimmed, 1);
    let left = store.mail(pair.b, MailClass::Ordinary, 0, ALL).await.unwrap();
    let of_friend = left.rows.iter().filter(|row| row.thread == theirs).count();
    assert_eq!((of_friend, left.rows.len(), left.trimmed), (1, 63, 1));
    assert_eq!(
        left.rows.iter().find(|row| row.thread == pair.thread).unwrap().mail_seq,
        3,
        "the oldest is gone"
    );
    // Acknowledged mail frees its space.
    assert_eq!(store.mail_ack(pair.b, (1..=64).collect()).await, Ok(63));
    for n in 64..=124 {
        store.append(Append { copies: vec![copy(pair.b, &big)], ..append(&pair, n) }).await.unwrap();
    }
    assert_eq!(store.mailbox(pair.b).await.unwrap().trimmed, 1);
    for n in 125..=128 {
        let appended = store.append(Append { copies: vec![copy(pair.b, &big)], ..append(&pair, n) }).await;
        assert!(matches!(appended, Ok(Appended::Stored(_))));
    }
    assert_eq!(store.mailbox(pair.b).await.unwrap().trimmed, 3, "then messages are trimmed");
}

pub(crate) async fn mail_expires_and_ends_with_its_device(store: &dyn Store) {
    let pair = pair(store).await;
    for (n, ttl_s) in (1..).zip([0, 1, 2, 0]) {
        let mut one = copy(pair.b, b"x");
        one.envelope.ttl_s = ttl_s;
        one.expires_ms = NOW_MS + if ttl_s == 0 { 5_000 } else { u64::from(ttl_s) * 1_000 };
        store.post_mail(NewMail { copies: vec![one], ..mail(&pair, n) }).await.unwrap();
    }
    let at = |now_ms| PageLimit { now_ms, ..ALL };
    let left =
        async |now_ms| store.mail(pair.b, MailClass::Ordinary, 0, at(now_ms)).await.unwrap().rows.len();
    assert_eq!(left(NOW_MS + 1_000).await, 3, "expired mail is omitted even before the sweep");
    assert_eq!(store.sweep(NOW_MS + 2_000, 1).await.unwrap().inbox, 1, "no more than the budget");
    assert_eq!(store.sweep(NOW_MS + 2_000, 10).await.unwrap().inbox, 1);
    assert_eq!(left(NOW_MS).await, 2);
    assert_eq!(store.sweep(NOW_MS + 5_000, 10).await.unwrap().inbox, 2);
    assert_eq!(left(NOW_MS).await, 0);
    store.post_mail(mail(&pair, 9)).await.unwrap();
    assert_eq!(store.revoke_device(pair.b).await, Ok(true));
    assert_eq!(store.mail(pair.b, MailClass::Ordinary, 0, ALL).await.unwrap().rows.len(), 0);
}
