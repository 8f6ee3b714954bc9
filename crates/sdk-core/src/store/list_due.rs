//! Device lists that are to be fetched from the relay, because somebody has named a later one than the known one, or another one with
//! the same version, or because something came from a device that is not on it.

use rusqlite::{OptionalExtension as _, params};
use sealpost_protocol::device::{AccountKey, KnownDeviceList, VerifiedDeviceList};

use super::{Rows, Tx, from_sql, narrow, to_sql};
use crate::content::{ListDigest, NamedLists};
use crate::error::{Error, Result, Storage};
use crate::event::Event;
use crate::id::UserId;

/// How many lists are to be fetched at most. Beyond it, the one that is due last is forgotten.
const MOST: u32 = 1024;

/// A device list that is to be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DueList {
    pub(crate) user: UserId,
    /// The list that somebody has named.
    pub(crate) named: Option<ListDigest>,
    /// Without that: lists with this version, or a later one, settle it.
    pub(crate) at_least: u64,
    /// Whether somebody has named another list with the version of the known one.
    pub(crate) contradicts: bool,
    /// How many answers of the relay have not settled it.
    pub(crate) tries: u32,
    /// When the relay is asked next, by our clock.
    pub(crate) due_ms: u64,
}

impl DueList {
    /// Whether this list of the same account key is the one that was named, or a later one.
    pub(crate) fn is_settled_by(&self, version: u64, digest: &[u8; 32]) -> bool {
        match self.named {
            Some(named) => {
                version > named.version || (version == named.version && digest.starts_with(&named.digest))
            }
            None => version >= self.at_least,
        }
    }
}

const DUE: &str = "SELECT user_id, version, digest, contradicts, tries, due FROM device_list_due";

impl Rows<'_> {
    /// What contents to this user say about lists: which are the newest that we have, of our account and of theirs.
    pub(crate) fn named_lists(&self, us: UserId, to: Option<UserId>) -> Result<NamedLists> {
        let sql = "SELECT user_id = ?1, version, digest FROM device_list WHERE user_id IN (?1, ?2)";
        let mut statement = self.connection.prepare_cached(sql)?;
        let to = to.as_ref().map(|to| to.as_bytes());
        let mut rows = statement.query(params![us.as_bytes(), to])?;
        let mut lists = NamedLists::default();
        while let Some(row) = rows.next()? {
            let digest: [u8; 32] = row.get(2)?;
            let digest = *digest.first_chunk().ok_or(Error::Storage(Storage::Corrupt))?;
            let list = Some(ListDigest { version: from_sql(row.get(1)?)?, digest });
            if row.get(0)? { lists.own = list } else { lists.yours = list }
        }
        Ok(lists)
    }

    /// What is remembered of the newest device list of a user.
    pub(crate) fn known_list(&self, user: UserId) -> Result<Option<KnownDeviceList>> {
        let sql = "SELECT account_key, version, digest FROM device_list WHERE user_id = ?1";
        let row = self.connection.prepare_cached(sql)?.query_row([user.as_bytes()], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?, row.get::<_, [u8; 32]>(2)?))
        });
        let Some((account, version, digest)) = row.optional()? else { return Ok(None) };
        Ok(Some(KnownDeviceList {
            account: AccountKey::parse(&account)?,
            version: from_sql(version)?,
            digest,
        }))
    }

    /// Whether the list of this user is to be fetched, and why.
    pub(crate) fn due_list(&self, user: UserId) -> Result<Option<DueList>> {
        self.one_due_list(&format!("{DUE} WHERE user_id = ?1"), [user.as_bytes()])
    }

    /// Whether somebody has named another list of this user with the version of the known one.
    pub(crate) fn is_list_contradicted(&self, user: UserId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM device_list_due WHERE user_id = ?1 AND contradicts = 1)";
        Ok(self.connection.prepare_cached(sql)?.query_row([user.as_bytes()], |row| row.get(0))?)
    }

    /// The list that is to be fetched first.
    pub(crate) fn next_due_list(&self) -> Result<Option<DueList>> {
        self.one_due_list(&format!("{DUE} ORDER BY due LIMIT 1"), [])
    }

    #[cfg(test)]
    pub(crate) fn count_due_lists(&self) -> Result<u32> {
        let sql = "SELECT count(*) FROM device_list_due";
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }

    fn one_due_list(&self, sql: &str, values: impl rusqlite::Params) -> Result<Option<DueList>> {
        let row = self.connection.prepare_cached(sql)?.query_row(values, |row| {
            let digest: Option<[u8; 16]> = row.get(2)?;
            Ok((
                row.get::<_, Vec<u8>>(0)?,
                row.get::<_, i64>(1)?,
                digest,
                row.get(3)?,
                row.get::<_, i64>(4)?,
                row.get::<_, i64>(5)?,
            ))
        });
        let Some((user, version, digest, contradicts, tries, due)) = row.optional()? else { return Ok(None) };
        let version = from_sql(version)?;
        Ok(Some(DueList {
            user: UserId::from_slice(&user)?,
            named: digest.map(|digest| ListDigest { version, digest }),
            at_least: if digest.is_some() { 0 } else { version },
            contradicts,
            tries: narrow(tries)?,
            due_ms: from_sql(due)?,
        }))
    }
}

