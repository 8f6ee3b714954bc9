//! The live devices of a user, and whether the account was deleted.

use rusqlite::{Connection, Result};
use sealpost_wire::DeviceInfo;
use sealpost_wire::id::UserId;

use super::columns::blob;

/// In order of their numbers; empty for an unknown user.
pub(super) fn live(tx: &Connection, user: UserId) -> Result<Vec<DeviceInfo>> {
    tx.prepare_cached(
        "SELECT device_id, registration_id, identity_key FROM device WHERE user_id = ?1 ORDER BY device_id",
    )?
    .query_map([user.as_bytes()], |row| {
        Ok(DeviceInfo { device_id: row.get(0)?, registration_id: row.get(1)?, identity_key: blob(row, 2)? })
    })?
    .collect()
}

/// Whether there was an account that was deleted.
pub(super) fn is_deleted(tx: &Connection, user: UserId) -> Result<bool> {
    tx.prepare_cached("SELECT 1 FROM deleted_account WHERE user_id = ?1")?.exists([user.as_bytes()])
}
