//! The guarantees of `Upkeep`.

use sealpost_relay::store::{Append, Appended, PageLimit, Store, Swept};
use sealpost_wire::id::ClientMsgId;

use crate::world::*;

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
    assert_eq!(left(NOW_MS + 1_000).await, 2, "expired rows are omitted even before the sweep");
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
    // Before anything was forgotten, it is certain that an old id was never used.
    let late = |n| Append { now_ms: forgotten_ms, ..append(&pair, n) };
    assert_eq!(
        store.append(Append { client_msg_id: ClientMsgId::new(NOW_MS - 1, &[1; 10]), ..late(2) }).await,
        Ok(Appended::ClockSkew)
    );
    assert_eq!(store.sweep(forgotten_ms + 1, 10).await.unwrap().dedupe, 1);
    assert_eq!(store.append(late(1)).await, Ok(Appended::TooOld));
    assert_eq!(store.append(late(2)).await, Ok(Appended::ClockSkew));
}
