//! How much threads take up, and deleting their histories on this device.
//!
//! Deleting a long history takes many short transactions, so that others do not wait for the writer. The row of the thread says up to
//! which message it is to be deleted, so that it is continued if the process ends in between.

use rusqlite::types::Value;
use rusqlite::{OptionalExtension as _, params};

use super::thread::UNLISTED;
use super::{Rows, Tx, from_sql, to_sql};
use crate::content::Target;
use crate::error::{Error, Result, Storage};
use crate::event::Event;
use crate::id::{ClientMsgId, MessageId, ThreadId, UserId};
use crate::message::{Position, StorageReport, ThreadStorage};

/// How many messages are examined in one transaction.
pub(super) const EXAMINED: u32 = 500;

impl Rows<'_> {
    /// How much the database takes up. It reads the header of each message.
    pub(crate) fn storage_report(&self) -> Result<StorageReport> {
        let page = |name: &str| -> Result<u64> {
            // SQLCipher answers some of them with text.
            match self.connection.pragma_query_value(None, name, |row| row.get(0))? {
                Value::Integer(number) => from_sql(number),
                Value::Text(number) => number.parse().map_err(|_| Error::Storage(Storage::Corrupt)),
                _ => Err(Error::Storage(Storage::Corrupt)),
            }
        };
        let size = page("page_size")?;
        let sql = "SELECT thread_id, count(*), sum(length(body) + iif(edits = 0, 0,
                       (SELECT coalesce(sum(length(e.body)), 0) FROM edit AS e WHERE e.message_id = message.id)))
                   FROM message GROUP BY thread_id ORDER BY 3 DESC, 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        })?;
        let threads = rows.map(|row| {
            let (thread, messages, bytes) = row?;
            let thread = ThreadId::from_slice(&thread)?;
            Ok(ThreadStorage { thread, messages: from_sql(messages)?, bytes: from_sql(bytes)? })
        });
        Ok(StorageReport {
            threads: threads.collect::<Result<_>>()?,
            database_bytes: page("page_count")?.saturating_mul(size),
            free_bytes: page("freelist_count")?.saturating_mul(size),
        })
    }

    /// A thread whose history is being deleted.
    pub(crate) fn thread_to_clear(&self) -> Result<Option<ThreadId>> {
        let sql = "SELECT thread_id FROM thread WHERE clear_up_to IS NOT NULL LIMIT 1";
        let thread = self.connection.prepare_cached(sql)?.query_row([], |row| row.get::<_, Vec<u8>>(0));
        Ok(thread.optional()?.map(|id| ThreadId::from_slice(&id)).transpose()?)
    }
}

