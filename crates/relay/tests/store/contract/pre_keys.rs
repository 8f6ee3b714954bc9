//! The guarantees of `PreKeys`.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use sealpost_relay::keys::CheckedKeys;
use sealpost_relay::store::{KeysRefused, Selector, Store, Take};
use sealpost_wire::KeyCounts;

use crate::world::*;

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
    assert_eq!(
        (last.left.clone(), last.last_resort),
        (vec![(b, KeyCounts { newest_id: 29, ..KeyCounts::default() })], 1)
    );
    assert_eq!(taken[0].as_ref().unwrap().left, [(b, KeyCounts { ec: 29, kem: 29, newest_id: 29 })]);
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
    assert_eq!(
        store.sweep(NOW_MS + 60_000, 10).await.unwrap().other,
        3,
        "the bundles that were fetched again are kept longer"
    );
}

pub(crate) async fn key_ids_are_used_once(store: &dyn Store) {
    let a = register(store, 1, 5..10).await;
    let put = async |ids| store.put_keys(a, CheckedKeys::parse(one_time(ids)).unwrap()).await.unwrap();
    assert_eq!(
        put(5..10).await,
        Ok(KeyCounts { ec: 5, kem: 5, newest_id: 9 }),
        "the upload is repeated after a lost answer"
    );
    assert_eq!(put(8..12).await, Ok(KeyCounts { ec: 7, kem: 7, newest_id: 11 }));
    assert_eq!(put(0..1).await, Err(KeysRefused::IdUsed), "the id is below the highest one seen");
    let given = store.take_bundles(take(1, 1, None)).await.unwrap().bundles.remove(0);
    assert_eq!(given.one_time.unwrap().id, 5);
    assert_eq!(
        put(5..6).await,
        Ok(KeyCounts { ec: 6, kem: 6, newest_id: 11 }),
        "a repeated upload restores no key"
    );
    let given = store.take_bundles(take(1, 1, None)).await.unwrap().bundles.remove(0);
    assert_eq!(given.one_time.unwrap().id, 6);
    let mut spent = one_time(5..6);
    spent.one_time[0].public_key = public(0x05, 33, 99);
    let refused = store.put_keys(a, CheckedKeys::parse(spent).unwrap()).await.unwrap();
    assert_eq!(refused, Err(KeysRefused::IdUsed), "another key with the id of one that was handed out");
    let mut other = one_time(11..13);
    other.one_time_kem[0] = kem(99);
    other.one_time_kem[0].id = 11;
    let refused = store.put_keys(a, CheckedKeys::parse(other).unwrap()).await.unwrap();
    assert_eq!(refused, Err(KeysRefused::IdUsed), "another key with the id of a stored one");
    assert_eq!(
        store.key_counts(a).await,
        Ok(KeyCounts { ec: 5, kem: 5, newest_id: 11 }),
        "a refused upload stores nothing"
    );
    assert_eq!(put(12..13).await, Ok(KeyCounts { ec: 6, kem: 6, newest_id: 12 }));
    let month_ms = 30 * 24 * 3_600_000;
    assert_eq!(store.sweep(NOW_MS + month_ms, 100).await.unwrap().other, 4, "two keys of each kind");
}
