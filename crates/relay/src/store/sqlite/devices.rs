//! The devices of a user, and whether the account was deleted.

use rusqlite::types::FromSqlError;
use rusqlite::{Connection, OptionalExtension as _, Result, params};
use sealpost_wire::DeviceInfo;
use sealpost_wire::id::UserId;

use super::columns::blob;
use crate::address::Address;
use crate::keys::LoginKey;
use crate::store::{Device, Generation};

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

/// In order of their numbers.
pub(super) fn revoked(tx: &Connection, user: UserId) -> Result<Vec<u32>> {
    tx.prepare_cached("SELECT device_id FROM revoked_device WHERE user_id = ?1 ORDER BY device_id")?
        .query_map([user.as_bytes()], |row| row.get(0))?
        .collect()
}

/// Whether there was an account that was deleted.
pub(super) fn is_deleted(tx: &Connection, user: UserId) -> Result<bool> {
    tx.prepare_cached("SELECT 1 FROM deleted_account WHERE user_id = ?1")?.exists([user.as_bytes()])
}

/// `None` if the device was revoked or never existed.
pub(super) fn get(tx: &Connection, address: Address) -> Result<Option<Device>> {
    tx.prepare_cached(
        "SELECT registration_id, identity_key, login_key FROM device WHERE user_id = ?1 AND device_id = ?2",
    )?
    .query_row(params![address.user.as_bytes(), address.device.get()], |row| {
        let login_key: Option<Vec<u8>> = row.get(2)?;
        let login_key = login_key.map(|key| key.try_into().map(LoginKey));
        Ok(Device {
            registration_id: row.get(0)?,
            identity_key: blob(row, 1)?,
            login_key: login_key.transpose().map_err(|_| FromSqlError::InvalidType)?,
        })
    })
    .optional()
}

/// Whether it is the device that stores the lists of its account.
pub(super) fn is_primary(tx: &Connection, address: Address) -> Result<bool> {
    tx.prepare_cached("SELECT 1 FROM device WHERE user_id = ?1 AND device_id = ?2 AND is_primary = 1")?
        .exists(params![address.user.as_bytes(), address.device.get()])
}

/// Sets the login key of a device that has none. An existing key is never replaced.
pub(super) fn set_login_key(tx: &Connection, address: Address, key: LoginKey) -> Result<()> {
    tx.prepare_cached(
        "UPDATE device SET login_key = ?3 WHERE user_id = ?1 AND device_id = ?2 AND login_key IS NULL",
    )?
    .execute(params![address.user.as_bytes(), address.device.get(), key.0])?;
    Ok(())
}

/// Returns what was recorded before.
pub(super) fn note_generation(
    tx: &Connection,
    address: Address,
    generation: Generation,
) -> Result<Generation> {
    let owner = (address.user.as_bytes(), address.device.get());
    let known = tx
        .prepare_cached(
            "SELECT generation, generation_nonce FROM device WHERE user_id = ?1 AND device_id = ?2",
        )?
        .query_row(params![owner.0, owner.1], |row| {
            let nonce: Vec<u8> = row.get(1)?;
            Ok(Generation { number: row.get(0)?, nonce: nonce.try_into().unwrap_or_default() })
        })
        .optional()?
        .unwrap_or_default();
    if generation.number > known.number {
        tx.prepare_cached(
            "UPDATE device SET generation = ?3, generation_nonce = ?4 WHERE user_id = ?1 AND device_id = ?2",
        )?
        .execute(params![owner.0, owner.1, generation.number, generation.nonce])?;
    }
    Ok(known)
}
