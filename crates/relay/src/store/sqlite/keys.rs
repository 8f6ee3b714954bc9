//! Stores, counts and takes pre-keys. Each one-time key is given to one caller only.

use prost::Message as _;
use rusqlite::{Connection, OptionalExtension as _, Result, params};
use sealpost_wire::limits::MAX_ONE_TIME_KEYS;
use sealpost_wire::{Bundle, Bundles, DeviceInfo, KeyCounts, KeyUpload, OneTimeKey, SignedKey};
use sha2::{Digest as _, Sha256};

use super::columns::{blob, expect_one};
use super::devices;
use crate::address::Address;
use crate::fault::{self, Station};
use crate::store::{IdempotencyKey, KeysRefused, Selector, Take, Taken};

/// How long a repeated request gets the same bundles, in milliseconds.
const REMEMBERED_MS: u64 = 60_000;

/// The two kinds of signed keys and of one-time keys, as they are numbered in the tables.
const EC: u8 = 0;
const KEM: u8 = 1;

pub(super) fn put(
    tx: &Connection,
    owner: Address,
    keys: &KeyUpload,
) -> Result<Result<KeyCounts, KeysRefused>> {
    drop_stale(tx, owner)?;
    for (kind, id, public_key, _) in one_time_rows(keys) {
        let old = i64::from(id) <= pool(tx, owner, kind)?.mark;
        if old && !is_known(tx, owner, kind, id, public_key)? {
            return Ok(Err(KeysRefused::IdUsed));
        }
    }
    for kind in [EC, KEM] {
        let Pool { mark, held } = pool(tx, owner, kind)?;
        let held = if keys.replaces_all { kept(tx, owner, kind, keys)? } else { held };
        let new = one_time_rows(keys).filter(|(of, id, ..)| *of == kind && i64::from(*id) > mark).count();
        if new > usize::try_from(room(held)).unwrap_or(usize::MAX) {
            return Ok(Err(KeysRefused::TooMany));
        }
    }
    if keys.replaces_all {
        replace(tx, owner, keys)?;
    } else {
        insert(tx, owner, keys)?;
    }
    counts(tx, owner).map(Ok)
}

/// Like [`insert`], but first deletes the stored one-time keys, except those that are part of this upload, which may be
/// a repetition.
pub(super) fn replace(tx: &Connection, owner: Address, keys: &KeyUpload) -> Result<()> {
    let (user, device) = (owner.user.as_bytes(), owner.device.get());
    for kind in [EC, KEM] {
        tx.prepare_cached(
            "DELETE FROM one_time_pre_key WHERE user_id = ?1 AND device_id = ?2 AND kind = ?3 AND key_id < ?4",
        )?
        .execute(params![user, device, kind, lowest(keys, kind)])?;
        let kept = kept(tx, owner, kind, keys)?;
        tx.prepare_cached(
            "UPDATE pre_key_mark SET held = ?4 WHERE user_id = ?1 AND device_id = ?2 AND kind = ?3",
        )?
        .execute(params![user, device, kind, kept])?;
    }
    insert(tx, owner, keys)
}

/// How many one-time keys of a kind remain after an upload that replaces all of them.
fn kept(tx: &Connection, owner: Address, kind: u8, keys: &KeyUpload) -> Result<u32> {
    tx.prepare_cached(
        "SELECT count(*) FROM one_time_pre_key WHERE user_id = ?1 AND device_id = ?2 AND kind = ?3 AND key_id >= ?4",
    )?
    .query_row(
        params![owner.user.as_bytes(), owner.device.get(), kind, lowest(keys, kind)],
        |row| row.get(0),
    )
}

/// The lowest ID of a kind in an upload, or a value above all IDs if it has none.
fn lowest(keys: &KeyUpload, kind: u8) -> i64 {
    let ids = one_time_rows(keys).filter(|(of, ..)| *of == kind).map(|(_, id, ..)| i64::from(id));
    ids.min().unwrap_or(i64::MAX)
}

