//! Device lists: of each account, ours included, the newest one that was verified.

use rusqlite::{OptionalExtension as _, params};
use sealpost_protocol::device::{
    AccountKey, AccountMove, DeviceEntry, SignedDeviceList, Succession, VerifiedDeviceList,
};
use sealpost_protocol::{DeviceId as ProtocolDeviceId, IdentityKey};

use super::{News, Registered, Rows, Tx, to_sql};
use crate::error::{Error, Result, Storage};
use crate::event::Event;
use crate::id::{DeviceId, UserId};

impl Rows<'_> {
    /// The newest device list of a user. Its signatures are verified again, so that no list is used without that.
    pub(crate) fn device_list(&self, user: UserId) -> Result<Option<VerifiedDeviceList>> {
        let Some(list) = self.device_list_bytes(user)? else { return Ok(None) };
        let list = SignedDeviceList::parse(&list)?.verify(user.as_bytes());
        list.map(Some).map_err(|_| Error::Storage(Storage::Corrupt))
    }

    /// The newest device list of a user in its serialized form.
    pub(crate) fn device_list_bytes(&self, user: UserId) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT list FROM device_list WHERE user_id = ?1";
        Ok(self.connection.prepare_cached(sql)?.query_row([user.as_bytes()], |row| row.get(0)).optional()?)
    }

    /// Whether our own list names another device than this one. It was verified when it was stored.
    pub(crate) fn has_other_devices(&self) -> Result<bool> {
        // `account key || version || number of entries`
        let sql = "SELECT EXISTS (SELECT 1 FROM account JOIN device_list USING (user_id) WHERE substr(list, 42, 1) > x'01')";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// Whether the newest list of our account, which was verified when it was stored, is without this device. The one that signs the lists is
    /// not unlinked by them.
    pub(crate) fn is_unlinked(&self) -> Result<bool> {
        let sql =
            "SELECT list FROM account JOIN device_list USING (user_id) WHERE is_primary = 0 AND leaving = 0";
        let list: Option<Vec<u8>> =
            self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?;
        let Some(list) = list else { return Ok(false) };
        let (account, us) = self.our_account()?;
        let device = ProtocolDeviceId::new(us.device.get()).map_err(|_| Error::Storage(Storage::Corrupt))?;
        Ok(!SignedDeviceList::parse(&list)?.names(device, account.identity.public()))
    }

    pub(super) fn has_device_list(&self, user: UserId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM device_list WHERE user_id = ?1)";
        Ok(self.connection.prepare_cached(sql)?.query_row([user.as_bytes()], |row| row.get(0))?)
    }

    /// The key of a user that people compare: the account key, or the identity key of the first device as long as the account has
    /// shown no list.
    pub(crate) fn account_key_of(&self, user: UserId) -> Result<Option<AccountKey>> {
        let sql = "SELECT account_key FROM device_list WHERE user_id = ?1";
        let key: Option<Vec<u8>> =
            self.connection.prepare_cached(sql)?.query_row([user.as_bytes()], |row| row.get(0)).optional()?;
        match key {
            Some(key) => Ok(Some(AccountKey::parse(&key)?)),
            None => Ok(self.identity(user, DeviceId::PRIMARY)?.map(AccountKey::from)),
        }
    }

    /// Whether a user had this account key before the present one.
    pub(crate) fn was_account_key_replaced(&self, user: UserId, key: &AccountKey) -> Result<bool> {
        let sql =
            "SELECT EXISTS (SELECT 1 FROM replaced_account_key WHERE user_id = ?1 AND account_key = ?2)";
        let key = (user.as_bytes(), key.serialize());
        Ok(self.connection.prepare_cached(sql)?.query_row(key, |row| row.get(0))?)
    }

    /// Our account key, which people compare. Companions know it from the list.
    pub(crate) fn our_account_key(&self, us: UserId) -> Result<AccountKey> {
        let sql = "SELECT account_key FROM device_list WHERE user_id = ?1";
        let key: Option<Vec<u8>> =
            self.connection.prepare_cached(sql)?.query_row([us.as_bytes()], |row| row.get(0)).optional()?;
        match key {
            Some(key) => Ok(AccountKey::parse(&key)?),
            None => Ok(self.account_key()?.public()),
        }
    }

    /// Whether our device list is to be signed, or to be told to the relay. Only the primary device does either, and the one that has moved the
    /// account to it.
    pub(crate) fn is_own_list_due(&self) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM account LEFT JOIN device_list USING (user_id)
                   WHERE account.user_id IS NOT NULL AND leaving = 0 AND (is_primary = 1 AND list_told < coalesce(version, 1)
                      OR moved_to IS NOT NULL AND list_told = 0))";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Replaces the device list of a user. Devices that are not on it are removed, and returned.
    pub(crate) fn set_device_list(
        &mut self,
        user: UserId,
        list: &VerifiedDeviceList,
    ) -> Result<Vec<DeviceId>> {
        self.companions.set(None);
        let removed = self.remove_unlisted(user, list)?;
        let (account, digest) = (list.account_key().serialize(), list.digest());
        let before = self.known_list(user)?;
        let values = params![user.as_bytes(), account, to_sql(list.version())?, digest, list.serialize()];
        self.change_one(
            "INSERT INTO device_list (user_id, account_key, version, digest, list) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (user_id) DO UPDATE SET account_key = excluded.account_key, version = excluded.version,
                digest = excluded.digest, list = excluded.list",
            values,
        )?;
        let is_same_account = before.is_none_or(|before| before.account == *list.account_key());
        self.settle_due_list(user, list, is_same_account)?;
        self.check_chains_with(user)?;
        Ok(removed)
    }

    /// Replaces our own list. Devices that are not on it any more are removed, with their sessions; all changes are reported in the same
    /// commit.
    pub(crate) fn replace_own_list(
        &mut self,
        us: Registered,
        list: &VerifiedDeviceList,
    ) -> Result<Vec<DeviceId>> {
        let known = self.device_list(us.user)?;
        let before = known.as_ref().map_or(&[][..], VerifiedDeviceList::devices);
        let removed = self.set_device_list(us.user, list)?;
        let is_among = |entry: &DeviceEntry, others: &[DeviceEntry]| {
            others.iter().any(|other| other.device == entry.device && other.identity == entry.identity)
        };
        let mut is_any_gone = false;
        for gone in before.iter().filter(|entry| !is_among(entry, list.devices())) {
            let device = DeviceId::new(gone.device.get())?;
            self.forget_device_name(device)?;
            self.emit(Event::DeviceUnlinked(device));
            is_any_gone = true;
        }
        if is_any_gone && self.holds_account_key()? {
            // In the same commit: everybody who may still seal for it is told.
            self.set_news_due(News::DeviceList)?;
        }
        let others = list.devices().iter().filter(|entry| entry.device.get() != us.device.get());
        for new in others.filter(|entry| !before.is_empty() && !is_among(entry, before)) {
            let device = DeviceId::new(new.device.get())?;
            self.apply_waiting_name(device)?;
            let name = self.device_name(device)?;
            self.emit(Event::DeviceLinked { device, name });
        }
        let highest = list.devices().iter().map(|entry| entry.device.get()).max().unwrap_or(1);
        self.raise_highest_device(highest)?;
        self.settle_role(us, known.as_ref(), list)?;
        Ok(removed)
    }

    /// This device has become the primary one with its list, or is not any more.
    fn settle_role(
        &mut self,
        us: Registered,
        known: Option<&VerifiedDeviceList>,
        list: &VerifiedDeviceList,
    ) -> Result<()> {
        let is_moved = known.is_some_and(|known| known.account_key() != list.account_key());
        let was_primary = self.holds_account_key()?;
        if is_moved {
            let proposed = self.proposed_key(list.version().saturating_sub(1))?;
            if let Some(key) = proposed.filter(|key| key.public() == *list.account_key()) {
                self.set_account_key(&key)?;
            }
            self.emit(Event::AccountMoved(us.user));
        }
        let is_here = list.primary().is_some_and(|primary| primary.device.get() == us.device.get());
        let is_primary = is_here && self.account_key()?.public() == *list.account_key();
        if is_primary != was_primary {
            self.set_primary(is_primary)?;
        }
        if is_moved || !is_primary {
            self.forget_proposals_before(list.version())?;
        }
        let to = list.primary().map(|primary| DeviceId::new(primary.device.get())).transpose()?;
        match (was_primary, is_primary) {
            (true, false) if known.is_some() => {
                self.set_news_due(News::DeviceList)?;
                self.set_moved_to(to)
            }
            (false, true) => self.set_moved_to(None),
            _ => Ok(()),
        }
    }

    /// Takes a later list of our account. A companion that is not on it was removed, although the relay may not say so. The device that signs
    /// the lists ignores one without itself, unless it was signed after the account was moved.
    pub(crate) fn take_own_list(&mut self, list: &VerifiedDeviceList) -> Result<Vec<DeviceId>> {
        let (account, us) = self.our_account()?;
        let is_here = names(list, us.device, account.identity.public());
        if !is_here && self.holds_account_key()? && self.account_key()?.public() == *list.account_key() {
            tracing::warn!("a list of our devices is without the one that signs them");
            return Ok(Vec::new());
        }
        self.is_unlinked |= !is_here;
        self.replace_own_list(us, list)
    }

    fn remove_unlisted(&mut self, user: UserId, list: &VerifiedDeviceList) -> Result<Vec<DeviceId>> {
        let mut removed = Vec::new();
        for (device, identity) in self.known_devices(user)? {
            if !names(list, device, &identity) {
                self.remove_device(user, device, &identity)?;
                removed.push(device);
            }
        }
        Ok(removed)
    }

    /// Takes a list of another user in place of `known`, the one before. Devices that are not on it are removed, and returned. Another account key, and
    /// other devices, are reported in the same commit; another account key also ends the verification of the contact, even if the account was
    /// moved, but not if the device whose key was the account key so far has signed that it belongs to the new one.
    pub(crate) fn adopt_list(
        &mut self,
        user: UserId,
        known: Option<&VerifiedDeviceList>,
        list: &VerifiedDeviceList,
    ) -> Result<Vec<DeviceId>> {
        if self.is_us(user)? {
            return self.take_own_list(list);
        }
        self.ensure_contact(user)?;
        let before = self.account_key_of(user)?;
        let removed = self.set_device_list(user, list)?;
        if let Some(before) = before
            && before != *list.account_key()
        {
            for key in list.moves().iter().map(AccountMove::from).chain([&before]) {
                self.change(
                    "INSERT INTO replaced_account_key (user_id, account_key) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                    (user.as_bytes(), key.serialize()),
                )?;
            }
            let is_moved = match known {
                Some(known) => known.known().succession(list) == Succession::Moved,
                None => list.moved_from(&before).is_some(),
            };
            // An account whose first list was late: the device that is known has signed that it belongs to the account key.
            let vouched = known.is_none()
                && list.primary().is_some_and(|device| before == AccountKey::from(device.identity));
            if !vouched {
                self.end_verification(user)?;
                self.emit(if is_moved { Event::AccountMoved(user) } else { Event::IdentityChanged(user) });
                self.apply_waiting_trust(user)?;
                return Ok(removed);
            }
        }
        self.apply_waiting_trust(user)?;
        if before.is_some() && devices_of(known) != devices_of(Some(list)) {
            self.emit(Event::DevicesChanged(user));
        }
        Ok(removed)
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

fn names(list: &VerifiedDeviceList, device: DeviceId, identity: &IdentityKey) -> bool {
    list.devices().iter().any(|entry| entry.device.get() == device.get() && entry.identity == *identity)
}

/// The numbers of the devices on a list. An account without a list has its first device.
fn devices_of(list: Option<&VerifiedDeviceList>) -> Vec<u32> {
    let first = || vec![DeviceId::PRIMARY.get()];
    list.map_or_else(first, |list| list.devices().iter().map(|entry| entry.device.get()).collect())
}
