//! Which of our posts in a group its members have, as their receipts say. A message is delivered, or read, when all of them say so.

use std::collections::BTreeMap;

use rusqlite::params;

use super::heard::{to_counts, to_run};
use super::outgoing::to_number;
use super::thread::is_in_sample;
use super::{MarkKind, Rows, from_sql, to_sql};
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

/// A member, and what they have said of the posts of a run.
struct Member {
    /// The version of the roster since which they are one.
    since: u64,
    /// What somebody who is blocked says has no effect, so nothing waits for it.
    is_blocked: bool,
    held: Held,
}

impl Member {
    /// Whether a message was sealed for them, if it was for the roster with this version; 0 if that is not known.
    const fn was_there(&self, sealed_for: u64) -> bool {
        sealed_for == 0 || self.since <= sealed_for
    }
}

impl Rows<'_> {
    /// The posts of a run of ours that every other member has received, and those that every one has read: of those who were members in the roster
    /// with this version, or of all present ones if it is 0, and are not blocked.
    pub(super) fn held_by_all(&self, run: (ThreadId, Run), sealed_for: u64) -> Result<Held> {
        let members = self.held(run)?.into_values();
        let heard = members.filter(|member| member.was_there(sealed_for) && !member.is_blocked);
        let all = heard.map(|member| member.held).reduce(|all, theirs| Held {
            delivered: all.delivered.common(&theirs.delivered),
            read: all.read.common(&theirs.read),
        });
        Ok(all.unwrap_or_default())
    }

    /// The versions of the rosters that messages with these numbers were sealed for; 0 if it is not known.
    pub(super) fn rosters_of(&self, (thread, run): (ThreadId, Run), numbers: &Counts) -> Result<Vec<u64>> {
        let sql =
            "SELECT DISTINCT coalesce(roster, 0) FROM message WHERE run = ?2 AND count BETWEEN ?3 AND ?4
                       AND outgoing IS NOT NULL AND count IS NOT NULL AND thread_id = ?1";
        let first = numbers.ranges().first().map_or(1, |(first, _)| *first);
        let values = params![thread.as_bytes(), run.0.as_slice(), to_sql(first)?, to_sql(numbers.highest())?];
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(values, |row| row.get::<_, i64>(0))?;
        rows.map(|row| from_sql(row?)).collect()
    }

    /// The runs of ours in a thread about which something is told.
    pub(super) fn marked_runs_in(&self, thread: ThreadId) -> Result<Vec<Run>> {
        let sql = "SELECT DISTINCT run FROM mark WHERE thread_id = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([thread.as_bytes()], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|row| to_run(&row?)).collect()
    }

    /// What the other members of a thread have said of a message of ours; none if it is not in the thread, or not ours. Who has joined since is
    /// left out, and so is, in a large group, who sends no receipts.
    pub(crate) fn receipts_of(
        &self,
        thread: ThreadId,
        message: MessageId,
    ) -> Result<Option<MessageReceipts>> {
        let sql = "SELECT run, count, coalesce(roster, 0) FROM message WHERE id = ?1 AND thread_id = ?2
                       AND outgoing IS NOT NULL AND hidden IS NULL";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![message.0, thread.as_bytes()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        // Before it is sealed, it has no number, and nobody has it.
        let number = to_number(row.get(0)?, row.get(1)?)?;
        let sealed_for = from_sql(row.get(2)?)?;
        let held = self.held((thread, number.map_or(Run([0; 8]), |number| number.run)))?;
        let count = number.map_or(0, |number| number.count);
        let were_there = held.into_iter().filter(|(_, member)| member.was_there(sealed_for));
        let members = were_there.map(|(user, Member { held, .. })| {
            let is_read = held.read.contains(count);
            MemberReceipt { user, is_delivered: is_read || held.delivered.contains(count), is_read }
        });
        let recipients = self.count_recipients(thread, sealed_for)?;
        Ok(Some(MessageReceipts { members: members.collect(), recipients }))
    }

    /// How many other members of a thread were there in the roster with this version; all present ones if it is 0.
    fn count_recipients(&self, thread: ThreadId, sealed_for: u64) -> Result<usize> {
        let sql = "SELECT count(*) FROM member WHERE thread_id = ?1
                       AND user_id IS NOT (SELECT user_id FROM account) AND (?2 = 0 OR since <= ?2)";
        let values = params![thread.as_bytes(), to_sql(sealed_for)?];
        let count: u32 = self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// What each other member has said of the posts of a run who sends receipts. What was read was delivered.
    fn held(&self, (thread, run): (ThreadId, Run)) -> Result<BTreeMap<UserId, Member>> {
        let sql = "SELECT m.user_id, k.kind, k.up_to, k.excepted, m.since,
                       EXISTS (SELECT 1 FROM contact WHERE contact.user_id = m.user_id AND blocked > 0) FROM member AS m
                   LEFT JOIN mark AS k ON k.thread_id = ?1 AND k.run = ?2 AND k.user_id = m.user_id AND k.kind IN (1, 2)
                   WHERE m.thread_id = ?1 AND m.user_id IS NOT (SELECT user_id FROM account)";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![thread.as_bytes(), run.0.as_slice()])?;
        let size = self.count_members(thread)?;
        let mut members = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let user = UserId::from_slice(&row.get::<_, Vec<u8>>(0)?)?;
            if !is_in_sample(thread, user, size) {
                continue;
            }
            let (since, is_blocked) = (from_sql(row.get(4)?)?, row.get(5)?);
            let new = || Member { since, is_blocked, held: Held::default() };
            let Member { held, .. } = members.entry(user).or_insert_with(new);
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
