//! Pinned messages. Any member pins and unpins, and the content that is last in the thread counts.
//!
//! Until the relay has accepted a content of ours, its place in the thread is not known. What it says is shown until then
//! (`pending`), and takes its place among what the others say afterwards.

use rusqlite::{OptionalExtension as _, params};

use super::message::{KIND_DELETED, POSITION_PENDING};
use super::waiting::Origin;
use super::{Rows, Tx, to_sql};
use crate::content::MAX_PINNED;
use crate::error::Result;
use crate::event::Event;
use crate::id::{MessageId, ThreadId};
use crate::message::Message;

impl Rows<'_> {
    /// The pinned messages of a thread, the one that was pinned last first. There are more than [`MAX_PINNED`] only if several people
    /// have pinned at the same time; then the last ones are returned.
    pub(crate) fn pinned(&self, thread: ThreadId) -> Result<Vec<Message>> {
        let sql = "SELECT message_id FROM pin INDEXED BY pin_shown
                   WHERE thread_id = ?1 AND coalesce(pending, pinned) > 0
                       AND EXISTS (SELECT 1 FROM message WHERE id = message_id AND hidden IS NULL AND kind <> ?3)
                   ORDER BY pending IS NULL, coalesce(pending, position) DESC LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let limit = i64::try_from(MAX_PINNED).unwrap_or(i64::MAX);
        let rows = statement
            .query_map(params![thread.as_bytes(), limit, KIND_DELETED], |row| row.get(0).map(MessageId))?;
        let ids = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        ids.into_iter().filter_map(|id| self.message(id).transpose()).collect()
    }

    /// Whether a message could be pinned besides those that are pinned already.
    pub(crate) fn may_pin(&self, thread: ThreadId, message: MessageId) -> Result<bool> {
        let sql = "SELECT count(*) < ?3 FROM pin INDEXED BY pin_shown
                   WHERE thread_id = ?1 AND coalesce(pending, pinned) > 0 AND message_id <> ?2
                       AND EXISTS (SELECT 1 FROM message WHERE id = message_id AND kind <> ?4)";
        let limit = i64::try_from(MAX_PINNED).unwrap_or(i64::MAX);
        let values = params![thread.as_bytes(), message.0, limit, KIND_DELETED];
        Ok(self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Pins a message or unpins it. What is said by an earlier content than the one that counts has no effect.
    pub(crate) fn pin(&mut self, message: MessageId, origin: &Origin, is_pinned: bool) -> Result<()> {
        let was = self.is_pinned(message)?;
        let value = if is_pinned { to_sql(origin.sent_ms.max(1))? } else { 0 };
        let thread = origin.thread.as_bytes();
        self.change(
            "INSERT INTO pin (thread_id, message_id, pinned, position) VALUES (?1, ?2, 0, 0) ON CONFLICT DO NOTHING",
            params![thread, message.0],
        )?;
        if origin.order == POSITION_PENDING {
            let sql = "UPDATE pin SET pending = ?3, pending_by = ?4 WHERE thread_id = ?1 AND message_id = ?2";
            self.change_one(sql, params![thread, message.0, value, origin.content_id.as_bytes()])?;
        } else {
            let sql = "UPDATE pin SET pinned = ?3, position = ?4
                       WHERE thread_id = ?1 AND message_id = ?2 AND position <= ?4";
            self.change(sql, params![thread, message.0, value, origin.order])?;
        }
        self.report_pins(origin.thread, message, was)
    }

    /// A content of ours that pins or unpins a message has a place in the thread now, or was refused for good.
    pub(super) fn settle_pin(
        &mut self,
        message: MessageId,
        origin: &Origin,
        is_pinned: Option<bool>,
    ) -> Result<()> {
        let was = self.is_pinned(message)?;
        if let Some(is_pinned) = is_pinned {
            self.pin(message, origin, is_pinned)?;
        }
        let sql =
            "UPDATE pin SET pending = NULL, pending_by = NULL WHERE message_id = ?1 AND pending_by = ?2";
        self.change(sql, params![message.0, origin.content_id.as_bytes()])?;
        self.report_pins(origin.thread, message, was)
    }

    /// Forgets that a message is pinned.
    pub(super) fn forget_pin(&mut self, thread: ThreadId, message: MessageId) -> Result<()> {
        let was = self.is_pinned(message)?;
        self.change("DELETE FROM pin WHERE message_id = ?1", [message.0])?;
        self.report_pins(thread, message, was)
    }

    pub(super) fn is_pinned(&self, message: MessageId) -> Result<bool> {
        let sql = "SELECT coalesce(pending, pinned) > 0 FROM pin WHERE message_id = ?1";
        let found: Option<bool> =
            self.connection.prepare_cached(sql)?.query_row([message.0], |row| row.get(0)).optional()?;
        Ok(found.unwrap_or(false))
    }

    fn report_pins(&mut self, thread: ThreadId, message: MessageId, was_pinned: bool) -> Result<()> {
        if self.is_pinned(message)? != was_pinned {
            self.emit(Event::PinsChanged(thread));
        }
        Ok(())
    }
}