impl Tx<'_> {
    /// The list of this user is to be fetched, because of this one that was named, if one was.
    pub(crate) fn set_list_due(
        &mut self,
        user: UserId,
        named: Option<ListDigest>,
        contradicts: bool,
    ) -> Result<()> {
        let version = named.map_or(0, |named| named.version);
        self.insert_due_list(user, version, named.map(|named| named.digest), contradicts)
    }

    /// The list of this user is to be fetched, because somebody has named one with this version who need not know it. 0: any list will do.
    pub(crate) fn set_version_due(&mut self, user: UserId, version: u64) -> Result<()> {
        self.insert_due_list(user, version, None, false)
    }

    fn insert_due_list(
        &mut self,
        user: UserId,
        version: u64,
        digest: Option<[u8; 16]>,
        contradicts: bool,
    ) -> Result<()> {
        self.change_one(
            "INSERT INTO device_list_due (user_id, version, digest, contradicts) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (user_id) DO UPDATE SET version = excluded.version, digest = excluded.digest,
                contradicts = excluded.contradicts, tries = 0, due = 0",
            params![user.as_bytes(), to_sql(version)?, digest, contradicts],
        )?;
        self.change(
            "DELETE FROM device_list_due WHERE user_id <> ?1 AND user_id = (SELECT user_id FROM device_list_due ORDER BY due DESC LIMIT 1)
                AND (SELECT count(*) FROM device_list_due) > ?2",
            params![user.as_bytes(), MOST],
        )?;
        Ok(())
    }

    /// The relay is asked again at this time of our clock, after this many answers.
    pub(crate) fn put_list_off(&mut self, user: UserId, tries: u32, due_ms: u64) -> Result<()> {
        let sql = "UPDATE device_list_due SET tries = ?2, due = ?3 WHERE user_id = ?1";
        self.change(sql, params![user.as_bytes(), tries, to_sql(due_ms)?])?;
        Ok(())
    }

    /// The list of this user need not be fetched.
    pub(crate) fn forget_due_list(&mut self, user: UserId) -> Result<()> {
        self.change("DELETE FROM device_list_due WHERE user_id = ?1", [user.as_bytes()])?;
        Ok(())
    }

    /// A list of this user has become the newest one. If another one with the same version was named, they contradict each other.
    pub(super) fn settle_due_list(
        &mut self,
        user: UserId,
        list: &VerifiedDeviceList,
        is_same_account: bool,
    ) -> Result<()> {
        let Some(due) = self.due_list(user)? else { return Ok(()) };
        if !is_same_account || due.is_settled_by(list.version(), list.digest()) {
            // What waited for it is sent.
            let sql =
                "UPDATE lane SET due = 0 WHERE lane IN (SELECT thread_id FROM member WHERE user_id = ?1)";
            self.change(sql, [user.as_bytes()])?;
            return self.forget_due_list(user);
        }
        let contradicts = due.named.is_some_and(|named| named.version == list.version());
        if contradicts {
            self.emit(Event::DeviceListRefused(user));
        }
        if due.named.is_none() {
            return self.set_version_due(user, due.at_least);
        }
        self.set_list_due(user, due.named, contradicts)
    }
}
