//! Device lists: of each account, ours included, the newest one that was verified.

use rusqlite::{OptionalExtension as _, params};
use sealpost_protocol::device::{SignedDeviceList, VerifiedDeviceList};

use super::{Rows, Tx, to_sql};
use crate::error::{Error, Result, Storage};
use crate::id::UserId;

impl Rows<'_> {
    /// The newest device list of a user. Its signatures are verified again, so that no list is used without that.
    pub(crate) fn device_list(&self, user: UserId) -> Result<Option<VerifiedDeviceList>> {
        let sql = "SELECT list FROM device_list WHERE user_id = ?1";
        let list: Option<Vec<u8>> =
            self.connection.prepare_cached(sql)?.query_row([user.as_bytes()], |row| row.get(0)).optional()?;
        let Some(list) = list else { return Ok(None) };
        let list = SignedDeviceList::parse(&list)?.verify(user.as_bytes());
        list.map(Some).map_err(|_| Error::Storage(Storage::Corrupt))
    }

    /// Whether our device list is to be signed, or to be told to the relay. Only the primary device does either.
    pub(crate) fn is_own_list_due(&self) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM account LEFT JOIN device_list USING (user_id)
                   WHERE account.user_id IS NOT NULL AND device_id = 1 AND leaving = 0 AND list_told < coalesce(version, 1))";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Replaces the device list of a user.
    pub(crate) fn set_device_list(&mut self, user: UserId, list: &VerifiedDeviceList) -> Result<()> {
        let (account, digest) = (list.account_key().serialize(), list.digest());
        let values = params![user.as_bytes(), account, to_sql(list.version())?, digest, list.serialize()];
        self.change_one(
            "INSERT INTO device_list (user_id, account_key, version, digest, list) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (user_id) DO UPDATE SET account_key = excluded.account_key, version = excluded.version,
                digest = excluded.digest, list = excluded.list",
            values,
        )
    }

    /// The relay has this version of our device list.
    pub(crate) fn set_list_told(&mut self, version: u64) -> Result<()> {
        self.change_one("UPDATE account SET list_told = ?1", [to_sql(version)?])
    }

    /// The relay may have lost our device list, and is told of it again.
    pub(crate) fn tell_list_again(&mut self) -> Result<()> {
        self.set_list_told(0)
    }
}
