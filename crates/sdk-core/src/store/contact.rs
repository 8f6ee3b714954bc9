//! Contacts: users, the devices of each, ours included, the identity key of each, and how far the person trusts them.

use rusqlite::{OptionalExtension as _, params};
use sealpost_protocol::{IdentityKey, UnixSeconds};

use super::{Rows, Tx, narrow};
use crate::error::{Error, Result, Storage};
use crate::event::Event;
use crate::id::{DeviceId, UserId};

/// A device of another user, in its last known state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
    pub(crate) registration_id: u32,
    pub(crate) identity: IdentityKey,
}

/// How far the person trusts a contact's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrustState {
    /// The key has been trusted since the first message, and was never compared.
    FirstUse,
    /// The person has compared the safety number.
    Verified,
    /// The key has changed since the person compared it. Sends stop until the person accepts the change.
    ChangedSinceVerified,
}

/// [`TrustState::ChangedSinceVerified`] as it is stored.
pub(super) const CHANGED_SINCE_VERIFIED: i64 = 2;

impl Rows<'_> {
    /// The live devices of a user.
    pub(crate) fn devices(&self, user: UserId) -> Result<Vec<Device>> {
        let sql = "SELECT device_id, registration_id, identity FROM device WHERE user_id = ?1 AND live = 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([user.as_bytes()], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Vec<u8>>(2)?))
        })?;
        rows.map(|row| {
            let (device, registration_id, identity) = row?;
            Ok(Device {
                user,
                device: DeviceId::new(narrow(device)?)?,
                registration_id: narrow(registration_id)?,
                identity: IdentityKey::parse(&identity)?,
            })
        })
        .collect()
    }

    /// Whether any device of a user is known, live or not.
    fn has_devices(&self, user: UserId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM device WHERE user_id = ?1)";
        Ok(self.connection.prepare_cached(sql)?.query_row([user.as_bytes()], |row| row.get(0))?)
    }

    /// The identity key of one device, whether or not it is live.
    pub(crate) fn identity(&self, user: UserId, device: DeviceId) -> Result<Option<IdentityKey>> {
        let sql = "SELECT identity FROM device WHERE user_id = ?1 AND device_id = ?2";
        let bytes: Option<Vec<u8>> = self
            .connection
            .prepare_cached(sql)?
            .query_row(params![user.as_bytes(), device.get()], |row| row.get(0))
            .optional()?;
        Ok(bytes.map(|bytes| IdentityKey::parse(&bytes)).transpose()?)
    }

    /// The numbers of all devices of a user that are known, live or not, and their identity keys.
    pub(super) fn known_devices(&self, user: UserId) -> Result<Vec<(DeviceId, IdentityKey)>> {
        let sql = "SELECT device_id, identity FROM device WHERE user_id = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows =
            statement.query_map([user.as_bytes()], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        rows.map(|row| {
            let (device, identity) = row?;
            Ok((DeviceId::new(narrow(device)?)?, IdentityKey::parse(&identity)?))
        })
        .collect()
    }

    /// Whether this is a live device of the user with this identity key.
    pub(crate) fn is_live(&self, user: UserId, device: DeviceId, identity: &IdentityKey) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM device
                   WHERE user_id = ?1 AND device_id = ?2 AND identity = ?3 AND live = 1)";
        let key = (user.as_bytes(), device.get(), identity.serialize());
        Ok(self.connection.prepare_cached(sql)?.query_row(key, |row| row.get(0))?)
    }

    /// Whether a device had this identity key before its present one.
    pub(crate) fn was_replaced(
        &self,
        user: UserId,
        device: DeviceId,
        identity: &IdentityKey,
    ) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM replaced_identity
                   WHERE user_id = ?1 AND device_id = ?2 AND identity = ?3)";
        let key = (user.as_bytes(), device.get(), identity.serialize());
        Ok(self.connection.prepare_cached(sql)?.query_row(key, |row| row.get(0))?)
    }

    /// Whether a key of this device was replaced, or the device removed.
    pub(crate) fn has_replaced_key(&self, user: UserId, device: DeviceId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM replaced_identity WHERE user_id = ?1 AND device_id = ?2)";
        let values = params![user.as_bytes(), device.get()];
        Ok(self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
    }

    pub(crate) fn trust(&self, user: UserId) -> Result<Option<TrustState>> {
        let trust: Option<i64> = self
            .connection
            .prepare_cached("SELECT trust FROM contact WHERE user_id = ?1")?
            .query_row([user.as_bytes()], |row| row.get(0))
            .optional()?;
        trust.map(trust_from_stored).transpose()
    }
}

pub(super) const fn trust_from_stored(trust: i64) -> Result<TrustState> {
    match trust {
        0 => Ok(TrustState::FirstUse),
        1 => Ok(TrustState::Verified),
        CHANGED_SINCE_VERIFIED => Ok(TrustState::ChangedSinceVerified),
        _ => Err(Error::Storage(Storage::Corrupt)),
    }
}

