//! The chains of other devices in groups, and the keys of messages that have not come yet.

use rusqlite::{OptionalExtension as _, params};
use sealpost_protocol::group::{SenderKeyRecord, SkippedChange, SkippedKey, SkippedKeyId};
use sealpost_protocol::{DistributionId, IdentityKey, SenderKeyMessage, UnixSeconds};
use zeroize::Zeroizing;

use super::super::{Rows, Tx, from_sql, to_sql};
use crate::error::{Error, Result, Storage};
use crate::id::{DeviceId, ThreadId, UserId};

/// How many chains of a device are kept in a group: the present one, and those before the last removals, under which something may still be
/// on its way.
const MAX_DISTRIBUTIONS: u32 = 3;

/// A device in a group.
pub(crate) type InGroup = (ThreadId, UserId, DeviceId);

/// The chains of a device in a group since one removal.
pub(crate) struct ChainIn {
    pub(crate) record: SenderKeyRecord,
    /// Of the device that has distributed it.
    pub(crate) identity: IdentityKey,
    pub(crate) removal_version: u64,
}

impl Rows<'_> {
    /// The chains of a device for a distribution.
    pub(crate) fn chain_in(&self, of: InGroup, distribution: DistributionId) -> Result<Option<ChainIn>> {
        let sql = "SELECT record, identity, removal_version FROM chain_in
                   WHERE thread_id = ?1 AND user_id = ?2 AND device_id = ?3 AND distribution = ?4";
        let (thread, user, device) = of;
        let values =
            params![thread.as_bytes(), user.as_bytes(), device.get(), distribution.as_bytes().as_slice()];
        let row = self.connection.prepare_cached(sql)?.query_row(values, |row| {
            Ok((Zeroizing::new(row.get::<_, Vec<u8>>(0)?), row.get::<_, Vec<u8>>(1)?, row.get(2)?))
        });
        let Some((record, identity, removal_version)) = row.optional()? else { return Ok(None) };
        let corrupt = |_| Error::Storage(Storage::Corrupt);
        Ok(Some(ChainIn {
            record: SenderKeyRecord::from_bytes(&record).map_err(corrupt)?,
            identity: IdentityKey::parse(&identity)?,
            removal_version: from_sql(removal_version)?,
        }))
    }

    /// How many chains of a user there are.
    #[cfg(test)]
    pub(crate) fn count_chains_in(&self, user: UserId) -> Result<u32> {
        let sql = "SELECT count(*) FROM chain_in WHERE user_id = ?1";
        Ok(self.connection.query_row(sql, [user.as_bytes()], |row| row.get(0))?)
    }

    /// The skipped key that a message needs, if it comes late.
    pub(crate) fn chain_skipped(
        &self,
        of: InGroup,
        message: &SenderKeyMessage,
    ) -> Result<Option<SkippedKey>> {
        let sql = "SELECT seed, kept_since FROM chain_skipped WHERE thread_id = ?1 AND user_id = ?2 AND device_id = ?3
                       AND distribution = ?4 AND chain = ?5 AND number = ?6";
        let (thread, user, device) = of;
        let id = SkippedKeyId::of(message);
        let values = params![
            thread.as_bytes(),
            user.as_bytes(),
            device.get(),
            id.distribution_id.as_bytes().as_slice(),
            id.chain_id,
            id.iteration
        ];
        let row = self
            .connection
            .prepare_cached(sql)?
            .query_row(values, |row| Ok((Zeroizing::new(row.get::<_, [u8; 32]>(0)?), row.get::<_, i64>(1)?)));
        let Some((seed, since)) = row.optional()? else { return Ok(None) };
        Ok(Some(SkippedKey::new(id, *seed, Some(UnixSeconds(from_sql(since)?)))))
    }
}

