//! The lists of devices that accounts have signed.

use rusqlite::{Connection, OptionalExtension as _, Result, params};
use sealpost_wire::SignedDeviceList;
use sealpost_wire::id::UserId;

use super::columns::blob;

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

pub(super) fn get(tx: &Connection, user: UserId) -> Result<Option<SignedDeviceList>> {
    tx.prepare_cached("SELECT version, list FROM device_list WHERE user_id = ?1")?
        .query_row([user.as_bytes()], |row| {
            Ok(SignedDeviceList { version: row.get(0)?, list: blob(row, 1)? })
        })
        .optional()
}
