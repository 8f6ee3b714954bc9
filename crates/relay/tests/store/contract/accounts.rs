//! The guarantees of `Accounts`.

use sealpost_relay::store::{
    Append, Appended, Created, FamilyId, IdempotencyKey, NewAccount, NewThread, Origin, Rotated, Rotation,
    Store, TokenHash,
};
use sealpost_wire::id::{ThreadId, UserId};
use sealpost_wire::{KeyCounts, SignedDeviceList};

use crate::world::*;

pub(crate) async fn revoking_a_device_removes_its_data(store: &dyn Store) {
    let pair = pair(store).await;
    store.append(append(&pair, 1)).await.unwrap();
    let family = FamilyId([2; 16]);
    assert_eq!(store.is_live(pair.b, family).await, Ok(true));
    assert_eq!(store.is_live(pair.a, family).await, Ok(false), "a family belongs to one device");
    assert_eq!(store.revoke_device(pair.b).await, Ok(true));
    assert_eq!(store.revoke_device(pair.b).await, Ok(false));
    assert_eq!(store.is_live(pair.b, family).await, Ok(false));
    assert_eq!(store.devices(pair.b.user).await, Ok(vec![]));
    assert_eq!(store.key_counts(pair.b).await, Ok(KeyCounts::default()));
    assert_eq!(store.inbox_arrivals(pair.b, 0, ALL).await.unwrap().rows.len(), 0);
    let theirs = Append { sender: pair.b, copies: vec![copy(pair.a, b"x")], ..append(&pair, 2) };
    assert_eq!(store.append(theirs).await, Ok(Appended::SenderRevoked));
    // The remaining member has no recipient.
    let to_nobody = Append { copies: vec![], ..append(&pair, 3) };
    assert_eq!(seq(&store.append(to_nobody).await.unwrap()), 2);
}

pub(crate) async fn a_device_list_is_replaced_by_newer_ones_only(store: &dyn Store) {
    let pair = pair(store).await;
    let (user, unknown) = (pair.a.user, UserId::from_bytes([99; 16]));
    let list = |version, byte: u8| SignedDeviceList { version, list: vec![byte; 9].into() };
    assert_eq!(store.device_list(user).await, Ok(None));
    assert_eq!(store.put_device_list(user, list(2, 1)).await, Ok(true));
    assert_eq!(store.put_device_list(user, list(2, 1)).await, Ok(true), "the answer may have been lost");
    assert_eq!(store.put_device_list(user, list(2, 9)).await, Ok(false));
    assert_eq!(store.put_device_list(user, list(1, 1)).await, Ok(false));
    assert_eq!(store.device_list(user).await, Ok(Some(list(2, 1))));
    assert_eq!(store.put_device_list(user, list(3, 3)).await, Ok(true));
    assert_eq!(store.device_list(user).await, Ok(Some(list(3, 3))));
    assert_eq!(store.put_device_list(user, list(4 + (1 << 32), 4)).await, Ok(false));
    assert_eq!(store.device_list(user).await, Ok(Some(list(3, 3))));
    assert_eq!(store.put_device_list(user, list(3 + (1 << 32), 5)).await, Ok(true), "the store may be older");
    assert_eq!(store.device_list(user).await, Ok(Some(list(3 + (1 << 32), 5))));
    assert_eq!(store.device_list(pair.b.user).await, Ok(None));
    assert_eq!(store.put_device_list(unknown, list(1, 1)).await, Ok(false));
    store.delete_account(user, NOW_MS).await.unwrap();
    assert_eq!(store.device_list(user).await, Ok(None));
}

pub(crate) async fn deleting_an_account_keeps_only_the_fact_that_it_existed(store: &dyn Store) {
    let pair = pair(store).await;
    let stranger = register(store, 3, 0..0).await;
    let theirs = Append { sender: pair.b, copies: vec![copy(pair.a, b"x")], ..append(&pair, 1) };
    store.append(theirs.clone()).await.unwrap();
    store.append(append(&pair, 2)).await.unwrap();
    assert_eq!(store.is_deleted(pair.b.user).await, Ok(false));
    assert_eq!(store.delete_account(pair.b.user, NOW_MS).await, Ok(vec![pair.b]));
    assert_eq!(store.delete_account(pair.b.user, NOW_MS).await, Ok(vec![]), "the account no longer exists");
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
        login_key: None,
        now_ms: NOW_MS,
    };
    assert_eq!(store.rotate_refresh(rotation.clone()).await, Ok(Rotated::Deleted));
    let guess = Rotation { origin: Origin::Unproven, ..rotation.clone() };
    assert_eq!(store.rotate_refresh(guess).await, Ok(Rotated::Unknown));

    // A sender in their thread learns of it, but not a sender who is not a member. A message that was stored before is
    // still answered as a duplicate.
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
    // Their earlier messages are still delivered, and the thread can be read.
    assert_eq!(store.inbox_arrivals(pair.a, 0, ALL).await.unwrap().rows.len(), 1);
    assert!(store.thread(pair.thread, pair.a.user).await.unwrap().is_some());

    // Once its tokens have expired, the family is forgotten.
    store.sweep(NOW_MS + WEEK_MS * 53, 1_000).await.unwrap();
    assert_eq!(store.rotate_refresh(rotation).await, Ok(Rotated::Unknown));
    assert_eq!(store.is_deleted(pair.b.user).await, Ok(true));
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
    // The tokens of the lost answer are invalid, those of the repetition are valid, and the keys are stored once.
    assert_eq!(store.is_live(address(1), FamilyId([1; 16])).await, Ok(false));
    assert_eq!(store.is_live(address(1), FamilyId([2; 16])).await, Ok(true));
    assert_eq!(store.key_counts(address(1)).await, Ok(KeyCounts { ec: 5, kem: 5, newest_id: 4 }));
    assert!(store.devices(address(2).user).await.unwrap().is_empty());
    // A different idempotency key, a different identity, or a repetition on the next day creates a new account.
    assert_eq!(store.create_account(request(3, 2, NOW_MS)).await, Ok(address(3)));
    let other = NewAccount { identity_key: public(0x05, 33, 9), ..request(4, 1, NOW_MS) };
    assert_eq!(store.create_account(other).await, Ok(address(4)));
    assert_eq!(store.create_account(request(5, 2, NOW_MS + DAY_MS)).await, Ok(address(5)));
    // A revoked device is not restored.
    assert_eq!(store.revoke_device(address(5)).await, Ok(true));
    assert_eq!(store.create_account(request(6, 2, NOW_MS + DAY_MS)).await, Ok(address(6)));
    assert!(store.is_live(address(1), FamilyId([2; 16])).await.unwrap());
}
