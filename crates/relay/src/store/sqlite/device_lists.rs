//! The lists of devices that accounts have signed.

use rusqlite::{Connection, OptionalExtension as _, Result, params};
use sealpost_wire::SignedDeviceList;
use sealpost_wire::id::UserId;

use super::columns::blob;
use super::devices;
use crate::address::Address;
use crate::store::{MoveAccount, MovedAccount};

/// How much higher than the stored version a version may be. Otherwise, somebody who has stolen a token could store one that no list
/// of the owner can replace. It is so large because a restored store may be that far behind the owner, if there was such a thief.
const MAX_STEP: u64 = 1 << 32;

/// Returns `false` if the stored list is at least as new, unless it is this one, or much older.
pub(super) fn put(tx: &Connection, user: UserId, list: &SignedDeviceList) -> Result<bool> {
    let highest = get(tx, user)?.map_or(0, |stored| stored.version).saturating_add(MAX_STEP);
    if list.version > highest {
        return Ok(false);
    }
    let stored = tx
        .prepare_cached(
            "INSERT INTO device_list (user_id, version, list) SELECT ?1, ?2, ?3
                WHERE EXISTS (SELECT 1 FROM account WHERE user_id = ?1)
             ON CONFLICT DO UPDATE SET version = excluded.version, list = excluded.list
                WHERE excluded.version > version OR (excluded.version = version AND excluded.list = list)",
        )?
        .execute(params![user.as_bytes(), list.version, &list.list[..]])?;
    Ok(stored == 1)
}

/// Replaces the list, and makes another device the primary one.
pub(super) fn move_account(tx: &Connection, request: &MoveAccount) -> Result<MovedAccount> {
    let MoveAccount { from, to, list, now_ms } = request;
    let to = Address { user: from.user, device: *to };
    if get(tx, from.user)?.as_ref() == Some(list) && devices::is_primary(tx, to)? {
        return Ok(MovedAccount::Yes);
    }
    if !devices::is_primary(tx, *from)? {
        return Ok(MovedAccount::NotPrimary);
    }
    if devices::get(tx, to)?.is_none() {
        return Ok(MovedAccount::UnknownDevice);
    }
    if !put(tx, from.user, list)? {
        return Ok(MovedAccount::Stale);
    }
    // Nobody has recorded when the primary device was connected.
    tx.execute(
        "UPDATE device SET is_primary = (device_id = ?2), seen_ms = iif(device_id = ?3, ?4, seen_ms) WHERE user_id = ?1",
        params![from.user.as_bytes(), to.device.get(), from.device.get(), now_ms],
    )?;
    Ok(MovedAccount::Yes)
}

pub(super) fn get(tx: &Connection, user: UserId) -> Result<Option<SignedDeviceList>> {
    tx.prepare_cached("SELECT version, list FROM device_list WHERE user_id = ?1")?
        .query_row([user.as_bytes()], |row| {
            Ok(SignedDeviceList { version: row.get(0)?, list: blob(row, 1)? })
        })
        .optional()
}
