//! Which messages the person has read.
//!
//! A thread has a read mark: a position up to which its incoming messages have been read. Moving the mark reads any number of
//! messages and changes one row. The number of unread messages in the thread's row is kept equal to what the mark says.
//!
//! A message that is added at a position before the mark is late, and the mark says nothing about it ([`late`]). So is one whose
//! content arrived after its placeholder. Rows of databases
//! from before there were marks say for themselves whether they have been read.
//!
//! What read receipts say is recorded in the order of the messages, for a limited number in one transaction. A row of
//! `read_receipt_due` says where to continue, so that none is left out, even if the process ends in between. The receipt follows
//! after the last of them. Whether their authors are told is decided when they are read: each time that has changed, there is another row.

mod late;

use rusqlite::{OptionalExtension as _, params};

use super::receipt::{NumberColumns, Numbered};
use super::{Rows, Tx};
use crate::content::{ReceiptKind, StateKey};
use crate::error::{Error, Result};
use crate::id::{MessageId, ThreadId};
use crate::message::{Position, UnreadDivider};

/// Incoming, and read if the mark of its thread has reached it.
pub(super) const STATE_INCOMING: i64 = 10;
/// Read, whatever the marks say.
pub(super) const STATE_READ_LATE: i64 = 11;
/// Late, and read if a mark for late messages has reached it.
pub(super) const STATE_LATE: i64 = 12;

/// How many messages to count at first, to find out of which kind there are fewer.
const FIRST_COUNT: u32 = 1024;

/// A moment in the order in which messages arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The message that was added last, in any thread.
    pub(in crate::store) message: MessageId,
    /// The number of the newest late message of the thread.
    pub(in crate::store) late: i64,
}

/// What is to be done for messages that were marked as read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MarkedRead {
    /// The messages of which their authors are to be told in the same transaction.
    pub(crate) to_confirm: DueRead,
    /// Whether more receipts are due, in any thread.
    pub(crate) more_due: bool,
}

/// Messages that were marked as read together with others.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DueRead {
    pub(crate) thread: ThreadId,
    pub(crate) messages: Vec<Numbered>,
    /// Whether receipts were on when they were read.
    pub(crate) is_told: bool,
    /// Whether these were the last of them.
    pub(crate) is_last: bool,
}

