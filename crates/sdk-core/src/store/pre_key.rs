//! Our pre-keys, with which others start sessions with this device.

use rusqlite::{OptionalExtension as _, params};
use sealpost_protocol::{
    Consumed, KemPreKey, KemPreKeyId, OneTimePreKey, OneTimePreKeyId, SignedPreKey, SignedPreKeyId,
};
use sealpost_wire::KeyCounts;
use zeroize::Zeroizing;

use super::{Rows, Tx, from_sql, to_sql};
use crate::error::Result;

impl Rows<'_> {
    pub(crate) fn signed_pre_key(&self, id: SignedPreKeyId) -> Result<Option<SignedPreKey>> {
        let record = self.record("SELECT record FROM signed_pre_key WHERE id = ?1", id.0)?;
        Ok(record.map(|record| SignedPreKey::from_bytes(&record)).transpose()?)
    }

    pub(crate) fn one_time_pre_key(&self, id: OneTimePreKeyId) -> Result<Option<OneTimePreKey>> {
        let record = self.record("SELECT record FROM one_time_pre_key WHERE id = ?1", id.0)?;
        Ok(record.map(|record| OneTimePreKey::from_bytes(&record)).transpose()?)
    }

    pub(crate) fn kem_pre_key(&self, id: KemPreKeyId) -> Result<Option<KemPreKey>> {
        let record = self.record("SELECT record FROM kem_pre_key WHERE id = ?1", id.0)?;
        Ok(record.map(|record| KemPreKey::from_bytes(&record)).transpose()?)
    }

    /// When the current signed pre-key was created; `None` if there is none.
    pub(crate) fn signed_pre_key_created(&self) -> Result<Option<u64>> {
        let sql = "SELECT max(created) FROM signed_pre_key WHERE replaced IS NULL";
        let created: Option<i64> = self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        created.map(from_sql).transpose()
    }

    /// The keys that the relay may not have yet: the current signed and last-resort keys, and one-time keys.
    pub(crate) fn pre_keys_to_upload(&self) -> Result<PreKeys> {
        let signed =
            self.records("SELECT record FROM signed_pre_key WHERE uploaded = 0 AND replaced IS NULL")?;
        let last_resort = self.records(
            "SELECT record FROM kem_pre_key WHERE uploaded = 0 AND last_resort = 1 AND replaced IS NULL",
        )?;
        let one_time = self.records("SELECT record FROM one_time_pre_key WHERE uploaded = 0 ORDER BY id")?;
        let one_time_kem = self
            .records("SELECT record FROM kem_pre_key WHERE uploaded = 0 AND last_resort = 0 ORDER BY id")?;
        Ok(PreKeys {
            signed: signed.last().map(|record| SignedPreKey::from_bytes(record)).transpose()?,
            last_resort: last_resort.last().map(|record| KemPreKey::from_bytes(record)).transpose()?,
            one_time: one_time.iter().map(|r| OneTimePreKey::from_bytes(r)).collect::<Result<_, _>>()?,
            one_time_kem: one_time_kem.iter().map(|r| KemPreKey::from_bytes(r)).collect::<Result<_, _>>()?,
        })
    }

    /// The highest id among the one-time and KEM keys that were uploaded and still exist here; 0 if there are none.
    pub(crate) fn newest_uploaded(&self) -> Result<u32> {
        let sql = "SELECT max((SELECT coalesce(max(id), 0) FROM one_time_pre_key WHERE uploaded = 1),
                              (SELECT coalesce(max(id), 0) FROM kem_pre_key WHERE uploaded = 1))";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// How many one-time keys of each kind are stored here, whether or not the relay has them.
    pub(crate) fn one_time_pre_keys(&self) -> Result<KeyCounts> {
        let sql = "SELECT (SELECT count(*) FROM one_time_pre_key),
                          (SELECT count(*) FROM kem_pre_key WHERE last_resort = 0)";
        let count = |row: &rusqlite::Row<'_>| {
            Ok(KeyCounts { ec: row.get(0)?, kem: row.get(1)?, ..KeyCounts::default() })
        };
        Ok(self.connection.prepare_cached(sql)?.query_row([], count)?)
    }

    fn record(&self, sql: &str, id: u32) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let record = self.connection.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()?;
        Ok(record.map(Zeroizing::new))
    }

    fn records(&self, sql: &str) -> Result<Vec<Zeroizing<Vec<u8>>>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let records = statement.query_map([], |row| row.get(0).map(Zeroizing::new))?;
        Ok(records.collect::<Result<_, _>>()?)
    }
}

/// A set of our pre-keys.
#[derive(Default)]
pub(crate) struct PreKeys {
    pub(crate) signed: Option<SignedPreKey>,
    pub(crate) last_resort: Option<KemPreKey>,
    pub(crate) one_time: Vec<OneTimePreKey>,
    pub(crate) one_time_kem: Vec<KemPreKey>,
}

impl PreKeys {
    pub(crate) fn is_empty(&self) -> bool {
        self.signed.is_none()
            && self.last_resort.is_none()
            && self.one_time.is_empty()
            && self.one_time_kem.is_empty()
    }
}

