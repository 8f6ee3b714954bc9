//! Our other devices: their names, those that are being linked, and those of whose removal the relay is to be told.

use rusqlite::{OptionalExtension as _, params};
use sealpost_protocol::Secret;
use sealpost_protocol::device::DeviceEntry;
use zeroize::Zeroizing;

use super::{Rows, Tx, from_sql, narrow, to_sql};
use crate::content::StateKey;
use crate::error::{Error, Result, Storage};
use crate::event::Event;
use crate::id::DeviceId;

/// How far a link has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// The companion was offered a place.
    Begun,
    /// It is on the list.
    Confirmed,
    /// And it was told.
    Released,
}

impl LinkState {
    const fn to_stored(self) -> i64 {
        match self {
            Self::Begun => 0,
            Self::Confirmed => 1,
            Self::Released => 2,
        }
    }
}

/// A companion that is to be linked.
pub(crate) struct NewOwnLink<'a> {
    pub(crate) link: [u8; 16],
    pub(crate) code: &'a [u8],
    pub(crate) device: DeviceId,
    pub(crate) until_ms: u64,
    pub(crate) offer: &'a [u8],
    pub(crate) nonce: &'a [u8],
    pub(crate) seed: &'a [u8; 32],
}

/// A companion that is being linked.
pub(crate) struct OwnLink {
    pub(crate) link: [u8; 16],
    pub(crate) code: Zeroizing<Vec<u8>>,
    pub(crate) device: DeviceId,
    pub(crate) until_ms: u64,
    pub(crate) offer: Vec<u8>,
    pub(crate) nonce: Vec<u8>,
    pub(crate) seed: Secret<32>,
    pub(crate) answer: Option<Vec<u8>>,
    pub(crate) state: LinkState,
    pub(crate) released: Option<Vec<u8>>,
}