impl Tx<'_> {
    pub(crate) fn ensure_contact(&mut self, user: UserId) -> Result<()> {
        self.change(
            "INSERT INTO contact (user_id, trust) VALUES (?1, 0) ON CONFLICT DO NOTHING",
            [user.as_bytes()],
        )?;
        Ok(())
    }

    /// Stores the devices of a user, which are on the user's device list if there is one. A replaced key is remembered until a
    /// bundle contains it again. Without a list, a changed identity key, and a device that is added to known ones, is reported in
    /// the same commit, never silently, and the contact is no longer verified. With a list, its account key counts instead
    /// ([`Tx::adopt_list`]).
    ///
    /// Returns whether our profile, which could not be sent to them before, is due because of a device that was not there.
    pub(crate) fn see_devices(&mut self, user: UserId, seen: &[Device]) -> Result<bool> {
        self.ensure_contact(user)?;
        let is_known = self.has_devices(user)? && !self.has_device_list(user)?;
        let (mut is_new, mut has_come) = (false, false);
        for Device { user: _, device, registration_id, identity } in seen {
            let old = self.identity(user, *device)?;
            is_new |= old.as_ref() != Some(identity);
            has_come |= !self.is_live(user, *device)?;
            match old {
                Some(old) if old == *identity => {}
                Some(old) => self.replace_identity(user, *device, &old, identity)?,
                None => self.restore_identity(user, *device, identity)?,
            }
            self.change_one(
                "INSERT INTO device (user_id, device_id, registration_id, identity, live)
                 VALUES (?1, ?2, ?3, ?4, 1)
                 ON CONFLICT (user_id, device_id) DO UPDATE
                    SET registration_id = excluded.registration_id, identity = excluded.identity, live = 1",
                params![user.as_bytes(), device.get(), registration_id, identity.serialize().as_slice()],
            )?;
        }
        let is_news_due = (is_new || has_come) && !self.is_us(user)? && self.retry_news_to(user)?;
        if is_new && is_known {
            self.note_identity_changed(user)?;
        }
        if is_new {
            self.apply_waiting_trust(user)?;
        }
        if is_new || has_come {
            self.check_chains_with(user)?;
        }
        Ok(is_news_due)
    }

    /// Whether something is sealed for a device.
    fn is_live(&self, user: UserId, device: DeviceId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM device WHERE user_id = ?1 AND device_id = ?2 AND live = 1)";
        let values = params![user.as_bytes(), device.get()];
        Ok(self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
    }

    /// The safety number of a user has changed: the contact is no longer verified, and the person is told.
    pub(super) fn note_identity_changed(&mut self, user: UserId) -> Result<()> {
        self.end_verification(user)?;
        self.emit(Event::IdentityChanged(user));
        Ok(())
    }

    /// A contact that was verified is not any more.
    pub(super) fn end_verification(&mut self, user: UserId) -> Result<()> {
        self.change("UPDATE contact SET trust = 2 WHERE user_id = ?1 AND trust = 1", [user.as_bytes()])?;
        Ok(())
    }

    fn replace_identity(
        &mut self,
        user: UserId,
        device: DeviceId,
        old: &IdentityKey,
        new: &IdentityKey,
    ) -> Result<()> {
        self.refuse_identity(user, device, old)?;
        self.restore_identity(user, device, new)
    }

    /// Nothing is opened for this key from now on.
    fn refuse_identity(&mut self, user: UserId, device: DeviceId, identity: &IdentityKey) -> Result<()> {
        self.change(
            "INSERT INTO replaced_identity (user_id, device_id, identity) VALUES (?1, ?2, ?3)
                ON CONFLICT DO NOTHING",
            (user.as_bytes(), device.get(), identity.serialize()),
        )?;
        Ok(())
    }

    /// The key counts again.
    fn restore_identity(&mut self, user: UserId, device: DeviceId, identity: &IdentityKey) -> Result<()> {
        self.change(
            "DELETE FROM replaced_identity WHERE user_id = ?1 AND device_id = ?2 AND identity = ?3",
            (user.as_bytes(), device.get(), identity.serialize()),
        )?;
        Ok(())
    }

    /// Removes a device that is no longer on its user's list: nothing is sealed for this key any more, and nothing of it opened. Its sessions are
    /// dropped.
    pub(super) fn remove_device(&mut self, user: UserId, device: DeviceId, key: &IdentityKey) -> Result<()> {
        self.refuse_identity(user, device, key)?;
        self.drop_sessions(user, device)?;
        self.change(
            "DELETE FROM device WHERE user_id = ?1 AND device_id = ?2",
            params![user.as_bytes(), device.get()],
        )?;
        Ok(())
    }

    /// Removes a device, so that nothing is sealed for it any more. Its identity key is remembered.
    pub(crate) fn forget_device(&mut self, user: UserId, device: DeviceId, now: UnixSeconds) -> Result<()> {
        self.change(
            "UPDATE device SET live = 0 WHERE user_id = ?1 AND device_id = ?2",
            params![user.as_bytes(), device.get()],
        )?;
        self.archive_sessions(user, device, now)
    }

    pub(crate) fn set_trust(&mut self, user: UserId, trust: TrustState) -> Result<()> {
        let trust = match trust {
            TrustState::FirstUse => 0,
            TrustState::Verified => 1,
            TrustState::ChangedSinceVerified => CHANGED_SINCE_VERIFIED,
        };
        match self
            .change("UPDATE contact SET trust = ?2 WHERE user_id = ?1", params![user.as_bytes(), trust])?
        {
            1 => {
                self.note_trust(user)?;
                self.retry_news_to(user)?;
                self.emit_threads_of(user)
            }
            _ => Err(Error::NotFound),
        }
    }
}