impl Tx<'_> {
    /// Stores new keys. A new signed or last-resort key replaces the current one.
    pub(crate) fn insert_pre_keys(&mut self, keys: &PreKeys, now_ms: u64) -> Result<()> {
        let now = to_sql(now_ms)?;
        if let Some(key) = &keys.signed {
            self.change("UPDATE signed_pre_key SET replaced = ?1 WHERE replaced IS NULL", [now])?;
            self.change_one(
                "INSERT INTO signed_pre_key (id, record, created, uploaded) VALUES (?1, ?2, ?3, 0)",
                params![key.id().0, &*key.to_bytes(), now],
            )?;
        }
        if let Some(key) = &keys.last_resort {
            self.change(
                "UPDATE kem_pre_key SET replaced = ?1 WHERE last_resort = 1 AND replaced IS NULL",
                [now],
            )?;
            self.insert_kem(key, true, now)?;
        }
        for key in &keys.one_time {
            self.change_one(
                "INSERT INTO one_time_pre_key (id, record, uploaded) VALUES (?1, ?2, 0)",
                params![key.id().0, &*key.to_bytes()],
            )?;
        }
        for key in &keys.one_time_kem {
            self.insert_kem(key, false, now)?;
        }
        Ok(())
    }

    /// Records that the relay has these keys.
    pub(crate) fn set_pre_keys_uploaded(&mut self, keys: &PreKeys) -> Result<()> {
        let one_time = "UPDATE one_time_pre_key SET uploaded = 1 WHERE id = ?1";
        let kem = "UPDATE kem_pre_key SET uploaded = 1 WHERE id = ?1";
        if let Some(key) = &keys.signed {
            self.change_one("UPDATE signed_pre_key SET uploaded = 1 WHERE id = ?1", [key.id().0])?;
        }
        // A one-time key may have been used and deleted before the upload is answered.
        for key in &keys.one_time {
            self.change(one_time, [key.id().0])?;
        }
        for key in keys.one_time_kem.iter().chain(&keys.last_resort) {
            self.change(kem, [key.id().0])?;
        }
        Ok(())
    }

    /// Deletes the one-time keys that a first message has used, in the transaction that stores its session. If it has used
    /// the last-resort key instead, records this use. Returns false if the same use was recorded before, which means that
    /// the first message is a replay.
    pub(crate) fn consume_pre_keys(&mut self, consumed: &Consumed) -> Result<bool> {
        if let Some(id) = consumed.one_time {
            self.change_one("DELETE FROM one_time_pre_key WHERE id = ?1", [id.0])?;
        }
        let Some(kem) = consumed.kem else { return Ok(true) };
        if self.change("DELETE FROM kem_pre_key WHERE id = ?1 AND last_resort = 0", [kem.0])? == 1 {
            return Ok(true);
        }
        let used = self.change(
            "INSERT INTO last_resort_use (kem_id, signed_id, base_key) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            params![kem.0, consumed.signed.0, consumed.base_key.as_slice()],
        )?;
        Ok(used == 1)
    }

    /// Records which one-time keys have been given out, given how many the relay has left. The relay gives out the oldest
    /// ones first.
    pub(crate) fn note_given_out(&mut self, left: KeyCounts, now_ms: u64) -> Result<()> {
        let now = to_sql(now_ms)?;
        self.change(
            "UPDATE one_time_pre_key SET given_out = ?1 WHERE uploaded = 1 AND given_out IS NULL AND id NOT IN
                (SELECT id FROM one_time_pre_key WHERE uploaded = 1 ORDER BY id DESC LIMIT ?2)",
            params![now, left.ec],
        )?;
        self.change(
            "UPDATE kem_pre_key SET given_out = ?1
             WHERE last_resort = 0 AND uploaded = 1 AND given_out IS NULL AND id NOT IN
                (SELECT id FROM kem_pre_key WHERE last_resort = 0 AND uploaded = 1 ORDER BY id DESC LIMIT ?2)",
            params![now, left.kem],
        )?;
        Ok(())
    }

    /// Marks all keys as given out or replaced, because the relay no longer gives them out. Peers may have received them
    /// earlier, so they are kept for a while, like all other such keys.
    pub(crate) fn give_up_pre_keys(&mut self, now_ms: u64) -> Result<()> {
        let now = to_sql(now_ms)?;
        self.change(
            "UPDATE one_time_pre_key SET given_out = ?1, uploaded = 1 WHERE given_out IS NULL",
            [now],
        )?;
        self.change(
            "UPDATE kem_pre_key SET given_out = ?1, uploaded = 1 WHERE last_resort = 0 AND given_out IS NULL",
            [now],
        )?;
        self.change("UPDATE signed_pre_key SET replaced = ?1 WHERE replaced IS NULL", [now])?;
        self.change(
            "UPDATE kem_pre_key SET replaced = ?1 WHERE last_resort = 1 AND replaced IS NULL",
            [now],
        )?;
        Ok(())
    }

    /// Deletes the keys that the relay has not given out since `before_ms`: signed keys that were replaced earlier, and
    /// unused one-time keys that were given out earlier.
    pub(crate) fn forget_old_pre_keys(&mut self, before_ms: u64) -> Result<()> {
        let before = to_sql(before_ms)?;
        self.change("DELETE FROM signed_pre_key WHERE replaced < ?1", [before])?;
        self.change("DELETE FROM one_time_pre_key WHERE given_out < ?1", [before])?;
        self.change("DELETE FROM kem_pre_key WHERE replaced < ?1 OR given_out < ?1", [before])?;
        Ok(())
    }

    fn insert_kem(&mut self, key: &KemPreKey, last_resort: bool, now: i64) -> Result<()> {
        self.change_one(
            "INSERT INTO kem_pre_key (id, record, last_resort, created, uploaded) VALUES (?1, ?2, ?3, ?4, 0)",
            params![key.id().0, &*key.to_bytes(), last_resort, now],
        )
    }
}
