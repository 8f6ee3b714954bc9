//! A move of the account to another device that is prepared: on the primary device, which has asked, and on the device that proposes.

use rusqlite::{OptionalExtension as _, params};
use sealpost_protocol::device::AccountKeyPair;
use zeroize::Zeroizing;

use super::{Rows, Tx, from_sql, narrow, to_sql};
use crate::content::MoveId;
use crate::error::{Error, Result, Storage};
use crate::id::DeviceId;

/// A move that is prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PreparedMove {
    pub(crate) id: MoveId,
    /// To this device.
    pub(crate) device: DeviceId,
    /// Of the list that it follows.
    pub(crate) version: u64,
    /// What the device has proposed.
    pub(crate) proposal: Option<Vec<u8>>,
}

impl Rows<'_> {
    pub(crate) fn prepared_move(&self) -> Result<Option<PreparedMove>> {
        let sql = "SELECT move_id, device, version, proposal FROM account_move";
        let row = self.connection.prepare_cached(sql)?.query_row([], |row| {
            Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get(3)?))
        });
        let Some((id, device, version, proposal)) = row.optional()? else { return Ok(None) };
        let (device, version) = (DeviceId::new(narrow(device)?)?, from_sql(version)?);
        Ok(Some(PreparedMove { id: MoveId(id), device, version, proposal }))
    }

    /// The account key that this device has proposed for the list after the one with this version. It is kept until another list follows
    /// that one, because the primary device may have accepted it.
    pub(crate) fn proposed_key(&self, version: u64) -> Result<Option<AccountKeyPair>> {
        let sql = "SELECT account_key FROM account_move WHERE key_version = ?1";
        let key: Option<Zeroizing<Vec<u8>>> = self
            .connection
            .prepare_cached(sql)?
            .query_row([to_sql(version)?], |row| row.get::<_, Vec<u8>>(0).map(Zeroizing::new))
            .optional()?;
        let key = key.map(|key| AccountKeyPair::from_bytes(&key)).transpose();
        key.map_err(|_| Error::Storage(Storage::Corrupt))
    }

    /// To which device this device has moved the account, if it has held it before.
    pub(crate) fn moved_to(&self) -> Result<Option<DeviceId>> {
        let sql = "SELECT moved_to FROM account";
        let device: Option<i64> = self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        device.map(|device| Ok(DeviceId::new(narrow(device)?)?)).transpose()
    }
}

impl Tx<'_> {
    /// On the primary device: a companion is asked. On a companion: it is asked.
    pub(crate) fn prepare_move(&mut self, id: MoveId, device: DeviceId, version: u64) -> Result<()> {
        self.change_one(
            "INSERT INTO account_move (only, move_id, device, version) VALUES (1, ?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET move_id = excluded.move_id, device = excluded.device, version = excluded.version,
                proposal = NULL",
            params![id.0, device.get(), to_sql(version)?],
        )
    }

    pub(crate) fn set_proposal(&mut self, proposal: Option<&[u8]>) -> Result<()> {
        self.change_one("UPDATE account_move SET proposal = ?1", [proposal])
    }

    /// Keeps the key of a proposal for the list after the one with this version.
    pub(crate) fn keep_proposed_key(&mut self, key: &AccountKeyPair, version: u64) -> Result<()> {
        self.change_one(
            "UPDATE account_move SET account_key = ?1, key_version = ?2",
            params![&*key.to_bytes(), to_sql(version)?],
        )
    }

    /// No proposal for a list before this version can be accepted any more.
    pub(super) fn forget_proposals_before(&mut self, version: u64) -> Result<()> {
        self.change(
            "DELETE FROM account_move WHERE version < ?1 AND coalesce(key_version, 0) < ?1",
            [to_sql(version)?],
        )?;
        Ok(())
    }

    pub(crate) fn end_move(&mut self) -> Result<()> {
        self.change("DELETE FROM account_move", [])?;
        Ok(())
    }

    /// The account was moved from this device to another one, and the relay is to be told.
    pub(super) fn set_moved_to(&mut self, device: Option<DeviceId>) -> Result<()> {
        let device = device.map(DeviceId::get);
        self.change_one("UPDATE account SET moved_to = ?1, list_told = 0", [device])
    }
}