impl Tx<'_> {
    /// Takes a thread out of its list until the next message, and makes its history be deleted.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub(crate) fn delete_thread(&mut self, thread: ThreadId) -> Result<()> {
        let sql =
            "UPDATE thread SET folder = ?2, pinned = 0, draft = NULL, marked_unread = 0, request_told = 0,
                       clear_up_to = (SELECT coalesce(max(id), 0) FROM message) WHERE thread_id = ?1";
        if self.change(sql, params![thread.as_bytes(), UNLISTED])? == 0 {
            return Err(Error::NotFound);
        }
        self.note_cleared(thread)?;
        self.emit(Event::ThreadChanged(thread));
        Ok(())
    }

    /// Deletes up to `limit` messages of a thread whose history is being deleted. Returns false if there were no more.
    pub(crate) fn clear_some(&mut self, thread: ThreadId, limit: u32, now_ms: u64) -> Result<bool> {
        let sql = "SELECT m.id, m.author, m.content_id FROM thread AS t JOIN message AS m USING (thread_id)
                   WHERE t.thread_id = ?1 AND (m.id <= t.clear_up_to OR m.position <= t.clear_position) LIMIT ?2";
        let found = self.rows_to_delete(sql, params![thread.as_bytes(), limit])?;
        let is_done = found.is_empty();
        self.delete_all(found, now_ms)?;
        if is_done {
            let sql = "UPDATE thread SET clear_up_to = NULL, clear_position = NULL WHERE thread_id = ?1";
            self.change_one(sql, [thread.as_bytes()])?;
        }
        Ok(!is_done)
    }

    /// Deletes those of the next messages of a thread after a position that the relay stored before a time. Messages of ours that are
    /// queued stay. Returns where to continue, and how many were deleted.
    pub(crate) fn delete_older(
        &mut self,
        thread: ThreadId,
        after: Position,
        before_ms: u64,
        now_ms: u64,
    ) -> Result<(Option<Position>, u64)> {
        self.delete_older_of((thread, after), EXAMINED, before_ms, now_ms)
    }

    /// Like [`Tx::delete_older`] for up to `limit` messages, at least one.
    pub(super) fn delete_older_of(
        &mut self,
        (thread, after): (ThreadId, Position),
        limit: u32,
        before_ms: u64,
        now_ms: u64,
    ) -> Result<(Option<Position>, u64)> {
        let sql = "SELECT position, id FROM message WHERE thread_id = ?1 AND (position, id) > (?2, ?3)
                   ORDER BY position, id LIMIT 1 OFFSET ?4";
        let last = params![thread.as_bytes(), after.order, after.id, limit.saturating_sub(1)];
        let end: Option<Position> = self
            .connection
            .prepare_cached(sql)?
            .query_row(last, |row| Ok(Position { order: row.get(0)?, id: row.get(1)? }))
            .optional()?;
        let up_to = end.unwrap_or(Position::LAST);
        let sql =
            "SELECT id, author, content_id FROM message WHERE thread_id = ?1 AND (position, id) > (?2, ?3)
                       AND (position, id) <= (?4, ?5) AND coalesce(stored, sent) < ?6 AND state <> 0";
        let before = to_sql(before_ms.min(i64::MAX.cast_unsigned()))?;
        let values = params![thread.as_bytes(), after.order, after.id, up_to.order, up_to.id, before];
        let found = self.rows_to_delete(sql, values)?;
        let count = u64::try_from(found.len()).map_err(|_| Error::Bug("too many messages"))?;
        self.delete_all(found, now_ms)?;
        Ok((end, count))
    }

    fn delete_all(&mut self, rows: Vec<ToDelete>, now_ms: u64) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        for row in rows {
            self.note_unread_removed(row.id)?;
            self.forget_row(row, now_ms)?;
        }
        // The lists are read again instead of being told of each message.
        self.look_again();
        Ok(())
    }

    pub(super) fn rows_to_delete(&self, sql: &str, values: impl rusqlite::Params) -> Result<Vec<ToDelete>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(values, |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Option<Vec<u8>>>(2)?))
        })?;
        rows.map(|row| {
            let (id, author, content_id) = row?;
            let content_id = content_id.map(|id| ClientMsgId::from_slice(&id)).transpose()?;
            Ok(ToDelete { id: MessageId(id), author: UserId::from_slice(&author)?, content_id })
        })
        .collect()
    }

    /// Deletes a message that was deleted on another device of ours.
    pub(super) fn delete_for_us(&mut self, id: MessageId, message: Target, now_ms: u64) -> Result<()> {
        let Some(thread) = self.message_or_hidden(id)?.map(|(message, _)| message.thread) else {
            return Ok(());
        };
        let position = self.position_of(id)?;
        self.note_unread_removed(id)?;
        self.forget_row(ToDelete { id, author: message.author, content_id: Some(message.id) }, now_ms)?;
        self.emit(Event::MessageRemoved { thread, id, position });
        Ok(())
    }

    /// Deletes the row of a message that does not count as unread.
    pub(super) fn forget_row(&mut self, row: ToDelete, now_ms: u64) -> Result<()> {
        let ToDelete { id, author, content_id } = row;
        if let Some(content_id) = content_id {
            // A second copy of it does not appear.
            self.set_applied(author, content_id, now_ms)?;
        }
        self.unindex(id)?;
        self.fill_number_of_failed(id)?;
        // Our message is still sent.
        self.change(
            "UPDATE outgoing SET message_id = NULL
             WHERE id = (SELECT outgoing FROM message WHERE id = ?1) AND message_id = ?1",
            [id.0],
        )?;
        self.change_one("DELETE FROM message WHERE id = ?1", [id.0])
    }
}

impl ToDelete {
    /// What it is on all devices, if it could be opened.
    pub(super) fn target(&self) -> Option<Target> {
        self.content_id.map(|id| Target { author: self.author, id })
    }
}

/// A message whose row is to be deleted.
pub(super) struct ToDelete {
    id: MessageId,
    author: UserId,
    /// If it could be opened.
    content_id: Option<ClientMsgId>,
}
