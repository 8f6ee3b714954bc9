//! Tests of what happens to a pre-key after a session was started with it.

use sealpost_protocol::{Consumed, KemPreKey, KemPreKeyId, OneTimePreKey, OneTimePreKeyId, SignedPreKeyId};

use super::Fixture;
use crate::store::PreKeys;

const ONE_TIME: u32 = 1;
const LAST_RESORT: u32 = 2;

/// Stores a one-time key of each kind, and a last-resort key.
async fn publish(fixture: &Fixture) {
    let work = fixture.store.write(|tx| {
        let rng = &mut rand::rng();
        let (account, _) = tx.our_account()?;
        let keys = PreKeys {
            signed: None,
            last_resort: Some(KemPreKey::generate(KemPreKeyId(LAST_RESORT), &account.identity, 0, rng)),
            one_time: vec![OneTimePreKey::generate(OneTimePreKeyId(ONE_TIME), rng)],
            one_time_kem: vec![KemPreKey::generate(KemPreKeyId(ONE_TIME), &account.identity, 0, rng)],
        };
        tx.insert_pre_keys(&keys, 0)
    });
    work.await.unwrap();
}

/// Consumes the keys, and returns whether a session may be started with them and this base key.
async fn begin(fixture: &Fixture, one_time: Option<u32>, kem: u32, base_key: u8) -> bool {
    let consumed = Consumed {
        one_time: one_time.map(OneTimePreKeyId),
        kem: Some(KemPreKeyId(kem)),
        signed: SignedPreKeyId(1),
        base_key: [base_key; 33],
    };
    fixture.store.write(move |tx| tx.consume_pre_keys(&consumed)).await.unwrap()
}

#[tokio::test]
async fn one_time_keys_are_deleted_when_a_session_is_started_with_them() {
    let fixture = Fixture::new().await;
    publish(&fixture).await;
    assert!(begin(&fixture, Some(ONE_TIME), ONE_TIME, 5).await);
    let keys = fixture.store.read(|rows| {
        Ok((rows.one_time_pre_key(OneTimePreKeyId(ONE_TIME))?, rows.kem_pre_key(KemPreKeyId(ONE_TIME))?))
    });
    let (one_time, kem) = keys.await.unwrap();
    assert!(one_time.is_none() && kem.is_none());
}

#[tokio::test]
async fn a_last_resort_key_is_kept_and_starts_each_session_once() {
    let fixture = Fixture::new().await;
    publish(&fixture).await;
    assert!(begin(&fixture, None, LAST_RESORT, 5).await);
    assert!(!begin(&fixture, None, LAST_RESORT, 5).await, "somebody repeats a first message");
    assert!(begin(&fixture, None, LAST_RESORT, 6).await);
    let key = fixture.store.read(|rows| rows.kem_pre_key(KemPreKeyId(LAST_RESORT))).await.unwrap();
    assert!(key.is_some());
}
