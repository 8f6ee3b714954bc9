//! Edits: the versions of a message. The one whose content is last in the thread is shown.
//!
//! The first edits in the order of the thread count, as many as the configuration allows, so that all devices show the same
//! version in whatever order the edits arrive.

use rusqlite::{OptionalExtension as _, params};

use super::message::POSITION_PENDING;
use super::waiting::Origin;
use super::{Rows, Tx, from_sql, to_sql};
use crate::config::ChangeLimits;
use crate::content::{Body, Markup, Text};
use crate::error::{Error, Result, Storage};
use crate::id::{MessageId, ThreadId};
use crate::message::Version;

/// The position of the version that the author wrote first.
const ORIGINAL: i64 = 0;

impl Rows<'_> {
    /// The versions of a message of this thread, the oldest first; only the present one if it was never edited. None if there is
    /// no such message, or if it is not a text.
    pub(crate) fn versions(&self, thread: ThreadId, message: MessageId) -> Result<Option<Vec<Version>>> {
        let Some((_, _, Body::Text(Text { text, .. }))) = self.content_of(thread, message)? else {
            return Ok(None);
        };
        let sql = "SELECT body, sent FROM edit WHERE message_id = ?1 ORDER BY position, content_id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([message.0], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?)))?;
        let versions: Vec<_> = rows.map(|row| to_version(row?)).collect::<Result<_>>()?;
        if versions.is_empty() {
            let sent_ms = self.sent_of(message)?;
            return Ok(Some(vec![Version { text, sent_ms }]));
        }
        Ok(Some(versions))
    }

    /// The version of a message that is last in the thread: its body, when it was written, and its position. None if the message was
    /// not edited.
    pub(super) fn last_version(&self, message: MessageId) -> Result<Option<(Vec<u8>, i64, i64)>> {
        let sql = "SELECT body, sent, position FROM edit WHERE message_id = ?1
                   ORDER BY position DESC, content_id DESC LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let last =
            statement.query_row([message.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
        Ok(last)
    }

    /// When the author of a message wrote it.
    pub(super) fn sent_of(&self, message: MessageId) -> Result<u64> {
        let sql = "SELECT sent FROM message WHERE id = ?1";
        from_sql(self.connection.prepare_cached(sql)?.query_row([message.0], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Adds a version to a message. Returns false if that has no effect, because the message is not a text, was written too long
    /// ago, or was edited too often.
    pub(crate) fn edit(
        &mut self,
        message: MessageId,
        origin: &Origin,
        (text, markup): (&str, &Markup),
        limits: ChangeLimits,
    ) -> Result<bool> {
        let content = self.kept_content_of(origin.thread, message)?;
        let Some((author, content_id, Body::Text(old))) = content else { return Ok(false) };
        let sent_ms = self.sent_of(message)?;
        if author != origin.author || !limits.may_edit(sent_ms, origin.sent_ms) {
            return Ok(false);
        }
        let shown = Body::Text(old.clone()).to_bytes();
        self.change(
            "INSERT INTO edit (message_id, position, content_id, body, sent) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO NOTHING",
            params![message.0, ORIGINAL, content_id.as_bytes(), shown, to_sql(sent_ms)?],
        )?;
        let new = Body::Text(Text { text: text.to_owned(), markup: markup.clone(), ..old }).to_bytes();
        self.change(
            "INSERT INTO edit (message_id, position, content_id, body, sent) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO NOTHING",
            params![
                message.0,
                // An edit is never before the original.
                origin.order.max(ORIGINAL.saturating_add(1)),
                origin.content_id.as_bytes(),
                new,
                to_sql(origin.sent_ms)?
            ],
        )?;
        self.drop_surplus(message, limits.max_edits)?;
        let sql = "SELECT EXISTS (SELECT 1 FROM edit WHERE message_id = ?1 AND content_id = ?2)";
        let key = params![message.0, origin.content_id.as_bytes()];
        let counts = self.connection.prepare_cached(sql)?.query_row(key, |row| row.get(0))?;
        self.show_last_version(message, &shown)?;
        Ok(counts)
    }

    /// An edit of ours has a place in the thread now, or was refused for good: then its version is removed.
    pub(super) fn settle_edit(
        &mut self,
        message: MessageId,
        origin: &Origin,
        is_accepted: bool,
    ) -> Result<()> {
        let Some((_, _, Body::Text(shown))) = self.kept_content_of(origin.thread, message)? else {
            return Ok(());
        };
        let shown = Body::Text(shown).to_bytes();
        let (id, content_id) = (message.0, origin.content_id.as_bytes());
        if is_accepted {
            let sql =
                "UPDATE edit SET position = ?3 WHERE message_id = ?1 AND content_id = ?2 AND position = ?4";
            self.change(sql, params![id, content_id, origin.order, POSITION_PENDING])?;
            if self.last_version(message)?.is_none_or(|(body, ..)| body == shown) {
                return Ok(());
            }
        } else {
            let sql = "DELETE FROM edit WHERE message_id = ?1 AND content_id = ?2 AND position > ?3";
            self.change(sql, params![id, content_id, ORIGINAL])?;
        }
        self.show_last_version(message, &shown)
    }

    /// Deletes the versions that are beyond the number that the configuration allows.
    fn drop_surplus(&mut self, message: MessageId, max_edits: u32) -> Result<()> {
        self.change(
            "DELETE FROM edit WHERE message_id = ?1 AND (position, content_id) IN (
                SELECT position, content_id FROM edit WHERE message_id = ?1 ORDER BY position, content_id
                LIMIT -1 OFFSET ?2)",
            [message.0, i64::from(max_edits).saturating_add(1)],
        )?;
        Ok(())
    }

    /// Shows the version that is last in the thread, instead of this one. One that is shown as deleted is left alone: the version is
    /// shown if the deletion is refused.
    pub(super) fn show_last_version(&mut self, message: MessageId, shown: &[u8]) -> Result<()> {
        if self.is_deleted(message)? {
            return Ok(());
        }
        let Some((body, sent, position)) = self.last_version(message)? else { return Ok(()) };
        let edited = (position != ORIGINAL).then_some(sent);
        let is_new = body != shown;
        if is_new {
            // The terms of the old text leave the index before the text does.
            self.unindex(message)?;
        }
        let new = Body::from_bytes(&body).map_err(|_| Error::Storage(Storage::Corrupt))?;
        self.set_body(message, &new)?;
        self.change_one(
            "UPDATE message SET edited = ?2, edits = (SELECT count(*) - 1 FROM edit WHERE message_id = ?1) WHERE id = ?1",
            params![message.0, edited],
        )?;
        if is_new {
            self.index_late(message)?;
        }
        self.emit_changed(message)
    }
}

fn to_version((body, sent): (Vec<u8>, i64)) -> Result<Version> {
    match Body::from_bytes(&body) {
        Ok(Body::Text(Text { text, .. })) => Ok(Version { text, sent_ms: from_sql(sent)? }),
        _ => Err(Error::Storage(Storage::Corrupt)),
    }
}
