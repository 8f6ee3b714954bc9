//! Tests of how long sessions and skipped keys are kept, and of replaced identity keys.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sealpost_protocol::device::{AccountKeyPair, DeviceBinding, DeviceEntry, DeviceList, VerifiedDeviceList};
use sealpost_protocol::{
    IdentityKey, IdentityKeyPair, SessionId, SkippedChange, SkippedKey, SkippedKeyId, UnixSeconds,
};

use super::{Fixture, PEER};
use crate::id::DeviceId;
use crate::store::{Device, Tx};

const MONTH: u64 = UnixSeconds::EXPIRY_SECONDS;
const CHAIN: [u8; 33] = [5; 33];

fn session(number: u8) -> SessionId {
    SessionId::from_bytes(&[&[4, 5][..], &[number; 32]].concat()).unwrap()
}

fn keep(of: SessionId, number: u32, since: Option<u64>) -> SkippedChange {
    let id = SkippedKeyId { session: of, ratchet_key: CHAIN, number };
    SkippedChange::Keep(SkippedKey::new(id, [7; 32], since.map(UnixSeconds)))
}

fn store_skipped(tx: &mut Tx<'_>, changes: Vec<SkippedChange>) -> crate::Result<()> {
    tx.store_skipped(PEER, DeviceId::PRIMARY, changes)
}

fn insert_session(tx: &Tx<'_>, of: SessionId, active: bool, since: Option<u64>) -> crate::Result<()> {
    let since = since.map(|since| i64::try_from(since).unwrap());
    tx.change_one(
        "INSERT INTO session (user_id, device_id, session_id, rank, active, state, inactive_since)
         VALUES (?1, 1, ?2, 0, ?3, x'00', ?4)",
        rusqlite::params![PEER.as_bytes(), of.as_bytes(), active, since],
    )
}

/// The numbers of the stored sessions and of the stored skipped keys.
async fn left(fixture: &Fixture) -> (Vec<u8>, Vec<i64>) {
    let read = fixture.store.read(|rows| {
        let mut sessions = rows.connection.prepare("SELECT session_id FROM session ORDER BY session_id")?;
        let sessions = sessions.query_map([], |row| row.get::<_, Vec<u8>>(0).map(|id| id[33]))?;
        let mut keys = rows.connection.prepare("SELECT number FROM skipped_key ORDER BY number")?;
        let keys = keys.query_map([], |row| row.get(0))?;
        Ok((sessions.collect::<Result<_, _>>()?, keys.collect::<Result<_, _>>()?))
    });
    read.await.unwrap()
}

/// A list of the peer's account with this key, with these devices; the first is the primary one.
fn list(key: &AccountKeyPair, version: u64, devices: &[(u32, &IdentityKeyPair)]) -> VerifiedDeviceList {
    let (rng, user) = (&mut StdRng::seed_from_u64(version), PEER.as_bytes());
    let entries = devices.iter().map(|(number, pair)| {
        let device = sealpost_protocol::DeviceId::new(*number).unwrap();
        let binding = DeviceBinding::sign(user, device, pair, &key.public(), rng);
        let is_primary = *number == devices[0].0;
        DeviceEntry { device, identity: *pair.public(), added_ms: 1, is_primary, binding }
    });
    let entries = entries.collect();
    DeviceList::new(version, entries).unwrap().sign(user, key, rng).verify(user).unwrap()
}

#[tokio::test]
async fn the_sessions_of_devices_that_are_no_longer_listed_are_dropped_with_the_list() {
    let pair = |seed| IdentityKeyPair::generate(&mut StdRng::seed_from_u64(seed));
    let key = |seed| AccountKeyPair::generate(&mut StdRng::seed_from_u64(seed));
    let (phone, tablet, next_phone) = (pair(1), pair(2), pair(3));
    let one = list(&key(4), 1, &[(1, &phone), (2, &tablet)]);
    let two = list(&key(4), 2, &[(1, &phone)]);
    // The account was registered again: its new key names another phone under the same number.
    let anew = list(&key(5), 1, &[(1, &next_phone)]);
    for (next, kept) in [(two, (vec![1], vec![10])), (anew, (vec![], vec![]))] {
        let fixture = Fixture::new().await;
        let (one, devices) = (one.clone(), [(1, *phone.public()), (2, *tablet.public())]);
        let work = fixture.store.write(move |tx| {
            tx.adopt_list(PEER, None, &one)?;
            let devices = devices.map(|(number, identity)| {
                let device = DeviceId::new(number).unwrap();
                Device { user: PEER, device, registration_id: 7, identity }
            });
            tx.see_devices(PEER, &devices)?;
            insert_session(tx, session(1), true, None)?;
            insert_session(tx, session(2), true, None)?;
            insert_session(tx, session(3), false, Some(1_000))?;
            tx.change("UPDATE session SET device_id = 2 WHERE session_id <> ?1", [session(1).as_bytes()])?;
            store_skipped(tx, vec![keep(session(1), 10, Some(1_000))])?;
            tx.store_skipped(PEER, DeviceId::new(2).unwrap(), vec![keep(session(3), 20, Some(1_000))])?;
            assert_eq!(tx.devices(PEER)?.len(), 2);
            tx.adopt_list(PEER, Some(&one), &next)
        });
        work.await.unwrap();
        assert_eq!(left(&fixture).await, kept);
    }
}

