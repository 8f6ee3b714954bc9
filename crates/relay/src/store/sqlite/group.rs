//! The state of a group that is needed to post in it, and who receives its posts.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};
use sealpost_wire::id::{ThreadId, UserId};
use sealpost_wire::limits::MAX_INLINE_DEVICES;
use sealpost_wire::roster::{Role, Who};

use super::columns::{address, role, who};
use super::lane::Tail;
use crate::address::Address;
use crate::store::Stored;

/// A group, read once for all posts of a transaction.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) tail: Tail,
    pub(super) version: u64,
    /// Messages that name an earlier version are refused.
    pub(super) floor: u64,
    may_write: Who,
    is_dissolved: bool,
    /// Whether rows of an earlier post are still to be written. Then a later post waits behind it.
    pub(super) has_jobs: bool,
    /// The devices of all members, once they were read; `None` if there are more than are written at once.
    devices: Option<Option<Vec<Address>>>,
}

impl Group {
    fn read(tx: &Connection, thread: ThreadId) -> Result<Option<Self>> {
        tx.prepare_cached(
            "SELECT last_seq, last_hlc, version, floor, may_write, is_dissolved,
                EXISTS (SELECT 1 FROM job WHERE job.thread_id = ?1)
             FROM roster CROSS JOIN thread USING (thread_id) WHERE thread_id = ?1",
        )?
        .query_row([thread.as_bytes()], |row| {
            Ok(Self {
                tail: Tail::at(Stored { server_seq: row.get(0)?, hlc: row.get(1)? }),
                version: row.get(2)?,
                floor: row.get(3)?,
                may_write: who(row, 4)?,
                is_dissolved: row.get(5)?,
                has_jobs: row.get(6)?,
                devices: None,
            })
        })
        .optional()
    }

    /// Whether a member with this role may write now.
    pub(super) fn may_write(&self, role: Role) -> bool {
        !self.is_dissolved && self.may_write.includes(role)
    }

    /// The devices that receive the next message, except this one; `None` if there are too many to be written at once.
    pub(super) fn recipients(
        &mut self,
        tx: &Connection,
        thread: ThreadId,
        stored: Stored,
        sender: Address,
    ) -> Result<Option<Vec<Address>>> {
        if self.has_jobs {
            return Ok(None);
        }
        let all = match &mut self.devices {
            Some(known) => known,
            unknown => {
                // One more than fit, and the sending one.
                let most = MAX_INLINE_DEVICES.saturating_add(2);
                let found = devices_after(tx, thread, stored.server_seq, None, most)?;
                unknown.insert(Some(found).filter(|found| found.len() < most))
            }
        };
        let others = |all: &Vec<Address>| all.iter().copied().filter(|one| *one != sender).collect();
        Ok(all.as_ref().map(others).filter(|others: &Vec<_>| others.len() <= MAX_INLINE_DEVICES))
    }
}

/// The live devices of those who were members when this post was stored, in the order of their addresses.
pub(super) fn devices_after(
    tx: &Connection,
    thread: ThreadId,
    server_seq: u64,
    after: Option<Address>,
    most: usize,
) -> Result<Vec<Address>> {
    let (user, device) = after.map_or(([0; 16], 0), |after| (*after.user.as_bytes(), after.device.get()));
    tx.prepare_cached(
        "SELECT device.user_id, device_id FROM group_stay CROSS JOIN device USING (user_id)
         WHERE thread_id = ?1 AND group_stay.user_id >= ?3 AND (group_stay.user_id > ?3 OR device_id > ?4)
            AND joined_seq <= ?2 AND coalesce(left_seq, ?2) >= ?2
         ORDER BY group_stay.user_id, device_id LIMIT ?5",
    )?
    .query_map(params![thread.as_bytes(), server_seq, user, device, most], |row| address(row, 0, 1))?
    .collect()
}

/// The live devices of a user, with their registrations.
pub(super) fn devices_of(tx: &Connection, user: UserId) -> Result<Vec<(Address, u32)>> {
    tx.prepare_cached(
        "SELECT user_id, device_id, registration_id FROM device WHERE user_id = ?1 ORDER BY device_id",
    )?
    .query_map([user.as_bytes()], |row| Ok((address(row, 0, 1)?, row.get(2)?)))?
    .collect()
}

