//! What has been read, on this device and on our other ones.
//!
//! A set of places says it for messages that have not arrived here, too. It never contains a place whose message this device has not
//! seen: what is missing here, and what came late and is unread, is left out.

use rusqlite::{OptionalExtension as _, params};

use crate::content::{Post, ReadSet, StateKey, StateValue};
use crate::error::Result;
use crate::id::{MessageId, ThreadId};
use crate::message::Position;
use crate::store::message::order_of_post;
use crate::store::reading::{STATE_LATE, STATE_READ_LATE};
use crate::store::{Rows, Tx, from_sql, to_sql};

/// How many places below the mark are looked for that were not read; more are not told.
const LOOKED_FOR: u32 = 65;
/// How many messages are reported one by one.
const REPORTED: u32 = 256;

/// The late messages `m` that no mark has read.
const UNREAD_LATE: &str =
    "m.state = 12 AND NOT EXISTS (SELECT 1 FROM late_mark AS mark WHERE mark.thread_id = m.thread_id
    AND mark.late >= m.late AND (mark.position, mark.id) >= (m.position, m.id))";

impl Rows<'_> {
    /// What has been read in a thread; none if nothing was.
    pub(super) fn own_read_set(&self, thread: ThreadId) -> Result<Option<ReadSet>> {
        if self.kind(thread)?.is_none() {
            return Ok(None);
        }
        let mark = self.read_mark(thread)?.order;
        let mut except = self.missing_places(thread, mark)?;
        let sql = format!(
            "SELECT m.position FROM message AS m WHERE m.thread_id = ?1 AND m.position <= ?2 AND m.hidden IS NULL AND {UNREAD_LATE}
             ORDER BY m.position LIMIT {LOOKED_FOR}"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![thread.as_bytes(), mark], |row| row.get(0))?;
        except.extend(rows.collect::<rusqlite::Result<Vec<i64>>>()?);
        let set = ReadSet::new(mark, except).union(&self.read_elsewhere(thread)?);
        Ok((set.up_to() > 0).then_some(set))
    }

    /// What has been read on our other devices.
    pub(super) fn read_elsewhere(&self, thread: ThreadId) -> Result<ReadSet> {
        match self.said(&StateKey::Read(thread))? {
            Some(StateValue::Read(set)) => Ok(set),
            _ => Ok(ReadSet::default()),
        }
    }

    /// The first places up to one that are not accounted for.
    fn missing_places(&self, thread: ThreadId, up_to: i64) -> Result<Vec<i64>> {
        let sql = "SELECT epoch, seen_up_to FROM thread WHERE thread_id = ?1";
        let seen = self
            .connection
            .prepare_cached(sql)?
            .query_row([thread.as_bytes()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
        let Some((epoch, seen)) = seen.optional()? else { return Ok(Vec::new()) };
        let (epoch, mut next) = (from_sql(epoch)?, from_sql(seen)?.saturating_add(1));
        let place = |server_seq| order_of_post(Post { epoch, server_seq });
        let sql = "SELECT server_seq FROM seen_ahead WHERE thread_id = ?1 ORDER BY server_seq";
        let mut statement = self.connection.prepare_cached(sql)?;
        let ahead = statement.query_map([thread.as_bytes()], |row| row.get::<_, i64>(0))?;
        let mut ahead = ahead.map(|seq| from_sql(seq?)).collect::<Result<Vec<_>>>()?.into_iter().peekable();
        let mut missing = Vec::new();
        while place(next)? <= up_to && missing.len() < LOOKED_FOR as usize {
            match ahead.next_if_eq(&next) {
                Some(_) => {}
                None => missing.push(place(next)?),
            }
            next = next.saturating_add(1);
        }
        Ok(missing)
    }
}

impl Tx<'_> {
    /// Another device of ours says what has been read. Nobody else is told: that device tells the authors.
    pub(super) fn merge_read(&mut self, thread: ThreadId, set: &ReadSet) -> Result<()> {
        let known = self.read_elsewhere(thread)?;
        let all = known.union(set);
        if all == known {
            return Ok(());
        }
        self.set_said(&StateKey::Read(thread), &StateValue::Read(all.clone()), None)?;
        if self.kind(thread)?.is_some() { self.read_as_elsewhere(thread, &all) } else { Ok(()) }
    }

    /// Reads what has been read on our other devices.
    pub(super) fn read_as_elsewhere(&mut self, thread: ThreadId, set: &ReadSet) -> Result<()> {
        self.read_late_of(thread, set)?;
        let (old, new) = (self.read_mark(thread)?, Position { order: set.up_to(), id: i64::MAX });
        if new > old {
            self.leave_out(thread, old, set)?;
            self.set_mark_elsewhere(thread, old, new)?;
        }
        self.count_mentions(thread)
    }

    /// Late messages that are unread here and were read elsewhere.
    fn read_late_of(&mut self, thread: ThreadId, set: &ReadSet) -> Result<()> {
        let sql = format!(
            "SELECT m.id, m.position FROM message AS m WHERE m.thread_id = ?1 AND m.position <= ?2 AND {UNREAD_LATE}"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement
            .query_map(params![thread.as_bytes(), set.up_to()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let late = rows.collect::<rusqlite::Result<Vec<(i64, i64)>>>()?;
        drop(statement);
        for (id, place) in late {
            if set.contains(place) {
                self.read_late(thread, MessageId(id))?;
                self.emit_changed(MessageId(id))?;
            }
        }
        Ok(())
    }

    /// A late message counts as read.
    fn read_late(&mut self, thread: ThreadId, id: MessageId) -> Result<()> {
        self.uncount_unread(thread, id)?;
        let sql = "UPDATE message SET state = ?2, late = NULL WHERE id = ?1";
        self.change_one(sql, params![id.0, STATE_READ_LATE])
    }

    /// A message has arrived behind the mark of its thread: it may have been read on another device.
    pub(in crate::store) fn read_if_read_elsewhere(&mut self, thread: ThreadId, id: MessageId) -> Result<()> {
        let place = self.position_of(id)?.order;
        if self.has_companions()? && self.read_elsewhere(thread)?.contains(place) {
            self.read_late(thread, id)?;
        }
        Ok(())
    }

    /// Makes the messages late, and leaves them unread, that the other device has left out.
    fn leave_out(&mut self, thread: ThreadId, old: Position, set: &ReadSet) -> Result<()> {
        for place in set.except().range(old.order..) {
            let left = self.change(
                "UPDATE message SET state = ?4, late = (SELECT late_count + 1 FROM thread WHERE thread_id = ?1)
                 WHERE thread_id = ?1 AND state = 10 AND position = ?2 AND (position, id) > (?2, ?3)",
                params![
                    thread.as_bytes(),
                    place,
                    if *place == old.order { old.id } else { 0 },
                    STATE_LATE
                ],
            )?;
            if left > 0 {
                self.change_one(
                    "UPDATE thread SET late_count = late_count + 1, late_unread = late_unread + ?2 WHERE thread_id = ?1",
                    params![thread.as_bytes(), to_sql(left as u64)?],
                )?;
            }
        }
        Ok(())
    }

    fn set_mark_elsewhere(&mut self, thread: ThreadId, old: Position, new: Position) -> Result<()> {
        let read = self.incoming_between(thread, (old, new), REPORTED + 1)?;
        let unread = self.unread_after(thread, old, new)?;
        if self.are_receipts_due(thread)? {
            // What follows the messages that are still to be confirmed is confirmed by the other device.
            self.change(
                "INSERT INTO read_receipt_due (thread_id, position, id, told) VALUES (?1, ?2, ?3, 0) ON CONFLICT DO NOTHING",
                params![thread.as_bytes(), old.order, old.id],
            )?;
        }
        self.change_one(
            "UPDATE thread SET read_position = ?2, read_id = ?3, unread = ?4 WHERE thread_id = ?1",
            params![thread.as_bytes(), new.order, new.id, unread],
        )?;
        if read.len() > REPORTED as usize {
            self.look_again();
            return Ok(());
        }
        read.into_iter().try_for_each(|(at, _)| self.emit_changed(MessageId(at.id)))
    }
}