#[tokio::test]
async fn inactive_sessions_and_skipped_keys_are_deleted_after_thirty_days() {
    let fixture = Fixture::new().await;
    let work = fixture.store.write(|tx| {
        insert_session(tx, session(1), true, None)?;
        insert_session(tx, session(2), false, Some(1_000))?;
        insert_session(tx, session(3), false, Some(2_000))?;
        insert_session(tx, session(4), false, None)?;
        let keys = [
            keep(session(1), 10, Some(1_000)),
            keep(session(1), 11, Some(2_000)),
            keep(session(2), 20, Some(2_000)),
            keep(session(4), 40, None),
        ];
        store_skipped(tx, keys.into())
    });
    work.await.unwrap();
    for (now, sessions, keys) in [
        (1_000 + MONTH, vec![1, 2, 3, 4], vec![10, 11, 20, 40]),
        (1_001 + MONTH, vec![1, 3, 4], vec![11, 40]),
        // The clock was set back.
        (0, vec![1, 3, 4], vec![11, 40]),
        // The age of rows without a time is counted from the first call, a month after the start.
        (1_000 + 2 * MONTH, vec![1, 4], vec![40]),
        (1_001 + 2 * MONTH, vec![1], vec![]),
    ] {
        fixture.store.write(move |tx| tx.expire_sessions(UnixSeconds(now))).await.unwrap();
        assert_eq!(left(&fixture).await, (sessions, keys), "{now}");
    }
}

/// A session counts the keys that it has asked the store to keep, including those that were deleted since. The store
/// therefore keeps at most `count` of the existing rows, and not exactly so many.
#[tokio::test]
async fn the_newest_skipped_keys_are_kept() {
    let fixture = Fixture::new().await;
    let work = fixture.store.write(|tx| {
        store_skipped(tx, (0..10).map(|number| keep(session(1), number, Some(1))).collect())?;
        store_skipped(tx, vec![keep(session(2), 3, Some(1))])
    });
    work.await.unwrap();
    for (count, expected) in [(20, 11), (10, 11), (4, 5), (4, 5), (0, 1)] {
        let trim = SkippedChange::KeepNewest { session: session(1), ratchet_key: CHAIN, count };
        fixture.store.write(move |tx| store_skipped(tx, vec![trim])).await.unwrap();
        let (_, keys) = left(&fixture).await;
        assert_eq!(keys.len(), expected, "{count}");
        assert!(count != 4 || keys == [3, 6, 7, 8, 9]);
    }
}

#[tokio::test]
async fn a_key_that_was_replaced_is_remembered_until_a_bundle_has_it_again() {
    let fixture = Fixture::new().await;
    let keys: [IdentityKey; 3] = [(); 3].map(|()| *IdentityKeyPair::generate(&mut rand::rng()).public());
    let replaced = async || {
        let read = fixture.store.read(move |rows| {
            keys.iter().map(|key| rows.was_replaced(PEER, DeviceId::PRIMARY, key)).collect()
        });
        read.await.unwrap()
    };
    let see = async |identity: IdentityKey| {
        let device = Device { user: PEER, device: DeviceId::PRIMARY, registration_id: 1, identity };
        fixture.store.write(move |tx| tx.see_devices(PEER, &[device]).map(drop)).await.unwrap();
    };
    for (key, expected) in [
        (0, [false, false, false]),
        (0, [false, false, false]),
        (1, [true, false, false]),
        (2, [true, true, false]),
        (0, [false, true, true]),
    ] {
        see(keys[key]).await;
        let found: Vec<bool> = replaced().await;
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn a_session_that_cannot_be_decoded_is_kept_like_an_inactive_one() {
    let fixture = Fixture::new().await;
    let work = fixture.store.write(|tx| {
        insert_session(tx, session(1), true, None)?;
        insert_session(tx, session(2), false, Some(1))?;
        tx.change_one(
            "INSERT INTO session VALUES (?1, 1, x'0102', 0, 0, x'00', NULL, 0)",
            [PEER.as_bytes()],
        )?;
        let mut sessions = tx.sessions(PEER, DeviceId::PRIMARY)?;
        let policy = sealpost_protocol::SessionPolicy::default();
        assert!(!sessions.record.usable_for_sending(policy, UnixSeconds(1)));
        assert!(sessions.is_damaged());
        tx.store_sessions(&mut sessions)
    });
    work.await.unwrap();
    let kept = async || {
        let sql = "SELECT count(*), total(active) FROM session";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, f64>(1)?));
        let counts = fixture.store.read(move |rows| Ok(rows.connection.query_row(sql, [], read)?));
        counts.await.unwrap()
    };
    assert_eq!(kept().await, (3, 0.0));
    for now in [2, 3 + MONTH] {
        fixture.store.write(move |tx| tx.expire_sessions(UnixSeconds(now))).await.unwrap();
    }
    assert_eq!(kept().await, (0, 0.0));
}
