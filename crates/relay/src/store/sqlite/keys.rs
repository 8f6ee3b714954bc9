//! Pre-keys: put, counted, and taken, each one-time key by one caller only.

use prost::Message as _;
use rusqlite::{Connection, OptionalExtension as _, Result, params};
use sealpost_wire::{Bundle, Bundles, DeviceInfo, KeyCounts, KeyUpload, OneTimeKey, SignedKey};
use sha2::{Digest as _, Sha256};

use super::accounts;
use super::columns::{blob, one};
use crate::address::Address;
use crate::fault::{self, Station};
use crate::store::{IdempotencyKey, KeyIdUsed, Selector, Take, Taken};

/// How long a repeated request gets the same bundles, in milliseconds.
const REMEMBERED_MS: u64 = 60_000;

/// The two kinds of signed keys and of one-time keys, as the tables number them.
const EC: u8 = 0;
const KEM: u8 = 1;

pub(super) fn put(tx: &Connection, owner: Address, keys: &KeyUpload) -> Result<Result<KeyCounts, KeyIdUsed>> {
    for (kind, id, public_key, _) in one_time_rows(keys) {
        let old = i64::from(id) <= mark(tx, owner, kind)?;
        if old && !is_known(tx, owner, kind, id, public_key)? {
            return Ok(Err(KeyIdUsed));
        }
    }
    insert(tx, owner, keys)?;
    counts(tx, owner).map(Ok)
}

/// Writes keys that were found to be new, or the same as before. Of the latter there is nothing to write: they
/// wait already, or were given out.
pub(super) fn insert(tx: &Connection, owner: Address, keys: &KeyUpload) -> Result<()> {
    let (user, device) = (owner.user.as_bytes(), owner.device.get());
    let (ec_mark, kem_mark) = (mark(tx, owner, EC)?, mark(tx, owner, KEM)?);
    for (kind, key) in [(EC, &keys.signed_pre_key), (KEM, &keys.last_resort_kem)] {
        let Some(key) = key else { continue };
        one(tx
            .prepare_cached(
                "INSERT INTO signed_pre_key (user_id, device_id, kind, key_id, public_key, signature)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO UPDATE SET key_id = ?4, public_key = ?5, signature = ?6",
            )?
            .execute(params![user, device, kind, key.id, &key.public_key[..], &key.signature[..]])?)?;
    }
    let new = one_time_rows(keys).filter(|(kind, id, ..)| {
        let mark = if *kind == EC { ec_mark } else { kem_mark };
        i64::from(*id) > mark
    });
    for (kind, id, public_key, signature) in new {
        one(tx
            .prepare_cached(
                "INSERT INTO one_time_pre_key (user_id, device_id, kind, key_id, public_key, signature)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![user, device, kind, id, public_key, signature])?)?;
        one(tx
            .prepare_cached(
                "INSERT INTO pre_key_mark (user_id, device_id, kind, key_id) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET key_id = max(key_id, ?4)",
            )?
            .execute(params![user, device, kind, id])?)?;
    }
    Ok(())
}

pub(super) fn counts(tx: &Connection, owner: Address) -> Result<KeyCounts> {
    let left = |kind: u8| {
        tx.prepare_cached(
            "SELECT count(*) FROM one_time_pre_key WHERE user_id = ?1 AND device_id = ?2 AND kind = ?3",
        )?
        .query_row(params![owner.user.as_bytes(), owner.device.get(), kind], |row| row.get(0))
    };
    Ok(KeyCounts { ec: left(EC)?, kem: left(KEM)? })
}

pub(super) fn take(tx: &Connection, take: &Take) -> Result<Taken> {
    if let Some(key) = take.idempotency
        && let Some(bundles) = remembered(tx, take, key)?
    {
        return Ok(Taken { bundles, ..Taken::default() });
    }
    let mut taken = Taken::default();
    for device in accounts::devices(tx, take.target)? {
        let Ok(owner) = Address::from_wire(take.target.as_bytes(), device.device_id) else { continue };
        if take.selector != Selector::All && take.selector != Selector::One(owner.device) {
            continue;
        }
        // Devices have both signed keys from their registration on.
        if let Some(bundle) = take_bundle(tx, owner, device, take.now_ms, &mut taken.last_resort)? {
            taken.bundles.push(bundle);
            taken.left.push((owner, counts(tx, owner)?));
        }
    }
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
    now_ms: u64,
    last_resorts: &mut u64,
) -> Result<Option<Bundle>> {
    let signed_pre_key = signed(tx, owner, EC)?;
    let last_resort = signed(tx, owner, KEM)?;
    if signed_pre_key.is_none() || last_resort.is_none() {
        return Ok(None);
    }
    let one_time = take_one_time(tx, owner, EC, now_ms)?;
    let one_time_kem = take_one_time(tx, owner, KEM, now_ms)?;
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

/// The oldest one-time key: deleted, and thereby given to this caller alone.
fn take_one_time(tx: &Connection, owner: Address, kind: u8, now_ms: u64) -> Result<Option<SignedKey>> {
    let (user, device) = (owner.user.as_bytes(), owner.device.get());
    let taken = tx
        .prepare_cached(
            "DELETE FROM one_time_pre_key WHERE user_id = ?1 AND device_id = ?2 AND kind = ?3 AND key_id =
                (SELECT min(key_id) FROM one_time_pre_key WHERE user_id = ?1 AND device_id = ?2 AND kind = ?3)
             RETURNING key_id, public_key, signature",
        )?
        .query_row(params![user, device, kind], signed_key)
        .optional()?;
    if let Some(key) = &taken {
        one(tx
            .prepare_cached(
                "INSERT INTO spent_pre_key (user_id, device_id, kind, key_id, key_hash, spent_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![user, device, kind, key.id, key_hash(&key.public_key), now_ms])?)?;
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

/// One-time keys of both kinds as they stand in the table; an EC key has no signature of its own.
fn one_time_rows(keys: &KeyUpload) -> impl Iterator<Item = (u8, u32, &[u8], &[u8])> {
    let ec = keys.one_time.iter().map(|key| (EC, key.id, &key.public_key[..], &[][..]));
    let kem = keys.one_time_kem.iter().map(|key| (KEM, key.id, &key.public_key[..], &key.signature[..]));
    ec.chain(kem)
}

/// The highest one-time id ever seen, or -1: ids may start at 0.
fn mark(tx: &Connection, owner: Address, kind: u8) -> Result<i64> {
    tx.prepare_cached("SELECT key_id FROM pre_key_mark WHERE user_id = ?1 AND device_id = ?2 AND kind = ?3")?
        .query_row(params![owner.user.as_bytes(), owner.device.get(), kind], |row| row.get(0))
        .optional()
        .map(|mark| mark.unwrap_or(-1))
}

/// Whether this very key waits under this id, or was given out.
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

fn remembered(tx: &Connection, take: &Take, key: IdempotencyKey) -> Result<Option<Vec<Bundle>>> {
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
    let bundles = Bundles { bundles: bundles.to_vec() }.encode_to_vec();
    one(tx
        .prepare_cached(
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
        ])?)
}

/// The selector as the table numbers it; 0 is no device.
fn selected(selector: Selector) -> u32 {
    match selector {
        Selector::All => 0,
        Selector::One(device) => device.get(),
    }
}
