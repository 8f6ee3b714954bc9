//! Deleting messages: for everyone, by the author, and on this device only.
//!
//! A message that was deleted for everyone keeps its row, which shows that something was there. One that was deleted on this
//! device is hidden for a while, so that it can be restored, and its row is deleted then.

use rusqlite::{OptionalExtension as _, params};

use super::message::{KIND_CONTENT, KIND_DELETED, KIND_UNKNOWN, POSITION_PENDING};
use super::reading::{STATE_INCOMING, STATE_READ_LATE};
use super::waiting::Origin;
use super::{OutgoingId, Rows, Tx, to_sql};
use crate::config::ChangeLimits;
use crate::content::{Body, StateKey, Target};
use crate::error::{Error, Result, Storage};
use crate::event::Event;
use crate::id::{ClientMsgId, MessageId, ThreadId, UserId};

/// How long a message that was deleted on this device can be restored.
pub(crate) const RESTORABLE_MS: u64 = 30_000;

impl Rows<'_> {
    /// Whether there are messages that were deleted on this device and may still be restored.
    pub(crate) fn has_hidden(&self) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM message WHERE hidden IS NOT NULL)";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Deletes what a message contains, and what belongs to it. Its row stays. A deletion of ours hides all of this until the relay has
    /// accepted it, because it returns if the relay refuses it for good. If another deletion of it takes effect meanwhile, such as that of
    /// another device of ours, it is gone at once, whatever becomes of ours. Returns false if that has no effect, because it has
    /// another author, who is no admin of the group, or was written too long ago.
    pub(crate) fn delete_for_everyone(
        &mut self,
        message: MessageId,
        origin: &Origin,
        limits: ChangeLimits,
    ) -> Result<bool> {
        let sql =
            "SELECT author, kind FROM message WHERE id = ?1 AND thread_id = ?2 AND kind IN (?3, ?4, ?5)";
        let values = params![message.0, origin.thread.as_bytes(), KIND_CONTENT, KIND_UNKNOWN, KIND_DELETED];
        let found = self
            .connection
            .prepare_cached(sql)?
            .query_row(values, |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)? == KIND_DELETED)));
        let Some((author, is_deleted)) = found.optional()? else { return Ok(false) };
        let sent_ms = self.sent_of(message)?;
        let is_its_author = UserId::from_slice(&author)? == origin.author;
        let may_delete = is_its_author || self.is_admin(origin.thread, origin.author)?;
        if !may_delete || !limits.may_delete(sent_ms, origin.sent_ms) {
            return Ok(false);
        }
        if is_deleted {
            // It is shown as deleted already.
            let is_ours_pending = origin.order != POSITION_PENDING && !self.is_erased(message)?;
            if is_ours_pending {
                self.erase(origin.thread, message)?;
            }
            return Ok(is_ours_pending);
        }
        self.unindex(message)?;
        self.read_for_ever(message)?;
        self.change_one(
            "UPDATE message SET kind = ?2, reactions = 0, edits = 0, edited = NULL, links = 0 WHERE id = ?1",
            params![message.0, KIND_DELETED],
        )?;
        if origin.order == POSITION_PENDING {
            if self.is_pinned(message)? {
                self.emit(Event::PinsChanged(origin.thread));
            }
        } else {
            self.erase(origin.thread, message)?;
        }
        self.emit_changed(message)?;
        Ok(true)
    }

    /// Deletes what a message contained that was deleted for everyone, and what belonged to it. Nothing of it can return.
    pub(super) fn erase(&mut self, thread: ThreadId, message: MessageId) -> Result<()> {
        // It is not submitted again if the relay loses it.
        self.nullify_accepted(message, thread)?;
        self.change("DELETE FROM reaction WHERE message_id = ?1", [message.0])?;
        self.change("DELETE FROM edit WHERE message_id = ?1", [message.0])?;
        self.change("DELETE FROM vote WHERE message_id = ?1", [message.0])?;
        self.forget_pin(thread, message)?;
        self.change(
            "UPDATE message SET body = x'', version = NULL WHERE id = ?1 AND kind = ?2",
            params![message.0, KIND_DELETED],
        )?;
        Ok(())
    }

    /// Erases all messages whose deletion was not accepted by the relay: it will not be asked any more.
    pub(super) fn erase_all_deleted(&mut self) -> Result<()> {
        let sql = "SELECT thread_id, id FROM message WHERE kind = ?1 AND body <> x''";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement
            .query_map([KIND_DELETED], |row| Ok((row.get::<_, Vec<u8>>(0)?, MessageId(row.get(1)?))))?;
        let deleted = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        drop(statement);
        for (thread, message) in deleted {
            self.erase(ThreadId::from_slice(&thread)?, message)?;
        }
        Ok(())
    }

    /// A deletion of ours was refused for good: the message is shown again, with what belongs to it. Returns false if it was erased.
    pub(super) fn take_back_deletion(&mut self, thread: ThreadId, message: MessageId) -> Result<bool> {
        let restored = self.change(
            "UPDATE message SET kind = iif(version IS NULL, ?3, ?4),
                reactions = (SELECT count(*) FROM reaction WHERE message_id = ?1 AND coalesce(pending, emoji) > ''),
                edits = (SELECT max(count(*) - 1, 0) FROM edit WHERE message_id = ?1),
                edited = (SELECT iif(position = 0, NULL, sent) FROM edit WHERE message_id = ?1
                    ORDER BY position DESC, content_id DESC LIMIT 1)
             WHERE id = ?1 AND kind = ?2 AND body <> x''",
            params![message.0, KIND_DELETED, KIND_CONTENT, KIND_UNKNOWN],
        )?;
        if restored == 0 {
            return Ok(false);
        }
        // Edits may have been accepted or refused meanwhile.
        let body = match (self.content_of(thread, message)?, self.last_version(message)?) {
            (Some(_), Some((last, ..))) => {
                Some(Body::from_bytes(&last).map_err(|_| Error::Storage(Storage::Corrupt))?)
            }
            (content, _) => content.map(|(_, _, body)| body),
        };
        if let Some(body) = body {
            self.set_body(message, &body)?;
            self.index_late(message)?;
        }
        if self.is_pinned(message)? {
            self.emit(Event::PinsChanged(thread));
        }
        self.emit_changed(message)?;
        Ok(true)
    }

    /// Removes the changes of a message from the outbox that were not sealed, because the message itself was removed from there.
    pub(super) fn forget_changes_of(
        &mut self,
        thread: ThreadId,
        author: UserId,
        content_id: ClientMsgId,
    ) -> Result<()> {
        let sql = "SELECT id, body FROM outgoing WHERE lane = ?1 AND state < 3 AND state = 1 AND message_id IS NULL";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement
            .query_map([thread.as_bytes()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        let queued = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        drop(statement);
        for (id, body) in queued {
            let changed = Body::from_bytes(&body).ok().and_then(|body| body.target(author));
            if changed == Some(Target { author, id: content_id }) {
                self.abandon(OutgoingId(id), thread)?;
            }
        }
        self.end_lane(thread)
    }

    /// Hides a message on this device. Returns false if there is no such message in the thread.
    pub(crate) fn hide(&mut self, thread: ThreadId, message: MessageId, now_ms: u64) -> Result<bool> {
        let Some(shown) = self.message(message)?.filter(|message| message.thread == thread) else {
            return Ok(false);
        };
        self.read_for_ever(message)?;
        let now_ms = to_sql(now_ms)?;
        self.change_one("UPDATE message SET hidden = ?2 WHERE id = ?1", [message.0, now_ms])?;
        self.emit(Event::MessageRemoved { thread, id: message, position: shown.position });
        Ok(true)
    }

    /// Shows a message again that was hidden a short while ago. Returns false if there is none.
    pub(crate) fn restore(&mut self, thread: ThreadId, message: MessageId, now_ms: u64) -> Result<bool> {
        let since = to_sql(now_ms.saturating_sub(RESTORABLE_MS))?;
        let restored = self.change(
            "UPDATE message SET hidden = NULL WHERE id = ?1 AND thread_id = ?2 AND hidden > ?3",
            params![message.0, thread.as_bytes(), since],
        )?;
        if restored == 0 {
            return Ok(false);
        }
        let shown = self.message(message)?.ok_or(Error::Bug("a restored message is not there"))?;
        self.emit(Event::MessageAdded(shown));
        Ok(true)
    }

    /// Deletes up to `limit` messages that were hidden and can no longer be restored, and returns how many.
    pub(crate) fn purge_hidden(&mut self, now_ms: u64, limit: u32) -> Result<usize> {
        let sql = "SELECT id, author, content_id FROM message WHERE hidden <= ?1 LIMIT ?2";
        let before = to_sql(now_ms.saturating_sub(RESTORABLE_MS))?;
        let hidden = self.rows_to_delete(sql, params![before, limit])?;
        let count = hidden.len();
        for row in hidden {
            if let Some(target) = row.target() {
                self.note_state(StateKey::DeletedForMe(target))?;
            }
            self.forget_row(row, now_ms)?;
        }
        Ok(count)
    }

    /// The message no longer counts as unread, whatever the marks of its thread say.
    fn read_for_ever(&mut self, message: MessageId) -> Result<()> {
        self.note_unread_removed(message)?;
        self.change(
            "UPDATE message SET state = ?2 WHERE id = ?1 AND state >= ?3",
            params![message.0, STATE_READ_LATE, STATE_INCOMING],
        )?;
        self.change(
            "UPDATE thread SET timer_due = 1
             WHERE thread_id = (SELECT thread_id FROM message WHERE id = ?1 AND timer > 0 AND expires IS NULL)",
            [message.0],
        )?;
        Ok(())
    }
}