/// A message that has been read: its position, and its number if it has one.
type ReadMessage = (Position, Option<Numbered>);

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

    /// The last incoming message up to a position that has arrived until a moment.
    fn last_incoming(&self, thread: ThreadId, up_to: Position, until: Moment) -> Result<Option<Position>> {
        let sql = "SELECT position, id FROM message
                   WHERE thread_id = ?1 AND state = 10 AND position <= ?2 AND (position, id) <= (?2, ?3) AND id <= ?4
                   ORDER BY position DESC, id DESC LIMIT 1";
        let values = params![thread.as_bytes(), up_to.order, up_to.id, until.message.0];
        let last = self
            .connection
            .prepare_cached(sql)?
            .query_row(values, |row| Ok(Position { order: row.get(0)?, id: row.get(1)? }));
        Ok(last.optional()?)
    }

    /// Up to `limit` incoming messages after a position and up to another, in their order.
    pub(in crate::store) fn incoming_between(
        &self,
        thread: ThreadId,
        (after, up_to): (Position, Position),
        limit: u32,
    ) -> Result<Vec<ReadMessage>> {
        let sql = "SELECT position, id, author, device, run, count FROM message
                   WHERE thread_id = ?1 AND state = 10 AND position BETWEEN ?2 AND ?4
                       AND (position, id) > (?2, ?3) AND (position, id) <= (?4, ?5)
                   ORDER BY position, id LIMIT ?6";
        let mut statement = self.connection.prepare_cached(sql)?;
        let values = params![thread.as_bytes(), after.order, after.id, up_to.order, up_to.id, limit];
        let rows = statement.query_map(values, |row| {
            Ok((Position { order: row.get(0)?, id: row.get(1)? }, NumberColumns::read(row, 2)?))
        })?;
        rows.map(|row| {
            let (position, columns) = row?;
            Ok((position, columns.numbered(thread)?))
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

    /// Where the unread messages of a thread begin; none if all have been read.
    pub(crate) fn unread_divider(&self, thread: ThreadId) -> Result<Option<UnreadDivider>> {
        let (unread, late) = self.unread_counts(thread)?;
        if unread == 0 {
            return Ok(None);
        }
        let mark = self.read_mark(thread)?;
        let sql = "SELECT position, id FROM message WHERE thread_id = ?1 AND state = 10 AND position >= ?2
                       AND (position, id) > (?2, ?3) AND hidden IS NULL ORDER BY position, id LIMIT 1";
        let values = params![thread.as_bytes(), mark.order, mark.id];
        let first = self
            .connection
            .prepare_cached(sql)?
            .query_row(values, |row| Ok(Position { order: row.get(0)?, id: row.get(1)? }));
        let first = match first.optional()? {
            // A late message is among others that have been read, and shown as unread there.
            None if late > 0 => self.first_late(thread)?,
            first => first,
        };
        Ok(first.map(|position| UnreadDivider {
            message: MessageId(position.id),
            position,
            unread: unread.into(),
        }))
    }

    /// How many messages of a thread are unread, and how many of those are late.
    fn unread_counts(&self, thread: ThreadId) -> Result<(u32, u32)> {
        let sql = "SELECT unread, late_unread FROM thread WHERE thread_id = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row([thread.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// How many messages of a thread will be unread when its mark, which is at `old`, is at `new`. Counts what is unread or what
    /// has been read, whichever is less.
    pub(in crate::store) fn unread_after(
        &self,
        thread: ThreadId,
        old: Position,
        new: Position,
    ) -> Result<u32> {
        let (unread, late) = self.unread_counts(thread)?;
        let mut limit = FIRST_COUNT;
        loop {
            let left = self.count_between(thread, (new, Position::LAST), limit)?;
            if left < limit {
                return Ok(left.saturating_add(late));
            }
            let read = self.count_between(thread, (old, new), limit)?;
            if read < limit {
                return Ok(unread.saturating_sub(read));
            }
            limit = limit.saturating_mul(4);
        }
    }

    /// Whether receipts are due in any thread.
    pub(crate) fn are_any_receipts_due(&self) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM read_receipt_due) OR EXISTS (SELECT 1 FROM late_mark)";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// Whether something is to be recorded before what is read now in a thread: a receipt also reads what is before its messages.
    pub(in crate::store) fn are_receipts_due(&self, thread: ThreadId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM read_receipt_due WHERE thread_id = ?1)
                       OR EXISTS (SELECT 1 FROM late_mark WHERE thread_id = ?1 AND told = 0)";
        Ok(self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| row.get(0))?)
    }

    /// Whether a message was read while receipts were off, and that is not recorded yet.
    pub(super) fn is_untold(&self, thread: ThreadId, message: MessageId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM message AS m WHERE m.id = ?2 AND CASE m.state
                WHEN 10 THEN 0 = (SELECT told FROM read_receipt_due AS d WHERE d.thread_id = ?1
                    AND (d.position, d.id) < (m.position, m.id) ORDER BY d.position DESC, d.id DESC LIMIT 1)
                WHEN 12 THEN 0 = (SELECT told FROM late_mark AS d WHERE d.thread_id = ?1
                    AND d.late >= m.late AND (d.position, d.id) >= (m.position, m.id)
                    ORDER BY d.late, d.position, d.id LIMIT 1) END)";
        let values = params![thread.as_bytes(), message.0];
        Ok(self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
    }

    /// The first messages of which it is to be recorded that they were read: their thread, whether their authors are told, and between which
    /// positions they are.
    fn first_due_receipts(&self) -> Result<Option<(ThreadId, bool, Position, Position)>> {
        let sql = "SELECT thread_id, told, position, id FROM read_receipt_due ORDER BY thread_id, position, id LIMIT 1";
        let first = self.connection.prepare_cached(sql)?.query_row([], |row| {
            let after = Position { order: row.get(2)?, id: row.get(3)? };
            Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?, after))
        });
        let Some((thread, is_told, after)) = first.optional()? else { return Ok(None) };
        let thread = ThreadId::from_slice(&thread)?;
        let sql =
            "SELECT position, id FROM read_receipt_due WHERE thread_id = ?1 AND (position, id) > (?2, ?3)
                   ORDER BY position, id LIMIT 1";
        let values = params![thread.as_bytes(), after.order, after.id];
        let next = self
            .connection
            .prepare_cached(sql)?
            .query_row(values, |row| Ok(Position { order: row.get(0)?, id: row.get(1)? }))
            .optional()?;
        let up_to = next.map_or_else(|| self.read_mark(thread), Ok)?;
        Ok(Some((thread, is_told, after, up_to)))
    }
}

