//! Which of our posts in a group its members have, as their receipts say. A message is delivered, or read, when all of them say so.

use std::collections::BTreeMap;

use rusqlite::params;

use super::heard::to_counts;
use super::outgoing::to_number;
use super::{MarkKind, Rows};
use crate::content::{Counts, Run};
use crate::error::Result;
use crate::id::{MessageId, ThreadId, UserId};
use crate::message::{MemberReceipt, MessageReceipts};

/// What was received, and what was read.
pub(super) struct Held {
    pub(super) delivered: Counts,
    pub(super) read: Counts,
}

impl Default for Held {
    fn default() -> Self {
        Self { delivered: Counts::none(), read: Counts::none() }
    }
}

impl Rows<'_> {
    /// The posts of a run of ours that every other member has received, and those that every one has read.
    pub(super) fn held_by_all(&self, thread: ThreadId, run: Run) -> Result<Held> {
        let all = self.held(thread, run)?.into_values().reduce(|all, theirs| Held {
            delivered: all.delivered.common(&theirs.delivered),
            read: all.read.common(&theirs.read),
        });
        Ok(all.unwrap_or_default())
    }

    /// What the other members of a thread have said of a message of ours; none if it is not in the thread, or not ours.
    pub(crate) fn receipts_of(
        &self,
        thread: ThreadId,
        message: MessageId,
    ) -> Result<Option<MessageReceipts>> {
        let sql = "SELECT run, count FROM message WHERE id = ?1 AND thread_id = ?2 AND outgoing IS NOT NULL
                       AND hidden IS NULL";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![message.0, thread.as_bytes()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        // Before it is sealed, it has no number, and nobody has it.
        let number = to_number(row.get(0)?, row.get(1)?)?;
        let held = self.held(thread, number.map_or(Run([0; 8]), |number| number.run))?;
        let count = number.map_or(0, |number| number.count);
        let members = held.into_iter().map(|(user, held)| {
            let is_read = held.read.contains(count);
            MemberReceipt { user, is_delivered: is_read || held.delivered.contains(count), is_read }
        });
        Ok(Some(MessageReceipts { members: members.collect() }))
    }

    /// What each other member has said of the posts of a run. What was read was delivered.
    fn held(&self, thread: ThreadId, run: Run) -> Result<BTreeMap<UserId, Held>> {
        let sql = "SELECT m.user_id, k.kind, k.up_to, k.excepted FROM member AS m
                   LEFT JOIN mark AS k ON k.thread_id = ?1 AND k.run = ?2 AND k.user_id = m.user_id AND k.kind IN (1, 2)
                   WHERE m.thread_id = ?1 AND m.user_id IS NOT (SELECT user_id FROM account)";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![thread.as_bytes(), run.0.as_slice()])?;
        let mut members = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let user = UserId::from_slice(&row.get::<_, Vec<u8>>(0)?)?;
            let held = members.entry(user).or_insert_with(Held::default);
            let Some(kind) = row.get::<_, Option<i64>>(1)? else { continue };
            let counts = to_counts((row.get(2)?, row.get(3)?))?;
            held.delivered = held.delivered.union(&counts);
            if kind == MarkKind::Read.to_stored() {
                held.read = held.read.union(&counts);
            }
        }
        Ok(members)
    }
}
