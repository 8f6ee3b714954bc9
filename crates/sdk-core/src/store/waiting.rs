//! Contents that show nothing and cannot be applied yet: their message has not arrived, or this version does not understand
//! them. The table is bounded for each author and in total. An author who exceeds a bound loses their own oldest content first.
//!
//! What was applied is known by its author and id, so that a second copy of a content has no effect.

use rusqlite::{OptionalExtension as _, params};

use super::{Rows, Tx, from_sql, to_sql};
use crate::content::Target;
use crate::error::Result;
use crate::id::{ClientMsgId, MessageId, ThreadId, UserId};

/// Maximum number of contents of one author.
pub(super) const MAX_OF_AUTHOR: u32 = 256;
/// Maximum size of the contents of one author, in bytes.
pub(super) const MAX_BYTES_OF_AUTHOR: u64 = 1 << 20;
/// Maximum number of contents.
pub(super) const MAX_WAITING: u32 = 4096;
/// Maximum size of all contents, in bytes.
pub(super) const MAX_BYTES: u64 = 16 << 20;

/// Where a content comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) thread: ThreadId,
    pub(crate) author: UserId,
    pub(crate) content_id: ClientMsgId,
    pub(crate) sent_ms: u64,
    /// Its position in the thread.
    pub(crate) order: i64,
}

/// What a content waits for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WaitsFor<'w> {
    Message(Target),
    /// A later version of the library than this one.
    Version(&'w str),
}

/// The message that a content refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Here(MessageId),
    /// It was here, and was deleted, for everyone or on this device. One that waits for the relay to accept its deletion is still here.
    Gone,
    /// It has not arrived.
    Missing,
}

impl Rows<'_> {
    /// Whether a content was applied that has no row of its own.
    pub(crate) fn was_applied(&self, author: UserId, content_id: ClientMsgId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM applied_content WHERE author = ?1 AND content_id = ?2)";
        let key = [author.as_bytes(), content_id.as_bytes()];
        Ok(self.connection.prepare_cached(sql)?.query_row(key, |row| row.get(0))?)
    }

    /// How many contents wait.
    #[cfg(test)]
    pub(crate) fn count_waiting(&self) -> Result<u32> {
        let sql = "SELECT count(*) FROM waiting_content";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// The message of this thread that a content refers to.
    pub(crate) fn find(&self, thread: ThreadId, target: Target) -> Result<Found> {
        match self.message_of_thread(thread, target.author, target.id)? {
            Some(id) if self.is_erased(id)? => Ok(Found::Gone),
            Some(id) => Ok(Found::Here(id)),
            None if self.was_applied(target.author, target.id)? => Ok(Found::Gone),
            None => Ok(Found::Missing),
        }
    }
}

impl Tx<'_> {
    /// Records that a content was applied, or that its message was deleted. Returns false if that was recorded before.
    pub(crate) fn set_applied(
        &mut self,
        author: UserId,
        content_id: ClientMsgId,
        now_ms: u64,
    ) -> Result<bool> {
        let sql =
            "INSERT INTO applied_content (author, content_id, at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        let values = params![author.as_bytes(), content_id.as_bytes(), to_sql(now_ms)?];
        Ok(self.change(sql, values)? == 1)
    }

    /// Keeps a content that cannot be applied yet. If there is no room for it, the oldest content of its author, or of the author
    /// of most, is dropped.
    pub(crate) fn keep_waiting(
        &mut self,
        origin: &Origin,
        waits_for: WaitsFor<'_>,
        body: &[u8],
        now_ms: u64,
    ) -> Result<()> {
        let (target, version) = match waits_for {
            WaitsFor::Message(target) => (Some(target), None),
            WaitsFor::Version(version) => (None, Some(version)),
        };
        self.change_one(
            "INSERT INTO waiting_content
                (thread_id, author, content_id, target_author, target_id, version, body, sent, position, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                origin.thread.as_bytes(),
                origin.author.as_bytes(),
                origin.content_id.as_bytes(),
                target.as_ref().map(|target| target.author.as_bytes()),
                target.as_ref().map(|target| target.id.as_bytes()),
                version,
                body,
                to_sql(origin.sent_ms)?,
                origin.order,
                to_sql(now_ms)?,
            ],
        )?;
        let of_author = "SELECT min(id) FROM waiting_content WHERE author = ?1
            HAVING count(*) > ?2 OR sum(length(body)) > ?3";
        let bounds = params![origin.author.as_bytes(), MAX_OF_AUTHOR, to_sql(MAX_BYTES_OF_AUTHOR)?];
        while self.drop_oldest_waiting(of_author, bounds)? {}
        let of_all = "SELECT min(id) FROM waiting_content WHERE author = (
                SELECT author FROM waiting_content GROUP BY author ORDER BY count(*) DESC, max(id) DESC LIMIT 1)
            AND (SELECT count(*) > ?1 OR sum(length(body)) > ?2 FROM waiting_content)";
        while self.drop_oldest_waiting(of_all, params![MAX_WAITING, to_sql(MAX_BYTES)?])? {}
        Ok(())
    }

    fn drop_oldest_waiting(&mut self, sql: &str, bounds: impl rusqlite::Params) -> Result<bool> {
        let oldest: Option<Option<i64>> =
            self.connection.prepare_cached(sql)?.query_row(bounds, |row| row.get(0)).optional()?;
        let Some(oldest) = oldest.flatten() else { return Ok(false) };
        tracing::warn!("too many contents wait for their messages: the oldest is dropped");
        self.change_one("DELETE FROM waiting_content WHERE id = ?1", [oldest])?;
        Ok(true)
    }

    /// The contents that wait for this message, in their order in the thread. They no longer wait.
    pub(crate) fn take_waiting(&mut self, target: Target) -> Result<Vec<(Origin, Vec<u8>)>> {
        let sql = "DELETE FROM waiting_content WHERE target_author = ?1 AND target_id = ?2
                   RETURNING thread_id, author, content_id, sent, position, body";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([target.author.as_bytes(), target.id.as_bytes()], waiting_columns)?;
        let mut waiting: Vec<_> = rows.map(|row| to_waiting(row?)).collect::<Result<_>>()?;
        waiting.sort_by_key(|(origin, _)| origin.order);
        Ok(waiting)
    }

    /// Forgets what the relay can no longer deliver again, and what has waited for as long.
    pub(super) fn forget_applied(&mut self, before_ms: u64) -> Result<()> {
        let before = to_sql(before_ms)?;
        self.change("DELETE FROM applied_content WHERE at < ?1", [before])?;
        self.change("DELETE FROM waiting_content WHERE at < ?1 AND version IS NULL", [before])?;
        Ok(())
    }
}

pub(super) type WaitingColumns = (Vec<u8>, Vec<u8>, Vec<u8>, i64, i64, Vec<u8>);

pub(super) fn waiting_columns(row: &rusqlite::Row<'_>) -> rusqlite::Result<WaitingColumns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
}

/// The origin and the body of a content.
pub(super) fn to_waiting(columns: WaitingColumns) -> Result<(Origin, Vec<u8>)> {
    let (thread, author, content_id, sent, order, body) = columns;
    let origin = Origin {
        thread: ThreadId::from_slice(&thread)?,
        author: UserId::from_slice(&author)?,
        content_id: ClientMsgId::from_slice(&content_id)?,
        sent_ms: from_sql(sent)?,
        order,
    };
    Ok((origin, body))
}
