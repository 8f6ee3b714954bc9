//! The guarantees of `Lanes`.

use futures_util::future::join_all;
use sealpost_relay::address::Address;
use sealpost_relay::store::{Append, Appended, Store, Stored, ThreadRow};
use sealpost_wire::DeviceMismatch;
use sealpost_wire::id::ThreadId;
use sealpost_wire::id::ToWire as _;

use crate::world::*;

pub(crate) async fn appended_messages_get_consecutive_positions(store: &dyn Store) {
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
    // The id belongs to its sender; another user may use the same one.
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

pub(crate) async fn copies_must_name_exactly_the_live_devices(store: &dyn Store) {
    let pair = pair(store).await;
    let stranger = register(store, 3, 0..0).await;
    let of =
        |address: Address| DeviceMismatch { user_id: address.user.to_wire(), ..DeviceMismatch::default() };
    let with = |copies| Append { copies, ..append(&pair, 1) };
    let missing = DeviceMismatch { missing: vec![1], ..of(pair.b) };
    assert_eq!(store.append(with(vec![])).await, Ok(Appended::MismatchedDevices(vec![missing.clone()])));
    // Copies for the sending device, and for a user who is not a member.
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

pub(crate) async fn operations_take_effect_in_the_order_of_the_calls(store: &dyn Store) {
    let pair = pair(store).await;
    let answers: Vec<_> = (1..=1_000).map(|n| (n, store.append(append(&pair, n)))).collect();
    // Awaited in the opposite order.
    for (n, answer) in answers.into_iter().rev() {
        assert_eq!(seq(&answer.await.unwrap()), n);
    }
}