impl Rows<'_> {
    pub(crate) fn own_link(&self, link: &[u8; 16]) -> Result<Option<OwnLink>> {
        Ok(self.own_links()?.into_iter().find(|own| own.link == *link))
    }

    /// All of them; there are few.
    pub(crate) fn own_links(&self) -> Result<Vec<OwnLink>> {
        let sql =
            "SELECT link_id, code, device, until, offer, nonce, seed, answer, state, released FROM own_link
                   ORDER BY device";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| {
            let numbers: (i64, i64, i64) = (row.get(2)?, row.get(3)?, row.get(8)?);
            let secrets =
                (Zeroizing::new(row.get::<_, Vec<u8>>(1)?), Zeroizing::new(row.get::<_, [u8; 32]>(6)?));
            let rest = (row.get(4)?, row.get(5)?, row.get(7)?, row.get(9)?);
            Ok((row.get(0)?, numbers, secrets, rest))
        })?;
        rows.map(|row| {
            let (link, (device, until, state), (code, seed), (offer, nonce, answer, released)) = row?;
            Ok(OwnLink {
                link,
                code,
                device: DeviceId::new(narrow(device)?)?,
                until_ms: from_sql(until)?,
                offer,
                nonce,
                seed: Secret::new(*seed),
                answer,
                state: match state {
                    0 => LinkState::Begun,
                    1 => LinkState::Confirmed,
                    2 => LinkState::Released,
                    _ => return Err(Error::Storage(Storage::Corrupt)),
                },
                released,
            })
        })
        .collect()
    }

    pub(crate) fn device_name(&self, device: DeviceId) -> Result<Option<String>> {
        let sql = "SELECT name FROM own_device WHERE device = ?1";
        Ok(self.connection.prepare_cached(sql)?.query_row([device.get()], |row| row.get(0)).optional()?)
    }

    /// The devices of our account that have a name here.
    pub(crate) fn named_devices(&self) -> Result<Vec<DeviceId>> {
        let mut statement =
            self.connection.prepare_cached("SELECT device FROM own_device ORDER BY device")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        rows.map(|device| Ok(DeviceId::new(narrow(device?)?)?)).collect()
    }

    /// Whether our list names a device with this number.
    pub(crate) fn is_own_listed(&self, device: DeviceId) -> Result<bool> {
        let list = self.device_list(self.our_account()?.1.user)?;
        let is_this = |entry: &DeviceEntry| entry.device.get() == device.get();
        Ok(list.is_some_and(|list| list.devices().iter().any(is_this)))
    }

    /// The highest number that any device of the account had, as far as this device knows.
    pub(crate) fn highest_device(&self) -> Result<u32> {
        let sql = "SELECT highest_device FROM account";
        narrow(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// The devices that the relay is to revoke.
    pub(crate) fn revocations(&self) -> Result<Vec<DeviceId>> {
        let mut statement =
            self.connection.prepare_cached("SELECT device FROM revocation ORDER BY device")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        rows.map(|device| Ok(DeviceId::new(narrow(device?)?)?)).collect()
    }
}

impl Tx<'_> {
    pub(crate) fn insert_own_link(&mut self, new: &NewOwnLink<'_>) -> Result<()> {
        let NewOwnLink { link, code, device, until_ms, offer, nonce, seed } = new;
        self.change_one(
            "INSERT INTO own_link (link_id, code, device, until, offer, nonce, seed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![link, code, device.get(), to_sql(*until_ms)?, offer, nonce, seed.as_slice()],
        )
    }

    pub(crate) fn set_link_answer(&mut self, link: &[u8; 16], answer: &[u8]) -> Result<()> {
        self.change_one("UPDATE own_link SET answer = ?2 WHERE link_id = ?1", params![link, answer])
    }

    pub(crate) fn set_link_state(&mut self, link: &[u8; 16], state: LinkState) -> Result<()> {
        self.change_one("UPDATE own_link SET state = ?2 WHERE link_id = ?1", params![link, state.to_stored()])
    }

    /// Fixes what the companion is told.
    pub(crate) fn set_link_released(&mut self, link: &[u8; 16], released: &[u8]) -> Result<()> {
        self.change_one("UPDATE own_link SET released = ?2 WHERE link_id = ?1", params![link, released])
    }

    pub(crate) fn delete_own_link(&mut self, link: &[u8; 16]) -> Result<()> {
        self.change("DELETE FROM own_link WHERE link_id = ?1", [link])?;
        Ok(())
    }

    pub(crate) fn name_device(&mut self, device: DeviceId, name: &str) -> Result<()> {
        self.change_one(
            "INSERT INTO own_device (device, name) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET name = excluded.name",
            params![device.get(), name],
        )
    }

    /// Like [`Tx::name_device`], for a device whose name may be shown already.
    pub(crate) fn rename_device(&mut self, device: DeviceId, name: &str) -> Result<()> {
        if self.device_name(device)?.as_deref() == Some(name) {
            return Ok(());
        }
        self.name_device(device, name)?;
        self.emit(Event::DeviceRenamed { device, name: name.to_owned() });
        Ok(())
    }

    pub(crate) fn forget_device_name(&mut self, device: DeviceId) -> Result<()> {
        self.change("DELETE FROM own_device WHERE device = ?1", [device.get()])?;
        self.forget_state(&StateKey::DeviceName(device))
    }

    pub(crate) fn raise_highest_device(&mut self, highest: u32) -> Result<()> {
        self.change("UPDATE account SET highest_device = ?1 WHERE highest_device < ?1", [highest])?;
        Ok(())
    }

    /// The relay is to revoke this device.
    pub(crate) fn revoke_later(&mut self, device: DeviceId) -> Result<()> {
        self.change("INSERT INTO revocation (device) VALUES (?1) ON CONFLICT DO NOTHING", [device.get()])?;
        Ok(())
    }

    pub(crate) fn set_revoked(&mut self, device: DeviceId) -> Result<()> {
        self.change("DELETE FROM revocation WHERE device = ?1", [device.get()])?;
        Ok(())
    }
}
