//! Changes of rosters that this device is to make: they remain until the relay has decided, and are made one after the other in a group.

use rusqlite::{OptionalExtension as _, params};
use sealpost_protocol::group::{GroupSecret, LinkSecret};
use sealpost_wire::roster::{Change, Entry};
use zeroize::Zeroizing;

use super::{Rows, Tx, to_sql};
use crate::error::{Error, Result, Storage};
use crate::id::ThreadId;

/// A change that is to be made.
pub(crate) struct DueChange {
    pub(crate) id: i64,
    pub(crate) thread: ThreadId,
    /// Without secrets; details are not encrypted.
    pub(crate) change: Change,
    /// As it was signed last.
    pub(crate) entry: Option<Entry>,
    /// How often it was signed.
    pub(crate) times: u32,
}

type Row = (i64, [u8; 16], Vec<u8>, Option<Vec<u8>>, u32);

impl Rows<'_> {
    /// The oldest change of the first group after this one that has one.
    pub(crate) fn next_change(&self, after: Option<ThreadId>) -> Result<Option<DueChange>> {
        let sql = "SELECT id, thread_id, change, entry, times FROM roster_change
                   WHERE thread_id > ?1 ORDER BY thread_id, id LIMIT 1";
        let after = after.as_ref().map_or(&[][..], |after| after.as_bytes());
        let row = self
            .connection
            .prepare_cached(sql)?
            .query_row([after], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)));
        row.optional()?.map(due).transpose()
    }

    /// The newest secret of a group that is here, with its version.
    pub(crate) fn group_secret(&self, thread: ThreadId, version: u64) -> Result<Option<GroupSecret>> {
        let sql = "SELECT secret FROM group_secret WHERE thread_id = ?1 AND version = ?2";
        let key = params![thread.as_bytes(), to_sql(version)?];
        let secret: Option<Vec<u8>> =
            self.connection.prepare_cached(sql)?.query_row(key, |row| row.get(0)).optional()?;
        Ok(secret.and_then(|secret| GroupSecret::parse(&secret)))
    }

    /// The secret that the newest roster means, with its version, as members tell it to each other; none if it is not here.
    pub(crate) fn present_group_secret(
        &self,
        thread: ThreadId,
    ) -> Result<Option<(Zeroizing<[u8; 32]>, u64)>> {
        let Some(state) = self.roster_state(thread)? else { return Ok(None) };
        let secret = self.group_secret(thread, state.secret_version)?;
        let secret = secret.filter(|secret| secret.is_meant_by(&state.commitment));
        Ok(secret.map(|secret| (Zeroizing::new(*secret.expose()), state.secret_version)))
    }

    /// The secret of the link with this public key, if it is here.
    pub(crate) fn group_link(&self, thread: ThreadId, public_key: &[u8]) -> Result<Option<LinkSecret>> {
        let sql = "SELECT secret FROM group_link WHERE thread_id = ?1 AND public_key = ?2";
        let key = params![thread.as_bytes(), public_key];
        let secret: Option<Zeroizing<Vec<u8>>> = self
            .connection
            .prepare_cached(sql)?
            .query_row(key, |row| Ok(Zeroizing::new(row.get(0)?)))
            .optional()?;
        Ok(secret.and_then(|secret| LinkSecret::parse(&secret)))
    }

    /// Groups in whose rosters our device list is older than the one that we have, and in which nothing is to be changed.
    pub(crate) fn groups_with_old_list(&self) -> Result<Vec<ThreadId>> {
        let sql = "SELECT m.thread_id FROM account AS a JOIN device_list AS l ON l.user_id = a.user_id
                   JOIN member AS m ON m.user_id = a.user_id AND m.list_version < l.version
                       AND (m.list_version > 0 OR m.account_key = l.account_key)
                   JOIN roster AS r ON r.thread_id = m.thread_id AND r.dissolved = 0
                   WHERE a.is_primary = 1 AND NOT EXISTS (SELECT 1 FROM roster_change AS c WHERE c.thread_id = m.thread_id)";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| row.get::<_, [u8; 16]>(0))?;
        rows.map(|row| Ok(ThreadId::from_bytes(row?))).collect()
    }

    /// One entry of a group.
    pub(crate) fn roster_entry(&self, thread: ThreadId, version: u64) -> Result<Option<Entry>> {
        let sql = "SELECT entry FROM roster_entry WHERE thread_id = ?1 AND version = ?2";
        let key = params![thread.as_bytes(), to_sql(version)?];
        let entry: Option<Vec<u8>> =
            self.connection.prepare_cached(sql)?.query_row(key, |row| row.get(0)).optional()?;
        entry.map(|entry| Entry::parse(&entry).map_err(|_| Error::Storage(Storage::Corrupt))).transpose()
    }
}

