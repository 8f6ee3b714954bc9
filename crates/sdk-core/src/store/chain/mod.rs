//! Sender keys: the chains with which the devices of a group encrypt what they send there, ours and theirs.
//!
//! A chain belongs to a device with an identity key in a group, and its distribution id says so. What is encrypted with ours is read by the
//! devices that hold it. A member or device that is removed holds nothing that is sent afterwards, because then a new chain begins; and of
//! their own chains, nothing is left here.

mod incoming;
mod outgoing;

use rusqlite::{OptionalExtension as _, params};

use super::thread::ADMIN;
use super::{Rows, Tx, from_sql, to_sql};
use crate::content::RosterHead;
use crate::error::{Error, Result, Storage};
use crate::id::{DeviceId, ThreadId, UserId};

pub(crate) use incoming::ChainIn;
pub(crate) use outgoing::{ChainOut, DISTRIBUTION_SLOT, Holder};

/// A permission that only admins have, in `roster.permissions`.
const ADMINS: u8 = 2;

/// Whether we can write in a group, by what its roster says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writable {
    Yes,
    /// Not now: the roster is not known, was contradicted, or has an entry that this version does not understand.
    NotNow,
    /// We are not a member, or the group was dissolved.
    Never,
    /// Only admins write.
    AdminsOnly,
}

/// How far this device knows the roster of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupHead {
    pub(crate) version: u64,
    /// Of the entry with this version.
    pub(crate) hash: [u8; 32],
    /// Of the last removal of a member or a device.
    pub(crate) removal_version: u64,
}

impl GroupHead {
    /// As contents name it.
    pub(crate) fn named(&self) -> RosterHead {
        let mut digest = [0; 16];
        digest.iter_mut().zip(self.hash).for_each(|(byte, of_hash)| *byte = of_hash);
        RosterHead { version: self.version, digest }
    }
}

impl Rows<'_> {
    /// How far this device knows the roster of a group; none if it knows nothing of it.
    pub(crate) fn group_head(&self, thread: ThreadId) -> Result<Option<GroupHead>> {
        let sql = "SELECT roster_version, roster_head, removal_version FROM thread WHERE thread_id = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([thread.as_bytes()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let Some(hash) = row.get::<_, Option<Vec<u8>>>(1)? else { return Ok(None) };
        Ok(Some(GroupHead {
            version: from_sql(row.get(0)?)?,
            hash: hash.try_into().map_err(|_| Error::Storage(Storage::Corrupt))?,
            removal_version: from_sql(row.get(2)?)?,
        }))
    }
}

impl Rows<'_> {
    /// Whether we can write in a group.
    pub(crate) fn is_writable(&self, thread: ThreadId, us: UserId) -> Result<Writable> {
        let sql = "SELECT dissolved, unknown_since > 0 OR contradicted_by IS NOT NULL, permissions,
                       (SELECT role FROM member WHERE member.thread_id = roster.thread_id AND user_id = ?2)
                   FROM roster WHERE thread_id = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![thread.as_bytes(), us.as_bytes()])?;
        let Some(row) = rows.next()? else { return Ok(Writable::NotNow) };
        let (is_dissolved, is_unclear): (bool, bool) = (row.get(0)?, row.get(1)?);
        let [write, ..]: [u8; 3] = row.get(2)?;
        let role: Option<i64> = row.get(3)?;
        Ok(match role {
            None => Writable::Never,
            Some(_) if is_dissolved => Writable::Never,
            Some(_) if is_unclear => Writable::NotNow,
            Some(role) if write == ADMINS && role != ADMIN => Writable::AdminsOnly,
            Some(_) => Writable::Yes,
        })
    }
}

impl Rows<'_> {
    /// Whether a member may not write what was sealed for this version of the roster. What was sealed before the last restriction may have been on its
    /// way, and the relay has not refused it.
    pub(crate) fn is_silent(&self, thread: ThreadId, user: UserId, sealed_for: u64) -> Result<bool> {
        let sql = "SELECT permissions FROM roster JOIN member USING (thread_id)
                   WHERE thread_id = ?1 AND user_id = ?2 AND role <> ?3 AND floor <= ?4";
        let values = params![thread.as_bytes(), user.as_bytes(), ADMIN, to_sql(sealed_for)?];
        let permissions =
            self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?;
        Ok(permissions.is_some_and(|[write, ..]: [u8; 3]| write == ADMINS))
    }
}