impl Tx<'_> {
    /// Stores the chains of a device, and forgets those before earlier removals.
    pub(crate) fn put_chain_in(&mut self, of: InGroup, chain: &ChainIn, now_ms: u64) -> Result<()> {
        let (thread, user, device) = of;
        self.change_one(
            "INSERT INTO chain_in (thread_id, user_id, device_id, distribution, identity, removal_version, record, since)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT DO UPDATE SET identity = excluded.identity, record = excluded.record",
            params![
                thread.as_bytes(),
                user.as_bytes(),
                device.get(),
                chain.record.distribution_id().as_bytes().as_slice(),
                chain.identity.serialize().as_slice(),
                to_sql(chain.removal_version)?,
                &*chain.record.to_bytes(),
                to_sql(now_ms)?
            ],
        )?;
        let old = "SELECT distribution FROM chain_in WHERE thread_id = ?1 AND user_id = ?2 AND device_id = ?3
                   ORDER BY removal_version DESC LIMIT -1 OFFSET ?4";
        for table in ["chain_skipped", "chain_in"] {
            let sql = format!(
                "DELETE FROM {table} WHERE thread_id = ?1 AND user_id = ?2 AND device_id = ?3 AND distribution IN ({old})"
            );
            let values = params![thread.as_bytes(), user.as_bytes(), device.get(), MAX_DISTRIBUTIONS];
            self.change(&sql, values)?;
        }
        Ok(())
    }

    /// The chains of a device have advanced.
    pub(crate) fn set_chain_in(&mut self, of: InGroup, record: &SenderKeyRecord) -> Result<()> {
        let (thread, user, device) = of;
        let sql = "UPDATE chain_in SET record = ?5
                   WHERE thread_id = ?1 AND user_id = ?2 AND device_id = ?3 AND distribution = ?4";
        self.change_one(
            sql,
            params![
                thread.as_bytes(),
                user.as_bytes(),
                device.get(),
                record.distribution_id().as_bytes().as_slice(),
                &*record.to_bytes()
            ],
        )
    }

    /// Stores the changes to the skipped keys of the chains of a device.
    pub(crate) fn store_chain_skipped(
        &mut self,
        of: InGroup,
        changes: Vec<SkippedChange>,
        now: UnixSeconds,
    ) -> Result<()> {
        let (thread, user, device) = of;
        let (thread, user, device) = (thread.as_bytes(), user.as_bytes(), device.get());
        for change in changes {
            match change {
                SkippedChange::Keep(key) => self.change_one(
                    "INSERT INTO chain_skipped (thread_id, user_id, device_id, distribution, chain, number, seed, kept_since)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    params![
                        thread,
                        user,
                        device,
                        key.id.distribution_id.as_bytes().as_slice(),
                        key.id.chain_id,
                        key.id.iteration,
                        key.seed.expose().as_slice(),
                        to_sql(key.since.unwrap_or(now).0)?
                    ],
                )?,
                SkippedChange::Forget(id) => self.change_one(
                    "DELETE FROM chain_skipped WHERE thread_id = ?1 AND user_id = ?2 AND device_id = ?3
                        AND distribution = ?4 AND chain = ?5 AND number = ?6",
                    params![
                        thread,
                        user,
                        device,
                        id.distribution_id.as_bytes().as_slice(),
                        id.chain_id,
                        id.iteration
                    ],
                )?,
                SkippedChange::KeepNewest { distribution_id, chain_id, count } => {
                    let id = distribution_id.as_bytes().as_slice();
                    self.change(
                        "DELETE FROM chain_skipped WHERE thread_id = ?1 AND user_id = ?2 AND device_id = ?3
                            AND distribution = ?4 AND chain = ?5 AND number <= (SELECT number FROM chain_skipped
                                WHERE thread_id = ?1 AND user_id = ?2 AND device_id = ?3 AND distribution = ?4 AND chain = ?5
                                ORDER BY number DESC LIMIT 1 OFFSET ?6)",
                        params![thread, user, device, id, chain_id, count],
                    )?;
                }
                SkippedChange::ForgetChain { distribution_id, chain_id } => {
                    let id = distribution_id.as_bytes().as_slice();
                    self.change(
                        "DELETE FROM chain_skipped WHERE thread_id = ?1 AND user_id = ?2 AND device_id = ?3
                            AND distribution = ?4 AND chain = ?5",
                        params![thread, user, device, id, chain_id],
                    )?;
                }
            }
        }
        Ok(())
    }

    /// Deletes the skipped keys that are too old to be used.
    pub(in crate::store) fn expire_chain_skipped(&mut self, oldest: i64) -> Result<()> {
        self.change("DELETE FROM chain_skipped WHERE kept_since < ?1", [oldest]).map(drop)
    }
}
