//! Refresh tokens. A token names its family and proves itself by a secret, of which only the hash is here.

use rusqlite::{Connection, OptionalExtension as _, Result, params};
use subtle::ConstantTimeEq as _;

use super::columns::{address, one};
use crate::address::Address;
use crate::store::{FamilyId, NewFamily, Rotated, Rotation};

pub(super) fn insert(tx: &Connection, owner: Address, family: &NewFamily) -> Result<()> {
    one(tx
        .prepare_cached(
            "INSERT INTO token_family (family_id, user_id, device_id, token_hash, previous_hash, expires_ms)
             VALUES (?1, ?2, ?3, ?4, NULL, ?5)",
        )?
        .execute(params![
            family.id.0,
            owner.user.as_bytes(),
            owner.device.get(),
            family.refresh.0,
            family.expires_ms
        ])?)
}

/// Ends every family of a device.
pub(super) fn end_all(tx: &Connection, owner: Address) -> Result<usize> {
    tx.prepare_cached("DELETE FROM token_family WHERE user_id = ?1 AND device_id = ?2")?
        .execute(params![owner.user.as_bytes(), owner.device.get()])
}

pub(super) fn is_live(tx: &Connection, owner: Address, family: FamilyId) -> Result<bool> {
    tx.prepare_cached("SELECT 1 FROM token_family WHERE family_id = ?1 AND user_id = ?2 AND device_id = ?3")?
        .exists(params![family.0, owner.user.as_bytes(), owner.device.get()])
}

/// A token is exchanged once. The one before the current one is exchanged again: its answer was lost, for had the
/// current one been used, it would not be the current one. Any other token of the family was used up before, by its
/// owner or by a thief; nobody can tell, so both are out.
pub(super) fn rotate(tx: &Connection, rotation: &Rotation) -> Result<Rotated> {
    let Some(family) = load(tx, rotation.family)? else { return Ok(Rotated::Unknown) };
    let presented = rotation.presented.0;
    let current = bool::from(family.token.ct_eq(&presented));
    let previous = family.previous.is_some_and(|hash| bool::from(hash.ct_eq(&presented)));
    if (current || previous) && rotation.now_ms >= family.expires_ms {
        return Ok(Rotated::Unknown);
    }
    if current || previous {
        replace(tx, rotation)?;
        return Ok(Rotated::Next(family.owner));
    }
    end(tx, rotation.family)?;
    Ok(Rotated::ReuseDetected(family.owner))
}

pub(super) fn end(tx: &Connection, family: FamilyId) -> Result<()> {
    tx.execute("DELETE FROM token_family WHERE family_id = ?1", [family.0]).map(drop)
}

struct Family {
    owner: Address,
    token: [u8; 32],
    previous: Option<[u8; 32]>,
    expires_ms: u64,
}

fn load(tx: &Connection, family: FamilyId) -> Result<Option<Family>> {
    tx.prepare_cached(
        "SELECT user_id, device_id, token_hash, previous_hash, expires_ms
         FROM token_family WHERE family_id = ?1",
    )?
    .query_row([family.0], |row| {
        Ok(Family {
            owner: address(row, 0, 1)?,
            token: row.get(2)?,
            previous: row.get(3)?,
            expires_ms: row.get(4)?,
        })
    })
    .optional()
}

/// The successor takes over; the token presented stays good until the successor is used.
fn replace(tx: &Connection, rotation: &Rotation) -> Result<()> {
    one(tx
        .prepare_cached(
            "UPDATE token_family SET token_hash = ?2, previous_hash = ?3, expires_ms = ?4
             WHERE family_id = ?1",
        )?
        .execute(params![rotation.family.0, rotation.next.0, rotation.presented.0, rotation.expires_ms])?)
}
