//! The guarantees of `Tokens`.

use sealpost_relay::store::{FamilyId, Origin, Rotated, Rotation, Store, TokenHash};

use crate::world::*;

pub(crate) async fn a_refresh_token_is_exchanged_once(store: &dyn Store) {
    let (a, b) = (register(store, 1, 0..0).await, register(store, 2, 0..0).await);
    let rotation = |presented: u8, next: u8, now_ms: u64| Rotation {
        family: FamilyId([1; 16]),
        presented: TokenHash([presented; 32]),
        origin: Origin::Issued,
        next: TokenHash([next; 32]),
        login_key: None,
        expires_ms: now_ms + 1_000_000,
        now_ms,
    };
    let rotate = async |presented, next, now_ms| {
        store.rotate_refresh(rotation(presented, next, now_ms)).await.unwrap()
    };
    assert_eq!(rotate(1, 11, NOW_MS).await, Rotated::Next(a));
    assert_eq!(rotate(1, 12, NOW_MS + 60_000).await, Rotated::Next(a), "the answer was lost");
    assert_eq!(rotate(1, 12, NOW_MS + 500_000).await, Rotated::Next(a), "the answer was lost again");
    assert_eq!(rotate(12, 13, NOW_MS + 60_000).await, Rotated::Next(a));
    assert_eq!(rotate(13, 14, NOW_MS + 2_000_000).await, Rotated::Unknown, "the token has expired");
    let guess = Rotation { origin: Origin::Unproven, ..rotation(99, 15, NOW_MS + 60_000) };
    assert_eq!(store.rotate_refresh(guess).await, Ok(Rotated::Unknown), "never issued");
    assert_eq!(store.is_live(a, FamilyId([1; 16])).await, Ok(true));
    let unproven = Rotation { origin: Origin::Unproven, ..rotation(13, 13, NOW_MS + 60_000) };
    assert_eq!(store.rotate_refresh(unproven).await, Ok(Rotated::Next(a)), "the hash proves the current one");
    assert_eq!(rotate(11, 15, NOW_MS + 60_000).await, Rotated::ReuseDetected(a));
    assert_eq!(rotate(13, 14, NOW_MS + 60_000).await, Rotated::Unknown, "the family has ended");
    assert_eq!(store.is_live(a, FamilyId([1; 16])).await, Ok(false));
    assert_eq!(store.is_live(b, FamilyId([2; 16])).await, Ok(true));
    store.end_family(FamilyId([2; 16])).await.unwrap();
    assert_eq!(store.is_live(b, FamilyId([2; 16])).await, Ok(false));
}