impl Tx<'_> {
    /// The roster of a group has changed, and the rows of the thread and of its members were stored before. Whoever is not a member has no chain
    /// any more, and nothing waits for them; whoever is new gets ours before the next message.
    pub(crate) fn roster_changed(&mut self, thread: ThreadId, now_ms: u64) -> Result<()> {
        for table in ["chain_in", "chain_skipped", "chain_holder"] {
            let sql = format!(
                "DELETE FROM {table} WHERE thread_id = ?1
                    AND user_id NOT IN (SELECT user_id FROM member WHERE thread_id = ?1)"
            );
            self.change(&sql, [thread.as_bytes()])?;
        }
        let sql = "UPDATE chain_out SET is_checked = 0 WHERE thread_id = ?1 AND is_checked = 1";
        self.change(sql, [thread.as_bytes()])?;
        self.advance_without_some(thread, now_ms)
    }

    #[cfg(test)]
    pub(crate) fn set_group_head(&mut self, thread: ThreadId, head: &GroupHead) -> Result<()> {
        self.change_one(
            "UPDATE thread SET roster_version = ?2, roster_head = ?3, removal_version = ?4 WHERE thread_id = ?1",
            params![
                thread.as_bytes(),
                to_sql(head.version)?,
                head.hash.as_slice(),
                to_sql(head.removal_version)?
            ],
        )?;
        self.change(
            "INSERT INTO roster (thread_id, permissions, timer, commitment, secret_version, floor, details_version, dissolved,
                unknown_since) VALUES (?1, x'010101', 0, zeroblob(32), 0, 0, 0, 0, 0) ON CONFLICT DO NOTHING",
            [thread.as_bytes()],
        )?;
        self.change(
            "INSERT INTO roster_entry (thread_id, version, hash, outcome, entry) VALUES (?1, ?2, ?3, 1, x'') ON CONFLICT DO NOTHING",
            params![thread.as_bytes(), to_sql(head.version)?, head.hash.as_slice()],
        )
        .map(drop)
    }

    /// Only admins write since this version, or everybody; and this member is an admin.
    #[cfg(test)]
    pub(crate) fn set_writers(
        &mut self,
        thread: ThreadId,
        (only_admins, since): (bool, u64),
        admin: UserId,
    ) -> Result<()> {
        let permissions = if only_admins { [ADMINS, 1, 1] } else { [1; 3] };
        let sql = "UPDATE roster SET permissions = ?2, floor = ?3 WHERE thread_id = ?1";
        self.change_one(sql, params![thread.as_bytes(), permissions, to_sql(since)?])?;
        let sql = "UPDATE member SET role = ?3 WHERE thread_id = ?1 AND user_id = ?2";
        self.change_one(sql, params![thread.as_bytes(), admin.as_bytes(), ADMIN])
    }

    /// A device was removed by its account, or has another identity key: nothing that comes under its chains is opened any more, and what
    /// we send goes under new ones.
    pub(super) fn drop_chains_of(&mut self, user: UserId, device: DeviceId) -> Result<()> {
        let of_device = params![user.as_bytes(), device.get()];
        self.change(
            "DELETE FROM chain_out WHERE thread_id IN
                (SELECT thread_id FROM chain_holder WHERE user_id = ?1 AND device_id = ?2)",
            of_device,
        )?;
        for table in ["chain_in", "chain_skipped", "chain_holder"] {
            let sql = format!("DELETE FROM {table} WHERE user_id = ?1 AND device_id = ?2");
            self.change(&sql, of_device)?;
        }
        Ok(())
    }

    /// The devices of a user have changed: whether all have our chains is looked up before the next message.
    pub(super) fn check_chains_with(&mut self, user: UserId) -> Result<()> {
        let sql = "UPDATE chain_out SET is_checked = 0 WHERE is_checked = 1
                       AND thread_id IN (SELECT thread_id FROM member WHERE user_id = ?1)";
        self.change(sql, [user.as_bytes()]).map(drop)
    }
}
