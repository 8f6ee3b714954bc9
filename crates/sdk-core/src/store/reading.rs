//! Which messages the person has read.
//!
//! A thread has a read mark: a position up to which its incoming messages have been read. Moving the mark reads any number of
//! messages and changes one row. The number of unread messages in the thread's row is kept equal to what the mark says.
//!
//! A message that is added at a position before the mark is late. It is an exception from the mark: its own row says whether it
//! has been read. So do the rows of databases from before there were marks.
//!
//! Read receipts are queued in the order of the messages, a limited number in one transaction. A row of `read_receipt_due` says
//! where to continue, so that none is lost and none is queued twice, even if the process ends in between.

use rusqlite::{OptionalExtension as _, params};

use super::{Rows, Tx};
use crate::error::{Error, Result};
use crate::id::{ClientMsgId, MessageId, ThreadId};
use crate::message::Position;

/// Incoming, and read if the mark of its thread has reached it.
pub(super) const STATE_INCOMING: i64 = 10;
/// Late and read.
pub(super) const STATE_READ_LATE: i64 = 11;
/// Late and unread.
pub(super) const STATE_LATE: i64 = 12;

/// How many messages to count at first, to find out of which kind there are fewer.
const FIRST_COUNT: u32 = 1024;

/// What was marked as read in one transaction.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MarkedRead {
    /// The contents for which a read receipt is to be queued in the same transaction.
    pub(crate) to_confirm: Vec<ClientMsgId>,
    /// Whether there may be more late messages to mark.
    pub(crate) is_partial: bool,
    /// Whether more receipts are due.
    pub(crate) more_due: bool,
}

/// A message that has been read: its position, and the id of its content if it could be opened.
type ReadMessage = (Position, Option<ClientMsgId>);