/// The role of a member, and whether this device of theirs is live; `None` for somebody else.
pub(super) fn member(tx: &Connection, thread: ThreadId, device: Address) -> Result<Option<(Role, bool)>> {
    let read = |row: &Row<'_>| Ok((role(row, 0)?, row.get(1)?));
    tx.prepare_cached(
        "SELECT role, EXISTS (SELECT 1 FROM device WHERE device.user_id = ?2 AND device_id = ?3)
         FROM group_member WHERE thread_id = ?1 AND user_id = ?2",
    )?
    .query_row(params![thread.as_bytes(), device.user.as_bytes(), device.device.get()], read)
    .optional()
}

/// What somebody is to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Member,
    Invited,
}

pub(super) fn standing(tx: &Connection, thread: ThreadId, user: UserId) -> Result<Option<Standing>> {
    for (table, standing) in [("group_member", Standing::Member), ("group_invited", Standing::Invited)] {
        let sql = format!("SELECT 1 FROM {table} WHERE thread_id = ?1 AND user_id = ?2");
        if tx.prepare_cached(&sql)?.exists([thread.as_bytes(), user.as_bytes()])? {
            return Ok(Some(standing));
        }
    }
    Ok(None)
}

/// The groups that a transaction has read, with last positions that are not yet written.
#[derive(Debug, Default)]
pub(super) struct Groups(BTreeMap<ThreadId, Group>);

impl Groups {
    /// A group in its state after the operations of the transaction so far, if it exists.
    pub(super) fn get(&mut self, tx: &Connection, thread: ThreadId) -> Result<Option<&mut Group>> {
        use std::collections::btree_map::Entry;
        Ok(match self.0.entry(thread) {
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(unknown) => Group::read(tx, thread)?.map(|group| unknown.insert(group)),
        })
    }

    /// Writes the last position of one group, and forgets the group.
    pub(super) fn forget(&mut self, tx: &Connection, thread: ThreadId) -> Result<()> {
        match self.0.remove(&thread) {
            Some(group) => group.tail.write(tx, thread),
            None => Ok(()),
        }
    }

    /// Writes the last positions, and forgets the groups, because other operations may change them now.
    pub(super) fn write(&mut self, tx: &Connection) -> Result<()> {
        for (thread, group) in std::mem::take(&mut self.0) {
            group.tail.write(tx, thread)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::tests::of_version;

    #[test]
    fn queries_made_for_each_post_use_an_index() {
        let db = of_version(17, "");
        for (sql, steps) in [
            (
                "SELECT device.user_id, device_id FROM group_stay CROSS JOIN device USING (user_id)
                 WHERE thread_id = x'09' AND group_stay.user_id >= x'05' AND (group_stay.user_id > x'05' OR device_id > 3)
                    AND joined_seq <= 7 AND coalesce(left_seq, 7) >= 7
                 ORDER BY group_stay.user_id, device_id LIMIT 9",
                &["SEARCH group_stay USING PRIMARY KEY (thread_id=? AND user_id>?)", "SEARCH device USING PRIMARY KEY (user_id=?)",
                    // Of the devices of one user, who may have stayed several times.
                    "USE TEMP B-TREE FOR LAST TERM OF ORDER BY"][..],
            ),
            (
                "SELECT role FROM group_member WHERE thread_id = x'09' AND user_id = x'05'",
                &["SEARCH group_member USING PRIMARY KEY (thread_id=? AND user_id=?)"],
            ),
            (
                "SELECT ciphertext FROM payload WHERE payload_id = 5",
                &["SEARCH payload USING INTEGER PRIMARY KEY (rowid=?)"],
            ),
            (
                "SELECT entry FROM roster_entry WHERE thread_id = x'09' AND version > 5 AND version <= 9 ORDER BY version",
                &["SEARCH roster_entry USING INDEX sqlite_autoindex_roster_entry_1 (thread_id=? AND version>? AND version<?)"],
            ),
        ] {
            let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let found: Vec<String> =
                plan.query_map([], |row| row.get(3)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
            assert_eq!(found, steps, "{sql}");
        }
    }
}