impl Tx<'_> {
    pub(crate) fn queue_change(&mut self, thread: ThreadId, change: &Change) -> Result<i64> {
        let values = params![thread.as_bytes(), change.to_bytes()];
        self.change_one("INSERT INTO roster_change (thread_id, change) VALUES (?1, ?2)", values)?;
        Ok(self.connection.last_insert_rowid())
    }

    /// The change was signed, and is submitted with these bytes until the relay has answered.
    pub(crate) fn set_change_signed(
        &mut self,
        id: i64,
        entry: &Entry,
        secret: Option<&GroupSecret>,
    ) -> Result<()> {
        self.change_one(
            "UPDATE roster_change SET entry = ?2, secret = ?3, times = times + 1 WHERE id = ?1",
            params![id, entry.as_bytes(), secret.map(|secret| secret.expose().as_slice())],
        )
    }

    /// Stores the secret of a link, which replaces the former one as soon as it is in the roster.
    pub(crate) fn put_group_link(&mut self, thread: ThreadId, secret: &LinkSecret) -> Result<()> {
        self.change(
            "DELETE FROM group_link WHERE thread_id = ?1 AND public_key IS NOT
                (SELECT substr(link, 1, 33) FROM roster WHERE thread_id = ?1)",
            [thread.as_bytes()],
        )?;
        self.change(
            "INSERT INTO group_link (thread_id, public_key, secret) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            params![thread.as_bytes(), secret.public_key(), secret.expose()],
        )?;
        Ok(())
    }

    /// Stores a secret of a group that the roster means by this version.
    pub(crate) fn put_group_secret(
        &mut self,
        thread: ThreadId,
        version: u64,
        secret: &GroupSecret,
    ) -> Result<()> {
        self.change(
            "INSERT INTO group_secret (thread_id, version, secret) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            params![thread.as_bytes(), to_sql(version)?, secret.expose()],
        )?;
        Ok(())
    }

    /// A member has told a secret of a group. It is taken if the roster means it. One of a later roster, which is not here yet, is kept until
    /// another one is told. Returns whether title and description can be read that could not be before.
    pub(crate) fn learn_group_secret(
        &mut self,
        thread: ThreadId,
        (secret, version): (&GroupSecret, u64),
    ) -> Result<bool> {
        let Some(state) = self.roster_state(thread)? else { return Ok(false) };
        if version > state.version {
            let early = params![thread.as_bytes(), to_sql(state.version)?];
            self.change("DELETE FROM group_secret WHERE thread_id = ?1 AND version > ?2", early)?;
            self.put_group_secret(thread, version, secret)?;
            return Ok(false);
        }
        let known = self.group_secret(thread, version)?;
        let is_known = known.is_some_and(|known| known.is_meant_by(&state.commitment));
        if version != state.secret_version || is_known || !secret.is_meant_by(&state.commitment) {
            return Ok(false);
        }
        self.change_one(
            "INSERT INTO group_secret (thread_id, version, secret) VALUES (?1, ?2, ?3)
             ON CONFLICT (thread_id, version) DO UPDATE SET secret = excluded.secret",
            params![thread.as_bytes(), to_sql(version)?, secret.expose()],
        )?;
        Ok(true)
    }

    /// The change is part of the roster, with the secret that it brought.
    pub(crate) fn finish_change(&mut self, id: i64, thread: ThreadId, version: u64) -> Result<()> {
        self.change(
            "INSERT INTO group_secret (thread_id, version, secret)
             SELECT ?2, ?3, secret FROM roster_change WHERE id = ?1 AND secret IS NOT NULL
             ON CONFLICT DO NOTHING",
            params![id, thread.as_bytes(), to_sql(version)?],
        )?;
        self.drop_change(id)
    }

    /// The change is not made.
    pub(crate) fn drop_change(&mut self, id: i64) -> Result<()> {
        self.change("DELETE FROM roster_change WHERE id = ?1", [id])?;
        Ok(())
    }
}

fn due((id, thread, change, entry, times): Row) -> Result<DueChange> {
    let corrupt = |_| Error::Storage(Storage::Corrupt);
    Ok(DueChange {
        id,
        thread: ThreadId::from_bytes(thread),
        change: Change::from_bytes(&change).map_err(corrupt)?,
        entry: entry.map(|entry| Entry::parse(&entry)).transpose().map_err(corrupt)?,
        times,
    })
}
