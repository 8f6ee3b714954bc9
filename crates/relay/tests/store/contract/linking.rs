//! The guarantees of `Linking`.

use bytes::Bytes;
use sealpost_relay::address::Address;
use sealpost_relay::store::{
    FamilyId, IdempotencyKey, LinkDevice, LinkToken, Linked, MoveAccount, MovedAccount, NewAccount,
    NewFamily, NewLinkToken, Restored, Store, TokenHash,
};
use sealpost_wire::SignedDeviceList;
use sealpost_wire::id::DeviceId;

use crate::world::*;

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 3_600_000;
const TOKEN_LIFE_MS: u64 = 10 * MINUTE_MS;

fn device(number: u32) -> Address {
    Address { device: DeviceId::new(number).unwrap(), ..address(1) }
}

async fn take(store: &dyn Store, name: u8, above: u32) -> LinkToken {
    let (user, token) = (address(1).user, TokenHash([name; 32]));
    store
        .take_link_token(NewLinkToken { user, above, token, until_ms: NOW_MS + TOKEN_LIFE_MS })
        .await
        .unwrap()
}

/// A device that presents the token with this name, under an idempotency key.
fn request(name: u8, key: u8, now_ms: u64) -> LinkDevice {
    let family = NewFamily {
        id: FamilyId([100 + key; 16]),
        refresh: TokenHash([key; 32]),
        expires_ms: now_ms + DAY_MS,
    };
    LinkDevice {
        token: TokenHash([name; 32]),
        device: NewAccount {
            identity_key: public(0x05, 33, u32::from(name)),
            family,
            now_ms,
            ..new_account(9, 0..5)
        },
        request: IdempotencyKey([key; 32]),
        push_token: Bytes::from_static(b"push"),
    }
}

async fn numbers(store: &dyn Store) -> Vec<u32> {
    store.devices(address(1).user).await.unwrap().iter().map(|device| device.device_id).collect()
}

pub(crate) async fn a_link_token_registers_one_device_once(store: &dyn Store) {
    register(store, 1, 0..1).await;
    assert_eq!(store.link_device(request(2, 1, NOW_MS)).await, Ok(Linked::BadToken));
    assert_eq!(take(store, 2, 1).await, LinkToken::Taken(2));
    let late = request(2, 1, NOW_MS + TOKEN_LIFE_MS);
    assert_eq!(store.link_device(late.clone()).await, Ok(Linked::BadToken));
    let in_time = request(2, 1, NOW_MS + TOKEN_LIFE_MS - 1);
    assert_eq!(store.link_device(in_time).await, Ok(Linked::New(device(2))));
    assert_eq!(store.is_live(device(2), FamilyId([101; 16])).await, Ok(true));
    assert_eq!(store.mailbox(device(2)).await, Ok(sealpost_relay::store::MailboxState::default()));
    // The answer was lost: the repetition gets other tokens, also after the token has expired.
    let mut again = late;
    again.device.family.id = FamilyId([55; 16]);
    assert_eq!(store.link_device(again).await, Ok(Linked::Again(device(2))));
    assert_eq!(store.is_live(device(2), FamilyId([101; 16])).await, Ok(false));
    assert_eq!(store.is_live(device(2), FamilyId([55; 16])).await, Ok(true));
    assert_eq!(store.key_counts(device(2)).await.unwrap().ec, 5);
    // Another request, or the same one of another device.
    assert_eq!(store.link_device(request(2, 2, NOW_MS)).await, Ok(Linked::Used));
    let mut other = request(2, 1, NOW_MS);
    other.device.identity_key = public(0x05, 33, 99);
    assert_eq!(store.link_device(other).await, Ok(Linked::Used));
    assert_eq!(numbers(store).await, [1, 2]);
    // A day later the token is forgotten.
    store.sweep(NOW_MS + TOKEN_LIFE_MS + DAY_MS - 1, 100).await.unwrap();
    assert!(matches!(store.link_device(request(2, 1, NOW_MS + DAY_MS)).await, Ok(Linked::Again(_))));
    store.sweep(NOW_MS + TOKEN_LIFE_MS + DAY_MS, 100).await.unwrap();
    assert_eq!(store.link_device(request(2, 1, NOW_MS + DAY_MS)).await, Ok(Linked::BadToken));
}

pub(crate) async fn numbers_of_devices_are_never_used_again(store: &dyn Store) {
    register(store, 1, 0..1).await;
    assert_eq!(take(store, 2, 0).await, LinkToken::Taken(2));
    assert_eq!(take(store, 3, 1).await, LinkToken::Taken(3), "the first token is unused");
    assert!(matches!(store.link_device(request(3, 3, NOW_MS)).await, Ok(Linked::New(_))));
    assert_eq!(store.revoke_device(device(3)).await, Ok(true));
    assert_eq!(take(store, 4, 1).await, LinkToken::Taken(4));
    // The store was restored, and the account has used a number since.
    assert_eq!(take(store, 5, 9).await, LinkToken::Taken(10));
    // A device that will never be registered.
    assert_eq!(store.revoke_device(device(4)).await, Ok(true));
    assert_eq!(store.link_device(request(4, 4, NOW_MS)).await, Ok(Linked::BadToken));
    assert_eq!(store.revoke_device(device(4)).await, Ok(false));
    assert_eq!(store.revoked_devices(address(1).user).await, Ok(vec![3, 4]));
    store.sweep(NOW_MS + 3 * DAY_MS, 100).await.unwrap();
    assert_eq!(take(store, 6, 126).await, LinkToken::Taken(127));
    assert_eq!(take(store, 7, 0).await, LinkToken::IdsUsedUp);
}