impl Tx<'_> {
    /// Marks the messages of a thread up to and including this one as read, if they have arrived until a moment. It returns at most
    /// `limit` of them, and reports at most as many one by one.
    pub(crate) fn mark_read(
        &mut self,
        thread: ThreadId,
        up_to: MessageId,
        until: Moment,
        limit: usize,
    ) -> Result<MarkedRead> {
        let before = self.read_state(thread)?;
        let up_to = self.position_of(up_to)?;
        let to_confirm = self.move_mark(thread, up_to, until, limit)?;
        self.mark_late(thread, up_to, until, limit)?;
        self.set_marked_unread(thread, false)?;
        self.count_mentions(thread)?;
        self.note_timers(thread)?;
        if before != self.read_state(thread)? {
            self.note_state(StateKey::Read(thread))?;
        }
        let to_confirm = DueRead { thread, messages: to_confirm, is_told: true, is_last: true };
        Ok(MarkedRead { to_confirm, more_due: self.are_any_receipts_due()? })
    }

    /// What reading changes, if our other devices are told of it.
    fn read_state(&self, thread: ThreadId) -> Result<Option<(Position, (u32, u32))>> {
        if !self.has_companions()? {
            return Ok(None);
        }
        Ok(Some((self.read_mark(thread)?, self.unread_counts(thread)?)))
    }

    /// Counts the unread messages again that mention us.
    pub(in crate::store) fn count_mentions(&mut self, thread: ThreadId) -> Result<()> {
        let sql = "SELECT mentions, late_unread FROM thread WHERE thread_id = ?1";
        let (counted, late): (i64, i64) = self
            .connection
            .prepare_cached(sql)?
            .query_row([thread.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if counted == 0 {
            return Ok(());
        }
        let mark = self.read_mark(thread)?;
        let sql = "SELECT count(*) FROM message WHERE thread_id = ?1 AND mentions = 1 AND state = 10
                   AND hidden IS NULL AND position >= ?2 AND (position, id) > (?2, ?3)";
        let values = params![thread.as_bytes(), mark.order, mark.id];
        let unread: i64 = self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?;
        let late = if late > 0 { self.late_mentions(thread)? } else { 0 };
        self.change_one(
            "UPDATE thread SET mentions = ?2 WHERE thread_id = ?1",
            params![thread.as_bytes(), unread.saturating_add(late)],
        )
    }

    /// Moves the mark of a thread forward, never back. Returns the messages of which the caller tells their authors in the same
    /// transaction. If there are more than `limit`, it returns none, and records that this is due.
    fn move_mark(
        &mut self,
        thread: ThreadId,
        up_to: Position,
        until: Moment,
        limit: usize,
    ) -> Result<Vec<Numbered>> {
        let old = self.read_mark(thread)?;
        // The mark is at an incoming message: one of ours may still get another position.
        let Some(new) = self.last_incoming(thread, up_to, until)?.filter(|new| *new > old) else {
            return Ok(Vec::new());
        };
        self.except_later(thread, (old, new), until)?;
        let one_more = u32::try_from(limit.saturating_add(1)).map_err(|_| Error::Bug("too many messages"))?;
        let read = self.incoming_between(thread, (old, new), one_more)?;
        let is_small = read.len() <= limit;
        let unread = match u32::try_from(read.len()) {
            Ok(read) if is_small => self.unread_counts(thread)?.0.saturating_sub(read),
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
            return Ok(read.into_iter().filter_map(|(_, numbered)| numbered).collect());
        }
        let is_told = self.sends_receipts(thread, ReceiptKind::Read)?;
        // A row of an earlier version may be at the mark, where nothing follows.
        self.change(
            "INSERT INTO read_receipt_due (thread_id, position, id, told) SELECT ?1, ?2, ?3, ?4
             WHERE ?4 IS NOT (SELECT told FROM read_receipt_due WHERE thread_id = ?1
                 ORDER BY position DESC, id DESC LIMIT 1)
             ON CONFLICT DO UPDATE SET told = excluded.told",
            params![thread.as_bytes(), old.order, old.id, is_told],
        )?;
        Ok(Vec::new())
    }

    /// Messages were read. Their authors are told with the next receipt if receipts were on when they were read, and are on now;
    /// otherwise never. Returns whether they are told.
    pub(crate) fn note_read(&mut self, read: &DueRead) -> Result<bool> {
        let is_told = read.is_told && self.sends_receipts(read.thread, ReceiptKind::Read)?;
        self.set_read(&read.messages, is_told)?;
        Ok(is_told)
    }

    /// The next messages, up to `limit` of one thread, of which their authors are to be told. They are no longer due after this
    /// transaction.
    pub(crate) fn take_due_receipts(&mut self, limit: usize) -> Result<Option<DueRead>> {
        // What their authors are not told is recorded before messages behind it are: late ones may be before or behind others.
        if let Some(untold) = self.take_due_late_receipts(false, limit)? {
            return Ok(Some(untold));
        }
        let Some((thread, is_told, after, up_to)) = self.first_due_receipts()? else {
            return self.take_due_late_receipts(true, limit);
        };
        let most = u32::try_from(limit).map_err(|_| Error::Bug("too many messages"))?;
        let read = self.incoming_between(thread, (after, up_to), most)?;
        let last = read.last().map(|(last, _)| *last).filter(|last| read.len() == limit && *last < up_to);
        match last {
            Some(last) => self.change_one(
                "UPDATE read_receipt_due SET position = ?4, id = ?5 WHERE thread_id = ?1 AND position = ?2 AND id = ?3",
                params![thread.as_bytes(), after.order, after.id, last.order, last.id],
            )?,
            None => self.change_one(
                "DELETE FROM read_receipt_due WHERE thread_id = ?1 AND position = ?2 AND id = ?3",
                params![thread.as_bytes(), after.order, after.id],
            )?,
        }
        let messages = read.into_iter().filter_map(|(_, numbered)| numbered).collect();
        Ok(Some(DueRead { thread, messages, is_told, is_last: last.is_none() }))
    }
}