/// Inserts keys that were checked to be new or unchanged. Unchanged keys are skipped: they are already stored, or were
/// given out. One-time keys that exceed the limit are omitted.
pub(super) fn insert(tx: &Connection, owner: Address, keys: &KeyUpload) -> Result<()> {
    drop_stale(tx, owner)?;
    let (user, device) = (owner.user.as_bytes(), owner.device.get());
    let pools = [pool(tx, owner, EC)?, pool(tx, owner, KEM)?];
    for (kind, key) in [(EC, &keys.signed_pre_key), (KEM, &keys.last_resort_kem)] {
        let Some(key) = key else { continue };
        expect_one(
            tx.prepare_cached(
                "INSERT INTO signed_pre_key (user_id, device_id, kind, key_id, public_key, signature)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO UPDATE SET key_id = ?4, public_key = ?5, signature = ?6",
            )?
            .execute(params![
                user,
                device,
                kind,
                key.id,
                &key.public_key[..],
                &key.signature[..]
            ])?,
        )?;
    }
    let new = [EC, KEM].into_iter().zip(pools).flat_map(|(kind, Pool { mark, held })| {
        let new = move |(of, id, ..): &OneTimeRow<'_>| *of == kind && i64::from(*id) > mark;
        one_time_rows(keys).filter(new).take(usize::try_from(room(held)).unwrap_or(usize::MAX))
    });
    for (kind, id, public_key, signature) in new {
        expect_one(
            tx.prepare_cached(
                "INSERT INTO one_time_pre_key (user_id, device_id, kind, key_id, public_key, signature)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![user, device, kind, id, public_key, signature])?,
        )?;
        expect_one(
            tx.prepare_cached(
                "INSERT INTO pre_key_mark (user_id, device_id, kind, key_id, held, epoch)
                 VALUES (?1, ?2, ?3, ?4, 1, (SELECT v FROM store_meta WHERE k = 'epoch'))
                 ON CONFLICT DO UPDATE SET key_id = max(key_id, ?4), held = held + 1",
            )?
            .execute(params![user, device, kind, id])?,
        )?;
    }
    Ok(())
}

pub(super) fn counts(tx: &Connection, owner: Address) -> Result<KeyCounts> {
    let (ec, kem) = (pool(tx, owner, EC)?, pool(tx, owner, KEM)?);
    let newest_id = u32::try_from(ec.mark.max(kem.mark)).unwrap_or(0);
    Ok(KeyCounts { ec: ec.held, kem: kem.held, newest_id })
}

pub(super) fn take(tx: &Connection, take: &Take) -> Result<Taken> {
    if let Some(bundles) = repeated(tx, take)? {
        return Ok(Taken { bundles, ..Taken::default() });
    }
    let mut taken = Taken::default();
    for device in devices::live(tx, take.target)? {
        let Ok(owner) = Address::from_wire(take.target.as_bytes(), device.device_id) else { continue };
        if take.selector != Selector::All && take.selector != Selector::One(owner.device) {
            continue;
        }
        drop_stale(tx, owner)?;
        // Devices have had both signed keys since their registration.
        if let Some(bundle) = take_bundle(tx, owner, device, take, &mut taken.last_resort)? {
            taken.bundles.push(bundle);
            taken.left.push((owner, counts(tx, owner)?));
        }
    }
    taken.deleted = taken.bundles.is_empty() && devices::is_deleted(tx, take.target)?;
    if let Some(key) = take.idempotency
        && !taken.bundles.is_empty()
    {
        remember(tx, take, key, &taken.bundles)?;
    }
    fault::at(Station::PreKeyBeforeCommit);
    Ok(taken)
}

fn take_bundle(
    tx: &Connection,
    owner: Address,
    device: DeviceInfo,
    take: &Take,
    last_resorts: &mut u64,
) -> Result<Option<Bundle>> {
    let signed_pre_key = signed(tx, owner, EC)?;
    let last_resort = signed(tx, owner, KEM)?;
    if signed_pre_key.is_none() || last_resort.is_none() {
        return Ok(None);
    }
    let one_time = |kind| {
        if take.last_resort_only { Ok(None) } else { take_one_time(tx, owner, kind, take.now_ms) }
    };
    let (one_time, one_time_kem) = (one_time(EC)?, one_time(KEM)?);
    if one_time_kem.is_none() {
        *last_resorts = last_resorts.saturating_add(1);
    }
    Ok(Some(Bundle {
        device_id: device.device_id,
        registration_id: device.registration_id,
        identity_key: device.identity_key,
        signed_pre_key,
        one_time: one_time.map(|key| OneTimeKey { id: key.id, public_key: key.public_key }),
        kem: one_time_kem.or(last_resort),
    }))
}

const TAKE: &str = "
    DELETE FROM one_time_pre_key WHERE user_id = ?1 AND device_id = ?2 AND kind = ?3 AND key_id =
        (SELECT min(key_id) FROM one_time_pre_key WHERE user_id = ?1 AND device_id = ?2 AND kind = ?3)
    RETURNING key_id, public_key, signature";

/// Deletes and returns the oldest one-time key, so that only this caller gets it.
fn take_one_time(tx: &Connection, owner: Address, kind: u8, now_ms: u64) -> Result<Option<SignedKey>> {
    let (user, device) = (owner.user.as_bytes(), owner.device.get());
    let taken = tx.prepare_cached(TAKE)?.query_row(params![user, device, kind], signed_key).optional()?;
    if let Some(key) = &taken {
        expect_one(
            tx.prepare_cached(
                "UPDATE pre_key_mark SET held = held - 1 WHERE user_id = ?1 AND device_id = ?2 AND kind = ?3",
            )?
            .execute(params![user, device, kind])?,
        )?;
        expect_one(
            tx.prepare_cached(
                "INSERT INTO spent_pre_key (user_id, device_id, kind, key_id, key_hash, spent_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![user, device, kind, key.id, key_hash(&key.public_key), now_ms])?,
        )?;
    }
    Ok(taken)
}

fn signed(tx: &Connection, owner: Address, kind: u8) -> Result<Option<SignedKey>> {
    tx.prepare_cached(
        "SELECT key_id, public_key, signature FROM signed_pre_key
         WHERE user_id = ?1 AND device_id = ?2 AND kind = ?3",
    )?
    .query_row(params![owner.user.as_bytes(), owner.device.get(), kind], signed_key)
    .optional()
}

fn signed_key(row: &rusqlite::Row<'_>) -> Result<SignedKey> {
    Ok(SignedKey { id: row.get(0)?, public_key: blob(row, 1)?, signature: blob(row, 2)? })
}

/// Kind, id, public key, signature.
type OneTimeRow<'k> = (u8, u32, &'k [u8], &'k [u8]);

/// The one-time keys of both kinds as they are stored; an EC key has no signature of its own.
fn one_time_rows(keys: &KeyUpload) -> impl Iterator<Item = OneTimeRow<'_>> {
    let ec = keys.one_time.iter().map(|key| (EC, key.id, &key.public_key[..], &[][..]));
    let kem = keys.one_time_kem.iter().map(|key| (KEM, key.id, &key.public_key[..], &key.signature[..]));
    ec.chain(kem)
}

/// The one-time keys of one kind that are stored for a device.
struct Pool {
    /// The highest id ever seen, or -1, because ids may start at 0.
    mark: i64,
    held: u32,
}

const POOL: &str = "
    SELECT key_id, iif(epoch < (SELECT v FROM store_meta WHERE k = 'epoch'), 0, held) FROM pre_key_mark
    WHERE user_id = ?1 AND device_id = ?2 AND kind = ?3";

fn pool(tx: &Connection, owner: Address, kind: u8) -> Result<Pool> {
    tx.prepare_cached(POOL)?
        .query_row(params![owner.user.as_bytes(), owner.device.get(), kind], |row| {
            Ok(Pool { mark: row.get(0)?, held: row.get(1)? })
        })
        .optional()
        .map(|pool| pool.unwrap_or(Pool { mark: -1, held: 0 }))
}

/// Deletes the keys that were stored before the store was restored: they may have been handed out since, and their
/// owner may have deleted them.
fn drop_stale(tx: &Connection, owner: Address) -> Result<()> {
    let (user, device) = (owner.user.as_bytes(), owner.device.get());
    for kind in [EC, KEM] {
        let stale = tx
            .prepare_cached(
                "UPDATE pre_key_mark SET held = 0, epoch = (SELECT v FROM store_meta WHERE k = 'epoch')
                 WHERE user_id = ?1 AND device_id = ?2 AND kind = ?3
                    AND epoch < (SELECT v FROM store_meta WHERE k = 'epoch')",
            )?
            .execute(params![user, device, kind])?;
        if stale == 1 {
            tx.prepare_cached(
                "DELETE FROM one_time_pre_key WHERE user_id = ?1 AND device_id = ?2 AND kind = ?3",
            )?
            .execute(params![user, device, kind])?;
        }
    }
    Ok(())
}

/// How many more keys may be stored.
fn room(held: u32) -> u32 {
    MAX_ONE_TIME_KEYS.saturating_sub(held)
}

/// Whether exactly this key is stored under this id, or was given out.
fn is_known(tx: &Connection, owner: Address, kind: u8, id: u32, public_key: &[u8]) -> Result<bool> {
    let (user, device) = (owner.user.as_bytes(), owner.device.get());
    let waits = tx
        .prepare_cached(
            "SELECT 1 FROM one_time_pre_key
             WHERE user_id = ?1 AND device_id = ?2 AND kind = ?3 AND key_id = ?4 AND public_key = ?5",
        )?
        .exists(params![user, device, kind, id, public_key])?;
    let spent = tx
        .prepare_cached(
            "SELECT 1 FROM spent_pre_key
             WHERE user_id = ?1 AND device_id = ?2 AND kind = ?3 AND key_id = ?4 AND key_hash = ?5",
        )?
        .exists(params![user, device, kind, id, key_hash(public_key)])?;
    Ok(waits || spent)
}

fn key_hash(public_key: &[u8]) -> [u8; 32] {
    Sha256::digest(public_key).into()
}

/// The bundles that an earlier request with the same idempotency key got.
pub(super) fn repeated(tx: &Connection, take: &Take) -> Result<Option<Vec<Bundle>>> {
    let Some(key) = take.idempotency else { return Ok(None) };
    let stored: Option<Vec<u8>> = tx
        .prepare_cached(
            "SELECT bundles FROM taken_bundles WHERE requester_user = ?1 AND requester_device = ?2
             AND user_id = ?3 AND device_id = ?4 AND idempotency_key = ?5 AND until_ms > ?6",
        )?
        .query_row(
            params![
                take.requester.user.as_bytes(),
                take.requester.device.get(),
                take.target.as_bytes(),
                selected(take.selector),
                key.0,
                take.now_ms
            ],
            |row| row.get(0),
        )
        .optional()?;
    let bundles = stored.and_then(|bundles| sealpost_wire::decode::<Bundles>(bundles.into()).ok());
    Ok(bundles.map(|bundles| bundles.bundles))
}

fn remember(tx: &Connection, take: &Take, key: IdempotencyKey, bundles: &[Bundle]) -> Result<()> {
    let bundles = Bundles { bundles: bundles.to_vec(), devices: None }.encode_to_vec();
    expect_one(
        tx.prepare_cached(
            "INSERT OR REPLACE INTO taken_bundles (requester_user, requester_device, user_id, device_id,
                idempotency_key, bundles, until_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            take.requester.user.as_bytes(),
            take.requester.device.get(),
            take.target.as_bytes(),
            selected(take.selector),
            key.0,
            bundles,
            take.now_ms.saturating_add(REMEMBERED_MS)
        ])?,
    )
}

