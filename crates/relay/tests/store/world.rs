//! Users and messages for the tests of the store.

use bytes::Bytes;
use sealpost_relay::address::Address;
use sealpost_relay::keys::CheckedKeys;
use sealpost_relay::store::{
    Append, Appended, Copy, Created, FamilyId, IdempotencyKey, NewAccount, NewFamily, NewThread, PageLimit,
    Selector, Store, Take, TokenHash,
};
use sealpost_wire::id::{ClientMsgId, DeviceId, ThreadId, UserId};
use sealpost_wire::{Envelope, KeyUpload, OneTimeKey, SignedKey};

/// 2026-11-22.
pub(crate) const NOW_MS: u64 = 1_795_305_600_000;

/// A limit that no test reaches.
pub(crate) const ALL: PageLimit = PageLimit { rows: 10_000, bytes: usize::MAX, now_ms: NOW_MS };

/// Two members of a thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) a: Address,
    pub(crate) b: Address,
    pub(crate) thread: ThreadId,
}

pub(crate) fn address(user: u8) -> Address {
    Address { user: UserId::from_bytes([user; 16]), device: DeviceId::PRIMARY }
}

pub(crate) async fn register(store: &dyn Store, user: u8, one_time: std::ops::Range<u32>) -> Address {
    store.create_account(new_account(user, one_time)).await.unwrap()
}

pub(crate) fn new_account(user: u8, one_time: std::ops::Range<u32>) -> NewAccount {
    NewAccount {
        address: address(user),
        registration_id: 77,
        identity_key: public(0x05, 33, 0),
        login_key: None,
        keys: CheckedKeys::parse_first(keys(one_time)).unwrap(),
        family: NewFamily {
            id: FamilyId([user; 16]),
            refresh: TokenHash([user; 32]),
            expires_ms: NOW_MS + 1_000_000,
        },
        idempotency: None,
        now_ms: NOW_MS,
    }
}

/// A thread that both have accepted.
pub(crate) async fn thread(store: &dyn Store, a: Address, b: Address, id: u8) -> ThreadId {
    let id = request(store, a, b, id).await;
    assert_eq!(store.accept_thread(id, b.user).await, Ok(true));
    id
}

/// A thread that b has not accepted.
pub(crate) async fn request(store: &dyn Store, a: Address, b: Address, id: u8) -> ThreadId {
    let id = ThreadId::from_bytes([id; 16]);
    let new = NewThread { id, creator: a.user, peer: b.user, now_ms: NOW_MS };
    assert_eq!(store.create_thread(new).await, Ok(Created::New));
    id
}

pub(crate) async fn pair(store: &dyn Store) -> Pair {
    let (a, b) = (register(store, 1, 0..5).await, register(store, 2, 0..5).await);
    Pair { a, b, thread: thread(store, a, b, 9).await }
}

/// The n-th message from a to b.
pub(crate) fn append(pair: &Pair, n: u64) -> Append {
    Append {
        sender: pair.a,
        client_msg_id: ClientMsgId::new(NOW_MS + n, &[1; 10]),
        thread: pair.thread,
        roster_version: 1,
        body_hash: [1; 32],
        copies: vec![copy(pair.b, b"sealed")],
        now_ms: NOW_MS,
    }
}

pub(crate) fn copy(to: Address, ciphertext: &[u8]) -> Copy {
    Copy {
        to,
        registration_id: 77,
        envelope: Envelope { kind: 1, ciphertext: Bytes::copy_from_slice(ciphertext), ..Envelope::default() },
        shared: Bytes::new(),
        expires_ms: NOW_MS + 30 * 24 * 3_600_000,
    }
}

/// The expected answer when the same append is repeated.
pub(crate) fn duplicate_of(first: &Appended) -> Appended {
    match first {
        Appended::Stored(stored) => Appended::Duplicate(*stored),
        other => panic!("not stored: {other:?}"),
    }
}

pub(crate) fn seq(appended: &Appended) -> u64 {
    match appended {
        Appended::Stored(stored) | Appended::Duplicate(stored) => stored.server_seq,
        other => panic!("not stored: {other:?}"),
    }
}

pub(crate) fn public(type_byte: u8, len: usize, id: u32) -> Bytes {
    let mut key = vec![0; len];
    key[0] = type_byte;
    key[1..5].copy_from_slice(&id.to_be_bytes());
    key.into()
}

pub(crate) fn kem(id: u32) -> SignedKey {
    SignedKey { id, public_key: public(0x08, 1569, id), signature: vec![7; 64].into() }
}

pub(crate) fn one_time(ids: std::ops::Range<u32>) -> KeyUpload {
    KeyUpload {
        one_time: ids.clone().map(|id| OneTimeKey { id, public_key: public(0x05, 33, id) }).collect(),
        one_time_kem: ids.map(kem).collect(),
        ..KeyUpload::default()
    }
}

pub(crate) fn keys(ids: std::ops::Range<u32>) -> KeyUpload {
    let signed = SignedKey { id: 1, public_key: public(0x05, 33, 1), signature: vec![7; 64].into() };
    KeyUpload { signed_pre_key: Some(signed), last_resort_kem: Some(kem(u32::MAX)), ..one_time(ids) }
}

pub(crate) const WEEK_MS: u64 = 7 * 24 * 3_600_000;

pub(crate) fn take(requester: u8, target: u8, idempotency: Option<u8>) -> Take {
    Take {
        requester: address(requester),
        target: address(target).user,
        selector: Selector::All,
        idempotency: idempotency.map(|key| IdempotencyKey([key; 32])),
        last_resort_only: false,
        now_ms: NOW_MS,
    }
}
