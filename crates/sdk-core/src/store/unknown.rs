//! Contents of kinds that this version does not understand: they are read again by another version of the library.

use rusqlite::params;

use super::message::{KIND_CONTENT, KIND_UNDECRYPTABLE};
use super::waiting::{Origin, WaitingColumns, to_waiting, waiting_columns};
use super::{Rows, Tx};
use crate::content::Body;
use crate::error::Result;
use crate::id::{MessageId, ThreadId};
use crate::message::Undecryptable;

/// A content that another version did not understand.
pub(crate) struct Kept {
    pub(crate) origin: Origin,
    pub(crate) body: Vec<u8>,
    /// The message that shows it as not understood; none if its kind shows nothing.
    pub(crate) message: Option<MessageId>,
}

impl Rows<'_> {
    /// Whether there are contents that another version of the library than this one did not understand.
    pub(crate) fn has_unknown_of_other_versions(&self, version: &str) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM message WHERE kind = 3 AND version < ?1)
                OR EXISTS (SELECT 1 FROM message WHERE kind = 3 AND version > ?1)
                OR EXISTS (SELECT 1 FROM waiting_content WHERE version < ?1)
                OR EXISTS (SELECT 1 FROM waiting_content WHERE version > ?1)";
        Ok(self.connection.prepare_cached(sql)?.query_row([version], |row| row.get(0))?)
    }
}

impl Tx<'_> {
    /// Records which version did not understand a message.
    pub(super) fn set_version(&mut self, id: MessageId, version: &str) -> Result<()> {
        self.change_one("UPDATE message SET version = ?2 WHERE id = ?1", params![id.0, version])
    }

    /// Up to `limit` contents that another version did not understand, of each of both tables. They count as not understood by this
    /// version from now on, unless the caller applies them.
    pub(crate) fn claim_unknown(&mut self, version: &str, limit: u32) -> Result<Vec<Kept>> {
        let shown = "UPDATE message SET version = ?1 WHERE id IN (SELECT id FROM message
                WHERE kind = 3 AND (version < ?1 OR version > ?1) LIMIT ?2)
             RETURNING thread_id, author, content_id, sent, position, body, id";
        let hidden = "UPDATE waiting_content SET version = ?1 WHERE id IN (SELECT id FROM waiting_content
                WHERE version IS NOT NULL AND (version < ?1 OR version > ?1) LIMIT ?2)
             RETURNING thread_id, author, content_id, sent, position, body, NULL";
        let mut claimed = Vec::new();
        for sql in [shown, hidden] {
            let mut statement = self.connection.prepare_cached(sql)?;
            let rows = statement.query_map(params![version, limit], |row| {
                Ok((waiting_columns(row)?, row.get::<_, Option<i64>>(6)?))
            })?;
            for row in rows {
                let (columns, message): (WaitingColumns, _) = row?;
                let (origin, body) = to_waiting(columns)?;
                claimed.push(Kept { origin, body, message: message.map(MessageId) });
            }
        }
        claimed.sort_by_key(|kept| kept.origin.order);
        Ok(claimed)
    }

    /// Replaces what a message of a later version contains, as if it had arrived so.
    #[cfg(test)]
    pub(crate) fn replace_body(&mut self, id: MessageId, body: &[u8]) -> Result<()> {
        self.change_one("UPDATE message SET body = ?2 WHERE id = ?1 AND kind = 3", params![id.0, body])
    }

    /// A message is understood now, and shows this body.
    pub(crate) fn understand(&mut self, id: MessageId, body: &Body) -> Result<()> {
        self.change_one(
            "UPDATE message SET kind = ?2, version = NULL WHERE id = ?1 AND kind = 3",
            params![id.0, KIND_CONTENT],
        )?;
        self.set_body(id, body)?;
        self.index_late(id)?;
        self.emit_changed(id)
    }

    /// A message turns out to be malformed.
    pub(crate) fn reject_unknown(&mut self, id: MessageId) -> Result<()> {
        self.change_one(
            "UPDATE message SET kind = ?2, body = x'', cause = ?3, version = NULL WHERE id = ?1 AND kind = 3",
            params![id.0, KIND_UNDECRYPTABLE, Undecryptable::Malformed.to_stored()],
        )?;
        self.emit_changed(id)
    }

    /// A content that was kept has been applied, or shows nothing: it is not kept any longer.
    pub(crate) fn forget_unknown(&mut self, kept: &Kept, thread: ThreadId) -> Result<()> {
        match kept.message {
            Some(message) => self.delete_message(thread, message),
            None => {
                let key = [kept.origin.author.as_bytes(), kept.origin.content_id.as_bytes()];
                let sql = "DELETE FROM waiting_content WHERE author = ?1 AND content_id = ?2 AND version IS NOT NULL";
                self.change(sql, key)?;
                Ok(())
            }
        }
    }
}
