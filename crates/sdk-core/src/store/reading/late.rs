//! Late messages: incoming messages whose position the read mark of their thread had already passed when they arrived.
//!
//! The read mark says nothing about them. They are numbered in the order of their arrival in the thread, and have marks of their
//! own: a row of `late_mark` says that those with a number up to its number, at a position up to its position, have been read. So
//! one row reads any number of them. Afterwards, their read receipts are queued in limited steps. Each step changes the state of
//! its messages to "read", so that no message is confirmed twice, and the mark is deleted when no message needs it any more.

use rusqlite::{OptionalExtension as _, params};

use super::{DueRead, Moment, STATE_LATE, STATE_READ_LATE};
use crate::content::ReceiptKind;
use crate::error::{Error, Result};
use crate::id::{MessageId, ThreadId};
use crate::message::Position;
use crate::store::receipt::{NumberColumns, Numbered};
use crate::store::{Folder, Rows, Tx};

/// The late messages with a number up to `late`, at a position up to `up_to`.
struct LateMark {
    late: i64,
    up_to: Position,
}

impl LateMark {
    fn covers(&self, late: i64, at: Position) -> bool {
        late <= self.late && at <= self.up_to
    }
}

/// A late message that is unread, or has been read and is still to be confirmed.
struct Late {
    at: Position,
    late: i64,
    numbered: Option<Numbered>,
}

/// Late messages that are unread.
struct UnreadLate {
    /// The first of them, one more than are reported one by one.
    first: Vec<MessageId>,
    count: i64,
}

impl Rows<'_> {
    /// The present moment in the order of arrival.
    pub(crate) fn moment(&self, thread: ThreadId) -> Result<Moment> {
        let sql = "SELECT (SELECT coalesce(max(id), 0) FROM message),
                       coalesce((SELECT late_count FROM thread WHERE thread_id = ?1), 0)";
        let moment = self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| {
            Ok(Moment { message: MessageId(row.get(0)?), late: row.get(1)? })
        });
        Ok(moment?)
    }

    /// The number of the newest late message of a thread, and how many are unread.
    fn late_counts(&self, thread: ThreadId) -> Result<(i64, i64)> {
        let sql = "SELECT late_count, late_unread FROM thread WHERE thread_id = ?1";
        let mut counts = self.connection.prepare_cached(sql)?;
        Ok(counts.query_row([thread.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    fn late_marks(&self, thread: ThreadId) -> Result<Vec<LateMark>> {
        let sql = "SELECT late, position, id FROM late_mark WHERE thread_id = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let marks = statement.query_map([thread.as_bytes()], |row| {
            Ok(LateMark { late: row.get(0)?, up_to: Position { order: row.get(1)?, id: row.get(2)? } })
        })?;
        Ok(marks.collect::<Result<_, _>>()?)
    }

    /// Whether a mark for late messages has reached the late message with this number, at this position.
    pub(in crate::store) fn has_late_mark(&self, thread: ThreadId, late: i64, at: Position) -> Result<bool> {
        Ok(self.late_marks(thread)?.iter().any(|mark| mark.covers(late, at)))
    }

    /// The first unread late message.
    pub(super) fn first_late(&self, thread: ThreadId) -> Result<Option<Position>> {
        let sql = "SELECT position, id FROM message WHERE thread_id = ?1 AND state = 12 AND hidden IS NULL
                       AND NOT EXISTS (SELECT 1 FROM late_mark AS mark WHERE mark.thread_id = message.thread_id
                           AND mark.late >= message.late AND (mark.position, mark.id) >= (message.position, message.id))
                   ORDER BY position, id LIMIT 1";
        let first = self
            .connection
            .prepare_cached(sql)?
            .query_row([thread.as_bytes()], |row| Ok(Position { order: row.get(0)?, id: row.get(1)? }));
        Ok(first.optional()?)
    }

    /// How many unread late messages mention us.
    pub(super) fn late_mentions(&self, thread: ThreadId) -> Result<i64> {
        let sql = "SELECT count(*) FROM message WHERE thread_id = ?1 AND mentions = 1 AND state = 12 AND hidden IS NULL
                       AND NOT EXISTS (SELECT 1 FROM late_mark AS mark WHERE mark.thread_id = message.thread_id
                           AND mark.late >= message.late AND (mark.position, mark.id) >= (message.position, message.id))";
        Ok(self.connection.prepare_cached(sql)?.query_row([thread.as_bytes()], |row| row.get(0))?)
    }

    /// Whether a thread has late messages after a position, read or not.
    fn has_late_after(&self, thread: ThreadId, after: Position) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM message
                       WHERE thread_id = ?1 AND state = 12 AND position >= ?2 AND (position, id) > (?2, ?3))";
        let values = params![thread.as_bytes(), after.order, after.id];
        Ok(self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
    }

    /// The messages that a mark would read and that are unread, of `unread` late messages that are. If it reads all of them, they
    /// are not counted one by one.
    fn unread_late(
        &self,
        thread: ThreadId,
        mark: &LateMark,
        (unread, reads_all): (i64, bool),
        limit: usize,
    ) -> Result<UnreadLate> {
        let earlier = self.late_marks(thread)?;
        let sql = "SELECT position, id, late FROM message
                   WHERE thread_id = ?1 AND state = 12 AND position <= ?2 AND (position, id) <= (?2, ?3) AND late <= ?4
                   ORDER BY position, id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let values = params![thread.as_bytes(), mark.up_to.order, mark.up_to.id, mark.late];
        let mut rows = statement.query(values)?;
        let mut found = UnreadLate { first: Vec::new(), count: 0 };
        while let Some(row) = rows.next()? {
            let (at, late) = (Position { order: row.get(0)?, id: row.get(1)? }, row.get(2)?);
            if earlier.iter().any(|mark| mark.covers(late, at)) {
                continue;
            }
            if found.first.len() <= limit {
                found.first.push(MessageId(at.id));
            } else if reads_all {
                return Ok(UnreadLate { count: unread, ..found });
            }
            found.count = found.count.saturating_add(1);
            if found.count == unread {
                break;
            }
        }
        Ok(found)
    }

    /// Up to `limit` late messages after a position and up to another, in their order.
    fn late_between(
        &self,
        thread: ThreadId,
        (after, up_to): (Position, Position),
        limit: usize,
    ) -> Result<Vec<Late>> {
        let sql = "SELECT position, id, late, author, device, run, count FROM message
                   WHERE thread_id = ?1 AND state = 12 AND position BETWEEN ?2 AND ?4
                       AND (position, id) > (?2, ?3) AND (position, id) <= (?4, ?5)
                   ORDER BY position, id LIMIT ?6";
        let mut statement = self.connection.prepare_cached(sql)?;
        let limit = i64::try_from(limit).map_err(|_| Error::Bug("too many messages"))?;
        let values = params![thread.as_bytes(), after.order, after.id, up_to.order, up_to.id, limit];
        let rows = statement.query_map(values, |row| {
            let at = Position { order: row.get(0)?, id: row.get(1)? };
            Ok((at, row.get(2)?, NumberColumns::read(row, 3)?))
        })?;
        rows.map(|row| {
            let (at, late, columns) = row?;
            Ok(Late { at, late, numbered: columns.numbered(thread)? })
        })
        .collect()
    }
}

