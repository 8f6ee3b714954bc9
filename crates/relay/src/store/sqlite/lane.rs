//! The state of a thread that is needed to append: its members, and its last position.

use std::collections::BTreeMap;

use rusqlite::{Connection, Result, params};
use sealpost_wire::id::{ThreadId, UserId};

use super::columns::{address, expect_one, user};
use crate::address::Address;
use crate::store::{Audience, Stored};

/// The amount that a thread has delivered so far to a member who has not accepted it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Requested {
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

/// The last position of a thread.
#[derive(Debug)]
pub(super) struct Tail {
    last: Stored,
    /// Whether it is not yet written to the row of the thread.
    has_advanced: bool,
}

impl Tail {
    /// As it is stored.
    pub(super) const fn at(last: Stored) -> Self {
        Self { last, has_advanced: false }
    }

    /// The next position. Its clock value is always greater than the last one, even if the relay's clock stands still
    /// or goes back.
    pub(super) fn next(&self, now_ms: u64) -> Stored {
        Stored {
            server_seq: self.last.server_seq.saturating_add(1),
            hlc: self.last.hlc.saturating_add(1).max(now_ms.saturating_mul(1 << 16)),
        }
    }

    /// A message has been assigned this position.
    pub(super) fn advance(&mut self, to: Stored) {
        (self.last, self.has_advanced) = (to, true);
    }

    /// Writes it, if it has changed.
    pub(super) fn write(&self, tx: &Connection, thread: ThreadId) -> Result<()> {
        if !self.has_advanced {
            return Ok(());
        }
        expect_one(
            tx.prepare_cached("UPDATE thread SET last_seq = ?2, last_hlc = ?3 WHERE thread_id = ?1")?
                .execute(params![thread.as_bytes(), self.last.server_seq, self.last.hlc])?,
        )
    }
}

/// A thread, read once for all messages of a group.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) tail: Tail,
    pub(super) roster_version: u64,
    /// In order, including members without a device.
    members: Vec<UserId>,
    /// The live devices of all members in order of their addresses, with their registration ids.
    pub(super) live: Vec<(Address, u32)>,
    /// Members whose accounts were deleted.
    pub(super) deleted: Vec<UserId>,
    /// Members with a device who have not accepted the thread, with what it has delivered to them.
    pub(super) not_accepted: BTreeMap<UserId, Requested>,
    /// Members of a direct thread who block the other one.
    blocking: Vec<UserId>,
}

impl Lane {
    /// Reads the thread, if it exists.
    fn read(tx: &Connection, thread: ThreadId) -> Result<Option<Self>> {
        let mut statement = tx.prepare_cached(
            "SELECT last_seq, last_hlc, roster_version, thread_member.user_id, device_id, registration_id,
                accepted, requested_messages, requested_bytes, deleted_ms IS NOT NULL, blocks
             FROM thread CROSS JOIN thread_member USING (thread_id)
                LEFT JOIN device ON device.user_id = thread_member.user_id
                LEFT JOIN deleted_account ON deleted_account.user_id = thread_member.user_id
             WHERE thread_id = ?1 ORDER BY thread_member.user_id, device_id",
        )?;
        let mut rows = statement.query([thread.as_bytes()])?;
        let mut found: Option<Self> = None;
        while let Some(row) = rows.next()? {
            let lane = match &mut found {
                Some(lane) => lane,
                none => none.insert(Self {
                    tail: Tail::at(Stored { server_seq: row.get(0)?, hlc: row.get(1)? }),
                    roster_version: row.get(2)?,
                    members: Vec::new(),
                    live: Vec::new(),
                    deleted: Vec::new(),
                    not_accepted: BTreeMap::new(),
                    blocking: Vec::new(),
                }),
            };
            let member = user(row, 3)?;
            if lane.members.last() != Some(&member) {
                lane.members.push(member);
                if row.get(9)? {
                    lane.deleted.push(member);
                }
                if row.get(10)? {
                    lane.blocking.push(member);
                }
            }
            // A member without devices has one row with no device.
            if let Some(registration) = row.get(5)? {
                lane.live.push((address(row, 3, 4)?, registration));
                if !row.get::<_, bool>(6)? {
                    let so_far = Requested { messages: row.get(7)?, bytes: row.get(8)? };
                    lane.not_accepted.insert(member, so_far);
                }
            }
        }
        Ok(found)
    }

    /// Whether no member is left to receive a message of this one.
    pub(super) fn is_left_alone(&self, sender: UserId) -> bool {
        !self.deleted.is_empty()
            && self.members.iter().all(|member| *member == sender || self.deleted.contains(member))
    }

    /// Whether another member blocks this one.
    pub(super) fn blocks(&self, sender: UserId) -> bool {
        self.blocking.iter().any(|member| *member != sender)
    }

    pub(super) fn has_member(&self, user: UserId) -> bool {
        self.members.contains(&user)
    }
}

/// Who may receive mail of this member, in a direct thread.
pub(super) fn audience(tx: &Connection, thread: ThreadId, member: UserId) -> Result<Option<Audience>> {
    let lane = Lane::read(tx, thread)?.filter(|lane| lane.has_member(member));
    Ok(lane.map(|lane| Audience {
        left_alone: lane.is_left_alone(member),
        is_group: false,
        not_accepted: lane
            .not_accepted
            .into_keys()
            .chain(lane.blocking)
            .filter(|other| *other != member)
            .collect(),
        live: lane.live,
    }))
}

/// The threads that a group has read, with last positions that are not yet written.
#[derive(Debug, Default)]
pub(super) struct Lanes(BTreeMap<ThreadId, Lane>);

impl Lanes {
    /// A thread in its state after the operations of the group so far, if it exists.
    pub(super) fn get(&mut self, tx: &Connection, thread: ThreadId) -> Result<Option<&mut Lane>> {
        use std::collections::btree_map::Entry;
        Ok(match self.0.entry(thread) {
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(unknown) => Lane::read(tx, thread)?.map(|lane| unknown.insert(lane)),
        })
    }

    /// Writes the last positions, and forgets the threads, because other operations may change them now.
    pub(super) fn write(&mut self, tx: &Connection) -> Result<()> {
        for (thread, lane) in std::mem::take(&mut self.0) {
            lane.tail.write(tx, thread)?;
        }
        Ok(())
    }
}