/// The number of the selector in the table; 0 is not a device id.
fn selected(selector: Selector) -> u32 {
    match selector {
        Selector::All => 0,
        Selector::One(device) => device.get(),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;
    use sealpost_wire::id::{DeviceId, UserId};

    use super::*;

    const OWNER: Address = Address { user: UserId::from_bytes([1; 16]), device: DeviceId::PRIMARY };

    fn keys(ids: std::ops::Range<u32>) -> KeyUpload {
        let key = |id| OneTimeKey { id, public_key: vec![5; 33].into() };
        KeyUpload { one_time: ids.map(key).collect(), ..KeyUpload::default() }
    }

    fn store() -> Connection {
        let mut db = Connection::open_in_memory().unwrap();
        super::super::schema::migrate(&mut db).unwrap();
        db
    }

    /// The cost of counting keys and of taking one, in steps of SQLite's virtual machine.
    fn steps(db: &Connection) -> [i32; 2] {
        let since = |sql| db.prepare_cached(sql).unwrap().reset_status(StatementStatus::VmStep);
        let _before = [POOL, TAKE].map(since);
        counts(db, OWNER).unwrap();
        take_one_time(db, OWNER, EC, 0).unwrap().unwrap();
        [POOL, TAKE].map(since)
    }

    #[test]
    fn counting_and_taking_keys_takes_constant_time() {
        let db = store();
        put(&db, OWNER, &keys(0..3)).unwrap().unwrap();
        let few = steps(&db);
        // As many as a version of the relay without the limit may have stored.
        for id in 3..5_000 {
            db.prepare_cached("INSERT INTO one_time_pre_key VALUES (?1, 1, 0, ?2, x'05', x'')")
                .unwrap()
                .execute(params![OWNER.user.as_bytes(), id])
                .unwrap();
        }
        assert!(few.iter().all(|steps| *steps > 0));
        assert_eq!(steps(&db), few);
    }

    #[test]
    fn a_repeated_registration_does_not_exceed_the_key_limit() {
        let db = store();
        for first in 0..10 {
            insert(&db, OWNER, &keys(first * 100..first * 100 + 100)).unwrap();
        }
        let rows: u32 = db.query_row("SELECT count(*) FROM one_time_pre_key", [], |row| row.get(0)).unwrap();
        assert_eq!((rows, counts(&db, OWNER).unwrap().ec), (MAX_ONE_TIME_KEYS, MAX_ONE_TIME_KEYS));
    }
}