pub(crate) async fn an_account_has_five_devices(store: &dyn Store) {
    register(store, 1, 0..1).await;
    for name in 2..=6 {
        assert_eq!(take(store, name, 1).await, LinkToken::Taken(name.into()));
    }
    for name in 2..=5 {
        let linked = store.link_device(request(name, name, NOW_MS)).await;
        assert_eq!(linked, Ok(Linked::New(device(name.into()))));
    }
    assert_eq!(store.link_device(request(6, 6, NOW_MS)).await, Ok(Linked::TooManyDevices));
    assert_eq!(take(store, 7, 1).await, LinkToken::TooManyDevices);
    assert_eq!(store.revoke_device(device(4)).await, Ok(true));
    assert_eq!(store.link_device(request(6, 6, NOW_MS)).await, Ok(Linked::New(device(6))));
    assert_eq!(numbers(store).await, [1, 2, 3, 5, 6]);
}

pub(crate) async fn a_device_that_is_not_connected_for_long_is_unlinked(store: &dyn Store) {
    register(store, 1, 0..1).await;
    for name in [2, 3] {
        take(store, name, 1).await;
        assert!(matches!(store.link_device(request(name, name, NOW_MS)).await, Ok(Linked::New(_))));
    }
    let later = NOW_MS + 40 * DAY_MS;
    store.note_seen(device(3), later).await.unwrap();
    assert_eq!(store.unlink_unseen(NOW_MS + 45 * DAY_MS - 1, 9).await, Ok(vec![]));
    assert_eq!(store.unlink_unseen(NOW_MS + 45 * DAY_MS, 9).await, Ok(vec![device(2)]));
    assert_eq!(numbers(store).await, [1, 3]);
    assert_eq!(store.is_live(device(2), FamilyId([102; 16])).await, Ok(false));
    assert_eq!(store.revoked_devices(address(1).user).await, Ok(vec![2]));
    let mut gone = request(2, 2, later).device;
    gone.address = device(2);
    assert_eq!(store.restore_device(gone).await, Ok(Restored::Revoked));
    // The primary device is never unlinked.
    assert_eq!(store.unlink_unseen(NOW_MS + 400 * DAY_MS, 9).await, Ok(vec![device(3)]));
    assert_eq!(numbers(store).await, [1]);
}

pub(crate) async fn an_account_is_moved_to_another_device_in_one_step(store: &dyn Store) {
    register(store, 1, 0..1).await;
    for name in [2, 3] {
        take(store, name, 1).await;
        assert!(matches!(store.link_device(request(name, name, NOW_MS)).await, Ok(Linked::New(_))));
    }
    let list = |version, byte: u8| SignedDeviceList { version, list: vec![byte; 9].into() };
    let user = address(1).user;
    assert_eq!(store.put_device_list(user, list(3, 1)).await, Ok(true));
    let moved = async |from, to: u32, list| {
        let request =
            MoveAccount { from: device(from), to: device(to).device, list, now_ms: NOW_MS + 40 * DAY_MS };
        store.move_account(request).await.unwrap()
    };
    let primaries = async || {
        let is_primary = async |number| store.is_primary(device(number)).await.unwrap();
        [is_primary(1).await, is_primary(2).await, is_primary(3).await]
    };
    assert_eq!(primaries().await, [true, false, false]);
    assert_eq!(moved(1, 9, list(4, 2)).await, MovedAccount::UnknownDevice);
    assert_eq!(moved(2, 2, list(4, 2)).await, MovedAccount::NotPrimary);
    assert_eq!(moved(1, 2, list(3, 2)).await, MovedAccount::Stale);
    assert_eq!(moved(1, 2, list(3, 1)).await, MovedAccount::Yes, "the list may be there already");
    assert_eq!(primaries().await, [false, true, false]);
    assert_eq!(moved(1, 2, list(3, 1)).await, MovedAccount::Yes, "the answer may have been lost");
    assert_eq!(moved(1, 3, list(4, 2)).await, MovedAccount::NotPrimary);
    assert_eq!(moved(1, 3, list(3, 1)).await, MovedAccount::NotPrimary);
    assert_eq!(primaries().await, [false, true, false]);
    // From now on, the former primary device is unlinked if it is not connected, and the new one is not.
    assert_eq!(store.unlink_unseen(NOW_MS + 85 * DAY_MS - 1, 9).await, Ok(vec![device(3)]));
    assert_eq!(store.unlink_unseen(NOW_MS + 85 * DAY_MS, 9).await, Ok(vec![device(1)]));
    assert_eq!(numbers(store).await, [2]);
    // A relay that has lost the first device gets it back as what it was.
    let gone = NewAccount { address: device(1), ..request(1, 1, NOW_MS).device };
    assert_eq!(store.restore_device(gone).await, Ok(Restored::Revoked));
    assert_eq!(primaries().await, [false, true, false]);
}