impl Tx<'_> {
    /// Marks the late messages up to a position as read that have arrived until a moment. Their receipts are due from then on.
    pub(super) fn mark_late(
        &mut self,
        thread: ThreadId,
        up_to: Position,
        until: Moment,
        limit: usize,
    ) -> Result<()> {
        let (newest, unread) = self.late_counts(thread)?;
        if unread == 0 {
            return Ok(());
        }
        let reads_all = until.late >= newest && !self.has_late_after(thread, up_to)?;
        let mark = LateMark { late: until.late.min(newest), up_to };
        let marked = self.unread_late(thread, &mark, (unread, reads_all), limit)?;
        if marked.count == 0 {
            return Ok(());
        }
        let is_told = self.sends_receipts(thread, ReceiptKind::Read)?;
        self.change_one(
            "INSERT INTO late_mark (thread_id, late, position, id, told) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![thread.as_bytes(), mark.late, up_to.order, up_to.id, is_told],
        )?;
        self.change_one(
            "UPDATE thread SET unread = max(unread - ?2, 0), late_unread = max(late_unread - ?2, 0) WHERE thread_id = ?1",
            params![thread.as_bytes(), marked.count],
        )?;
        if marked.first.len() <= limit {
            for id in marked.first {
                self.emit_changed(id)?;
            }
        } else {
            self.look_again();
        }
        Ok(())
    }

    /// Makes incoming messages late that have arrived after a moment at a position between the old and the new mark of their thread,
    /// because the person has not seen them.
    pub(super) fn except_later(
        &mut self,
        thread: ThreadId,
        (old, mark): (Position, Position),
        since: Moment,
    ) -> Result<()> {
        let sql = format!(
            "UPDATE message SET state = {STATE_LATE}, late = (SELECT late_count + 1 FROM thread WHERE thread_id = ?1)
             WHERE id > ?4 AND +thread_id = ?1 AND state = 10 AND (position, id) <= (?2, ?3)
                 AND (position, id) > (?5, ?6)"
        );
        let marks = params![thread.as_bytes(), mark.order, mark.id, since.message.0, old.order, old.id];
        let count = self.change(&sql, marks)?;
        if count == 0 {
            return Ok(());
        }
        let count = i64::try_from(count).map_err(|_| Error::Bug("too many messages"))?;
        self.change_one(
            "UPDATE thread SET late_count = late_count + 1, late_unread = late_unread + ?2 WHERE thread_id = ?1",
            params![thread.as_bytes(), count],
        )
    }

    /// Counts a message as unread that is about to be added at a position, and perhaps as one that mentions us. Returns its number if
    /// it is late. The thread was last active at `at_ms`, or later. It returns to the list of chats from the archive, unless it is
    /// muted, and to a list if it is in none.
    pub(in crate::store) fn count_unread(
        &mut self,
        thread: ThreadId,
        at: Position,
        (at_ms, mentions_us): (i64, bool),
    ) -> Result<Option<i64>> {
        let was_archived = self.has_companions()? && self.folder(thread)? == Some(Folder::Archive);
        self.change_one(
            "UPDATE thread SET unread = unread + 1, mentions = mentions + ?3, activity = max(activity, ?2),
                folder = CASE WHEN folder = 3 THEN iif(request = 1, 2, 0)
                              WHEN folder = 1 AND muted_until <= ?2 THEN 0 ELSE folder END
             WHERE thread_id = ?1",
            params![thread.as_bytes(), at_ms, mentions_us],
        )?;
        if was_archived && self.folder(thread)? != Some(Folder::Archive) {
            self.note_left_archive(thread, at.order)?;
        }
        if at > self.read_mark(thread)? {
            return Ok(None);
        }
        self.change_one(
            "UPDATE thread SET late_count = late_count + 1, late_unread = late_unread + 1 WHERE thread_id = ?1",
            [thread.as_bytes()],
        )?;
        Ok(Some(self.late_counts(thread)?.0))
    }

    /// Counts a message no longer as unread, which is unread and is about to be removed or replaced.
    pub(in crate::store) fn uncount_unread(&mut self, thread: ThreadId, id: MessageId) -> Result<()> {
        let sql = format!(
            "UPDATE thread SET unread = max(unread - 1, 0), late_unread = max(late_unread - late.is_late, 0),
                 mentions = max(mentions - late.is_mention, 0)
             FROM (SELECT state = {STATE_LATE} AS is_late, mentions AS is_mention FROM message WHERE id = ?2) AS late WHERE thread_id = ?1"
        );
        self.change_one(&sql, params![thread.as_bytes(), id.0])
    }

    /// Like [`Tx::take_due_receipts`], for late messages that their authors are told of, or for others. It examines at most `limit`
    /// messages.
    pub(super) fn take_due_late_receipts(&mut self, is_told: bool, limit: usize) -> Result<Option<DueRead>> {
        // The marks of a thread are in the order in which they were set.
        let sql = "SELECT thread_id, late, position, id, after_position, after_id FROM late_mark
                   WHERE told = ?1 ORDER BY thread_id, late, position, id LIMIT 1";
        let due = self.connection.prepare_cached(sql)?.query_row([is_told], |row| {
            let up_to = Position { order: row.get(2)?, id: row.get(3)? };
            let after = Position { order: row.get(4)?, id: row.get(5)? };
            Ok((row.get::<_, Vec<u8>>(0)?, LateMark { late: row.get(1)?, up_to }, after))
        });
        let Some((thread, mark, after)) = due.optional()? else { return Ok(None) };
        let thread = ThreadId::from_slice(&thread)?;
        // What an earlier mark has read is left to it.
        let order = |mark: &LateMark| (mark.late, mark.up_to);
        let mut earlier = self.late_marks(thread)?;
        earlier.retain(|other| order(other) < order(&mark));
        let is_its = |message: &Late| {
            let by = |mark: &LateMark| mark.covers(message.late, message.at);
            by(&mark) && !earlier.iter().any(by)
        };
        let examined = self.late_between(thread, (after, mark.up_to), limit)?;
        let last = examined.last().filter(|_| examined.len() == limit).map(|message| message.at);
        let mut messages = Vec::new();
        for message in examined.into_iter().filter(is_its) {
            let sql = format!("UPDATE message SET state = {STATE_READ_LATE}, late = NULL WHERE id = ?1");
            self.change_one(&sql, [message.at.id])?;
            messages.extend(message.numbered);
        }
        let LateMark { late, up_to } = mark;
        match last {
            Some(last) => self.change_one(
                "UPDATE late_mark SET after_position = ?5, after_id = ?6
                 WHERE thread_id = ?1 AND late = ?2 AND position = ?3 AND id = ?4",
                params![thread.as_bytes(), late, up_to.order, up_to.id, last.order, last.id],
            )?,
            None => self.change_one(
                "DELETE FROM late_mark WHERE thread_id = ?1 AND late = ?2 AND position = ?3 AND id = ?4",
                params![thread.as_bytes(), late, up_to.order, up_to.id],
            )?,
        }
        Ok(Some(DueRead { thread, messages, is_told, is_last: last.is_none() }))
    }
}