impl Rows<'_> {
    /// The position up to which a thread has been read.
    pub(super) fn read_mark(&self, thread: ThreadId) -> Result<Position> {
        let sql = "SELECT read_position, read_id FROM thread WHERE thread_id = ?1";
        let mark = self
            .connection
            .prepare_cached(sql)?
            .query_row([thread.as_bytes()], |row| Ok(Position { order: row.get(0)?, id: row.get(1)? }));
        Ok(mark.optional()?.unwrap_or(Position::FIRST))
    }

    /// The last incoming message up to a position.
    fn last_incoming(&self, thread: ThreadId, up_to: Position) -> Result<Option<Position>> {
        let sql = "SELECT position, id FROM message
                   WHERE thread_id = ?1 AND state = 10 AND position <= ?2 AND (position, id) <= (?2, ?3)
                   ORDER BY position DESC, id DESC LIMIT 1";
        let last = self
            .connection
            .prepare_cached(sql)?
            .query_row(params![thread.as_bytes(), up_to.order, up_to.id], |row| {
                Ok(Position { order: row.get(0)?, id: row.get(1)? })
            });
        Ok(last.optional()?)
    }

    /// Up to `limit` incoming messages after a position and up to another, in their order.
    fn incoming_between(
        &self,
        thread: ThreadId,
        (after, up_to): (Position, Position),
        limit: u32,
    ) -> Result<Vec<ReadMessage>> {
        let sql = "SELECT position, id, content_id FROM message
                   WHERE thread_id = ?1 AND state = 10 AND position BETWEEN ?2 AND ?4
                       AND (position, id) > (?2, ?3) AND (position, id) <= (?4, ?5)
                   ORDER BY position, id LIMIT ?6";
        let mut statement = self.connection.prepare_cached(sql)?;
        let values = params![thread.as_bytes(), after.order, after.id, up_to.order, up_to.id, limit];
        let rows = statement.query_map(values, |row| {
            Ok((Position { order: row.get(0)?, id: row.get(1)? }, row.get::<_, Option<Vec<u8>>>(2)?))
        })?;
        rows.map(|row| {
            let (position, content_id) = row?;
            Ok((position, content_id.map(|id| ClientMsgId::from_slice(&id)).transpose()?))
        })
        .collect()
    }

    /// The number of incoming messages after a position and up to another, but at most `limit`.
    fn count_between(
        &self,
        thread: ThreadId,
        (after, up_to): (Position, Position),
        limit: u32,
    ) -> Result<u32> {
        let sql = "SELECT count(*) FROM (SELECT 1 FROM message
                   WHERE thread_id = ?1 AND state = 10 AND position BETWEEN ?2 AND ?4
                       AND (position, id) > (?2, ?3) AND (position, id) <= (?4, ?5) LIMIT ?6)";
        let values = params![thread.as_bytes(), after.order, after.id, up_to.order, up_to.id, limit];
        Ok(self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
    }

    /// Up to `limit` late messages of a thread that are unread, up to a position and a time of arrival.
    fn late_unread(
        &self,
        thread: ThreadId,
        (up_to, came_until): (Position, MessageId),
        limit: usize,
    ) -> Result<Vec<(MessageId, Option<ClientMsgId>)>> {
        let sql = "SELECT id, content_id FROM message
                   WHERE thread_id = ?1 AND state = 12 AND (position, id) <= (?2, ?3) AND id <= ?4
                   ORDER BY position, id LIMIT ?5";
        let mut statement = self.connection.prepare_cached(sql)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let values = params![thread.as_bytes(), up_to.order, up_to.id, came_until.0, limit];
        let rows = statement
            .query_map(values, |row| Ok((MessageId(row.get(0)?), row.get::<_, Option<Vec<u8>>>(1)?)))?;
        rows.map(|row| {
            let (id, content_id) = row?;
            Ok((id, content_id.map(|id| ClientMsgId::from_slice(&id)).transpose()?))
        })
        .collect()
    }

    fn unread_count(&self, thread: ThreadId) -> Result<u32> {
        let sql = "SELECT unread FROM thread WHERE thread_id = ?1";
        Ok(self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| row.get(0))?)
    }

    /// How many messages of a thread will be unread when its mark, which is at `old`, is at `new`. Counts what is unread or what
    /// has been read, whichever is less.
    fn unread_after(&self, thread: ThreadId, old: Position, new: Position) -> Result<u32> {
        let mut limit = FIRST_COUNT;
        loop {
            let left = self.count_between(thread, (new, Position::LAST), limit)?;
            if left < limit {
                let sql = "SELECT count(*) FROM message WHERE thread_id = ?1 AND state = 12";
                let late: u32 =
                    self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| row.get(0))?;
                return Ok(left.saturating_add(late));
            }
            let read = self.count_between(thread, (old, new), limit)?;
            if read < limit {
                return Ok(self.unread_count(thread)?.saturating_sub(read));
            }
            limit = limit.saturating_mul(4);
        }
    }

    /// Whether receipts are due in any thread.
    pub(crate) fn are_any_receipts_due(&self) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM read_receipt_due)";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    fn are_receipts_due(&self, thread: ThreadId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM read_receipt_due WHERE thread_id = ?1)";
        Ok(self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Marks the messages of a thread up to and including this one as read. Among the late messages, it marks those that arrived
    /// no later than `came_until`, and at most `limit` of them. `limit` is also the maximum number of receipts in one
    /// transaction.
    pub(crate) fn mark_read(
        &mut self,
        thread: ThreadId,
        up_to: MessageId,
        came_until: MessageId,
        limit: usize,
    ) -> Result<MarkedRead> {
        let up_to = self.position_of(up_to)?;
        // The person has not seen messages that arrived after `came_until`, even at positions that they have read up to.
        self.change(
            "UPDATE message SET state = 12
             WHERE id > ?4 AND +thread_id = ?1 AND state = 10 AND (position, id) <= (?2, ?3)",
            params![thread.as_bytes(), up_to.order, up_to.id, came_until.0],
        )?;
        let mut to_confirm = self.move_mark(thread, up_to, limit)?;
        let late = self.late_unread(thread, (up_to, came_until), limit)?;
        for (id, _) in &late {
            self.change_one("UPDATE message SET state = 11 WHERE id = ?1", [id.0])?;
            self.emit_changed(*id)?;
        }
        let count = i64::try_from(late.len()).map_err(|_| Error::Bug("too many messages"))?;
        if count > 0 {
            let sql = "UPDATE thread SET unread = max(unread - ?2, 0) WHERE thread_id = ?1";
            self.change_one(sql, params![thread.as_bytes(), count])?;
        }
        let is_partial = late.len() == limit;
        to_confirm.extend(late.into_iter().filter_map(|(_, content_id)| content_id));
        Ok(MarkedRead { to_confirm, is_partial, more_due: self.are_receipts_due(thread)? })
    }

    /// Moves the mark of a thread forward, never back. Returns the contents for which the caller queues receipts in the same
    /// transaction. If there are more than `limit`, it returns none, and records that their receipts are due.
    fn move_mark(&mut self, thread: ThreadId, up_to: Position, limit: usize) -> Result<Vec<ClientMsgId>> {
        let old = self.read_mark(thread)?;
        // The mark is at an incoming message: one of ours may still get another position.
        let Some(new) = self.last_incoming(thread, up_to)?.filter(|new| *new > old) else {
            return Ok(Vec::new());
        };
        let one_more = u32::try_from(limit.saturating_add(1)).map_err(|_| Error::Bug("too many messages"))?;
        let read = self.incoming_between(thread, (old, new), one_more)?;
        let is_small = read.len() <= limit;
        let unread = match u32::try_from(read.len()) {
            Ok(read) if is_small => self.unread_count(thread)?.saturating_sub(read),
            _ => self.unread_after(thread, old, new)?,
        };
        self.change_one(
            "UPDATE thread SET read_position = ?2, read_id = ?3, unread = ?4 WHERE thread_id = ?1",
            params![thread.as_bytes(), new.order, new.id, unread],
        )?;
        if is_small {
            for (position, _) in &read {
                self.emit_changed(MessageId(position.id))?;
            }
        } else {
            self.look_again();
        }
        if is_small && !self.are_receipts_due(thread)? {
            return Ok(read.into_iter().filter_map(|(_, content_id)| content_id).collect());
        }
        self.change(
            "INSERT INTO read_receipt_due (thread_id, position, id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            params![thread.as_bytes(), old.order, old.id],
        )?;
        Ok(Vec::new())
    }

    /// The next contents, up to `limit` of one thread, for which a read receipt is due. Their receipts are no longer due after
    /// this transaction.
    pub(crate) fn take_due_receipts(&mut self, limit: usize) -> Result<Option<(ThreadId, Vec<ClientMsgId>)>> {
        let sql = "SELECT thread_id, position, id, read_position, read_id
                   FROM read_receipt_due JOIN thread USING (thread_id) LIMIT 1";
        let due = self.connection.prepare_cached(sql)?.query_row([], |row| {
            let after = Position { order: row.get(1)?, id: row.get(2)? };
            Ok((row.get::<_, Vec<u8>>(0)?, after, Position { order: row.get(3)?, id: row.get(4)? }))
        });
        let Some((thread, after, mark)) = due.optional()? else { return Ok(None) };
        let thread = ThreadId::from_slice(&thread)?;
        let most = u32::try_from(limit).map_err(|_| Error::Bug("too many messages"))?;
        let read = self.incoming_between(thread, (after, mark), most)?;
        match read.last().filter(|_| read.len() == limit) {
            Some((last, _)) => self.change_one(
                "UPDATE read_receipt_due SET position = ?2, id = ?3 WHERE thread_id = ?1",
                params![thread.as_bytes(), last.order, last.id],
            )?,
            None => {
                let sql = "DELETE FROM read_receipt_due WHERE thread_id = ?1";
                self.change_one(sql, [thread.as_bytes()])?;
            }
        }
        Ok(Some((thread, read.into_iter().filter_map(|(_, content_id)| content_id).collect())))
    }
}
